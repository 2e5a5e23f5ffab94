"""Stored outputs are compared strictly: a changed figure, a changed number and a removed output each fail."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools.run_nbs import run

ROOT = Path(__file__).resolve().parent.parent.parent
PLOT = """import matplotlib.pyplot as plt
from mlcheat.figures import show
fig, ax = plt.subplots(figsize=(4, 3))
ax.plot([0, 1], [0, {end}])
show(fig, "A straight line from zero to the given end.")"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A small notebook with a number, a print and a figure, run once."""
    folder = tmp_path_factory.mktemp("nb")
    path = folder / "demo.ipynb"
    cells = [nbformat.v4.new_code_cell(s) for s in ("1 + 1", "print('hello')", PLOT.format(end=1.0))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert run(path) is None
    return path


def nbval(path: Path) -> subprocess.CompletedProcess:
    shutil.copy(ROOT / "nbs" / "conftest.py", path.parent / "conftest.py")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider",
         "-p", "no:xdist", "-c", os.devnull, "--rootdir", str(path.parent), str(path)],
        capture_output=True, text=True, cwd=path.parent, env={**os.environ, "MPLBACKEND": "agg"})


@pytest.fixture
def changed(executed, tmp_path):
    """A copy of the notebook after a change, and what nbval says of it."""
    def change(edit):
        nb = nbformat.read(executed, as_version=4)
        for cell in nb.cells:
            cell.execution_count = None                     # as nbdev_clean leaves it
        edit(nb.cells)
        path = tmp_path / "demo.ipynb"
        nbformat.write(nb, path)
        done = nbval(path)
        return done.returncode, done.stdout
    return change


def test_an_unchanged_notebook_passes(changed):
    code, text = changed(lambda cells: None)
    assert code == 0 and "3 passed" in text, text


def test_a_changed_number_fails(changed):
    code, text = changed(lambda cells: cells[0].update(source="1 + 2"))
    assert code == 1 and "1 failed, 2 passed" in text, text


def test_a_changed_figure_fails(changed):
    code, text = changed(lambda cells: cells[2].update(source=PLOT.format(end=1.0).replace("[0, 1.0]", "[0.03, 1.0]")))
    assert code == 1 and "differs from the stored one" in text, text


def test_a_figure_of_another_size_fails(changed):
    code, text = changed(lambda cells: cells[2].update(source=PLOT.format(end=1.0).replace("(4, 3)", "(4, 3.1)")))
    assert code == 1 and "the stored one (480, 640)" in text, text


@pytest.mark.parametrize("i", [0, 1, 2])
def test_a_removed_output_fails(changed, i):
    code, text = changed(lambda cells: cells[i].update(outputs=[]))
    assert code == 1 and "1 failed, 2 passed" in text, text


def test_a_cell_that_is_not_evaluated_is_skipped(changed):
    code, text = changed(lambda cells: cells[0].update(source="#| eval: false\n1 / 0", outputs=[]))
    assert code == 0 and "2 passed, 1 skipped" in text, text


def test_a_notebook_that_fails_is_left_as_it_was(tmp_path):
    path = tmp_path / "bad.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    before = path.read_bytes()
    assert "ZeroDivisionError" in run(path)
    assert path.read_bytes() == before
