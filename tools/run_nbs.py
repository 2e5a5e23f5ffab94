"""Execute notebooks and store their outputs: `python -m tools.run_nbs [nbs/x.ipynb ...]`, all of them by default.

A notebook that fails is left as it was; the error names the cell. Two run at a time.
"""
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbval.plugin import coalesce_streams

from tools.notebooks import Chapter, chapters, split_directives


def run(path: Path) -> str | None:
    """Execute one notebook in place; the error message, or None when all went well."""
    nb = Chapter(path).nb
    skipped = {}
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and split_directives(cell.source)[0].get("eval") is False:
            skipped[i] = cell.source
            cell.source = ""
    start = time.perf_counter()
    try:
        NotebookClient(nb, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    except CellExecutionError as error:
        return f"{path}: {error}"
    for i, cell in enumerate(nb.cells):
        if i in skipped:
            cell.source = skipped[i]
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(o) for o in coalesce_streams(cell.outputs)]
    nb.metadata.pop("jupytext", None)
    nb.metadata["kernelspec"] = {"display_name": "python3", "language": "python", "name": "python3"}
    nbformat.write(nb, path)
    print(f"{path}: {time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:.2f} MB", flush=True)
    return None


def main(paths: list[str]) -> int:
    wanted = [Path(p).resolve() for p in paths] or [c.path for c in chapters()]
    with ThreadPoolExecutor(max_workers=2) as pool:
        errors = [e for e in pool.map(run, wanted) if e]
    print("\n\n".join(errors), file=sys.stderr)
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
