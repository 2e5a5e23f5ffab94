"""Build a JupyterLite site: the NumPy chapters run in the reader's own browser, the package's wheel is inside.

Python itself and NumPy, SciPy, scikit-learn and matplotlib come from the public Pyodide distribution when a notebook
starts, so the first start needs a network.
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from tools.notebooks import INSTALL_ID, NBS, NEEDS_RL, ROOT

LEFT_OUT = ("architectures/", "nn/keras_bridge", "reference/", *NEEDS_RL)   # TensorFlow, Gymnasium, generated pages


def notebooks() -> list[Path]:
    """The chapters that need nothing but NumPy and what Pyodide has."""
    names = {p: p.relative_to(NBS).with_suffix("").as_posix() for p in sorted(NBS.rglob("*.ipynb"))}
    return [p for p, name in names.items() if "/" in name and not name.startswith((*LEFT_OUT, ".")) and ".ipynb_checkpoints" not in name]


def copy_of(path: Path) -> nbformat.NotebookNode:
    """A notebook without outputs whose install cell takes the wheel of the site."""
    nb = nbformat.read(path, as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if cell.get("id") == INSTALL_ID:
            cell.source = ("# The first start fetches Python and its libraries from the network; it takes a minute.\n"
                           "%pip install -q mlcheat")
            cell.metadata = {}
    nb.metadata = nbformat.from_dict({"kernelspec": {"display_name": "Python (Pyodide)", "language": "python", "name": "python"},
                                      "language_info": {"name": "python"}})
    return nb


def build(target: Path) -> None:
    """Write the site into `target`."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(work / "wheels"), str(ROOT)], check=True,
                       stdout=subprocess.DEVNULL)
        for path in notebooks():
            to = work / "contents" / path.relative_to(NBS)
            to.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(copy_of(path), to)
        (work / "contents" / "README.md").write_text(
            "# mlcheat in the browser\n\nOpen a notebook on the left. The first start needs a network: Python, NumPy, SciPy, "
            "scikit-learn and matplotlib come from the public Pyodide distribution. What you change stays in this browser.\n",
            encoding="utf-8")
        wheel = next((work / "wheels").glob("*.whl"))
        subprocess.run([sys.executable, "-m", "jupyter", "lite", "build", "--contents", "contents", "--piplite-wheels", str(wheel),
                        "--output-dir", str(work / "site"), "--no-unused-shared-packages", "--apps", "lab"], check=True, cwd=work)
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(work / "site", target)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
    print(f"The notebooks in the browser: {sys.argv[1]}/lab/index.html")
