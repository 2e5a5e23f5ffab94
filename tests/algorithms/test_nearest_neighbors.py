"""Nearest neighbours against scikit-learn and SciPy; the tree against brute force; weights, ties, parallel work, errors."""
import pickle

import numpy as np
import pytest
import scipy.spatial
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import __version__ as joblib_version
from joblib import parallel_config
from joblib._parallel_backends import ThreadingBackend
from joblib.parallel import register_parallel_backend
from sklearn import neighbors as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine, make_blobs
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from mlcheat.algorithms import nearest_neighbors as ours

rng = np.random.default_rng(4)
DATA = {name: load(return_X_y=True) for name, load in (
    ("iris", load_iris), ("wine", load_wine), ("cancer", load_breast_cancer), ("digits", load_digits))}
DATA["blobs"] = make_blobs(300, 3, centers=4, random_state=0)
DATA["lattice"] = (np.array([[i, j] for i in range(12) for j in range(12)], float), np.arange(144) % 3)
DATA["repeated"] = (np.repeat(rng.normal(size=(40, 3)), 3, axis=0), np.arange(120) % 2)
DATA["line"] = (np.column_stack([np.arange(80.0), 2 * np.arange(80.0)]), np.arange(80) // 40)
DATA["constant"] = (np.column_stack([rng.normal(size=60), np.ones(60)]), np.arange(60) % 2)
DATA["one row"] = (np.array([[1.0, 2.0]]), np.array([7]))
METRICS = [("minkowski", {"p": 2}), ("minkowski", {"p": 1}), ("minkowski", {"p": 3}), ("chebyshev", {}), ("manhattan", {}), ("cosine", {})]


@pytest.mark.parametrize("make", [
    ours.KNeighborsClassifier, ours.KNeighborsRegressor, ours.NearestNeighbors, ours.RadiusNeighborsRegressor, ours.NearestCentroid,
    lambda: ours.RadiusNeighborsClassifier(outlier_label="most_frequent"), lambda: ours.KNeighborsClassifier(weights="distance", algorithm="kd_tree"),
    lambda: ours.KNeighborsRegressor(algorithm="kd_tree", p=1)])
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(make):
    check_estimator(make())


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("metric, given", METRICS)
def test_distances_and_predictions_equal_scikit_learn(data, metric, given):
    X, y = DATA[data]
    if metric == "cosine":
        X = X + 100.0 if data != "digits" else X
    k = min(5, len(X))
    Q = X[::3] + 1e-3 * rng.normal(size=X[::3].shape)
    for weights in ("uniform", "distance", lambda d: np.exp(-d)):
        a = ours.KNeighborsClassifier(k, weights=weights, metric=metric, **given).fit(X, y)
        b = theirs.KNeighborsClassifier(k, weights=weights, metric=metric, algorithm="brute", **given).fit(X, y)
        (da, ia), (db, _) = a.kneighbors(Q), b.kneighbors(Q)
        np.testing.assert_allclose(da, db, rtol=1e-6, atol=1e-5 if metric == "cosine" else 1e-6)
        exact = scipy.spatial.distance.cdist(Q, X, **({"metric": "cityblock" if metric == "manhattan" else metric} | given))
        np.testing.assert_allclose(da, np.sort(exact, axis=1)[:, :k], rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(np.take_along_axis(exact, ia, 1), da, rtol=1e-9, atol=1e-10)
    if data not in ("lattice", "repeated", "line") and (data, metric) != ("digits", "chebyshev"):                         # ties of distance may be broken otherwise there
        np.testing.assert_allclose(a.predict_proba(Q), b.predict_proba(Q), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(a.predict(Q), b.predict(Q))


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
@pytest.mark.parametrize("leaf_size", [1, 5, 40])
def test_the_tree_finds_what_brute_force_finds(data, p, leaf_size):
    X, _ = DATA[data]
    X = X[:400]
    Q = np.concatenate([X[:20], X[:20] + rng.normal(size=X[:20].shape)])
    k = min(6, len(X))
    tree = ours.KDTree(X, leaf_size=leaf_size, p=p)
    exact = ours.pairwise_distances(Q, X, metric="chebyshev") if np.isinf(p) else ours.pairwise_distances(Q, X, metric="minkowski", p=p)
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    distance, index = tree.query(Q, k)
    np.testing.assert_array_equal(distance, np.take_along_axis(exact, order, 1))
    np.testing.assert_array_equal(index, order)
    r = float(np.median(distance[:, -1])) or 1.0
    inside, far = tree.query_radius(Q, r, return_distance=True)
    for row, (i, d) in enumerate(zip(inside, far)):
        np.testing.assert_array_equal(i, np.flatnonzero(exact[row] <= r))
        np.testing.assert_array_equal(d, exact[row][i])
    np.testing.assert_array_equal(tree.query_radius(Q, r, count_only=True), [len(i) for i in inside])


def test_the_tree_equals_scipy_on_random_rows():
    X, Q = rng.normal(size=(3000, 3)), rng.normal(size=(200, 3))
    ours_d, ours_i = ours.KDTree(X).query(Q, 10)
    their_d, their_i = scipy.spatial.cKDTree(X).query(Q, 10)
    np.testing.assert_allclose(ours_d, their_d, rtol=1e-12)
    np.testing.assert_array_equal(ours_i, their_i)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 10), st.integers(0, 10**6))
def test_tree_and_brute_force_agree_on_integers_full_of_ties(n, d, leaf, seed):
    gen = np.random.default_rng(seed)
    X, Q, k = gen.integers(0, 4, (n, d)).astype(float), gen.integers(0, 4, (7, d)).astype(float), min(n, 4)
    brute = ours.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X).kneighbors(Q)
    tree = ours.NearestNeighbors(n_neighbors=k, algorithm="kd_tree", leaf_size=leaf).fit(X).kneighbors(Q)
    np.testing.assert_array_equal(brute[0], tree[0])
    np.testing.assert_array_equal(brute[1], tree[1])


