"""What importing costs and loads, and that the house rules hold in the real tree."""
import os
import statistics
import subprocess
import sys
import time

import pytest

from tools import checks
from tools.notebooks import ROOT

HEAVY = ("numpy", "scipy", "sklearn", "matplotlib", "pandas", "tensorflow", "keras", "pooch", "joblib")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement, allowed", [
    ("import mlcheat", set()),
    ("import mlcheat; mlcheat.nn", set()),
    ("import mlcheat; mlcheat.card; mlcheat.cards()", set()),
    ("from mlcheat.nn import sigmoid", {"numpy"}),
    ("from mlcheat import check; check", {"numpy"}),
    ("from mlcheat.basics import LogisticRegression", {"numpy", "scipy", "sklearn", "joblib", "pandas"}),
])
def test_an_import_loads_only_what_it_needs(statement, allowed):
    assert loaded_by(statement) <= allowed


@pytest.mark.parametrize("statement, ratio", [("import mlcheat", 1.2), ("from mlcheat.nn import sigmoid", 1.5)])
def test_importing_costs_little_beside_numpy(statement, ratio):
    """Interleaved pairs in fresh interpreters, medians; a ratio, so the machine does not matter."""
    def seconds(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    pairs = [(seconds(statement), seconds("import numpy")) for _ in range(9)]
    assert statistics.median(a / b for a, b in pairs) < ratio


def test_the_import_rule_holds():
    assert checks.import_problems() == []


def test_everything_has_its_mirror():
    assert checks.mirror_problems() == []


def test_callable_modules_are_both():
    import mlcheat
    import mlcheat.cards
    import mlcheat.exercises
    from mlcheat.cards import card

    assert mlcheat.cards.card is card is mlcheat.card and "card" in mlcheat.cards()
    assert mlcheat.exercises.check is mlcheat.check and mlcheat.exercises()


def test_the_version_is_one():
    import configparser

    import mlcheat

    parser = configparser.ConfigParser(delimiters=["="])
    parser.read(checks.ROOT / "settings.ini")
    assert mlcheat.__version__ == parser["DEFAULT"]["version"]
    with pytest.raises(AttributeError):
        mlcheat.no_such_name


PROGRAM = """
import numpy as np

import mlcheat
from mlcheat.algorithms import KMeans, LinearSVC, RandomForestClassifier
from mlcheat.basics import LogisticRegression
from mlcheat.data import load_iris
from mlcheat.nn import Adam, Dense, Sequential, huber, sigmoid
from mlcheat.reference import define, find_papers

X, y = load_iris(return_X_y=True)
model = LogisticRegression(C=0.1).fit(X, y > 0)
share: float = model.score(X, y > 0)
labels: np.ndarray = KMeans(3, random_state=0).fit_predict(X)
forest = RandomForestClassifier(n_estimators=10).fit(X, y)
loss = huber(np.zeros(3), np.ones(3))
p = sigmoid(loss)
network = Sequential([Dense(4, activation="relu"), Dense(1)])
network.compile(optimizer=Adam(1e-3), loss="mse")
print(share, labels[:3], p.mean(), mlcheat.card("adam").summary, define("epoch").definition, len(find_papers(year=2014)))
verdict = mlcheat.check("activations-3", 0.0)
print(bool(verdict), verdict.message, mlcheat.exercises("activations")[0])
"""


def test_a_type_checker_accepts_a_users_program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    wrong = PROGRAM + "labels = mlcheat.card(\"adam\").nonsense\n"
    (tmp_path / "wrong.py").write_text(wrong)
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "mypy", "--follow-imports=silent", "program.py", "wrong.py"], cwd=tmp_path,
                          capture_output=True, text=True, env=environment)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and lines[0].startswith("wrong.py") and '"Card" has no attribute "nonsense"' in lines[0], done.stdout
    assert subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True).returncode == 0
