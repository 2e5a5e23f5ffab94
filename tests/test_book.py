"""The built book in headless Chromium: no outside request, no console error, mathematics, nothing too wide."""
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.accessibility import violations
from tools.browser import CHROMIUM, opened

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The book, built with warnings as errors into a folder of its own."""
    out = tmp_path_factory.mktemp("book")
    command = [str(Path(sys.executable).parent / "jupyter-book"), "build", str(ROOT), "--path-output", str(out),
               "--warningiserror", "--nitpick", "--keep-going", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def pages(book):
    return sorted(p.relative_to(book).as_posix() for p in book.rglob("*.html") if "_static" not in p.parts)


@pytest.fixture(scope="module")
def browser(book):
    """A browser and the address of the book on this machine."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    with opened(book) as found:
        yield found


def test_addresses_follow_the_mirror_rule(pages):
    from tools.notebooks import chapters

    for chapter in chapters():
        assert f"{chapter.name}.html" in pages
        if chapter.module:
            assert f"api/{chapter.module.removeprefix('mlcheat.')}.html" in pages
            assert f"_modules/{chapter.module.replace('.', '/')}.html" in pages
    assert not [p for p in pages if p.startswith(("nbs/", "book/"))]


def test_every_local_link_leads_somewhere(book, pages):
    """The page is there, and on it the place: terms, citations, checks, corrections, sources."""
    texts = {page: (book / page).read_text(encoding="utf-8") for page in pages}
    places = {page: set(re.findall(r'\s(?:id|name)="([^"]+)"', text)) for page, text in texts.items()}
    broken = []
    for page, text in texts.items():
        for target, place in set(re.findall(r'<[a-z][^<>]*\s(?:href|src)="([^"#?]*)(?:\?[^"#]*)?#?([^"]*)"', text)):
            if re.match(r"[a-z]+:|//", target):
                continue
            inside = target.removeprefix("/mlcheat/") if page == "404.html" else (Path(page).parent / target).as_posix()
            path = os.path.normpath(inside.replace("%20", " ")) if target else page
            if not (book / path).exists() or place and path in places and html.unescape(place) not in places[path]:
                broken.append(f"{page} -> {target}#{place}")
    assert broken == []


def test_no_directive_reaches_the_reader(book, pages):
    shown = [p for p in pages if not p.startswith("_modules") and re.search(r">#\| ?\w", (book / p).read_text(encoding="utf-8"))]
    assert shown == []


def test_a_linked_term_carries_its_definition(book):
    from mlcheat import define

    page = (book / "nn" / "losses.html").read_text(encoding="utf-8")
    links = re.findall(r'<a [^>]*glossary\.html#term-([\w-]+)" title="([^"]+)"', page)
    assert links and all(html.unescape(title) == define(name).definition for name, title in links)


def test_every_picture_has_words(book, pages):
    naked = [f"{p}: {tag}" for p in pages for tag in re.findall(r"<img [^>]*>", (book / p).read_text(encoding="utf-8"))
             if not re.search(r'alt="[^"]{5,}"', tag)]
    assert naked == []


def test_pages_in_a_browser(browser, pages):
    """Each page, wide and narrow: no complaint, no outside request, all mathematics drawn, nothing wider than the screen."""
    chromium, address = browser
    problems = []
    context = chromium.new_context()
    page = context.new_page()
    page.on("console", lambda m: problems.append(f"{page.url}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(f"{page.url}: {e}"))
    page.on("request", lambda r: problems.append(f"{page.url} asks {r.url}")
            if not r.url.startswith((address, "data:", "blob:")) else None)
    page.on("response", lambda r: problems.append(f"{page.url}: {r.status} {r.url}") if r.status >= 400 else None)
    for name in pages:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(address + name)
        if page.locator(".math").count():
            page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
            page.evaluate("MathJax.startup.promise.then(() => true)")
            left = page.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length")
            drawn = page.locator("mjx-container").count()
            if left or not drawn:
                problems.append(f"{name}: {left} formulas in error, {drawn} drawn")
            if page.evaluate("[...document.querySelectorAll('.math')].some(e => !e.querySelector('mjx-container'))"):
                problems.append(f"{name}: a formula was not drawn")
        for width in (1280, 390):
            if name.startswith("_modules") and width == 390:
                continue                                           # source listings scroll inside their own box
            page.set_viewport_size({"width": width, "height": 900})
            too_wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if too_wide > 0:
                problems.append(f"{name}: {too_wide} px wider than the screen of {width}")
    context.close()
    assert problems == []


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_light_and_dark(browser, scheme, dark):
    chromium, address = browser
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address + "basics/linear_regression.html")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(background[:3]) < 200) == dark
    assert ("invert" in page.evaluate("getComputedStyle(document.querySelector('.cell_output img')).filter")) == dark
    context.close()


