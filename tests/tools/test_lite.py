"""The JupyterLite site: which notebooks, their install cell, and, where jupyterlite is installed, the site itself."""
import ast
import json
from importlib.util import find_spec

import pytest

from tools import lite
from tools.notebooks import INSTALL_ID, NBS

PYODIDE = {"numpy", "scipy", "sklearn", "matplotlib", "joblib", "tqdm", "sympy", "mlcheat"}    # besides the standard library


def test_the_chapters_that_need_only_numpy_are_there():
    names = {p.relative_to(NBS).with_suffix("").as_posix() for p in lite.notebooks()}
    assert {"nn/losses", "basics/linear_regression", "math/statistics", "algorithms/svm"} <= names and len(names) > 25
    assert not [n for n in names if n.startswith(("architectures/", "reference/")) or "keras" in n or n == "algorithms/bandits"]


def test_a_copy_installs_the_wheel_of_the_site_and_holds_no_outputs():
    nb = lite.copy_of(NBS / "nn" / "losses.ipynb")
    code = [c for c in nb.cells if c.cell_type == "code"]
    assert [c.source.splitlines()[-1] for c in code if c.id == INSTALL_ID] == ["%pip install -q mlcheat"]
    assert not any(c.outputs for c in code) and nb.metadata.kernelspec.name == "python"


@pytest.mark.parametrize("path", lite.notebooks(), ids=lambda p: p.stem)
def test_they_import_nothing_that_the_browser_lacks(path):
    import sys

    needed = set()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code" and "#| eval: false" not in text and 'find_spec("tensorflow")' not in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import):
                    needed |= {a.name.partition(".")[0] for a in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    needed.add(node.module.partition(".")[0])
    assert needed - PYODIDE - set(sys.stdlib_module_names) == set()


@pytest.mark.skipif(find_spec("jupyterlite_core") is None, reason="jupyterlite is installed by `make book LITE=1` only")
def test_the_site_lists_wheel_and_notebooks(tmp_path):
    lite.build(tmp_path / "site")
    index = json.loads((tmp_path / "site" / "pypi" / "all.json").read_text())
    assert list(index) == ["mlcheat"] and (tmp_path / "site" / "lab" / "index.html").exists()
    listed = json.loads((tmp_path / "site" / "api" / "contents" / "nn" / "all.json").read_text())["content"]
    assert "nn/losses.ipynb" in {entry["path"] for entry in listed}
    assert "needs a network" in (tmp_path / "site" / "files" / "README.md").read_text()
