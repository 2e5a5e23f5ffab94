"""Libraries: all languages of the old document, something to start with in each, endings told."""
import pytest

from mlcheat.reference.catalogues import read_catalogue
from mlcheat.reference.libraries import find_libraries


def test_every_language_keeps_its_section_and_has_something_to_start_with():
    entries = read_catalogue("libraries")
    languages = {e.language for e in entries}
    assert len(languages) == 25
    for language in languages:
        marked = [e for e in entries if e.language == language and e.start]
        assert 1 <= len(marked) <= 8, (language, len(marked))


def test_what_is_known_to_have_ended_is_not_recommended():
    ended = [e.name for e in read_catalogue("libraries") if e.start and e.status == "archived" and "history" not in e.start]
    assert ended == []


def test_moved_libraries_name_their_successor():
    assert all(e.new_url for e in find_libraries(status="moved")) and len(find_libraries(status="moved")) >= 5


def test_find_libraries():
    assert [e.name for e in find_libraries(language="elixir", status="active")] == ["Nx", "Axon", "Scholar"]
    assert any(e.name == "LightGBM" for e in find_libraries(text="gradient boosting"))
    with pytest.raises(ValueError, match="no language 'Klingon' among the libraries; there are .NET, APL, C"):
        find_libraries("Klingon")
