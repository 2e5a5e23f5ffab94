"""`make check` finds what it is there to find."""
import nbformat
import pytest

from mlcheat.exercises import _unveil as unveil
from tools import checks, exercises, export
from tools.notebooks import Chapter, install_cell

HEAD = "# Demo\n\n> Words."
EXERCISE = ":::{exercise} Two\n:label: demo-1\n\nHow much is 1 + 1?\n:::\n\n:::{dropdown} Hint\nCount.\n:::"
START = ":::{solution-start} demo-1\n:class: dropdown\n:::\nCount them."
END = ":::{solution-end}\n:::"


@pytest.fixture
def package(tmp_path):
    """A function that writes a module into an otherwise empty package and returns the import problems."""
    def write(name, code):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        return checks.import_problems(tmp_path)
    return write


@pytest.mark.parametrize("name, code", [
    ("basics.demo", "from ..nn.activations import sigmoid"),
    ("math.statistics", "from .probability import norm"),
    ("architectures.cnn", "import keras"),
    ("nn.keras_bridge", "def from_keras(model):\n    import keras"),
    ("nn.recurrent", "from .layers import Layer\nimport numpy as np"),
])
def test_what_the_house_allows(package, name, code):
    assert package(name, code) == []


@pytest.mark.parametrize("name, code, message", [
    ("math.calculus", "from .statistics import t_test", "may not import mlcheat.math.statistics"),
    ("math.calculus", "from . import statistics", "may not import mlcheat.math.statistics"),
    ("nn.optimizers", "from mlcheat.nn.layers import Dense", "may not import mlcheat.nn.layers"),
    ("nn.autodiff", "def f():\n    from .losses import huber", "may not import mlcheat.nn.losses"),
    ("basics.demo", "from ..data import load", "may not import mlcheat.data"),
    ("basics.demo", "from ..nn.activations import *", "import names, not *"),
    ("nn.network", "import keras", "only architectures may import keras"),
    ("nn.layers", "def f():\n    import tensorflow as tf", "only architectures may import tensorflow"),
    ("physics.demo", "import numpy", "does not know it"),
])
def test_what_the_house_forbids(package, name, code, message):
    found = package(name, code)
    assert len(found) == 1 and message in found[0], found


def test_a_circle_is_found(package):
    assert package("basics.one", "from .two import f") == []
    found = package("basics.two", "from ..basics.one import g")
    assert len(found) == 1 and "in a circle: basics." in found[0], found
    assert package("basics.two", "def f():\n    from .one import g") == []


def test_a_correction_needs_a_proof(make_chapter):
    section = "## Corrections"
    good = make_chapter(HEAD, section, "**Sign.** The sign is wrong.", ("assert 1 + 1 == 2",))
    assert [c.title for c in good.corrections] == ["Sign"]
    bad = make_chapter(HEAD, section, "**Sign.** The sign is wrong.", "Nothing follows.")
    assert bad.corrections[0].proof is None


def test_a_figure_needs_words_and_an_error_is_seen(write_notebook, monkeypatch, tmp_path):
    picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="", traceback=[])
    monkeypatch.setattr("tools.notebooks.NBS", tmp_path)
    found = checks.notebook_problems(Chapter(write_notebook(HEAD, ("plot()", picture), ("fail()", error))))
    assert len(found) == 3 and "without alternative text" in found[1] and "stored with an error" in found[2]


def test_every_notebook_begins_with_the_install_cell(write_notebook, monkeypatch, tmp_path):
    monkeypatch.setattr("tools.notebooks.NBS", tmp_path)
    path = write_notebook(HEAD, ("x = 1",))
    assert [p for p in checks.notebook_problems(Chapter(path)) if "installs the package" in p]
    nb = nbformat.read(path, as_version=4)
    nb.cells.insert(1, install_cell(path))
    nbformat.write(nb, path)
    assert not [p for p in checks.notebook_problems(Chapter(path)) if "installs the package" in p]


def test_a_broken_notebook_is_named_and_left_alone(tmp_path, monkeypatch):
    path = tmp_path / "broken.ipynb"
    path.write_text('{"cells": [')
    monkeypatch.setattr("tools.notebooks.NBS", tmp_path)
    with pytest.raises(ValueError, match="broken.ipynb is not a readable notebook.*left as it is"):
        export.main([str(path)])
    assert path.read_text() == '{"cells": ['


def test_an_exercise_is_collected(make_chapter):
    answer = ("#| answer: 2\n#| tolerance: 1e-6\ncheck('demo-1', 1 + 1)",)
    found = exercises.collect(make_chapter(HEAD, EXERCISE, ("check('demo-1', ...)",), START, answer, END))
    assert found["demo-1"]["question"] == "How much is 1 + 1?" and found["demo-1"]["hint"] == "Count."
    veiled = found["demo-1"]["answer"]
    assert "answer" not in veiled and "tolerance" not in veiled and "1 + 1" not in found["demo-1"]["solution"]
    assert unveil(veiled) == {"answer": 2, "tolerance": 1e-6, "inputs": None, "mistakes": []}
    assert unveil(found["demo-1"]["solution"]) == "Count them.\n\n```python\ncheck('demo-1', 1 + 1)\n```"


@pytest.mark.parametrize("cells, message", [
    ([EXERCISE], "has no solution cell"),
    ([EXERCISE, START, ("check('demo-1', 2)",), END], "has no solution cell"),
    ([EXERCISE.split("\n\n:::{dropdown}")[0]], "Hint"),
    ([EXERCISE.replace(":label: demo-1\n", "")], "has no :label:"),
    ([START, ("#| answer: 2\n2",), END], "which is no exercise here"),
])
def test_a_defective_exercise_is_named(make_chapter, cells, message):
    with pytest.raises(ValueError, match=message):
        exercises.collect(make_chapter(HEAD, *cells))
