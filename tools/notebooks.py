"""Read the chapters: cells, directives, labelled equations, exercises, corrections.

Everything that looks into a notebook (export, ledger, checks, the book's Sphinx extension) looks through this
module, so a directive means the same everywhere.
"""
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
INSTALL_ID = "install"
NEEDS_RL = ("algorithms/reinforcement_learning", "algorithms/bandits", "algorithms/tabular", "algorithms/policy_gradient",
            "architectures/dqn")

_DIRECTIVE = re.compile(r"^#\|\s?(.*)$")
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_MATH = re.compile(r"\$\$(?P<body>.+?)\$\$(?:[ \t]*\((?P<label>[\w-]+)\))?", re.S)
_MATH_FENCE = re.compile(r"^(?P<f>`{3,}|:{3,})\{math\}[^\n]*\n(?P<body>.*?)^(?P=f)\s*$", re.M | re.S)
_DROPDOWN = re.compile(r"^(?P<f>`{3,}|:{3,})\{(?:dropdown|admonition|hint)\}.*?^(?P=f)\s*$", re.M | re.S)


@dataclass
class Cell:
    """One cell: its type, its text without the directives, and the directives."""

    id: str
    kind: str
    text: str
    directives: dict = field(default_factory=dict)
    outputs: list = field(default_factory=list)
    tags: list = field(default_factory=list)


def split_directives(source: str) -> tuple[dict, str]:
    """Split the ``#| key: value`` lines at the top of a code cell from the code.

    A directive without a value has the value True. Values are YAML.
    """
    lines = source.split("\n")
    found = {}
    while lines and (m := _DIRECTIVE.match(lines[0])):
        key, colon, value = m[1].partition(":")
        words = key.split()
        if colon:
            found[key.strip()] = yaml.safe_load(value) if value.strip() else True
        elif len(words) > 1:                                  # nbdev's own style: `#| default_exp a.b`
            found[words[0]] = " ".join(words[1:])
        else:
            found[key.strip()] = True
        lines.pop(0)
    return found, "\n".join(lines)


def install_cell(notebook: Path) -> nbformat.NotebookNode:
    """The second cell of a notebook with code: it installs the package where a reader has opened the notebook alone."""
    name = notebook.resolve().relative_to(NBS).as_posix()
    wanted = ["tf"] * name.startswith("architectures/") + ["rl"] * (name.removesuffix(".ipynb") in NEEDS_RL)
    extra = f"[{','.join(wanted)}]" if wanted else ""
    source = ('import importlib.util\n\nif importlib.util.find_spec("mlcheat") is None:  # opened alone, on Colab say\n'
              f'    get_ipython().run_line_magic("pip", "install -q mlcheat{extra}@git+https://github.com/mlcheat/mlcheat")')
    return nbformat.v4.new_code_cell(source, id=INSTALL_ID, metadata={"tags": ["remove-cell"]})


def labels_in(value) -> list[str]:
    """The labels of a ``check:`` directive: `eq-a, eq-b` as a list."""
    return [part.strip() for part in str(value).split(",") if part.strip()]


@dataclass
class Equation:
    label: str | None
    body: str
    in_dropdown: bool


def equations(markdown: str) -> list[Equation]:
    """Displayed equations of a Markdown cell, in order, with their labels."""
    hidden = [m.span() for m in _DROPDOWN.finditer(markdown)]
    within = lambda pos: any(a <= pos < b for a, b in hidden)  # noqa: E731
    found = []
    for m in _MATH_FENCE.finditer(markdown):
        label = re.search(r"^:label:\s*(\S+)", m["body"], re.M)
        found.append((m.start(), Equation(label[1] if label else None, m["body"].strip(), within(m.start()))))
    blanked = _MATH_FENCE.sub(lambda m: " " * len(m[0]), markdown)
    blanked = _INLINE_CODE.sub(lambda m: " " * len(m[0]), blanked)
    for m in _MATH.finditer(blanked):
        found.append((m.start(), Equation(m["label"], m["body"].strip(), within(m.start()))))
    return [eq for _, eq in sorted(found, key=lambda item: item[0])]


@dataclass
class Correction:
    number: int
    title: str
    markdown: str
    proof: Cell | None


@dataclass
class Chapter:
    """One notebook."""

    path: Path

    @cached_property
    def nb(self):
        try:
            nb = nbformat.read(self.path, as_version=4)
            nbformat.validate(nb)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise ValueError(f"{self.path} is not a readable notebook: {reason}. It was left as it is.") from error
        return nb

    @property
    def name(self) -> str:
        """`nn/losses`: the name shared by notebook, module, test and page."""
        return self.path.relative_to(NBS).with_suffix("").as_posix()

    @cached_property
    def cells(self) -> list[Cell]:
        cells = []
        for c in self.nb.cells:
            directives, text = split_directives(c.source) if c.cell_type == "code" else ({}, c.source)
            cells.append(Cell(c.get("id", ""), c.cell_type, text, directives, c.get("outputs", []),
                              c.metadata.get("tags", [])))
        return cells

    @property
    def title(self) -> str:
        for c in self.cells:
            if c.kind == "markdown" and (m := re.search(r"^# (.+)$", c.text, re.M)):
                return m[1].strip()
        raise ValueError(f"{self.path}: no '# Title' in any Markdown cell")

    @property
    def module(self) -> str | None:
        """`mlcheat.nn.losses`, or None when the notebook exports nothing."""
        for c in self.cells:
            if "default_exp" in c.directives:
                return "mlcheat." + c.directives["default_exp"]
        return None

    @property
    def has_code(self) -> bool:
        """False for pages that are made from all the others, such as the ledger."""
        return any(c.kind == "code" and c.id != INSTALL_ID for c in self.cells)

    @cached_property
    def corrections(self) -> list[Correction]:
        """Markdown cells under `## Corrections` that open with a bold title, each with the code cell that follows."""
        found, inside = [], False
        for i, c in enumerate(self.cells):
            if c.kind == "markdown" and (m := re.match(r"^(#+) (.+)$", c.text, re.M)) and len(m[1]) <= 2:
                inside = m[2].strip() == "Corrections"
            if inside and c.kind == "markdown" and (m := re.match(r"\*\*(.+?)\*\*", c.text)):
                after = self.cells[i + 1] if i + 1 < len(self.cells) else None
                proof = after if after is not None and after.kind == "code" else None
                found.append(Correction(len(found) + 1, m[1].rstrip("."), c.text, proof))
        return found


def chapters() -> list[Chapter]:
    """All notebooks, in the order of `_toc.yml`; those not in it come last, by name."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    order = {}

    def walk(node):
        if isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    order.setdefault(node[key], len(order))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(toc)
    paths = sorted(p for p in NBS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    place = lambda p: (order.get(p.relative_to(ROOT).with_suffix("").as_posix(), len(order)), str(p))  # noqa: E731
    return [Chapter(p) for p in sorted(paths, key=place)]