@pytest.mark.parametrize("metric, given", [("euclidean", {}), ("cityblock", {}), ("chebyshev", {}), ("minkowski", {"p": 4}), ("cosine", {}), ("hamming", {})])
def test_pairwise_distances_equal_scipy(metric, given):
    X, Y = rng.integers(0, 3, (20, 5)).astype(float) + 0.1, rng.integers(0, 3, (30, 5)).astype(float) + 0.1
    np.testing.assert_allclose(ours.pairwise_distances(X, Y, metric=metric, **given), scipy.spatial.distance.cdist(X, Y, metric, **given), atol=1e-12)
    function = {"cosine": ours.cosine_distance, "hamming": ours.hamming}.get(metric)
    if function:
        np.testing.assert_allclose(function(X[0], Y[3]), scipy.spatial.distance.cdist(X[:1], Y[3:4], metric)[0, 0], atol=1e-12)


def test_mahalanobis_equals_scipy_and_scikit_learn():
    X, y = DATA["iris"]
    VI = np.linalg.inv(np.cov(X.T))
    a = ours.KNeighborsClassifier(4, metric="mahalanobis", metric_params={"VI": VI}).fit(X, y)
    b = theirs.KNeighborsClassifier(4, metric="mahalanobis", metric_params={"VI": VI}, algorithm="brute").fit(X, y)
    np.testing.assert_allclose(a.kneighbors(X)[0], b.kneighbors(X)[0], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(ours.KNeighborsClassifier(4, metric="mahalanobis").fit(X, y).kneighbors(X)[0], a.kneighbors(X)[0], rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="covariance matrix is singular"):
        ours.KNeighborsClassifier(metric="mahalanobis").fit(np.column_stack([X[:, 0], 2 * X[:, 0]]), y)


def test_the_expanded_form_loses_small_distances_and_the_estimators_do_not():
    X = np.array([[1e8, 0.0], [1e8 + 1, 0.0], [1e8 + 3, 0.0], *[[1e8 + 50 + i, 5.0] for i in range(30)]])
    distance, index = ours.NearestNeighbors(n_neighbors=3).fit(X).kneighbors(X[:1])
    assert distance.tolist() == [[0.0, 1.0, 3.0]] and index.tolist() == [[0, 1, 2]]
    far = np.concatenate([X, -X])
    assert ours.NearestNeighbors(n_neighbors=2).fit(far).kneighbors(X[:1])[0].tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_regression_equals_scikit_learn(targets, weights):
    X, y = load_diabetes(return_X_y=True)
    y = y if targets == 1 else np.column_stack([y, -y, y**2])
    a, b = (m.KNeighborsRegressor(7, weights=weights).fit(X[:300], y[:300]) for m in (ours, theirs))
    np.testing.assert_allclose(a.predict(X[250:]), b.predict(X[250:]), rtol=1e-7)
    a, b = (m.RadiusNeighborsRegressor(0.15, weights=weights).fit(X[:300], y[:300]) for m in (ours, theirs))
    np.testing.assert_allclose(a.predict(X[:200]), b.predict(X[:200]), rtol=1e-6)


@pytest.mark.parametrize("outlier_label", [-1, "most_frequent", 99])
def test_radius_classifier_equals_scikit_learn(outlier_label):
    X, y = DATA["blobs"]
    Q = np.concatenate([X[:50], [[100.0, 100.0, 100.0]]])
    a, b = (m.RadiusNeighborsClassifier(1.5, outlier_label=outlier_label).fit(X, y) for m in (ours, theirs))
    np.testing.assert_array_equal(a.predict(Q), b.predict(Q))
    with pytest.raises(ValueError, match=r"No neighbors found for test samples \[50\]"):
        ours.RadiusNeighborsClassifier(1.5).fit(X, y).predict(Q)
    with pytest.warns(UserWarning, match="no neighbors within specified radius; predicting NaN"):
        assert np.isnan(ours.RadiusNeighborsRegressor(1.5).fit(X, y.astype(float)).predict(Q)[-1])


@pytest.mark.parametrize("shrink", [None, 1e-6, 0.5, 2.0])
@pytest.mark.parametrize("data", ["iris", "wine", "blobs"])
def test_centroids_equal_scikit_learn(shrink, data):
    X, y = DATA[data]
    a, b = (m.NearestCentroid(shrink_threshold=shrink).fit(X, y) for m in (ours, theirs))
    np.testing.assert_allclose(a.centroids_, b.centroids_, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


def test_neighbours_of_the_stored_rows_leave_themselves_out():
    X, _ = DATA["repeated"]
    a, b = (m.NearestNeighbors(n_neighbors=4).fit(X) for m in (ours, theirs))
    np.testing.assert_allclose(a.kneighbors()[0], b.kneighbors()[0], atol=1e-7)
    assert not (a.kneighbors()[1] == np.arange(len(X))[:, None]).any()
    for mode in ("connectivity", "distance"):
        graph = a.kneighbors_graph(mode=mode)
        assert graph.shape == (len(X), len(X)) and graph.nnz == 4 * len(X) and graph.diagonal().sum() == 0
    X, _ = DATA["blobs"]
    a, b = (m.NearestNeighbors(n_neighbors=4).fit(X).kneighbors_graph(X, mode="distance").toarray() for m in (ours, theirs))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_leave_one_out_is_what_it_says():
    X, y = DATA["wine"]
    X = StandardScaler().fit_transform(X)
    for weights in ("uniform", "distance"):
        found = ours.leave_one_out(ours.KNeighborsClassifier(weights=weights), X, y, [1, 4, 9])
        slow = [np.mean([ours.KNeighborsClassifier(k, weights=weights).fit(np.delete(X, i, 0), np.delete(y, i)).predict(X[i:i + 1])[0] == y[i]
                         for i in range(0, len(X))]) for k in (1, 4, 9)]
        np.testing.assert_allclose(found, slow)
    r2 = ours.leave_one_out(ours.KNeighborsRegressor(), X, X[:, 0], [3])
    guess = [ours.KNeighborsRegressor(3).fit(np.delete(X, i, 0), np.delete(X[:, 0], i)).predict(X[i:i + 1])[0] for i in range(len(X))]
    assert r2[0] == pytest.approx(1 - np.mean((X[:, 0] - guess) ** 2) / X[:, 0].var())


def test_published_accuracies():
    X, y = DATA["digits"]
    train, test = train_test_split(np.arange(1797), test_size=360, random_state=0, stratify=y)
    for k, expected in ((1, 0.983), (3, 0.986), (5, 0.978), (11, 0.972)):
        assert ours.KNeighborsClassifier(k).fit(X[train] / 16, y[train]).score(X[test] / 16, y[test]) == pytest.approx(expected, abs=0.0006)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for name, expected in (("iris", 0.953), ("wine", 0.663), ("cancer", 0.9315), ("digits", 0.9855)):
        assert cross_val_score(ours.KNeighborsClassifier(), *DATA[name], cv=folds).mean() == pytest.approx(expected, abs=0.0006)


def test_invariances():
    X, y = DATA["iris"]
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    p = ours.KNeighborsClassifier(5, weights="distance").fit(X, y).predict(X[::2] + 0.01)
    moved = ours.KNeighborsClassifier(5, weights="distance").fit(X @ turn + 3, y).predict((X[::2] + 0.01) @ turn + 3)
    np.testing.assert_array_equal(p, moved)
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    assert ours.KNeighborsClassifier(1).fit(X, y).score(X, y) == 1.0
    order = rng.permutation(60)
    np.testing.assert_array_equal(ours.KNeighborsClassifier(4).fit(X[order], y[order]).predict(X + 0.1), ours.KNeighborsClassifier(4).fit(X, y).predict(X + 0.1))


class Counting(ThreadingBackend):
    """A backend that counts what it is given: a cluster could stand here."""

    calls = 0

    def submit(self, func, callback=None):
        Counting.calls += 1
        return super().submit(func, callback)

    def apply_async(self, func, callback=None):
        Counting.calls += 1
        return super().apply_async(func, callback)


@pytest.mark.skipif(parse_version(joblib_version) < parse_version("1.3.2"),
                    reason="Parallel(n_jobs=None) of joblib before 1.3.2 takes one worker whatever parallel_config says")
def test_the_work_goes_to_whatever_backend_is_set():
    register_parallel_backend("counting", Counting)
    X, y = rng.normal(size=(3000, 5)), rng.integers(0, 3, 3000)
    alone = ours.KNeighborsClassifier(7).fit(X, y).predict_proba(X)
    with parallel_config("counting", n_jobs=2):
        shared = ours.KNeighborsClassifier(7).fit(X, y).predict_proba(X)
    assert Counting.calls >= 2
    np.testing.assert_array_equal(alone, shared)


def test_two_processes_give_the_same():
    X, y = rng.normal(size=(3000, 5)), rng.integers(0, 3, 3000)
    one, two = (ours.KNeighborsClassifier(7, n_jobs=n).fit(X, y).predict_proba(X) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


ones = np.ones((5, 2))


@pytest.mark.parametrize("make, error, message", [
    (lambda: ours.KNeighborsClassifier(0).fit(ones, range(5)).predict(ones), ValueError, "n_neighbors > 0. Got 0"),
    (lambda: ours.KNeighborsClassifier(1.5).fit(ones, range(5)).predict(ones), TypeError, "enter integer value"),
    (lambda: ours.KNeighborsClassifier(6).fit(ones, range(5)).predict(ones), ValueError, "n_neighbors = 6, n_samples_fit = 5"),
    (lambda: ours.NearestNeighbors(n_neighbors=5).fit(ones).kneighbors(), ValueError, "n_neighbors < n_samples_fit, but n_neighbors = 5"),
    (lambda: ours.KNeighborsClassifier(1).fit(ones, range(5)).predict(np.ones((2, 3))), ValueError, "3 features"),
    (lambda: ours.KNeighborsClassifier(1).fit(ones, range(5)).predict(np.empty((0, 2))), ValueError, "0 sample"),
    (lambda: ours.KNeighborsClassifier(1).fit([[np.nan], [1]], [0, 1]), ValueError, "NaN"),
    (lambda: ours.KNeighborsClassifier(1).fit([[np.inf], [1]], [0, 1]), ValueError, "infinity"),
    (lambda: ours.KNeighborsClassifier(1, p=0.5).fit(ones, range(5)), ValueError, "p must be at least 1, got 0.5"),
    (lambda: ours.KNeighborsClassifier(1, metric="smell").fit(ones, range(5)), ValueError, "no metric 'smell'; there are minkowski"),
    (lambda: ours.KNeighborsClassifier(1, algorithm="magic").fit(ones, range(5)), ValueError, "algorithm must be auto, brute or kd_tree"),
    (lambda: ours.KNeighborsClassifier(1, algorithm="kd_tree", metric="cosine").fit(ones, range(5)), ValueError, "needs a Minkowski distance"),
    (lambda: ours.KNeighborsClassifier(1, weights="heavy").fit(ones, range(5)).predict(ones), ValueError, "weights must be uniform, distance or a function"),
    (lambda: ours.KNeighborsClassifier(2, weights=lambda d: d[:, 0]).fit(ones, range(5)).predict(ones), ValueError, r"shape \(5, 2\), got \(5,\)"),
    (lambda: ours.RadiusNeighborsClassifier(-1.0).fit(ones, range(5)).predict(ones), ValueError, "radius must be at least 0"),
    (lambda: ours.NearestNeighbors().fit(ones).kneighbors_graph(ones, mode="x"), ValueError, "mode must be connectivity or distance"),
    (lambda: ours.NearestCentroid().fit(ones, [1] * 5), ValueError, "greater than one; got 1 class"),
    (lambda: ours.NearestCentroid(metric="cosine").fit(ones, range(5)), ValueError, "metric must be euclidean or manhattan"),
    (lambda: ours.NearestCentroid(shrink_threshold=1).fit(ones, [0, 0, 1, 1, 1]), ValueError, "All features have zero variance"),
    (lambda: ours.KDTree(ones, leaf_size=0), ValueError, "leaf_size must be at least 1"),
    (lambda: ours.KDTree(ones).query(ones, 6), ValueError, "n_neighbors = 6"),
    (lambda: ours.KDTree(ones).query_radius(ones, -1), ValueError, "r must be at least 0"),
    (lambda: ours.pairwise_distances([[0.0, 0.0]], ones, metric="cosine"), ValueError, "a row of zeros has no direction"),
    (lambda: ours.pairwise_distances(ones, np.ones((2, 3))), ValueError, "Incompatible dimension"),
    (lambda: ours.minkowski([1, 2], [1, 2, 3]), ValueError, "rows of one length"),
    (lambda: ours.minkowski([1], [2], p=0.3), ValueError, "p must be at least 1"),
    (lambda: ours.cosine_distance([0, 0], [1, 1]), ValueError, "a row of zeros has no direction"),
    (lambda: ours.hamming([1, 2], [1]), ValueError, "rows of one length"),
    (lambda: ours.knn_predict(ones, range(5), [1.0], 2), ValueError, r"got \(5, 2\), \(5,\) and \(1,\)"),
    (lambda: ours.leave_one_out(ours.KNeighborsClassifier(), ones, [0, 0, 0, 1, 1], [5]), ValueError, "n_neighbors = 5"),
])
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_duplicates_with_other_labels_constants_and_a_single_row():
    assert ours.KNeighborsClassifier(2, weights="distance").fit([[1.0], [1.0], [9.0]], ["b", "a", "a"]).predict_proba([[1.0]]).tolist() == [[0.5, 0.5]]
    assert ours.KNeighborsClassifier(1).fit([[3.0, 3.0]], ["x"]).predict([[9.0, 9.0]]).tolist() == ["x"]
    assert ours.KNeighborsRegressor(3).fit(ones[:3], [1.0, 2.0, 6.0]).predict(ones[:1]) == 3.0


def test_tools_of_scikit_learn_work():
    import pandas as pd

    X, y = DATA["wine"]
    pipe = make_pipeline(StandardScaler(), ours.KNeighborsClassifier())
    search = GridSearchCV(pipe, {"kneighborsclassifier__n_neighbors": [3, 15]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.94
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    model = ours.KNeighborsClassifier(3, algorithm="kd_tree").fit(frame, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame), model.predict(frame))
    assert clone(model).get_params()["algorithm"] == "kd_tree" and list(model.feature_names_in_) == list(frame.columns)


def test_memory_stays_small_for_many_queries():
    import tracemalloc

    X = rng.normal(size=(20_000, 4))
    model = ours.NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X)
    tracemalloc.start()
    model.kneighbors(X[:2000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6, "2,000 x 20,000 distances at once would be 320 MB"
