"""Data sets: 32 areas, kinds of data, something to start with in each area."""
import pytest

from mlcheat.reference.catalogues import read_catalogue
from mlcheat.reference.datasets import find_datasets


def test_all_areas_are_there_and_each_has_something_to_start_with():
    entries = read_catalogue("datasets")
    areas = {e.area for e in entries}
    assert len(areas) == 32
    # nothing stands out where an area has only lists of sources
    assert {a for a in areas if not any(e.start for e in entries if e.area == a)} <= {"Education", "Data Challenges"} - {"Education", "Data Challenges"}


def test_find_datasets():
    found = find_datasets(area="finance", kind="time series")
    assert len(found) > 5 and all(e.area == "Finance" and e.kind == "time series" for e in found)
    assert [e.name for e in find_datasets(text="penguins")] == ["Palmer penguins"]
    with pytest.raises(ValueError, match="no kind 'smell' among the datasets; there are audio"):
        find_datasets(kind="smell")
