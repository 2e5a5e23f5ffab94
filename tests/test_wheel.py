"""The wheel, in an environment that has its requirements and nothing else: no TensorFlow, no nbdev, no repository."""
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
RL = [f"mlcheat.algorithms.{name}" for name in ("reinforcement_learning", "bandits", "tabular", "policy_gradient")]
CORE = {"numpy", "scipy", "scikit-learn", "matplotlib", "joblib", "tqdm", "pooch", "lazy_loader"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "mlcheat", source / "mlcheat", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter that sees the wheel and, by links, the distributions that the wheel requires."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False, symlinks=True)
    site = next((home / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    queue, done = list(CORE), set()
    while queue:
        name = queue.pop()
        if name.lower() in done:
            continue
        done.add(name.lower())
        dist = distribution(name)
        for file in dist.files or []:
            top = Path(file.parts[0])
            source = Path(dist.locate_file(top))
            if top.name not in ("..", "__pycache__") and source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
        for text in dist.requires or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                queue.append(need.name)
    return home / "bin" / "python"


def run(python, code, cwd):
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "MPLBACKEND": "agg"}
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=cwd, env=env)


def test_the_core_requires_nothing_more(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    needs = [Requirement(line.split(": ", 1)[1]) for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert {r.name for r in needs if r.marker is None} == CORE
    assert {"mlcheat/py.typed", "mlcheat/_exercises.json", "mlcheat/__init__.pyi", "mlcheat/nn/__init__.pyi"} <= set(names)
    assert all(n.startswith(("mlcheat/", "mlcheat-")) for n in names)
    extras = {line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Provides-Extra")}
    assert {"tf", "tf-cpu", "rl", "book", "test", "bench", "dev"} <= extras


def test_importing_loads_nothing(python, tmp_path):
    code = ("import sys, mlcheat\nassert 'site-packages' in mlcheat.__file__\n"
            "print([m for m in ('numpy', 'scipy', 'sklearn', 'matplotlib') if m in sys.modules])")
    done = run(python, code, tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stderr


def test_there_is_no_tensorflow_and_no_nbdev(python, tmp_path):
    done = run(python, "import importlib.util as u; print([m for m in ('tensorflow', 'keras', 'nbdev', 'fastcore', 'pytest') if u.find_spec(m)])", tmp_path)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_cards_and_exercises_work(python, tmp_path):
    done = run(python, "import mlcheat\nprint(mlcheat.card('sigmoid'))\nprint(len(mlcheat.exercises()) > 10)\n"
                       "print(mlcheat.check('activations-3', 0.0), mlcheat.hint('activations-3') != '')", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Use when" in done.stdout and "activations-3: right. True" in done.stdout and "\nTrue\n" in done.stdout


def test_doctests_pass(python, tmp_path):
    # Those left out need TensorFlow or Gymnasium, which are not there; the suite runs their doctests beside them.
    code = ("import doctest, importlib, pkgutil, sys, mlcheat\n"
            f"skip = ('mlcheat.architectures', 'mlcheat.nn.keras_bridge', {', '.join(map(repr, RL))})\n"
            "names = [m.name for m in pkgutil.walk_packages(mlcheat.__path__, 'mlcheat.') if not m.name.startswith(skip)]\n"
            "results = [doctest.testmod(importlib.import_module(n), optionflags=doctest.NORMALIZE_WHITESPACE) for n in ['mlcheat', *names]]\n"
            "print(sum(r.attempted for r in results)); sys.exit(sum(r.failed for r in results))")
    done = run(python, code, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(done.stdout.split()[-1]) > 20


@pytest.mark.parametrize("module, extra", [*((m, "rl") for m in RL), ("mlcheat.architectures.mlp", "tf")])
def test_a_missing_extra_is_named(python, tmp_path, module, extra):
    done = run(python, f"import {module}", tmp_path)
    assert done.returncode == 1 and f"mlcheat[{extra}]" in done.stderr.splitlines()[-1], done.stderr[-500:]
