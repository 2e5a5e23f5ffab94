"""Fixtures shared by all tests: the real data, where they are at hand."""
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

for name, value in {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1",
                    "MPLBACKEND": "agg"}.items():
    os.environ.setdefault(name, value)
HOME = tempfile.TemporaryDirectory(prefix="mlcheat-", ignore_cleanup_errors=True)
os.environ["MLCHEAT_HOME"] = HOME.name              # nobody's own progress in the exercises is touched or read


def pytest_unconfigure():
    HOME.cleanup()


# The same examples on every run: a failure can be repeated, and a green run stays green.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent


def _folder_with(filename: str) -> Path:
    folders = [os.environ.get("MLCHEAT_DATA"), ROOT.parent / "shared" / "data"]
    for folder in folders:
        if folder and (Path(folder) / filename).is_file():
            return Path(folder)
    pytest.skip(f"{filename} is in neither MLCHEAT_DATA nor ../shared/data; it is not part of the repository")


@pytest.fixture(scope="session")
def advertising():
    """The real advertising data: X (200, 3) with columns tv, radio, newspaper, and y (200,)."""
    from mlcheat.data import load_advertising

    return load_advertising(_folder_with("advertising.csv"), return_X_y=True)


@pytest.fixture(scope="session")
def exams():
    """The real exam data: X (100, 2) with columns studied, slept, and y (100,)."""
    from mlcheat.data import load_exams

    return load_exams(_folder_with("exams.csv"), return_X_y=True)
