"""The harness measures ratios fairly and refuses a fast wrong answer."""
import json
import time

import pytest

from bench import harness
from bench.__main__ import items
from bench.harness import Case, Item


def item(ours, theirs, compare=lambda a, b: []):
    return Item("demo", "a demo", "a peer", 1.0, {"standard": {}}, lambda: Case(ours, theirs, compare))


def test_the_ratio_is_ours_over_theirs():
    r = harness.measure(item(lambda: time.sleep(0.004), lambda: time.sleep(0.001)), budget=0.1)
    assert 2 < r.ratio < 5 and r.low <= r.ratio <= r.high and not r.met and r.pairs >= 7
    assert harness.measure(item(lambda: time.sleep(0.001), lambda: time.sleep(0.004)), budget=0.1).met


def test_pairs_are_interleaved():
    calls = []
    harness.measure(item(lambda: calls.append("a"), lambda: calls.append("b")), budget=0.0, least=4)
    assert "".join(calls) == "ab" + "ba" + "ab" + "ba" + "ab"


def test_a_fast_wrong_answer_fails():
    with pytest.raises(harness.QualityError, match="demo .standard.: 1 is not 2"):
        harness.measure(item(lambda: 1, lambda: 2, lambda a, b: [] if a == b else [f"{a} is not {b}"]))


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="demo has no size 'huge'; it has standard"):
        harness.measure(item(int, int), "huge")


def test_results_are_merged_by_item_and_size(tmp_path):
    path = tmp_path / "results.json"
    r = harness.measure(item(int, int), budget=0.0)
    harness.store([r], path)
    harness.store([r], path)
    stored = json.loads(path.read_text())
    assert len(stored["results"]) == 1 and stored["machine"] and "a demo" in harness.table(stored["results"])


@pytest.mark.parametrize("name", sorted(items()))
def test_every_item_is_as_good_as_its_peer_at_the_small_size(name):
    chosen = items()[name]
    assert set(chosen.sizes) == {"small", "standard", "large"}
    if not chosen.possible:
        pytest.skip(f"the peer needs {chosen.needs}, which is not installed")
    case = chosen.make(**chosen.sizes["small"])
    assert case.compare(case.ours(), case.theirs()) == []
