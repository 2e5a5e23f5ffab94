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


def test_two_threads_are_compared_with_one(tmp_path):
    from threadpoolctl import threadpool_info

    seen = []
    ratio = harness.two_threads(item(lambda: seen.append(max(p["num_threads"] for p in threadpool_info())), int), budget=0.0, least=2)
    assert seen == [1, 2, 2, 1] and ratio > 0
    path = tmp_path / "results.json"
    harness.store(threads={"demo": ratio}, path=path)
    harness.store([harness.measure(item(int, int), budget=0.0)], path)
    assert json.loads(path.read_text())["two_threads"] == {"demo": ratio}


def test_growth_ends_before_a_fit_takes_too_long_and_its_slope_is_the_exponent():
    calls = []
    slow = Item("demo", "a demo", "a peer", 1.0, {"standard": {"n": 1}}, lambda n: Case(
        lambda: (calls.append(n), time.sleep(1e-5 * n)), lambda: None, lambda a, b: []), grow=lambda n: {"n": n})
    grown = harness.growth(slow, limit=0.5)
    assert [g.n for g in grown] == [1000, 10_000] and max(calls) == 10_000      # 100,000 rows would take a second
    assert 0.8 < harness.slope([g.__dict__ for g in grown], "ours") < 1.2


def test_growth_sees_memory():
    import numpy as np

    wide = Item("demo", "a demo", "a peer", 1.0, {"standard": {"n": 1}}, lambda n: Case(
        lambda: np.ones((n, 100)), lambda: np.ones((n, 200)), lambda a, b: []), grow=lambda n: {"n": n})
    (grown,) = harness.growth(wide, rows=(1000,))
    assert 0.8 <= grown.ours_mb <= 0.9 and 1.6 <= grown.theirs_mb <= 1.7


def test_charts_and_stored_growth(tmp_path):
    from bench import charts

    path = tmp_path / "results.json"
    rows = [harness.Grown("demo", n, n / 1e6, n / 1e5, 1.0, 2.0) for n in (1000, 10_000, 100_000)]
    r = harness.measure(item(int, int), budget=0.0)
    harness.store([r], path)
    harness.store(path=path, grown=rows)
    harness.store(path=path, grown=rows)
    stored = json.loads(path.read_text())
    assert len(stored["growth"]) == 3 and len(stored["results"]) == 1
    assert "demo 1.0 and 1.0" in charts.growths(stored["growth"]) and "demo" in charts.ratios(stored["results"])
    assert "| demo | 100,000 | 1 | 2 |" in charts.memory(stored["growth"])


def test_the_geometric_mean_is_over_scikit_learn():
    rows = [{"size": "standard", "reference": who, "ratio": ratio} for who, ratio in
            (("scikit-learn A", 0.5), ("scikit-learn B", 2.0), ("Keras", 9.0))]
    assert abs(harness.geometric_mean(rows) - 1) < 1e-12


@pytest.mark.parametrize("name", sorted(items()))
def test_every_item_says_what_decides_its_ratio(name):
    chosen = items()[name]
    assert 20 < len(chosen.note) < 200 and chosen.note.endswith(".")
    if chosen.grow:
        assert set(chosen.grow(1000)) == set(chosen.sizes["standard"])


def test_the_script_for_gpus_measures_a_network_and_names_the_device():
    from bench import gpu

    nets = {net.name: net for net in gpu.networks(1)}
    assert set(nets) == {"mlp", "cnn", "rnn", "autoencoder", "vae", "gan"}
    assert gpu.keras_fit(nets["mlp"], 8, 2) > 0 and gpu.our_fit(nets["mlp"], 8, 2, jit=False, precision="float32") > 0
    assert "TensorFlow" in gpu.device()
