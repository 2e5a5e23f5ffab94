"""Write README.md from nbs/index.ipynb: its Markdown as it stands, its code with stored text output.

Cells tagged `book-only` or `remove-cell` are left out. Links to pages of the book become links to their notebooks.
"""
import re

from tools.notebooks import NBS, ROOT, Chapter

TARGET = ROOT / "README.md"


def render() -> str:
    parts = []
    for cell in Chapter(NBS / "index.ipynb").cells:
        if {"book-only", "remove-cell"} & set(cell.tags) or not cell.text.strip():
            continue
        if cell.kind == "markdown":
            parts.append(re.sub(r"\]\((?!https?:|#|/)([\w./-]+\.ipynb)\)", r"](nbs/\1)", cell.text.strip()).replace("](../", "]("))
        elif cell.kind == "code":
            text = "".join(
                o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
                if "image/png" not in o.get("data", {})
            )
            parts.append(f"```python\n{cell.text.strip()}\n```")
            if text.strip():
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def write() -> None:
    TARGET.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    write()
