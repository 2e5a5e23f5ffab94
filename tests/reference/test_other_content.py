"""Other content: kinds, tutorials tied to chapters, and a reading path for every chapter."""
import pytest

from mlcheat.reference.catalogues import read_catalogue
from mlcheat.reference.other_content import find_content, reading_paths
from tools.notebooks import chapters


def test_at_least_twenty_tutorials_each_tied_to_a_chapter():
    tutorials = find_content(kind="tutorial")
    assert len(tutorials) >= 20 and all(t.chapter for t in tutorials)


def test_every_entry_has_a_name_of_its_own():
    names = [e.name for e in read_catalogue("other_content")]
    assert len(set(names)) == len(names) and not [n for n in names if n.startswith("http")]


def test_every_chapter_has_a_reading_path_to_other_chapters():
    names = {c.name for c in chapters() if c.name.split("/")[0] in ("basics", "math", "nn", "architectures", "algorithms")}
    paths = reading_paths()
    assert names <= set(paths)
    for name, path in paths.items():
        assert path["next"] != name and path["next"] in paths
        assert path["book"].kind == "book" and path["course"].kind in ("course", "tutorial") and path["paper"].year


def test_find_content():
    assert [e.name for e in find_content(kind="book", text="convex")] == ["Convex Optimization"]
    assert all(e.new_url for e in find_content(status="moved"))
    with pytest.raises(ValueError, match="no kind 'song' among the other_content; there are blog, book, course, podcast, tutorial"):
        find_content(kind="song")
