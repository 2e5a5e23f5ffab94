"""Print the cheat cards of the built book as PDF, A4 and Letter, and link both from the page.

Headless Chromium prints the page as it stands: two columns, text that can be searched, links to the published book.
"""
import sys
from pathlib import Path

import yaml

from tools.browser import CHROMIUM, opened
from tools.notebooks import ROOT

PAGE = "reference/cheat_cards.html"
PRINT_CSS = """
.bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .header-article, .prev-next-area, .bd-footer, footer,
.page-links, .cheat-bar, .headerlink, .skip-link, #pst-back-to-top { display: none !important; }
.bd-main, .bd-content, .bd-article-container, .bd-article, .bd-container, .bd-container__inner {
  max-width: none !important; width: 100% !important; padding: 0 !important; margin: 0 !important; display: block !important; }
body { font-size: 9pt; }
h1 { font-size: 20pt; margin: 0 0 6pt; } h2 { font-size: 14pt; margin: 8pt 0 2pt; } h3 { font-size: 10.5pt; margin: 5pt 0 3pt; }
h2, h3 { break-after: avoid; }
h3 + p { display: none; }
.cheat-cards { columns: 2; column-gap: 4mm; }
.cheat-card { padding: 1.5mm 2mm; margin-bottom: 2mm; }
"""


def print_cards(html: Path) -> list[Path]:
    """Write cheat-cards-a4.pdf and cheat-cards-letter.pdf beside the page; return their paths."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    published = config["sphinx"]["config"]["html_baseurl"]
    found = []
    with opened(html) as (browser, address):
        page = browser.new_context(color_scheme="light").new_page()
        page.goto(address + PAGE)
        page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
        page.evaluate("MathJax.startup.promise.then(() => true)")
        page.add_style_tag(content=PRINT_CSS)
        page.evaluate("""([here, there]) => document.querySelectorAll("main a[href]").forEach((a) => {
            if (a.href.startsWith(here)) a.href = a.href.replace(here, there); })""",
                      [address, published])
        footer = ('<div style="font-size:7px;width:100%;padding:0 10mm;text-align:center">mlcheat &middot; '
                  '<span class="pageNumber"></span> of <span class="totalPages"></span></div>')
        for paper in ("A4", "Letter"):
            path = html / Path(PAGE).parent / f"cheat-cards-{paper.lower()}.pdf"
            page.pdf(path=str(path), format=paper, print_background=True, display_header_footer=True, header_template="<span></span>",
                     footer_template=footer, margin={"top": "10mm", "bottom": "12mm", "left": "10mm", "right": "10mm"}, tagged=True)
            found.append(path)
    return found


def link_them(html: Path, paths: list[Path]) -> None:
    """Name the files at the top of the page, once."""
    page = html / PAGE
    text = page.read_text(encoding="utf-8")
    links = " &middot; ".join(f'<a href="{p.name}">{p.stem.rpartition("-")[2].capitalize()}</a>' for p in paths)
    place = '<div class="cheat-bar"></div>'
    if "cheat-print" not in text:
        page.write_text(text.replace(place, f'<p class="cheat-print">To print: {links}</p>{place}', 1), encoding="utf-8")


def main(folder: str) -> int:
    html = Path(folder)
    if not (html / PAGE).exists():
        print(f"cards: {html / PAGE} is not there; run `make book` first", file=sys.stderr)
        return 1
    if CHROMIUM is None:
        print("cards: no chromium on this machine; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    paths = print_cards(html)
    link_them(html, paths)
    print("\n".join(f"{p}: {p.stat().st_size / 1e6:.1f} MB" for p in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
