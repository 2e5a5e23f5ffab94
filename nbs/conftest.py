"""How nbval treats our notebooks: each runs in an empty folder, cleaned ones count as executed, pictures are compared,
`eval: false` is skipped."""
import base64
import io
import os
import re
import tempfile
from unittest import mock

import numpy as np
import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell
from PIL import Image

RMS_TOLERANCE = 0.002         # of the full grey scale; one changed digit of a label is more than this


def pytest_itemcollected(item):
    """nbdev_clean takes execution counts away, and nbval takes a cell without one for never run."""
    if isinstance(item, IPyNbCell):
        if item.cell.execution_count is None:
            item.cell.execution_count = 1
        if any(line.replace(" ", "") == "#|eval:false" for line in item.cell.source.split("\n")[:5]):
            item.add_marker(pytest.mark.skip(reason="the cell says `eval: false`"))


_start = RunningKernel.__init__


def _start_alone(self, kernel_name, cwd=None, **options):
    """Whoever downloads one notebook has no other file beside it, and nobody's own progress is touched."""
    self.alone = tempfile.TemporaryDirectory(prefix="alone-", ignore_cleanup_errors=True)
    with mock.patch.dict(os.environ, MLCHEAT_HOME=self.alone.name):
        _start(self, kernel_name, cwd=self.alone.name, **options)


_stop = RunningKernel.stop


def _stop_and_clean(self):
    _stop(self)
    self.alone.cleanup()


_execute = RunningKernel.execute_cell_input


def _execute_with_history(self, cell_input, allow_stdin=None):
    """nbval runs cells without history, which makes IPython ignore a closing `;`."""
    return self.kc.execute(cell_input, store_history=True, allow_stdin=bool(allow_stdin), stop_on_error=False)


RunningKernel.__init__ = _start_alone
RunningKernel.stop = _stop_and_clean
RunningKernel.execute_cell_input = _execute_with_history


def pictures(outputs) -> list[np.ndarray]:
    """The PNG outputs of a cell as grey levels between 0 and 1."""
    found = [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    for o in outputs:                                      # the frames of a slider
        page = "".join(o.get("data", {}).get("text/html", ""))
        found += re.findall(r'"(iVBOR[A-Za-z0-9+/=]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"), dtype=float) / 255 for png in found]


def picture_problem(new: list[np.ndarray], stored: list[np.ndarray]) -> str | None:
    """What differs between two lists of pictures, or None."""
    if len(new) != len(stored):
        return f"{len(new)} pictures, {len(stored)} are stored"
    for i, (a, b) in enumerate(zip(new, stored)):
        if a.shape != b.shape:
            return f"picture {i + 1} measures {a.shape}, the stored one {b.shape}"
        if (rms := float(np.sqrt(np.mean((a - b) ** 2)))) > RMS_TOLERANCE:
            return f"picture {i + 1} differs from the stored one: RMS {rms:.4f} > {RMS_TOLERANCE}"
    return None


_compare = IPyNbCell.compare_outputs


def _compare_with_pictures(self, test, ref, skip_compare=None):
    """nbval's comparison, and then the pictures, which it leaves out."""
    if not _compare(self, test, ref, skip_compare):
        return False
    problem = picture_problem(pictures(test), pictures(ref))
    if problem:
        self.comparison_traceback.append(problem)
    return problem is None


IPyNbCell.compare_outputs = _compare_with_pictures
