"""`make check`: the notebooks, the package, README.md and the ledger agree, and the house rules hold.

Each check returns a list of problems in plain words. Nothing is written: the export is tried in a copy.
"""
import ast
import filecmp
import json
import re
import shutil
import subprocess
import sys
import tempfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tools import exercises, ledger
from tools.notebooks import INSTALL_ID, ROOT, Chapter, chapters, install_cell

MAX_BYTES = 1_500_000
# Names too general for a part to hand on: they stay in their module.
TOO_GENERAL = {"nn": set(
    "get get_prime names where stack concatenate maximum minimum einsum var const evaluate simplify differentiate "
    "train forward_cache gradient_check Node cost cost_prime zeros ones constant identity grad value_and_grad vjp jvp hvp derivative jacobian hessian check_gradients".split())}

# Who may import whom: a module and the modules of this package that its code may name.
_BASE = {"nn.activations", "nn.losses", "nn.optimizers"}
_MATH = ["math.calculus", "math.linear_algebra", "math.probability", "math.statistics"]
_LAYERS = {"nn.activations", "nn.losses", "nn.forward_propagation", "nn.regularization", "nn.layers"}
ALLOWED = {
    "cards": set(), "data": set(), "figures": set(), "exercises": set(),
    "cli": {"", "cards", "exercises", "reference"},
    **{name: set(_MATH[:i]) for i, name in enumerate(_MATH)},
    "basics": {"math", "basics", *_BASE},
    "algorithms": {"math", *_BASE},
    "algorithms.logistic": {"math", "basics.logistic_regression", *_BASE},
    "algorithms.regression": {"math", "basics.linear_regression", *_BASE},
    "algorithms.bandits": {"algorithms.reinforcement_learning"}, "algorithms.tabular": {"algorithms.reinforcement_learning"},
    "algorithms.policy_gradient": {"nn.optimizers", "algorithms.reinforcement_learning"},
    "algorithms.ensembles": {"math", "algorithms.decision_trees", *_BASE},
    "nn.activations": set(), "nn.autodiff": set(), "nn.optimizers": set(),
    "nn.losses": {"nn.activations"},
    "nn.forward_propagation": {"nn.activations", "nn.losses"},
    "nn.regularization": {"nn.activations", "nn.losses", "nn.optimizers"},
    "nn.layers": _LAYERS,
    "nn.concepts": _LAYERS | {"reference.glossary"}, "nn.backpropagation": _LAYERS,
    "nn.convolution": _LAYERS, "nn.normalization": _LAYERS, "nn.recurrent": _LAYERS, "nn.attention": _LAYERS,
    "nn.callbacks": set(), "nn.network": {"nn", "math"}, "nn.keras_bridge": {"nn"},
    "architectures": {"architectures", "nn", "data"},
    "architectures.dqn": {"architectures", "nn", "algorithms.reinforcement_learning"},
    "reference": {"reference", "_modidx"},
}
_HEAVY = ("keras", "tensorflow")


def imports(path: Path, root: Path = ROOT / "mlcheat") -> list[tuple[str, int, bool]]:
    """All imports of a module as (absolute name, line, at module level); `from . import *` ends in `.*`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["mlcheat", *path.relative_to(root).parent.parts]
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(a.name, node.lineno, id(node) in top) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            star = any(a.name == "*" for a in node.names)
            names = [module + ".*"] if star else [module] if node.module else [f"{module}.{a.name}" for a in node.names]
            found += [(name, node.lineno, id(node) in top) for name in names]
    return found


def import_problems(root: Path = ROOT / "mlcheat") -> list[str]:
    """Imports that the house does not allow, and circles among those at module level."""
    problems, needs = [], {}
    for path in sorted(root.rglob("*.py")):
        own = ".".join(path.relative_to(root).with_suffix("").parts)
        if path.name in ("__init__.py", "_modidx.py"):
            continue
        part = own.split(".")[0]
        allowed = ALLOWED.get(own, ALLOWED.get(part))
        if allowed is None:
            problems.append(f"{own}: the import rule does not know it; add it to ALLOWED in tools/checks.py")
            continue
        for name, line, at_top in imports(path, root):
            if name.endswith(".*"):
                problems.append(f"{own}:{line}: import names, not *")
            if name.split(".")[0] in _HEAVY and part != "architectures" and (at_top or own not in ("nn.keras_bridge", "cli")):
                problems.append(f"{own}:{line}: only architectures may import {name}")
            if name.split(".")[0] == "mlcheat":
                target = name.removeprefix("mlcheat").strip(".")
                ok = any(target == a or target.startswith(a + ".") for a in allowed)
                if at_top:
                    needs.setdefault(own, set()).add(target)
                if target == own or not ok:
                    problems.append(f"{own}:{line}: may not import {name}; allowed: {', '.join(sorted(allowed)) or 'nothing'}")
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        problems.append(f"modules import each other in a circle: {' -> '.join(error.args[1])}")
    return problems


def export_problems() -> list[str]:
    """Files that `make export` would change, add or delete."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in ("nbs", "mlcheat", "tools"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        for name in ("settings.ini", "_toc.yml", "README.md"):
            shutil.copy(ROOT / name, copy / name)
        done = subprocess.run([sys.executable, "-m", "tools.export"], cwd=copy, capture_output=True, text=True)
        if done.returncode:
            return [f"export fails: {(done.stderr or done.stdout).strip().splitlines()[-1]}"]
        files = lambda top: {p.relative_to(top) for d in ("nbs", "mlcheat", "README.md") for p in  # noqa: E731
                             ([top / d] if (top / d).is_file() else (top / d).rglob("*"))
                             if p.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(p.parts)}
        here, there = files(ROOT), files(copy)
        changed = [p for p in here & there if not filecmp.cmp(ROOT / p, copy / p, shallow=False)]
    return [f"{p}: differs from what the notebooks say; run `make export`" for p in sorted({*changed, *(here ^ there)})]


