"""Pack the built book into one archive that opens from disk.

Opened as a file, a page may not fetch another: Sphinx's search index and MathJax are scripts and load, the theme's
fonts and styles too. Listings of sources are left out, and links to them lead to the API page.
"""
import re
import sys
import zipfile
from pathlib import Path

LIMIT = 40e6
LEFT_OUT = ("_modules/", "_sources/", ".buildinfo", "objects.inv")


def pack(html: Path, target: Path) -> int:
    """Write the archive and return its size in bytes."""
    files = sorted(p for p in html.rglob("*") if p.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            name = path.relative_to(html).as_posix()
            if name.startswith(LEFT_OUT):
                continue
            if path.suffix == ".html":
                text = path.read_text(encoding="utf-8")
                up = "../" * name.count("/")
                text = re.sub(r'href="(?:\.\./)*_modules/mlcheat/([\w/]+)\.html(#[^"]*)?"',
                              lambda m: f'href="{up}api/{m[1].replace("/", ".")}.html"', text)
                archive.writestr(f"mlcheat/{name}", text)
            elif path.name == "documentation_options.js":       # summaries would be fetched page by page
                archive.writestr(f"mlcheat/{name}", re.sub(r"(SHOW_SEARCH_SUMMARY: )true", r"\1false", path.read_text("utf-8")))
            else:
                archive.write(path, f"mlcheat/{name}")
    return target.stat().st_size


if __name__ == "__main__":
    size = pack(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{sys.argv[2]}: {size / 1e6:.1f} MB; unpack it and open mlcheat/index.html")
    sys.exit(f"over the limit of {LIMIT / 1e6:.0f} MB" if size > LIMIT else 0)
