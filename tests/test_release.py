"""What a release needs: sdist, citation, workflows that name real targets, Python versions that are tested."""
import configparser
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

import mlcheat

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = configparser.ConfigParser(delimiters=["="])
SETTINGS.read(ROOT / "settings.ini", encoding="utf-8")


def test_one_version_everywhere():
    assert SETTINGS["DEFAULT"]["version"] == mlcheat.__version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == mlcheat.__version__
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_workflows_name_targets_that_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"]
        commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            for words in re.findall(r"\bmake ((?:[a-z][\w-]*\s?)+)", command):
                assert set(words.split()) <= targets, command


def test_the_oldest_python_is_the_one_that_the_workflow_tests():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    rows = jobs["versions"]["strategy"]["matrix"]["include"]
    assert min(rows, key=lambda row: int(row["python"].split(".")[1]))["python"] == SETTINGS["DEFAULT"]["min_python"]
    assert {row["python"] for row in rows} >= {"3.10", "3.11", "3.12", "3.13"}
    assert {row["constraints"] for row in rows} == {"constraints-oldest.txt", "/dev/null"}


def test_the_oldest_versions_are_those_of_the_settings():
    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in (ROOT / "constraints-oldest.txt").read_text().splitlines() if "==" in line)
    import shlex

    for need in map(Requirement, shlex.split(SETTINGS["DEFAULT"]["requirements"])):
        if need.marker is None:
            low = next(s.version for s in need.specifier if s.operator == ">=")
            assert (pins[need.name] + ".0").startswith(low + "."), f"{need.name}: {pins[need.name]} is not the oldest, {low}"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    done = subprocess.run([sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), str(ROOT)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.tar.gz"))


def test_the_sdist_holds_what_building_needs(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "settings.ini", "pyproject.toml", "README.md", "LICENSE", "mlcheat/py.typed", "mlcheat/_exercises.json",
            "mlcheat/reference/glossary.toml", "mlcheat/nn/__init__.pyi"} <= names
    assert not [n for n in names if n.startswith(("tests/", "nbs/", ".venv"))]


def test_a_wheel_is_built_from_the_sdist(sdist, tmp_path):
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
                           "--no-build-isolation", "--wheel-dir", str(tmp_path), str(sdist)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert [p.name for p in tmp_path.iterdir()] == [f"mlcheat-{mlcheat.__version__}-py3-none-any.whl"]


def test_pyproject_names_the_builder():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["build-backend"] == "setuptools.build_meta"


def test_the_makefile_has_what_the_readme_names():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", text, flags=re.M))
    named = set(re.findall(r"^make ([a-z][\w-]*)", (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    assert named | {"book", "test", "check", "run", "edit", "export", "bench", "cards", "book-zip", "clean"} <= targets
    phony = set(re.search(r"^\.PHONY: (.*)", text, re.M)[1].split())
    assert phony == targets - {"$(STAMP)"}
