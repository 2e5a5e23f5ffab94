"""Edit a notebook as a script: `give` writes work/<name>.py (percent format), `take` brings it back.

Cell ids and the outputs of unchanged cells survive, so the generated modules do not churn. The install cell, the same in
every notebook with code, is left out of the script and put back.
"""
import sys
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs

from tools.notebooks import INSTALL_ID, NBS, ROOT, install_cell


def script_of(notebook: Path) -> Path:
    return ROOT / "work" / notebook.resolve().relative_to(NBS).with_suffix(".py")


def give(notebook: Path) -> None:
    script = script_of(notebook)
    script.parent.mkdir(parents=True, exist_ok=True)
    nb = jupytext.read(notebook)
    nb.cells = [cell for cell in nb.cells if cell["id"] != INSTALL_ID]
    jupytext.write(nb, script, fmt="py:percent")
    print(script)


def take(notebook: Path) -> None:
    new = jupytext.read(script_of(notebook), fmt="py:percent")
    new.nbformat, new.nbformat_minor = 4, 5
    if notebook.exists():
        new = combine_inputs_with_outputs(new, nbformat.read(notebook, as_version=4), fmt="py:percent")
    new.metadata = nbformat.from_dict({"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}})
    notebook.parent.mkdir(parents=True, exist_ok=True)
    seen = set()
    for cell in new.cells:
        if "id" not in cell or cell["id"] in seen:
            cell["id"] = nbformat.v4.new_code_cell()["id"]
        seen.add(cell["id"])
    if any(cell.cell_type == "code" for cell in new.cells):
        new.cells.insert(1, install_cell(notebook))
    nbformat.validate(new)
    nbformat.write(new, notebook)
    print(notebook)


if __name__ == "__main__":
    {"give": give, "take": take}[sys.argv[1]](Path(sys.argv[2]))
