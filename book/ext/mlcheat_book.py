"""The book's own Sphinx extension: notebooks as nbdev writes them become pages as a reader wants them.

- `#|` directives vanish; `hide`, `code-fold` and `check` become what they mean (see CONTRIBUTING.md);
- docstrings in exported cells are shortened to their first sentence, imports and private helpers are folded away;
- every labelled equation gets a mark that leads to the cell which checks it, and every check names its equations;
- every chapter links to its notebook, its source and its API page;
- `{{ ledger }}`, `{{ corrections }}`, `{{ speed }}` and `{{ counts }}` are filled in from all chapters; API pages are written from the modules;
- pages live at `nn/losses.html`, not at `nbs/nn/losses.html`.
"""
import ast
import html
import importlib
import inspect
import json
import os
import re
import sys
import textwrap
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

import yaml
from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from bench import charts, harness  # noqa: E402
from bench.__main__ import items  # noqa: E402
from tools import ledger, lite  # noqa: E402
from tools.checks import public_names  # noqa: E402
from tools.notebooks import NBS, Chapter, chapters, equations, labels_in, split_directives  # noqa: E402

API = ROOT / "book" / "api"
REPOSITORY = "mlcheat/mlcheat"
GENERATED_PAGES = ("nbs/reference/ledger", "nbs/reference/corrections", "nbs/reference/speed", "nbs/reference/cheat_cards", "nbs/index")


@cache
def _chapters() -> list[Chapter]:
    return chapters()


@cache
def _ledger() -> dict[str, ledger.Entry]:
    return ledger.build(_chapters())[0]


# --- one notebook -------------------------------------------------------------------------------------------------

def _markdown(text: str) -> dict:
    return {"cell_type": "markdown", "id": uuid4().hex[:8], "metadata": {}, "source": text}


def reading_minutes(chapter: Chapter) -> int:
    """Words at 200 a minute, lines of code at 20, figures at 4, to the next five minutes; exercises not counted."""
    words = sum(len(c.text.split()) for c in chapter.cells if c.kind == "markdown")
    shown = [shorten_docstrings(c.text) for c in chapter.cells if c.kind == "code" and not c.directives.get("code-fold")]
    lines = sum(1 for text in shown for line in text.split("\n") if line.strip())
    figures = sum("image/png" in o.get("data", {}) for c in chapter.cells for o in c.outputs)
    return 5 * max(1, round((words / 200 + lines / 20 + figures / 4) / 5))


def _page_links(chapter: Chapter) -> str:
    """The lines under a chapter's title: where to run it, its source and API, and how long it takes."""
    up, file = "../" * chapter.name.count("/"), chapter.path.relative_to(ROOT).as_posix()
    links = [f"{{download}}`Notebook <{chapter.path.name}>`",
             f'<a href="https://colab.research.google.com/github/{REPOSITORY}/blob/main/{file}">Open in Colab</a>',
             f'<a href="https://mybinder.org/v2/gh/{REPOSITORY}/main?urlpath=lab/tree/{file}">Launch Binder</a>']
    if os.environ.get("LITE") and chapter.path in lite.notebooks():
        links.append(f'<a href="{up}lite/lab/index.html?path={chapter.name}.ipynb">Run in this browser</a> (the first start needs a network)')
    if chapter.module:
        source = f"{up}_modules/{chapter.module.replace('.', '/')}.html"
        links += [f'<a href="{source}">Source of <code>{chapter.module}</code></a>',
                  f"{{doc}}`API </book/api/{chapter.module.removeprefix('mlcheat.')}>`"]
    effort = f"{reading_minutes(chapter)} minutes to read"
    if count := sum("{exercise}" in c.text for c in chapter.cells if c.kind == "markdown"):
        effort += f", {5 * count} for the {count} exercises"
    return ":::{div} page-links\n" + " &middot; ".join(links) + f"\n\n{effort}\n:::"


def know_first(chapter: Chapter) -> list[str]:
    """The chapters that a chapter builds on: the links of its paragraph "Know first"."""
    for cell in chapter.cells:
        if cell.kind == "markdown" and (m := re.search(r"now first:?\*\*:?(.*?)(\n\s*\n|\Z)", cell.text, re.S)):
            paths = re.findall(r"\]\(([\w./-]+)\.ipynb", m[1])
            return [os.path.normpath(Path(chapter.name).parent / path) for path in paths]
    return []


