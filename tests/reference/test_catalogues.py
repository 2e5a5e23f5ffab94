"""The catalogues: nothing lost, nothing malformed, and every question answered or refused with what could be asked."""
import re
from pathlib import Path

import pytest

from mlcheat.reference.catalogues import FIELDS, STATUSES, Entry, Table, find_entries, problems, read_catalogue
from tools.notebooks import ROOT

FACTS = Path(__file__).parent / "facts"
CATALOGUES = sorted(FIELDS)


def source(name):
    return (ROOT / "mlcheat" / "reference" / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CATALOGUES)
def test_the_file_has_no_problem(name):
    assert problems(name, source(name)) == []


@pytest.mark.parametrize("name", CATALOGUES)
def test_no_entry_of_the_old_document_is_lost(name):
    facts = (FACTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    entries = read_catalogue(name)
    if name == "papers":
        have = [e.name for e in entries]
    elif name == "other_content":
        have = [e.url for e in entries]
    else:                                                 # without an address, or with a broken link, the name counts
        facts = [f.split("](")[0] + "\t" if "](" in f else f for f in facts]
        bare = {f.partition("\t")[0] for f in facts if f.endswith("\t")}
        have = [f"{e.name}\t{'' if e.name in bare and f'{e.name}{chr(9)}{e.url}' not in facts else e.url}" for e in entries]
    missing = [f for f in facts if f not in have]
    assert missing == [] and len(have) >= len(facts)
    for fact in set(facts):
        assert have.count(fact) >= facts.count(fact), f"{fact} was listed {facts.count(fact)} times"


def test_the_numbers_of_the_old_document():
    counts = {p.stem: len(p.read_text(encoding="utf-8").splitlines()) for p in FACTS.glob("*.txt")}
    assert counts == {"datasets": 437, "libraries": 678, "papers": 98, "other_content": 123} and sum(counts.values()) == 1336


@pytest.mark.parametrize("name", CATALOGUES)
def test_descriptions_are_one_exact_line(name):
    for e in read_catalogue(name):
        assert e.text[0].isupper() or e.text[0].isdigit() or e.text[0] in "\"'(" or re.match(r"[a-z]+[A-Z0-9]|[a-z]-[a-zA-Z]", e.text), e
        assert e.text.endswith((".", "?", "!")) and len(e.text) >= 8, e
        assert not re.search(r"\b(amazing|awesome|powerful|best-in-class|state-of-the-art|cutting-edge|simply|easy-to-use)\b", e.text, re.I), e
        assert e.text != e.name


GOOD = '{key = "a-1", name = "A", url = "https://a.org", text = "A thing.", language = "C", task = "t", status = "unknown"},'


@pytest.mark.parametrize("change, message", [
    (('name = "A"', 'name = ""'), "name is missing"), (('name = "A", ', ""), "name is missing"),
    (("https://a.org", "a.org"), "'a.org' is no web address"), (("https://a.org", "https://a b.org"), "is no web address"),
    (('key = "a-1"', 'key = "A 1"'), "small letters, digits and hyphens"), (('text = "A thing."', 'text = ""'), "text is missing"),
    (('language = "C"', 'langage = "C"'), "there is no field 'langage'"), (('"unknown"', '"fine"'), "status 'fine' is none of active"),
    (('"unknown"', '"moved"'), "it has moved, but new_url is missing"), (("A thing.", "A" * 201), "at most 200 characters"),
    (('language = "C"', 'language = "Klingon"'), "language 'Klingon' is none of C, R"),
])
def test_a_malformed_entry_is_named_with_file_and_line(change, message):
    text = f"# a comment\nentries = [\n{GOOD}\n{GOOD.replace('a-1', 'b').replace(*change)}\n]\n" if "key" not in change[0] else \
        f"# a comment\nentries = [\n{GOOD.replace('a-1', 'b')}\n{GOOD.replace(*change)}\n]\n"
    found = problems("libraries", text, known={"language": ["C", "R"]})
    assert found and all(f.startswith("libraries.toml:4: ") for f in found) and any(message in f for f in found)


def test_duplicate_keys_and_broken_files_are_named():
    assert problems("libraries", f"entries = [\n{GOOD}\n{GOOD}\n]") == ["libraries.toml:3: the key 'a-1' is that of line 2"]
    assert "libraries.toml: " in problems("libraries", "entries = [")[0]
    unknown = GOOD.replace(', language = "C", task = "t"', ', area = "Space", kind = "vector"')
    text = f'entries = [\n{unknown}\n]\n[groups]\n"Art" = "Pictures."\n'
    assert problems("datasets", text) == ["datasets.toml:2: 'a-1': area 'Space' is none of Art"]


def test_asking():
    content = find_entries("other_content", kind="BOOK", text="probability free")
    assert content and all(e.kind == "book" for e in content)
    assert find_entries("papers", year=(2013, 2013), authors="mnih") and not find_entries("papers", text="no such words anywhere")
    assert [e.name for e in find_entries("papers", chapter="nn/normalization") if "Batch" in e.name][0].startswith("Batch")
    assert len(find_entries("papers")) == len(read_catalogue("papers"))


@pytest.mark.parametrize("ask, message", [
    (lambda: find_entries("songs"), "no catalogue 'songs'; there are datasets, libraries, papers, other_content"),
    (lambda: find_entries("papers", topic="Cooking"), "no topic 'Cooking' among the papers; there are After 2017"),
    (lambda: find_entries("papers", colour="red"), "papers have no 'colour'; they have topic, authors, year, chapter, status"),
    (lambda: find_entries("other_content", status="fine"), "no status 'fine' among the other_content"),
])
def test_wrong_questions_say_what_could_be_asked(ask, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ask()


def test_tables_show_themselves():
    e = Entry("k", "A | B", "https://a.org", "One.", start="Because.", fields={"kind": "book"})
    table = Table([e], columns=("kind",))
    assert table.to_markdown().splitlines()[2] == "| [A \\| B](https://a.org) ★ | book | One. **Start here:** Because. |"
    assert repr(table) == "1 entry\nA | B: One. https://a.org" and Table()._repr_markdown_() == "No entry fits."
    gone = Entry("g", "G", "https://g.org", "Was.", status="gone")
    assert Table([e, gone]).to_markdown().splitlines()[2].endswith("| unknown |")
    many = Table([e] * 25, columns=("kind",))
    assert many._repr_markdown_().endswith("25 entries, the first 20 shown.") and repr(many).endswith("and 5 more")
    with pytest.raises(AttributeError, match="the entry 'k' has no 'colour'"):
        e.colour
    assert set(STATUSES) >= {e.status for name in CATALOGUES for e in read_catalogue(name)}