def test_a_slider_moves(browser):
    """By mouse, by keyboard and by the play button; the page stays whole without a network."""
    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + "figures.html")
    box = page.locator(".mlcheat-slider").first
    image, text = box.locator("img"), box.locator("output")
    before, said = image.get_attribute("src"), text.text_content()
    box.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert image.get_attribute("src") != before and text.text_content() != said
    now = text.text_content()
    box.locator("button").click()
    page.wait_for_function("([e, was]) => e.textContent !== was", arg=[text.element_handle(), now], timeout=5000)
    assert "data:image/png" in image.get_attribute("src") and image.evaluate("e => e.naturalWidth") > 100
    page.close()


def test_a_catalogue_is_searched_filtered_and_sorted(browser):
    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + "reference/libraries.html")
    bar, shown = page.locator(".catalogue-bar"), page.locator(".catalogue tbody tr:not([hidden])")
    everything = shown.count()
    assert everything > 678 and bar.locator("output").inner_text() == f"{everything} of {everything} entries"
    bar.locator("input[type=search]").fill("gradient boosting")
    some = shown.count()
    assert 3 <= some < 40 and "boosting" in shown.first.inner_text().lower()
    bar.get_by_label("Language", exact=False).first.select_option("R")
    assert 1 <= shown.count() < some and all(row.locator("td").nth(1).inner_text() == "R" for row in shown.all())
    bar.locator("input[type=search]").fill("")
    bar.get_by_label("Language", exact=False).first.select_option("")
    bar.get_by_label("start here only").check()
    assert 25 <= shown.count() < 80 and all("\u2605" in row.inner_text() for row in shown.all())
    bar.get_by_label("start here only").uncheck()
    head = page.locator(".catalogue thead th").first
    head.locator("button").press("Enter")                              # the keyboard sorts
    names = [row.locator("td").first.inner_text().strip(" \u2605").casefold() for row in shown.all()[:20]]
    assert head.get_attribute("aria-sort") == "ascending" and names[0] < names[-1]
    page.close()


def test_a_large_catalogue_is_interactive_within_a_second(browser):
    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + "reference/libraries.html")
    spent = page.evaluate("""() => {
        const start = performance.now();
        const search = document.querySelector(".catalogue-bar input[type=search]");
        for (const word of ["python", "r", "networks", ""]) { search.value = word; search.dispatchEvent(new Event("input")); }
        document.querySelector(".catalogue-sort").click();
        return performance.now() - start; }""")
    ready = page.evaluate("performance.timing.domContentLoadedEventEnd - performance.timing.responseEnd")
    assert spent < 1000 and ready < 3000, (spent, ready)               # 0.1 s and 0.4 s as measured
    page.close()


def test_a_catalogue_can_be_read_without_script(browser):
    chromium, address = browser
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "reference/datasets.html")
    assert page.locator(".catalogue tbody tr").count() > 437 and page.locator(".catalogue-bar").count() == 0
    context.close()


@pytest.mark.parametrize("word, first", [("learning rate", "glossary.html#term-Learning-rate"), ("softmax", "glossary.html#term-Softmax"),
                                         ("BFGS", "nn.optimizers.html#mlcheat.nn.optimizers.bfgs")])