def _mark_equations(text: str) -> str:
    """Put a mark under each labelled equation of a Markdown cell."""
    for eq in equations(text):
        if eq.label is None or eq.label not in _ledger():
            continue
        kinds = ", ".join(_ledger()[eq.label].kinds)
        mark = (f'\n\n<div class="ledger-mark"><a href="#check-{eq.label}" '
                f'title="checked in this chapter against: {kinds}">&#10003;<span> checked</span></a></div>\n\n')
        pattern = rf"(\$\$[ \t]*\({re.escape(eq.label)}\)|^:label:\s*{re.escape(eq.label)}\s*$.*?^(?:`{{3,}}|:{{3,}})\s*$)"
        text = re.sub(pattern, lambda m: m[0] + mark, text, count=1, flags=re.M | re.S)
    return text


def _check_label(labels: list[str], seen: set[str]) -> str:
    """What stands above a check: anchors (the first check of an equation carries the id) and the equations' numbers."""
    anchors = "".join(f'<span id="check-{x}"></span>' for x in labels if x not in seen)
    seen.update(labels)
    return f"{anchors}\n\n:::{{div}} check-label\n&#10003; check of " + ", ".join(f"{{eq}}`{x}`" for x in labels) + "\n:::"


def shorten_docstrings(code: str) -> str:
    """Keep the first sentence of each docstring: the page already says the rest, the API page has it whole."""
    lines = code.split("\n")
    nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    docs = [n.body[0] for n in nodes if ast.get_docstring(n) and len(n.body) > 1]
    for doc in sorted(docs, key=lambda d: -d.lineno):
        if doc.end_lineno == doc.lineno:
            continue
        summary = " ".join(inspect.cleandoc(doc.value.value).split("\n\n")[0].split())
        lines[doc.lineno - 1: doc.end_lineno] = textwrap.wrap(
            f'"""{summary}"""', 92, initial_indent=" " * doc.col_offset, subsequent_indent=" " * doc.col_offset,
            break_long_words=False)
    return "\n".join(lines)


