"""The formula ledger: every displayed equation has a label, every label a check that could fail.

An equation is labelled `$$ ... $$ (eq-name)`; a code cell whose first line is `#| check: eq-name` proves it. Algebra
inside a dropdown may go without a label. `python -m tools.ledger` prints the ledger or what is wrong with it.
"""
import ast
import re
import sys
from dataclasses import dataclass, field

from tools.notebooks import Cell, Chapter, chapters, equations, labels_in

_JUDGES = (
    ("scikit-learn", r"\bsklearn\b|\bsk_\w+"), ("SciPy", r"\bscipy\b|\bspecial\.|\bstats\."), ("Keras", r"\bkeras\b"),
    ("TensorFlow", r"\btf\.|GradientTape"), ("statsmodels", r"\bstatsmodels\b|\bsm\."), ("SymPy", r"\bsympy\b|\bsp\."),
    ("NumPy", r"\bnp\.linalg\."),
    ("central differences", r"\b(central_difference|numerical_gradient|approx_fprime|check_grad|gradient_check)\b"),
    ("automatic differentiation", r"\bautodiff\b|\bTensor\("),
    ("simulation", r"\bdefault_rng\b|\brng\."),
)


@dataclass
class Entry:
    label: str
    chapter: str
    tex: str
    checks: list[Cell] = field(default_factory=list)

    @property
    def kinds(self) -> list[str]:
        """What judges the formula, read off the code of its checks."""
        code = "\n".join(c.text for c in self.checks)
        return [name for name, pattern in _JUDGES if re.search(pattern, code)] or ["worked example"]


def asserts_something(code: str) -> bool:
    """True when the cell holds an `assert`, a `pytest.raises` or a call named assert_..."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            constant = isinstance(node.test, ast.Constant) or isinstance(node.test, ast.Tuple)
            if not constant:
                return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name.startswith("assert_") or name == "raises":
                return True
    return False


def build(from_chapters: list[Chapter]) -> tuple[dict[str, Entry], list[str]]:
    """The ledger by label, and a list of what is wrong with it."""
    entries, problems = {}, []
    for chapter in from_chapters:
        for cell in chapter.cells:
            if cell.kind != "markdown":
                continue
            for eq in equations(cell.text):
                if eq.label is None:
                    if not eq.in_dropdown:
                        problems.append(f"{chapter.name}: an equation without a label: {eq.body[:60]!r}")
                elif eq.label in entries:
                    problems.append(f"{chapter.name}: label {eq.label} is taken by {entries[eq.label].chapter}")
                else:
                    entries[eq.label] = Entry(eq.label, chapter.name, eq.body)
    for chapter in from_chapters:
        for cell in chapter.cells:
            if "check" not in cell.directives:
                continue
            if not asserts_something(cell.text):
                problems.append(f"{chapter.name}: the check of {cell.directives['check']} asserts nothing")
            labels = labels_in(cell.directives["check"])
            for label in labels:
                if label not in entries:
                    problems.append(f"{chapter.name}: a check names {label}, which is no equation")
                elif entries[label].chapter != chapter.name:
                    problems.append(f"{chapter.name}: a check names {label} of {entries[label].chapter}; check it there")
                else:
                    entries[label].checks.append(cell)
    problems += [f"{e.chapter}: no check names {e.label}" for e in entries.values() if not e.checks]
    return entries, problems


def main() -> int:
    entries, problems = build(chapters())
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    print(f"ledger: {len(entries)} formulas, each with a check")
    return 0


if __name__ == "__main__":
    sys.exit(main())