def test_search_has_the_thing_itself_first(browser, word, first):
    chromium, address = browser
    page = chromium.new_page()
    page.goto(f"{address}search.html?q={word}")
    page.wait_for_selector("#search-results li a", timeout=15_000)
    assert page.locator("#search-results li a").first.get_attribute("href").endswith(first)
    page.close()


@pytest.mark.parametrize("word, page_name", [("sigmoid", "nn/activations.html"), ("gradient", "gradient_descent.html")])
def test_search_finds(browser, word, page_name):
    chromium, address = browser
    page = chromium.new_page()
    page.goto(f"{address}search.html?q={word}")
    page.wait_for_selector("#search-results li a", timeout=15_000)
    links = page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any(page_name in link for link in links), links
    assert page.goto(links[0].split("?")[0]).ok
    page.close()


def test_cheat_cards_are_filtered(browser):
    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + "reference/cheat_cards.html")
    bar, shown = page.locator(".cheat-bar"), page.locator(".cheat-card:not([hidden])")
    everything = shown.count()
    assert everything > 600 and bar.locator("output").inner_text() == f"{everything} of {everything} cards"
    bar.locator("input").fill("huber")
    names = [card.locator(".card-name").inner_text() for card in shown.all()]
    assert "huber" in names and len(names) < 20 and page.locator("h2:visible").count() < 4
    bar.locator("select").select_option(label="Neural networks")
    assert 0 < shown.count() < len(names)
    bar.locator("input").fill("xyzzy")
    assert shown.count() == 0 and page.locator("h2:visible").count() == 0
    page.close()


