"""Loaders, simulators, and what they say when something is missing or broken."""
import gzip
import hashlib
import multiprocessing as mp
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from mlcheat import data

PUBLISHED = [2.93888937, 0.0457646455, 0.188530017, -0.00103749304]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No network, an empty cache, no folder in MLCHEAT_DATA."""
    import pooch

    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.delenv("MLCHEAT_DATA", raising=False)
    monkeypatch.setattr(data, "_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    return tmp_path


@pytest.fixture
def advertising_csv(advertising, tmp_path):
    """The real file's values, written by the test into a folder of its own."""
    X, y = advertising
    folder = tmp_path / "home"
    folder.mkdir()
    rows = [",".join(map(repr, row)) for row in np.column_stack([X, y]).tolist()]
    (folder / "advertising.csv").write_text("tv,radio,newspaper,sales\n" + "\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("name", ["digits", "iris", "wine", "breast_cancer", "diabetes"])
def test_bundled_data_are_scikit_learns(name):
    ours, theirs = data.load(name), getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(ours.data, theirs.data)
    np.testing.assert_array_equal(ours.target, theirs.target)
    X, y = data.load(name, return_X_y=True)
    assert X.shape == theirs.data.shape and y.shape == theirs.target.shape
    assert {"data", "target", "feature_names", "DESCR"} <= set(ours)


def test_make_advertising_follows_its_model():
    X, y = data.make_advertising(100_000, random_state=1)
    A = np.column_stack([np.ones(len(y)), X])
    fit = np.linalg.lstsq(A, y, rcond=None)[0]
    residual_sd = np.std(y - A @ fit)
    assert np.all(np.abs(fit - [2.94, 0.0458, 0.1885, -0.001]) < [0.04, 2e-4, 1.2e-3, 8e-4])
    assert abs(residual_sd - 1.69) < 0.02
    assert X[:, 0].min() >= 0.7 and X[:, 0].max() <= 296.4 and X[:, 1].max() <= 49.6 and X[:, 2].min() == 0.3


def test_make_exams_follows_its_model():
    X, y = data.make_exams(200_000, random_state=1)
    p = 1 / (1 + np.exp(16.16 - X @ [1.745, 1.487]))
    groups = np.digitize(p, [0.1, 0.3, 0.5, 0.7, 0.9])
    for g in range(6):
        assert abs(y[groups == g].mean() - p[groups == g].mean()) < 0.01
    assert set(y) == {0, 1} and y.dtype.kind == "i" and X.shape == (200_000, 2)


@pytest.mark.parametrize("make, columns", [(data.make_advertising, 3), (data.make_exams, 2)])
def test_simulators(make, columns):
    X, y = make(random_state=0)
    again = make(random_state=0, return_X_y=False)
    np.testing.assert_array_equal(X, again.data)
    np.testing.assert_array_equal(y, again.target)
    assert X.shape == ({3: 200, 2: 100}[columns], columns) and len(again.feature_names) == columns
    assert not np.array_equal(X, make(random_state=1)[0])
    for bad in (0, -1, 2.5, True, "10"):
        with pytest.raises(ValueError, match="n_samples must be an integer of at least 1"):
            make(bad)


def test_advertising_gives_the_published_fit(advertising):
    X, y = advertising
    assert X.shape == (200, 3) and y.shape == (200,)
    fit = np.linalg.lstsq(np.column_stack([np.ones(200), X]), y, rcond=None)[0]
    np.testing.assert_allclose(fit, PUBLISHED, rtol=1e-6)


def test_exams_are_the_published_rows(exams):
    X, y = exams
    assert X.shape == (100, 2) and y.sum() == 55
    np.testing.assert_allclose(X[1], [8.6254, 0.0589], atol=1e-4)


def test_the_order_of_the_folders(advertising_csv, alone, monkeypatch):
    assert data.load_advertising(advertising_csv).data.shape == (200, 3)
    monkeypatch.setenv("MLCHEAT_DATA", str(advertising_csv))
    assert data.load_advertising().data.shape == (200, 3)
    assert data.load_advertising(alone / "nowhere").data.shape == (200, 3)
    monkeypatch.delenv("MLCHEAT_DATA")
    shutil.copytree(advertising_csv, alone / "cache")
    assert data.load("advertising").feature_names == ["tv", "radio", "newspaper"]


def test_other_columns_and_capitals_do_not_matter(advertising_csv):
    path = advertising_csv / "advertising.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(['"",TV,radio,newspaper,sales'] + [f'"{i}",{x}' for i, x in enumerate(lines[1:], 1)]))
    np.testing.assert_allclose(data.load_advertising(advertising_csv).data[0], [230.1, 37.8, 69.2])


@pytest.mark.parametrize("loader, stand_in", [
    (data.load_advertising, "make_advertising"), (data.load_exams, "make_exams"),
    (data.load_mnist, "load_digits"), (data.load_fashion_mnist, "load_digits")])
def test_without_a_network_the_error_says_where_it_looked(alone, loader, stand_in):
    with pytest.raises(data.DatasetUnavailableError) as caught:
        loader(alone / "home")
    text = str(caught.value)
    assert str(alone / "home") in text and str(alone / "cache") in text and stand_in in text and "MLCHEAT_DATA" in text


def truncate(text):
    return text[: len(text) // 2]


@pytest.mark.parametrize("damage, message", [
    (truncate, "rows and 4 columns|shorter than the header|could not convert"),
    (lambda t: t.replace("230.1", "230.2", 1), "values differ"),
    (lambda t: t.replace("sales", "profit"), "no column sales"),
    (lambda t: t.replace("37.8", "many", 1), "could not convert"),
    (lambda t: "", "no column tv"),
])
def test_a_damaged_file_is_named_and_kept(advertising_csv, damage, message):
    path = advertising_csv / "advertising.csv"
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(data.DatasetCorruptError, match=message) as caught:
        data.load_advertising(advertising_csv)
    assert str(path) in str(caught.value) and path.read_bytes() == before


def test_a_damaged_file_in_the_cache_is_moved_aside(alone):
    cache = alone / "cache"
    cache.mkdir()
    (cache / "advertising.csv").write_text("tv,radio\n1,2\n")
    with pytest.raises(data.DatasetCorruptError, match="advertising.csv.corrupt"):
        data.load_advertising()
    assert (cache / "advertising.csv.corrupt").read_text() == "tv,radio\n1,2\n"
    with pytest.raises(data.DatasetUnavailableError):          # the next call starts afresh
        data.load_advertising()


def test_a_truncated_mnist_is_refused(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(data.DatasetCorruptError, match="sha256 digest"):
        data.load_mnist(tmp_path)


def test_fashion_mnist_is_read_from_its_four_files(tmp_path, monkeypatch):
    """The real files are too large for a test: the same layout with few images, and digests to match."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    rng, md5, whole = np.random.default_rng(0), {}, {}
    for name in data._FASHION_MD5:
        n = 6 if name.startswith("train") else 2
        values = rng.integers(0, 10, n, dtype=np.uint8) if "labels" in name else rng.integers(0, 256, n * 784, dtype=np.uint8)
        content = gzip.compress(bytes(8 if "labels" in name else 16) + values.tobytes())
        (folder / name).write_bytes(content)
        md5[name], whole[name] = hashlib.md5(content).hexdigest(), values
    monkeypatch.setattr(data, "_FASHION_MD5", md5)
    got = data.load_fashion_mnist(tmp_path)
    assert got.images.shape == (8, 28, 28) and got.target.shape == (8,) and len(got.target_names) == 10
    np.testing.assert_array_equal(got.data[6:].ravel(), whole["t10k-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(got.target[:6], whole["train-labels-idx1-ubyte.gz"])


def test_mnist_is_read_from_keras_file(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (4, 28, 28), dtype=np.uint8), "y_train": np.arange(4, dtype=np.uint8),
              "x_test": rng.integers(0, 256, (2, 28, 28), dtype=np.uint8), "y_test": np.arange(2, dtype=np.uint8)}
    np.savez(tmp_path / "mnist.npz", **arrays)
    monkeypatch.setattr(data, "_MNIST_SHA256", hashlib.sha256((tmp_path / "mnist.npz").read_bytes()).hexdigest())
    X, y = data.load_mnist(tmp_path, return_X_y=True)
    assert X.shape == (6, 784) and X.dtype == np.uint8
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 0, 1])


def test_an_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match="no data set 'iriss'; there are advertising, breast_cancer"):
        data.load("iriss")
    assert data.load("make_exams", n_samples=3, random_state=0)[0].shape == (3, 2)


def _serve_once(folder):
    return data.load_advertising(folder).data.shape


def test_two_processes_at_once(advertising_csv):
    with mp.get_context("spawn").Pool(2) as pool:
        assert pool.map(_serve_once, [str(advertising_csv)] * 4) == [(200, 3)] * 4


def test_a_download_is_moved_in_place_and_believed_only_after_the_check(advertising_csv, tmp_path, monkeypatch):
    """The download itself is pooch's; a copy stands in for it here."""
    import pooch

    monkeypatch.delenv("MLCHEAT_DATA", raising=False)
    monkeypatch.setattr(data, "_cache_folder", lambda: tmp_path / "cache")
    source = advertising_csv / "advertising.csv"

    def fetch(url, known_hash, fname, path, progressbar):
        assert url.startswith("https://")
        return _copy(source, Path(path) / fname)

    monkeypatch.setattr(pooch, "retrieve", fetch)
    assert data.load_advertising().data.shape == (200, 3)
    assert (tmp_path / "cache" / "advertising.csv").exists()
    (tmp_path / "cache" / "advertising.csv").unlink()
    source.write_text(source.read_text().replace("230.1", "1.0", 1))
    with pytest.raises(data.DatasetCorruptError):
        data.load_advertising()


def _copy(source: Path, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return str(target)