def notebook_problems(chapter: Chapter) -> list[str]:
    """What a reader or a test would stumble over in one notebook."""
    problems = []
    if (size := chapter.path.stat().st_size) > MAX_BYTES:
        problems.append(f"{size / 1e6:.1f} MB, over the budget of {MAX_BYTES / 1e6} MB")
    if not chapter.cells or not re.match(r"# .+\n\n> .+", chapter.cells[0].text):
        problems.append("the first cell must be '# Title', a blank line and '> one sentence'")
    places = [(i, c.text) for i, c in enumerate(chapter.cells) if c.id == INSTALL_ID]
    if places != ([(1, install_cell(chapter.path).source)] if chapter.has_code else []):
        problems.append("the second cell of a notebook with code, and of no other, installs the package; run `make edit` with TAKE=1")
    for cell in chapter.cells:
        for output in cell.outputs:
            if "/site-packages/" in str(output) or str(ROOT) in str(output):
                problems.append(f"cell {cell.id}: the output names a path of this machine (a warning?)")
            if output.output_type == "error" and "raises-exception" not in cell.tags:
                problems.append(f"cell {cell.id} is stored with an error: {output.ename}")
            alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
            if "image/png" in output.get("data", {}) and len(alt) < 20:
                problems.append(f"cell {cell.id}: a figure without alternative text; end the cell with show(fig, ...)")
    for c in chapter.corrections:
        if c.proof is None or not ledger.asserts_something(c.proof.text):
            problems.append(f"correction {c.number}, '{c.title}', is not followed by a cell that asserts")
    try:
        count = len(exercises.collect(chapter))
        if "/" in chapter.name and not chapter.name.startswith("reference/") and not 3 <= count <= 6:
            problems.append(f"{count} exercises; a chapter has 3 to 6")
    except ValueError as error:
        problems.append(str(error).removeprefix(f"{chapter.name}: "))
    return [f"{chapter.name}: {p}" for p in problems]


def mirror_problems() -> list[str]:
    """Chapters without their test file, page or public names."""
    problems, taken = [], {}
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for chapter in chapters():
        folder, _, name = chapter.name.rpartition("/")
        if not re.search(rf"\bnbs/{chapter.name}\b", toc):
            problems.append(f"{chapter.name}: not in _toc.yml")
        if not chapter.module:
            continue
        if chapter.module != "mlcheat." + chapter.name.replace("/", "."):
            problems.append(f"{chapter.name}: exports {chapter.module}")
        if not (ROOT / "tests" / folder / f"test_{name}.py").exists():
            problems.append(f"{chapter.name}: tests/{chapter.name.replace(name, 'test_' + name)}.py is missing")
        if folder:
            stub = (ROOT / "mlcheat" / folder / "__init__.pyi")
            listed = set(re.findall(rf"^from \.{name} import (\w+)", stub.read_text() if stub.exists() else "", re.M))
            public = set(public_names(chapter)) - TOO_GENERAL.get(folder, set())
            for missing in sorted(public - listed):
                problems.append(f"{chapter.name}: {missing} is not in mlcheat/{folder}/__init__.pyi")
            for name_ in sorted(public & taken.setdefault(folder, set())):
                problems.append(f"{chapter.name}: {name_} is also defined by another chapter of {folder}; name one of them anew "
                                "or add it to TOO_GENERAL")
            taken[folder] |= public
            for extra in sorted(listed - public):
                problems.append(f"mlcheat/{folder}/__init__.pyi: {extra} is not in {chapter.name}")
    return problems


def public_names(chapter: Chapter) -> list[str]:
    """The public functions, classes and constants that the chapter's own module lists in `__all__`."""
    path = ROOT / (chapter.module.replace(".", "/") + ".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            defined = _defined(path)
            return [n for n in ast.literal_eval(node.value) if n in defined]
    return []


def _defined(path: Path) -> set[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    named = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    return named | {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}


def main() -> int:
    problems = export_problems()
    try:
        entries, ledger_problems = ledger.build(chapters())
        problems += ledger_problems + import_problems() + mirror_problems()
        problems += [p for c in chapters() for p in notebook_problems(c)]
    except ValueError as error:
        problems.append(str(error))
        entries = {}
    if problems:
        print("\n".join(problems), file=sys.stderr)
        print(f"check: {len(problems)} problems", file=sys.stderr)
        return 1
    count = len(json.loads(exercises.TARGET.read_text(encoding="utf-8")))
    corrections = sum(len(c.corrections) for c in chapters())
    print(f"check: {len(chapters())} notebooks, {len(entries)} formulas each with a check, {corrections} corrections "
          f"each with a proof, {count} exercises; export leaves no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
