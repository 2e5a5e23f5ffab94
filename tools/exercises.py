"""Collect the exercises of all chapters into mlcheat/_exercises.json, which the package reads.

An exercise is written once, in its chapter: an `{exercise}` cell with a `{dropdown} Hint`, a code cell that calls
`check("id", ...)`, and a solution between `{solution-start}` and `{solution-end}` whose code cell carries
`#| answer:` (and, where needed, `#| tolerance:`, `#| inputs:` for a function, `#| mistakes:`).
"""
import base64
import json
import re
import sys
import zlib

from tools.notebooks import ROOT, Chapter, chapters

TARGET = ROOT / "mlcheat" / "_exercises.json"
_EXERCISE = re.compile(r"^(?P<f>:{3,}|`{3,})\{exercise\}(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=f)\s*$", re.M | re.S)
_HINT = re.compile(r"^(?P<f>:{3,}|`{3,})\{dropdown\} Hint[^\n]*\n(?P<body>.*?)^(?P=f)\s*$", re.M | re.S)
_START = re.compile(r"^(?P<f>:{3,}|`{3,})\{solution-start\} (?P<id>\S+)\n.*?^(?P=f)\s*$\n?", re.M | re.S)
_END = re.compile(r"^(?P<f>:{3,}|`{3,})\{solution-end\}", re.M)


def veil(value) -> str:
    """Encode a value so that it is not readable beside its question; `mlcheat.exercises` decodes it."""
    return base64.b85encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def _options(body: str) -> tuple[dict, str]:
    """The `:key: value` lines at the head of a directive's body, and the rest."""
    options, lines = {}, body.split("\n")
    while lines and (m := re.match(r"^:(\w+):\s*(.*)$", lines[0])):
        options[m[1]] = m[2].strip()
        lines.pop(0)
    return options, "\n".join(lines).strip()


def collect(chapter: Chapter) -> dict[str, dict]:
    """The exercises of one chapter by id; ValueError says what a defective one lacks."""
    found, solutions, current = {}, {}, None
    for cell in chapter.cells:
        if cell.kind == "markdown":
            for m in _EXERCISE.finditer(cell.text):
                options, question = _options(m["body"])
                if not options.get("label"):
                    raise ValueError(f"{chapter.name}: the exercise '{m['title'].strip()}' has no :label:")
                hint = _HINT.search(cell.text)
                if not hint:
                    raise ValueError(f"{chapter.name}: exercise {options['label']} has no '{{dropdown}} Hint' in its cell")
                found[options["label"]] = {
                    "chapter": chapter.name, "title": m["title"].strip(), "question": question,
                    "hint": _options(hint["body"])[1],
                }
            if m := _START.search(cell.text):
                current = m["id"]
                solutions[current] = {"text": [cell.text[m.end():].strip()], "spec": None}
            elif current and not _END.match(cell.text):
                solutions[current]["text"].append(cell.text.strip())
            if _END.search(cell.text):
                current = None
        elif current:
            solutions[current]["text"].append("```python\n" + cell.text.strip() + "\n```")
            if "answer" in cell.directives:
                solutions[current]["spec"] = {
                    "answer": cell.directives["answer"],
                    "tolerance": float(cell.directives.get("tolerance", 1e-3)),
                    "inputs": cell.directives.get("inputs"),
                    "mistakes": cell.directives.get("mistakes", []),
                }
    for key in found.keys() | solutions.keys():
        if key not in found:
            raise ValueError(f"{chapter.name}: a solution for '{key}', which is no exercise here")
        if key not in solutions or solutions[key]["spec"] is None:
            raise ValueError(f"{chapter.name}: exercise '{key}' has no solution cell with '#| answer:'")
        found[key]["answer"] = veil(solutions[key]["spec"])
        found[key]["solution"] = veil("\n\n".join(t for t in solutions[key]["text"] if t))
    return found


def collect_all(renewed: list[Chapter] | None = None) -> dict[str, dict]:
    """The exercises of all chapters; with `renewed`, only those are read anew and the rest is kept as stored."""
    everything = {}
    if renewed is not None and TARGET.exists():
        names = {c.name for c in renewed}
        stored = json.loads(TARGET.read_text(encoding="utf-8"))
        everything = {key: e for key, e in stored.items() if e["chapter"] not in names}
    for chapter in chapters() if renewed is None else renewed:
        for key, exercise in collect(chapter).items():
            if key in everything:
                raise ValueError(f"{chapter.name}: exercise id '{key}' is taken by {everything[key]['chapter']}")
            everything[key] = exercise
    return dict(sorted(everything.items(), key=lambda item: (item[1]["chapter"], item[0])))


def write(renewed: list[Chapter] | None = None) -> None:
    text = json.dumps(collect_all(renewed), indent=1, ensure_ascii=False) + "\n"
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write())
