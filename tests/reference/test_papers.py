"""Papers: every one in the bibliography with the same title and year, and linked with the chapters that implement it."""
import re

import pytest

from mlcheat.reference.catalogues import read_catalogue
from mlcheat.reference.papers import find_papers
from tools.notebooks import NBS, ROOT


def bibliography():
    text, found = (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), {}
    for entry in re.split(r"(?m)^(?=@)", text):
        if m := re.match(r"@\w+\{([^,\s]+),", entry):
            title = re.search(r"\btitle\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", entry)
            year = re.search(r"\byear\s*=\s*\{?(\d{4})", entry)
            found[m[1]] = (plain(title[1]) if title else "", int(year[1]) if year else 0)
    return found


def plain(title):
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"[{}\\]", "", title).casefold()).strip()


def test_every_paper_is_in_the_bibliography_with_title_and_year():
    known, wrong = bibliography(), []
    for paper in read_catalogue("papers"):
        title, year = known.get(paper.key, ("missing", 0))
        if title != plain(paper.name) or abs(year - paper.year) > 1:             # the arXiv year may be one earlier
            wrong.append((paper.key, title, year))
    assert wrong == []


def test_papers_and_chapters_link_both_ways():
    """A chapter that a paper names exists or is announced; where it exists and teaches the paper's method, it cites it."""
    for paper in read_catalogue("papers"):
        for name in filter(None, paper.chapter.split()):
            assert re.fullmatch(r"(basics|math|nn|architectures|algorithms)/\w+", name), paper.key
    cited = {path.stem: path.read_text(encoding="utf-8") for path in NBS.rglob("*.ipynb")}
    starred = [p for p in read_catalogue("papers") if p.start and p.chapter]
    for paper in starred:
        name = paper.chapter.rpartition("/")[2]
        assert name not in cited or paper.key in cited[name] or paper.key in ROOT.joinpath(
            "mlcheat/reference/reading_paths.toml").read_text(), f"{paper.chapter} does not cite {paper.key}"


def test_at_least_thirty_landmarks_outside_deep_learning_and_some_after_2017():
    outside = {"Linear models and regularization", "Trees and ensembles", "Support vector machines and kernels", "Clustering and "
               "dimensionality reduction", "Probabilistic models", "Optimization and learning theory", "Reinforcement learning, classics"}
    assert sum(p.topic in outside for p in read_catalogue("papers")) >= 30
    assert sum(p.year > 2017 for p in read_catalogue("papers")) >= 20


def test_arxiv_addresses_are_whole():
    assert not [p.url for p in read_catalogue("papers") if "arxiv.org" in p.url and "arxiv.org/abs/" not in p.url]


def test_find_papers():
    assert [p.key for p in find_papers(author="hochreiter")] == ["hochreiter1997long"]
    assert {p.year for p in find_papers(year=(2019, 2020))} == {2019, 2020}
    with pytest.raises(ValueError, match="no year 1066"):
        find_papers(year=1066)