def is_plumbing(code: str) -> bool:
    """True for imports and private helpers alone: a reader may unfold them, nobody has to read past them."""
    body = ast.parse(code).body
    named = [getattr(n, "name", "_") for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    targets = [getattr(t, "id", "_") for n in body if isinstance(n, ast.Assign) for t in n.targets]
    return all(name.startswith("_") for name in named + targets)


def edit_notebook(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite a notebook's JSON before it is parsed."""
    if not docname.startswith("nbs/"):
        return
    nb, chapter = json.loads(source[0]), Chapter(ROOT / f"{docname}.ipynb")
    nb["metadata"].setdefault("language_info", {"name": "python", "pygments_lexer": "ipython3"})
    numbers = {c.markdown: c.number for c in chapter.corrections}
    cells, linked, seen = [], False, set()
    for cell in nb["cells"]:
        text = "".join(cell["source"])
        if "readme-only" in cell["metadata"].get("tags", []):
            continue
        if cell["cell_type"] == "markdown":
            if text in numbers:
                cells.append(_markdown(f'<span id="correction-{numbers[text]}"></span>'))
            for word, page in FILLED_IN.items():
                if f"{{{{ {word} }}}}" in text:
                    text = text.replace(f"{{{{ {word} }}}}", page())
            text = re.sub(r"(\{exercise\}[^\n]*\n:label: \S+\n)", r"\1:nonumber:\n", text)   # its id is its number
            cell["source"] = _mark_equations(text)
            cells.append(cell)
            if not linked and text.startswith("# "):
                linked = True
                if docname != "nbs/index" and chapter.has_code:
                    cells.append(_markdown(_page_links(chapter)))
            continue
        if cell["cell_type"] == "code":
            directives, cell["source"] = split_directives(text)
            if not cell["source"].strip():
                continue
            tags = cell["metadata"].setdefault("tags", [])
            if "hide" in directives:
                tags.append("remove-cell")
            if directives.get("code-fold") or ("export" in directives and is_plumbing(cell["source"])):
                tags.append("hide-input")
            if directives.get("eval") is False:
                tags.append("skip-execution")
            if "check" in directives:
                cells.append(_markdown(_check_label(labels_in(directives["check"]), seen)))
                tags.append("check")
            if "export" in directives:
                cell["source"] = shorten_docstrings(cell["source"])
                tags.append("export")
            for output in cell["outputs"]:
                alt = output.get("metadata", {}).get("image/png", {}).get("alt")
                if alt:
                    cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        cells.append(cell)
    for end in (same_names(chapter), read_next(chapter.name)):
        if end:
            cells.append(_markdown(end))
    nb["cells"] = cells
    source[0] = json.dumps(nb)


# --- pages made from all notebooks --------------------------------------------------------------------------------

def ledger_page() -> str:
    """All formulas by chapter, each with what judges it and a link to its check."""
    lines = [f"{len(_ledger())} formulas, each with at least one check that could fail.", ""]
    for chapter in _chapters():
        entries = [e for e in _ledger().values() if e.chapter == chapter.name]
        if not entries:
            continue
        lines += [f"## {chapter.title}", "", "| formula | label | judged by | check |", "|:---|:---|:---|:---|"]
        for e in entries:
            where = f'<a href="../{e.chapter}.html#check-{e.label}">see the check</a>'
            lines.append(f"| {{eq}}`{e.label}` | `{e.label}` | {', '.join(e.kinds)} | {where} |")
        lines.append("")
    return "\n".join(lines)


def corrections_page() -> str:
    """The corrections of all chapters, with a link to the cell that proves each."""
    total = sum(len(c.corrections) for c in _chapters())
    lines = [f"{total} corrections so far.", ""]
    for chapter in _chapters():
        if not chapter.corrections:
            continue
        lines += [f"## {chapter.title}", ""]
        folder = Path(chapter.name).parent.as_posix()
        for c in chapter.corrections:
            text = re.sub(r"\]\((?![./]|https?:|#)([\w-]+\.ipynb)", rf"](../{folder}/\1", c.markdown.strip())
            text = re.sub(r"\]\(#", f"](../{chapter.name}.ipynb#", text)
            text = re.sub(r"\$\$ \(eq-[\w-]+\)", "$$", text)               # the chapter itself holds the label
            lines += [f'{text} <a href="../{chapter.name}.html#correction-{c.number}">Proof.</a>', ""]
    return "\n".join(lines)


def speed_page() -> str:
    """The last benchmark run: chart, table, what each row means, growth and memory."""
    if not harness.RESULTS.exists():
        return "Nothing has been measured yet: run `make bench`."
    stored = json.loads(harness.RESULTS.read_text(encoding="utf-8"))
    results, grown = stored["results"], stored.get("growth", [])
    notes = {name: item.note for name, item in items().items()}
    standard = [r for r in results if r["size"] == "standard"]
    lines = [f"Machine: {stored['machine']}.", "",
             f"Against scikit-learn's estimators the geometric mean of the ratios is **{harness.geometric_mean(results):.2f}**.", "",
             charts.ratios(results), "", "Blue bars are faster than the peer, orange ones slower; the small mark is the target.", "",
             "## Each row", "", harness.table(results), "", "## What decides", "",
             *[f"- **{r['what']}**: {notes.get(r['name'], '')}" for r in sorted(standard, key=lambda r: r["ratio"])], ""]
    if threads := stored.get("two_threads"):
        what = {name: item.what for name, item in items().items()}
        lines += ["## Two threads", "", "Our time with two BLAS threads, relative to one:", "", "| item | ratio |", "|:---|---:|",
                  *[f"| {what[name]} | {ratio:.2f} |" for name, ratio in sorted(threads.items(), key=lambda pair: pair[1])], ""]
    if grown:
        lines += ["## Growth", "", "One fit from 1,000 to 1,000,000 rows, as far as it takes less than 15 seconds; blue is ours, orange the "
                  "peer's. The exponents are the slopes of the last three points.", "", charts.growths(grown), "",
                  "The memory that NumPy allocates at the peak of the largest fit (what compiled code takes by itself is not seen):", "",
                  charts.memory(grown), ""]
    return "\n".join(lines)


def glossary_page() -> str:
    """The terms as a glossary that `{term}` can refer to from every page."""
    from mlcheat.reference.glossary import GLOSSARY

    lines = ["````{glossary}"]
    for term in GLOSSARY.values():
        lines += [term.name, *term.aliases]
        body = [term.definition, *([f"$\\displaystyle {term.formula}$"] if term.formula else [])]
        also = [f"See {', '.join(f'{{term}}`{name}`' for name in term.see)}."] if term.see else []
        also += [f"Computed in {{doc}}`/nbs/{term.chapter}`."] if term.chapter else []
        body += [" ".join(also)] if also else []
        lines += [f"  {part}\n" for part in body]
    return "\n".join([*lines, "````"])


def explain_terms(app: Sphinx, doctree, docname: str) -> None:
    """A reader who rests the pointer on a term sees its definition."""
    links = [r for r in doctree.findall(nodes.reference) if r.next_node(nodes.inline) is not None
             and "std-term" in r.next_node(nodes.inline).get("classes", [])]
    if links:
        from mlcheat.reference.glossary import define

        objects = app.env.get_domain("std").objects
        definitions = {anchor: define(name).definition for (kind, name), (_, anchor) in objects.items() if kind == "term"}
        for link in links:
            link["reftitle"] = definitions[link.get("refid") or link["refuri"].partition("#")[2]]


def counts() -> str:
    """What the landing page counts."""
    corrections = sum(len(c.corrections) for c in _chapters())
    tasks = sum("{exercise}" in cell.text for c in _chapters() for cell in c.cells if cell.kind == "markdown")
    return (f"**{len(_ledger())}** formulas checked, **{corrections}** errors corrected in the open, "
            f"**{tasks}** exercises that check themselves")


def chapter_map() -> str:
    """All chapters as a picture with links; pointing at one shows what it builds on and what builds on it."""
    parts = {part["caption"]: [c["file"].removeprefix("nbs/") for c in part["chapters"] if "file" in c]
             for part in yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]}
    columns = {caption: names for caption, names in parts.items() if caption not in ("Reference", "API")}
    by_name, width, row = {c.name: c for c in _chapters()}, 148, 27
    place = {name: (18 + i * (width + 20), 40 + j * row) for i, names in enumerate(columns.values())
             for j, name in enumerate(names)}
    mark = lambda name: name.replace("/", "-").replace("_", "-")                  # noqa: E731
    edges = [(before, name) for name in place for before in know_first(by_name[name]) if before in place]
    lines, rules = [], []
    for before, name in edges:
        (x1, y1), (x2, y2) = place[before], place[name]
        start, end = (x1 + width, x2) if x2 > x1 else (x1, x2 + width) if x2 < x1 else (x1, x2)
        bend = 60 if x2 > x1 else -60
        first, last = (start + bend, end - bend) if x1 != x2 else (x1 - 16, x2 - 16)
        lines.append(f'<path class="from-{mark(before)} to-{mark(name)}" '
                     f'd="M{start} {y1 + 10}C{first} {y1 + 10} {last} {y2 + 10} {end} {y2 + 10}"/>')
    for name, (x, y) in place.items():
        node = mark(name)
        rules += [f".chapter-map:has(.at-{node}:hover,.at-{node}:focus) .to-{node}",
                  f".chapter-map:has(.at-{node}:hover,.at-{node}:focus) .from-{node}"]
        lines.append(f'<a class="at-{node} part-{name.split("/")[0]}" href="{name}.html"><rect x="{x}" y="{y}" width="{width}" '
                     f'height="21" rx="4"/><text x="{x + 7}" y="{y + 14.5}">{html.escape(SHORT.get(name, by_name[name].title))}</text></a>')
    heads = [f'<text class="part" x="{18 + i * (width + 20)}" y="26">{caption}</text>' for i, caption in enumerate(columns)]
    to, fro = ",".join(rules[::2]), ",".join(rules[1::2])
    size = 18 + len(columns) * (width + 20), 46 + row * max(map(len, columns.values()))
    return (f'<div class="chapter-map" tabindex="0" role="region" aria-label="Map of the chapters">'
            f'<style>{to}{{stroke:#d55e00;opacity:1}}{fro}{{stroke:#0072b2;opacity:1}}</style>'
            f'<svg viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" xmlns="http://www.w3.org/2000/svg">'
            f'<title>The chapters by part; lines lead from a chapter to those that build on it</title>'
            + "".join(lines + heads) + "</svg></div>\n\n"
            "Each box is a chapter and a link. Point at one: orange lines come from what it builds on, blue lines lead to what "
            "builds on it.")


# Titles that are too long for a box of the map.
SHORT = {"basics/logistic_regression": "Logistic regression", "nn/forward_propagation": "Forward propagation",
         "nn/autodiff": "Automatic derivatives", "nn/keras_bridge": "Keras bridge", "architectures/mlp": "Perceptrons (MLP)",
         "architectures/cnn": "Convolutional (CNN)", "architectures/rnn": "Recurrent (RNN)", "architectures/transformer": "Transformer", "architectures/gan": "Adversarial (GAN)",
         "architectures/vae": "Variational (VAE)", "architectures/dqn": "Deep Q-network", "algorithms/tabular": "Tabular learning",
         "architectures/runtime": "Runtime", "algorithms/svm": "Support vectors (SVM)", "algorithms/logistic": "Several classes",
         "nn/concepts": "Concepts", "nn/network": "Networks", "nn/convolution": "Convolution",
         "algorithms/bandits": "Bandits", "algorithms/policy_gradient": "Policy gradient", "algorithms/regression": "Regression"}


def _inline(text: str) -> str:
    """A docstring's sentence as HTML: code in backticks, formulas between :math: marks."""
    text = re.sub(r":math:`([^`]+)`", lambda m: f'<span class="math">\\({html.escape(m[1])}\\)</span>', html.escape(text, quote=False))
    return re.sub(r"``?([^`]+)``?", r"<code>\1</code>", text)


def _cheat_card(name: str, module: str) -> str:
    """One card as HTML on one line; empty for names without a formula or advice, which are helpers."""
    from mlcheat.cards import card

    c = card(f"{module.removeprefix('mlcheat.')}.{name}")
    if not c.formulas or not c.use:
        return ""
    formulas = "".join(f'<div class="math">\\[{html.escape(f, quote=False)}\\]</div>' for f in c.formulas)
    advice = f"<p><b>Use when</b> {_inline(c.use)}</p>" + (f"<p><b>Avoid when</b> {_inline(c.avoid)}</p>" if c.avoid else "")
    api = f"../api/{module.removeprefix('mlcheat.')}.html#{module}.{name}"
    return (f'<article class="cheat-card"><p class="card-name"><a href="{api}">{name}</a></p><p>{_inline(c.summary)}</p>{formulas}'
            f'<p><code class="card-call">{html.escape(c.signature)}</code></p>{advice}</article>')


def cheat_cards_page() -> str:
    """The cards of all chapters; book/static/cards.js adds search and a choice of the part."""
    from mlcheat.cards import _index

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    names = {}
    for name, modules in _index().items():
        for module in modules:
            names.setdefault(module, []).append(name)
    by_name, lines, total = {c.name: c for c in _chapters()}, [], 0
    for part in toc:
        chapters_ = [by_name[c["file"].removeprefix("nbs/")] for c in part["chapters"] if c.get("file", "").startswith("nbs/")]
        found = [(c, [t for n in names.get(c.module, ()) if (t := _cheat_card(n, c.module))]) for c in chapters_]
        if not any(cards for _, cards in found):
            continue
        lines += [f"## {part['caption']}", ""]
        for chapter, cards in found:
            if cards:
                total += len(cards)
                lines += [f"### {chapter.title}", "", f"[The chapter](../{chapter.name}.ipynb)", "",
                          '<div class="cheat-cards">', *cards, "</div>", ""]
    return "\n".join([f"{total} cards.", "", '<div class="cheat-bar"></div>', "", *lines])


def catalogue_page(name: str) -> str:
    """A catalogue as a table; book/static/catalogue.js adds search, filters and sorting."""
    from mlcheat.reference.catalogues import read_catalogue

    chapter = Chapter(NBS / "reference" / f"{name}.ipynb")
    return f"::::{{div}} catalogue\n\n{read_catalogue(name).to_markdown()}\n\n::::"


def _path_links(path: dict, here: str) -> dict[str, str]:
    """The parts of a reading path as links, seen from a chapter's page."""
    chapter = Chapter(NBS / f"{path['next']}.ipynb") if (NBS / f"{path['next']}.ipynb").exists() else None
    up = "../" * here.count("/")
    links = {"here": f"[{chapter.title}]({up}{path['next']}.ipynb)" if chapter else path["next"].rpartition("/")[2]}
    for part in ("book", "course", "paper"):
        entry = path[part]
        links[part] = f"[{entry.name}]({entry.new_url or entry.url})"
    links["paper"] += f" {{cite}}`{path['paper'].key}`"
    return links


def reading_paths_page() -> str:
    """All reading paths as a table."""
    from mlcheat.reference.other_content import reading_paths

    lines = ["| chapter | then, in this book | book | course | paper |", "|" + " :--- |" * 5]
    for name, path in reading_paths().items():
        if (NBS / f"{name}.ipynb").exists():
            links = _path_links(path, "reference/other_content")
            lines.append(f"| [{Chapter(NBS / f'{name}.ipynb').title}](../{name}.ipynb) | " + " | ".join(links.values()) + " |")
    return "\n".join(lines)


def read_next(name: str) -> str:
    """The end of a chapter: where to read on. Empty for pages without a path."""
    from mlcheat.reference.other_content import reading_paths

    path = reading_paths().get(name)
    if path is None:
        return ""
    links = _path_links(path, name)
    return ("## Read next\n\n" + "\n".join(f"- {label}: {links[part]}" for part, label in (
        ("here", "in this book"), ("book", "a book"), ("course", "a course"), ("paper", "a paper"))))


# Where the names that a part imitates are documented: module, address with {module} and {name}.
PEERS = {
    "algorithms": [(f"sklearn.{m}", "https://scikit-learn.org/stable/modules/generated/{module}.{name}.html") for m in (
        "cluster", "mixture", "linear_model", "naive_bayes", "tree", "neighbors", "ensemble", "svm", "kernel_ridge", "isotonic",
        "preprocessing", "discriminant_analysis", "multiclass", "metrics", "datasets")],
    "nn": [(f"keras.{m}", "https://www.tensorflow.org/api_docs/python/tf/{path}/{name}") for m in (
        "layers", "losses", "optimizers", "optimizers.schedules", "activations", "callbacks", "initializers", "regularizers",
        "metrics", "")],
    "math": [(m, "https://docs.scipy.org/doc/scipy/reference/generated/{module}.{name}.html") for m in (
        "scipy.stats", "scipy.optimize", "scipy.special", "scipy.linalg", "scipy.integrate")],
}
PEERS["basics"] = PEERS["algorithms"]


def same_names(chapter: Chapter) -> str:
    """The end of a chapter: links to the documentation of what its names are taken from."""
    if not chapter.module or chapter.name == "nn/autodiff":    # the latter a judge of its own, with NumPy's names
        return ""
    names, found = public_names(chapter), {}
    for module, address in PEERS.get(chapter.name.split("/")[0], ()):
        module = module.rstrip(".")
        peer = importlib.import_module(module)
        public = set(getattr(peer, "__all__", None) or dir(peer))
        for name in names:
            if name in public and name not in found and getattr(getattr(peer, name, None), "__name__", "") == name:
                url = address.format(module=module, path=module.replace(".", "/"), name=name)
                found[name] = f"[`{module}.{name}`]({url})"
    return "## The same names elsewhere\n\nNames, arguments and defaults are those of " + ", ".join(
        found[name] for name in sorted(found, key=str.casefold)) + "." if found else ""


FILLED_IN = {"ledger": ledger_page, "corrections": corrections_page, "speed": speed_page, "cheat_cards": cheat_cards_page, "glossary": glossary_page,
             "counts": counts, "map": chapter_map, "reading_paths": reading_paths_page,
             **{name: partial(catalogue_page, name) for name in ("datasets", "libraries", "papers", "other_content")}}


def write_api_pages(app: Sphinx, config) -> None:
    """One page a module, from its docstrings; unchanged pages are left alone."""
    API.mkdir(exist_ok=True)
    wanted = {}
    for chapter in _chapters():
        if chapter.module:
            name = chapter.module.removeprefix("mlcheat.")
            wanted[API / f"{name}.md"] = (
                f"# {name}\n\n`{chapter.module}`, the code of the chapter: [{chapter.title}](/nbs/{chapter.name}.ipynb).\n\n"
                f"```{{eval-rst}}\n.. automodule:: {chapter.module}\n   :members:\n```\n")
    for path in set(API.glob("*.md")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def always_outdated(app: Sphinx, env, added, changed, removed) -> list[str]:
    return [page for page in GENERATED_PAGES if page in env.found_docs]


# --- where pages live, and what they load -------------------------------------------------------------------------

def _short(docname: str) -> str:
    return re.sub(r"^(nbs|book)/", "", docname)


def shorten_addresses(app: Sphinx) -> None:
    """`nbs/nn/losses` becomes `nn/losses.html`, in links, in files and in the search index."""
    builder = app.builder
    if builder.format != "html":
        return
    target, outfile = builder.get_target_uri, builder.get_outfilename
    builder.get_target_uri = lambda docname, typ=None: target(_short(docname), typ)
    builder.get_outfilename = lambda pagename: outfile(_short(pagename))


def shorten_search_index(app: Sphinx, exception) -> None:
    index = Path(app.outdir) / "searchindex.js"
    if exception is None and index.exists():
        text = index.read_text(encoding="utf-8")
        head, names, rest = re.split(r'("docnames":\s*\[[^\]]*\])', text, maxsplit=1)
        index.write_text(head + re.sub(r'"(?:nbs|book)/', '"', names) + rest, encoding="utf-8")


def drop_thebe(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Live code cells would need a server in the network; leave their scripts out."""
    def is_thebe(asset) -> bool:
        return "thebe" in f"{getattr(asset, 'filename', asset)}{getattr(asset, 'attributes', '')}".lower()

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if not is_thebe(asset)]


def describe_page(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """What a link to a page shows elsewhere: title, the sentence under it, a picture."""
    path = ROOT / f"{pagename}.ipynb"
    if pagename.startswith("nbs/") and path.exists():
        first = Chapter(path).cells[0].text
        said = html.escape(" ".join(re.search(r"^> (.+(?:\n> ?.+)*)", first, re.M)[1].replace("\n>", "").split()), quote=True)
        title = html.escape(Chapter(path).title, quote=True)
        context["metatags"] = context.get("metatags", "") + (
            f'<meta name="description" content="{said}">\n<meta property="og:title" content="{title}">\n'
            f'<meta property="og:description" content="{said}">\n<meta property="og:type" content="article">\n'
            f'<meta property="og:image" content="{app.config.html_baseurl}_static/book.png">\n'
            f'<meta property="og:url" content="{app.config.html_baseurl}{_short(pagename)}.html">\n'
            '<meta name="twitter:card" content="summary_large_image">\n')


def mend_roles(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Docutils gives lists of references roles that browsers no longer know; without them they are read as they look."""
    if "citation-list" in context.get("body", ""):
        body = context["body"].replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        context["body"] = body.replace(' role="doc-biblioentry"', "")


def write_sitemap(app: Sphinx, exception) -> None:
    """All pages for search engines, at the address that the book is published under."""
    if exception is None and app.builder.format == "html":
        urls = "".join(f"<url><loc>{app.config.html_baseurl}{_short(name)}.html</loc></url>\n" for name in sorted(app.env.found_docs))
        (Path(app.outdir) / "sitemap.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n',
            encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", write_api_pages)
    app.connect("builder-inited", shorten_addresses)
    app.connect("env-get-outdated", always_outdated)
    app.connect("source-read", edit_notebook)
    app.connect("doctree-resolved", explain_terms)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", describe_page)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", shorten_search_index)
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