def test_cheat_cards_print_on_both_papers(book, tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    copy = tmp_path / "html"
    shutil.copytree(book, copy, ignore=shutil.ignore_patterns("_modules", "_sources", "_images", "api"))
    code = f"from tools.cards_pdf import main; raise SystemExit(main({str(copy)!r}))"     # a browser of its own
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    boxes = {"a4": (595, 842), "letter": (612, 792)}
    for name, box in boxes.items():
        data = (copy / "reference" / f"cheat-cards-{name}.pdf").read_bytes()
        sizes = {tuple(map(float, m.split())) for m in re.findall(rb"/MediaBox \[0 0 ([\d. ]+)\]", data)}
        assert data.startswith(b"%PDF") and 40 < len(re.findall(rb"/Type /Page\b", data)) < 200
        assert all(abs(a - b) < 1 for size in sizes for a, b in zip(size, box)) and sizes
        assert b"/URI (https://mlcheat.github.io/mlcheat/api/" in data                    # the links are those of the published book
    page = (copy / "reference" / "cheat_cards.html").read_text()
    assert 'href="cheat-cards-a4.pdf">A4<' in page and 'href="cheat-cards-letter.pdf">Letter<' in page


def test_the_archive_opens_from_disk(book, browser, tmp_path):
    """Mathematics, search, tables and interactive figures without a server and without a network."""
    from tools.book_zip import LIMIT, pack

    chromium, _ = browser
    assert pack(book, tmp_path / "book.zip") < LIMIT
    shutil.unpack_archive(tmp_path / "book.zip", tmp_path)
    root, problems = f"file://{tmp_path}/mlcheat/", []
    page = chromium.new_page()
    page.on("requestfailed", lambda r: problems.append(f"failed: {r.url}"))
    page.on("request", lambda r: problems.append(f"outside: {r.url}") if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(root + "nn/activations.html")
    page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
    page.evaluate("MathJax.startup.promise.then(() => true)")
    assert page.locator("mjx-container").count() > 50
    assert page.evaluate("[...document.fonts].some(f => f.family.startsWith('MJXTEX') && f.status === 'loaded')")
    source = page.locator(".page-links a", has_text="Source of").get_attribute("href")
    assert source.endswith("api/nn.activations.html")                                     # listings are left out
    page.goto(root + "search.html?q=softmax")
    page.wait_for_selector("#search-results li a", timeout=15_000)
    page.goto(root + "reference/libraries.html")
    page.locator(".catalogue-bar input[type=search]").fill("boosting")
    assert 0 < page.locator(".catalogue tbody tr:not([hidden])").count() < 50
    page.goto(root + "figures.html")
    box = page.locator(".mlcheat-slider").first
    before = box.locator("output").text_content()
    box.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert box.locator("output").text_content() != before
    page.close()
    assert problems == []


def test_the_map_leads_to_every_chapter_and_shows_what_it_builds_on(browser, book):
    from tools.notebooks import chapters

    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + "index.html")
    links = set(page.eval_on_selector_all(".chapter-map a", "all => all.map(a => a.getAttribute('href'))"))
    parts = ("basics", "math", "nn", "architectures", "algorithms")
    assert links == {f"{c.name}.html" for c in chapters() if c.name.startswith(parts)}
    edge = page.locator(".chapter-map path.from-nn-layers.to-nn-convolution")
    assert float(edge.evaluate("e => getComputedStyle(e).opacity")) < 0.6
    page.locator(".chapter-map a.at-nn-layers").focus()
    assert float(edge.evaluate("e => getComputedStyle(e).opacity")) == 1
    wide = page.evaluate("[...document.querySelectorAll('.chapter-map a')].filter(a => "
                         "a.querySelector('text').getBBox().width > 138).map(a => a.textContent)")
    assert wide == []
    page.close()


def test_pages_say_what_they_are_elsewhere(book, pages):
    text = (book / "nn/losses.html").read_text()
    assert '<meta property="og:title" content="Loss functions">' in text and 'og:image" content="https://' in text
    assert '<meta name="description" content="Every loss function on one screen' in text
    assert "https://mlcheat.github.io/mlcheat/nn/losses.html" in text and "favicon.svg" in text
    sitemap = (book / "sitemap.xml").read_text()
    assert {f"https://mlcheat.github.io/mlcheat/{p}" for p in pages if p.startswith(("nn/", "basics/"))} <= set(
        re.findall(r"<loc>(.*?)</loc>", sitemap))
    assert "search.html" in (book / "404.html").read_text()


@pytest.mark.parametrize("page, link", [
    ("algorithms/clustering.html", "https://scikit-learn.org/stable/modules/generated/sklearn.cluster.KMeans.html"),
    ("nn/layers.html", "https://www.tensorflow.org/api_docs/python/tf/keras/layers/Dense"),
    ("nn/optimizers.html", "https://www.tensorflow.org/api_docs/python/tf/keras/optimizers/Adam"),
    ("math/statistics.html", "https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.pearsonr.html")])
def test_names_lead_to_the_documentation_they_come_from(book, page, link):
    assert f'href="{link}"' in (book / page).read_text()


def test_every_chapter_can_be_opened_elsewhere(book):
    from tools.notebooks import chapters

    for chapter in chapters():
        text = (book / f"{chapter.name}.html").read_text()
        if not chapter.has_code:                       # made from all the others: nothing to run
            assert "colab.research" not in text
        elif chapter.name != "index":
            assert f"colab.research.google.com/github/mlcheat/mlcheat/blob/main/nbs/{chapter.name}.ipynb" in text
            assert f"mybinder.org/v2/gh/mlcheat/mlcheat/main?urlpath=lab/tree/nbs/{chapter.name}.ipynb" in text
            assert re.search(r"\d+ minutes to read", text)


@pytest.mark.parametrize("name", ["index.html", "nn/callbacks.html", "algorithms/bandits.html", "search.html", "404.html", "api/architectures.runtime.html",
                                  "reference/speed.html"])
def test_no_serious_violation_of_accessibility(browser, name):
    """One page of each kind; `make accessibility` looks at all of them."""
    chromium, address = browser
    page = chromium.new_page()
    page.goto(address + name)
    assert violations(page) == []
    page.close()
