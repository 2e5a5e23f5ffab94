"""axe-core over every page of the built book: python -m tools.accessibility _build/html [PAGE ...]"""
import sys
from pathlib import Path

from tools.browser import CHROMIUM, opened


def violations(page) -> list[list]:
    """[rule, impact, first element] of what is serious; formulas are left to MathJax, whose own tests cover them."""
    import axe_playwright_python

    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("""axe.run({exclude: [["mjx-container"], [".math"]]}, {resultTypes: ["violations"]}).then(
        (r) => r.violations.map((v) => [v.id, v.impact, v.nodes[0].html.slice(0, 150)]))""")
    return [v for v in found if v[1] in ("serious", "critical")]


def main(book: str, *names: str) -> int:
    if CHROMIUM is None:
        print("no chromium on this machine; on Debian: apt-get install chromium", file=sys.stderr)
        return 2
    root = Path(book).resolve()
    names = names or sorted(p.relative_to(root).as_posix() for p in root.rglob("*.html") if "_static" not in p.parts)
    bad = 0
    with opened(root) as (chromium, address):
        page = chromium.new_page()
        page.route("**/mathjax/**", lambda route: route.abort())       # unset formulas: many times faster
        for name in names:
            page.goto(address + name)
            for violation in violations(page):
                bad += 1
                print(name, *violation)
    print(f"{len(names)} pages, {bad} serious violations")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
