"""Clustering against scikit-learn and SciPy; brute force over partitions; symmetries; published numbers; bad input."""
import itertools
import warnings

import numpy as np
import pytest
import scipy.cluster.hierarchy as tree
import sklearn.cluster as theirs
import sklearn.metrics as scores
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine, make_blobs, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as TheirMixture
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mlcheat.algorithms import clustering as ours

IRIS, SPECIES = load_iris(return_X_y=True)
MOONS, MOON = make_moons(300, noise=0.06, random_state=0)
RINGS, RING = make_circles(300, noise=0.05, factor=0.45, random_state=0)
BLOBS, BLOB = make_blobs(240, 3, centers=5, random_state=1)
STREAKS = make_blobs(300, random_state=170)[0] @ [[0.6, -0.6], [-0.4, 0.8]]
NOISE = np.random.default_rng(0).normal(size=(150, 2))
DATA = {"iris": IRIS, "moons": MOONS, "blobs": BLOBS, "streaks": STREAKS, "noise": NOISE, "wide": np.random.default_rng(1).normal(size=(60, 30)),
        "far": BLOBS + 1e5, "lattice": np.array(list(itertools.product(range(8), range(7))), float)}
LINKAGES = ["single", "complete", "average", "ward"]
KINDS = ["full", "tied", "diag", "spherical"]
ESTIMATORS = [ours.KMeans, ours.MiniBatchKMeans, ours.KMedoids, ours.DBSCAN, ours.GaussianMixture, ours.AgglomerativeClustering, ours.MeanShift,
              ours.SpectralClustering]
BY_K = [ours.KMeans, ours.MiniBatchKMeans, ours.KMedoids, ours.AgglomerativeClustering, ours.SpectralClustering]


def same(a, b):
    """Equal partitions, whatever the names."""
    return ours.adjusted_rand_score(a, b) == 1 and len(set(a)) == len(set(b))


@pytest.mark.parametrize("make", [*ESTIMATORS, lambda: ours.AgglomerativeClustering(linkage="single"), lambda: ours.GaussianMixture(covariance_type="diag"),
                                  lambda: ours.MeanShift(bin_seeding=True), lambda: ours.KMedoids(random_state=0), lambda: ours.KMeans(algorithm="elkan")])
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(make):
    check_estimator(make())


# --- k-means

@pytest.mark.parametrize("data", [d for d in DATA if d != "lattice"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_kmeans_equals_scikit_learn_from_the_same_centres(data, k):
    X = DATA[data]
    start = X[np.random.default_rng(k).choice(len(X), k, replace=False)]
    a, b = ours.KMeans(k, init=start).fit(X), theirs.KMeans(k, init=start, n_init=1).fit(X)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-8)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(a.inertia_, b.inertia_, rtol=1e-8)
    np.testing.assert_allclose(a.transform(X), cdist(X, b.cluster_centers_), atol=1e-8)
    np.testing.assert_array_equal(a.predict(X[::2] + 0.01), b.predict(X[::2] + 0.01))
    np.testing.assert_allclose(a.score(X), b.score(X), rtol=1e-8)
    assert a.get_feature_names_out().tolist() == [f"kmeans{i}" for i in range(k)]


@pytest.mark.parametrize("init", ["random", "k-means++"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kmeans_draws_as_scikit_learn(init, seed):
    rows = BLOBS if init == "random" else BLOBS[np.lexsort(BLOBS.T[::-1])]      # sorted before k-means++ draws
    a, b = ours.KMeans(4, init=init, random_state=seed).fit(BLOBS), theirs.KMeans(4, init=init, random_state=seed).fit(rows)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-8)
    _, i = ours.kmeans_plusplus(BLOBS, 4, random_state=seed)
    np.testing.assert_array_equal(i, theirs.kmeans_plusplus(BLOBS, 4, random_state=seed)[1])


@pytest.mark.parametrize("seed", range(3))
def test_kmeans_reaches_the_best_of_all_partitions(seed):
    X = np.random.default_rng(seed).normal(size=(9, 2))
    cost = lambda z: sum(((X[z == k] - X[z == k].mean(axis=0)) ** 2).sum() for k in set(z))  # noqa: E731
    best = min(cost(np.array(z)) for z in itertools.product(range(3), repeat=9) if z[0] == 0 and len(set(z)) == 3)
    assert np.isclose(ours.KMeans(3, n_init=60, random_state=0).fit(X).inertia_, best)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_inertia_never_rises(seed, k):
    X = np.random.default_rng(seed).normal(size=(40, 3))
    centers, last = X[:k], np.inf
    for _ in range(12):
        _, centers, inertia = ours.lloyd_step(X, centers)
        assert inertia <= last + 1e-9
        last = inertia


def test_kmeans_ties_and_dtype():
    a = ours.KMeans(2, init=[[0.0], [2.0]]).fit([[0.0], [1.0], [2.0]])
    assert a.labels_.tolist() == [0, 0, 1], "of equally near centres the first"
    lattice = ours.KMeans(6, random_state=0).fit(DATA["lattice"])
    assert np.isclose(lattice.inertia_, cdist(DATA["lattice"], lattice.cluster_centers_, "sqeuclidean").min(axis=1).sum())
    assert ours.KMeans(2, random_state=0).fit(BLOBS.astype(np.float32)).cluster_centers_.dtype == np.float32


def test_an_empty_cluster_moves_to_the_farthest_point():
    X = np.array([[0.0], [1.0], [2.0], [30.0]])
    start = np.array([[0.5], [1.5], [500.0]])
    a, b = ours.KMeans(3, init=start).fit(X), theirs.KMeans(3, init=start, n_init=1).fit(X)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_)
    assert len(set(a.labels_)) == 3 and 30.0 in a.cluster_centers_


def test_fewer_distinct_rows_than_clusters():
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\) found smaller than n_clusters \(4\)"):
        model = ours.KMeans(4, random_state=0).fit(np.repeat([[0.0], [1.0]], 5, axis=0))
    assert len(set(model.labels_)) == 2


def in_this_order(X, k, random_state):
    """k-means++ from the rows as they come, as scikit-learn draws."""
    return ours.kmeans_plusplus(X, k, random_state=random_state)[0]


@pytest.mark.parametrize("k, inertia", list(zip(range(1, 8), [681.37, 152.35, 78.85, 57.23, 46.45, 39.04, 34.42])))
def test_published_inertias(k, inertia):
    assert abs(ours.KMeans(k, init=in_this_order, n_init=20, random_state=0).fit(IRIS).inertia_ - inertia) < 0.006


def test_published_agreement_of_kmeans():
    a = ours.KMeans(3, n_init=10, random_state=0).fit(IRIS)
    assert round(ours.adjusted_rand_score(SPECIES, a.labels_), 3) == 0.730
    X, y = load_digits(return_X_y=True)
    b = ours.KMeans(10, init=in_this_order, n_init=10, random_state=0).fit(X)
    assert abs(b.inertia_ - 1_165_188.9) < 0.1 and round(ours.adjusted_rand_score(y, b.labels_), 3) == 0.666
    reached = [sum(ours.KMeans(3, init=i, n_init=1, random_state=s).fit(IRIS).inertia_ < 78.86 for s in range(200)) for i in ("random", in_this_order)]
    assert reached == [157, 200]


def test_minibatches():
    full = ours.KMeans(5, n_init=5, random_state=0).fit(BLOBS)
    small = ours.MiniBatchKMeans(5, batch_size=50, random_state=0).fit(BLOBS)
    assert full.inertia_ <= small.inertia_ + 1e-9 < 1.2 * full.inertia_ and same(full.labels_, small.labels_)
    stream = ours.MiniBatchKMeans(2, init=np.array([[0.0], [10.0]]))
    for batch in ([[1.0], [11.0]], [[3.0], [13.0], [15.0]]):
        stream.partial_fit(batch)
    np.testing.assert_allclose(stream.cluster_centers_.ravel(), [2.0, 13.0])
    np.testing.assert_array_equal(stream.predict([[0.0], [20.0]]), [0, 1])


# --- weights

INTEGERS = np.random.default_rng(7).integers(0, 4, len(BLOBS))
SHARES = np.random.default_rng(8).exponential(size=len(BLOBS))


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize("k, seed", [(2, 0), (5, 1), (12, 2)])
def test_weights_are_repetitions_in_any_order(algorithm, k, seed):
    p = np.random.default_rng(seed).permutation(len(BLOBS))
    a = ours.KMeans(k, random_state=seed, algorithm=algorithm).fit(BLOBS[p], sample_weight=INTEGERS[p])
    b = ours.KMeans(k, random_state=seed, algorithm=algorithm).fit(np.repeat(BLOBS, INTEGERS, axis=0))
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(a.labels_, b.predict(BLOBS[p]))
    assert np.isclose(a.inertia_, b.inertia_) and a.n_iter_ == b.n_iter_
    assert np.isclose(a.score(BLOBS, sample_weight=INTEGERS), b.score(np.repeat(BLOBS, INTEGERS, axis=0)))
    np.testing.assert_allclose(a.score(BLOBS[p], sample_weight=INTEGERS[p]), -a.inertia_)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weights", [INTEGERS, SHARES, 1e6 * SHARES, 1e-6 * SHARES], ids=["whole", "any", "large", "small"])
def test_weighted_kmeans_equals_scikit_learn(weights, dtype):
    X = BLOBS.astype(dtype)
    kept = np.flatnonzero(weights > 0)
    for init, rows in ((X[kept[:5]], X), ("k-means++", X[np.lexsort(X.T[::-1])]), ("random", X)):
        w = weights if rows is X else weights[np.lexsort(X.T[::-1])]
        a = ours.KMeans(5, init=init, n_init=1, tol=0, random_state=0).fit(X, sample_weight=weights)
        b = theirs.KMeans(5, init=init, n_init=1, tol=0, random_state=0).fit(rows, sample_weight=w)
        exact = 1e-9 if dtype is np.float64 else 1e-4
        np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=exact)
        np.testing.assert_allclose([a.inertia_, a.score(X, sample_weight=weights)], [b.inertia_, b.score(rows, sample_weight=w)], rtol=1e-4)
        assert a.cluster_centers_.dtype == dtype and a.labels_.shape == (len(X),)
    i = [f.kmeans_plusplus(X, 5, sample_weight=weights.astype(dtype), random_state=3)[1] for f in (ours, theirs)]
    np.testing.assert_array_equal(*i)


def test_weights_all_ways_in():
    w = SHARES
    model = ours.KMeans(3, random_state=0)
    np.testing.assert_array_equal(model.fit_predict(BLOBS, sample_weight=w), model.fit(BLOBS, sample_weight=w).labels_)
    np.testing.assert_allclose(model.fit_transform(BLOBS, sample_weight=w), model.transform(BLOBS))
    once, twice = ours.KMeans(3, random_state=0).fit(BLOBS), ours.KMeans(3, random_state=0).fit(BLOBS, sample_weight=2)
    np.testing.assert_allclose(once.cluster_centers_, twice.cluster_centers_)
    assert np.isclose(2 * once.inertia_, twice.inertia_)
    np.testing.assert_array_equal(ours.DBSCAN(1.0).fit_predict(BLOBS, sample_weight=w), ours.DBSCAN(1.0).fit(BLOBS, sample_weight=w).labels_)
    for mine, other in ((ours.KMeans(), theirs.KMeans()), (ours.MiniBatchKMeans(), theirs.MiniBatchKMeans()), (ours.DBSCAN(), theirs.DBSCAN())):
        for method in ("fit", "partial_fit", "score", "predict", "transform"):
            assert mine.get_metadata_routing()._serialize().get(method) == other.get_metadata_routing()._serialize().get(method)


def test_an_empty_cluster_takes_the_weight_of_its_row():
    X, w = np.array([[0.0], [1.0], [2.0], [30.0]]), np.array([0.1, 0.2, 0.3, 5.0])
    a, b = [f.KMeans(3, init=np.array([[0.5], [1.7], [500.0]]), n_init=1).fit(X, sample_weight=w) for f in (ours, theirs)]
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_)
    np.testing.assert_array_equal(a.labels_, b.labels_)


def test_weighted_minibatches():
    batches = [(BLOBS[:100], SHARES[:100]), (BLOBS[100:], SHARES[100:])]
    start = theirs.KMeans(5, n_init=3, random_state=0).fit(BLOBS).cluster_centers_
    a, b = [f.MiniBatchKMeans(5, init=start, n_init=1) for f in (ours, theirs)]
    for X, w in batches:
        a.partial_fit(X, sample_weight=w)
        b.partial_fit(X, sample_weight=w)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_)
    z = a.predict(BLOBS)
    np.testing.assert_allclose(a.cluster_centers_, [np.average(BLOBS[z == k], axis=0, weights=SHARES[z == k]) for k in range(5)], atol=1e-6)
    p = np.random.default_rng(0).permutation(len(BLOBS))
    a = ours.MiniBatchKMeans(5, random_state=0).fit(BLOBS[p], sample_weight=INTEGERS[p])
    b = ours.MiniBatchKMeans(5, random_state=0).fit(np.repeat(BLOBS, INTEGERS, axis=0))
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_)
    assert np.isclose(a.inertia_, b.inertia_) and len(a.labels_) == len(BLOBS)


@pytest.mark.parametrize("make", [ours.KMeans, ours.MiniBatchKMeans])
@pytest.mark.parametrize("weights, message", [([1.0] * 239 + [-1.0], "Negative values"), (np.zeros(240), "zero"), ([1.0, 2.0], "sample_weight"),
                                              (np.ones((240, 1)), "sample_weight|1D"), ([np.nan] * 240, "NaN"),
                                              ([1.0] * 3 + [0.0] * 237, r"n_samples=3 should be >= n_clusters=8")])
def test_weights_that_do_not_fit(make, weights, message):
    with pytest.raises(ValueError, match=message):
        make().fit(BLOBS, sample_weight=weights)


def test_other_weights_that_do_not_fit():
    with pytest.raises(ValueError, match="Negative values"):
        ours.KMeans(2).fit(BLOBS).score(BLOBS, sample_weight=-SHARES)
    with pytest.raises(ValueError, match="Negative values"):
        ours.kmeans_plusplus(BLOBS, 2, sample_weight=-SHARES)
    for weights, message in ((np.zeros(240), "zero"), ([1.0], "sample_weight"), ([np.inf] * 240, "infinity")):
        with pytest.raises(ValueError, match=message):
            ours.DBSCAN().fit(BLOBS, sample_weight=weights)


# --- Elkan's bounds

@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("weighted", [False, True])
def test_elkan_equals_lloyd(data, k, weighted):
    X = DATA[data]
    if data in ("lattice", "iris"):                            # there the last bit decides ties
        X = X + 1e-3 * np.random.default_rng(0).normal(size=X.shape)
    start = X[np.random.default_rng(k).choice(len(X), k, replace=False)]
    w = np.random.default_rng(0).exponential(size=len(X)) if weighted else None
    a, b = [ours.KMeans(k, init=start, algorithm=name).fit(X, sample_weight=w) for name in ("lloyd", "elkan")]
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-9)
    assert a.n_iter_ == b.n_iter_ and np.isclose(a.inertia_, b.inertia_)


def test_elkan_ties_empty_clusters_and_dtype():
    assert ours.KMeans(2, init=[[0.0], [2.0]], algorithm="elkan").fit([[0.0], [1.0], [2.0]]).labels_.tolist() == [0, 0, 1]
    X = np.array([[0.0], [1.0], [2.0], [30.0]])
    a, b = [ours.KMeans(3, init=[[0.5], [1.5], [500.0]], algorithm=name).fit(X) for name in ("lloyd", "elkan")]
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_)
    assert ours.KMeans(2, random_state=0, algorithm="elkan").fit(BLOBS.astype(np.float32)).cluster_centers_.dtype == np.float32


# --- k-medoids

@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "precomputed"])
@pytest.mark.parametrize("random_state", [None, 0])
def test_medoids_are_a_minimum_of_swaps(metric, random_state):
    X = np.random.default_rng(2).normal(size=(14, 3))
    D = cdist(X, X, "cityblock" if metric == "manhattan" else "euclidean" if metric == "precomputed" else metric)
    model = ours.KMedoids(3, metric=metric, random_state=random_state).fit(D if metric == "precomputed" else X)
    chosen = model.medoid_indices_.tolist()
    cost = D[:, chosen].min(axis=1).sum()
    assert np.isclose(cost, model.inertia_)
    np.testing.assert_array_equal(model.labels_, D[:, chosen].argmin(axis=1))
    for i, new in itertools.product(range(3), range(14)):
        assert D[:, chosen[:i] + [new] + chosen[i + 1:]].min(axis=1).sum() >= cost - 1e-12
    np.testing.assert_array_equal(model.predict(D if metric == "precomputed" else X), model.labels_)


def test_an_outlier_drags_the_mean_only():
    X = np.array([[1.0], [2], [3], [100]])
    assert ours.KMedoids(1).fit(X).cluster_centers_.item() == 2 and ours.KMeans(1).fit(X).cluster_centers_.item() == 26.5


# --- density

@pytest.mark.parametrize("data", [d for d in DATA if d != "wide"])
@pytest.mark.parametrize("eps, least", [(0.1, 3), (0.2, 5), (0.5, 5), (1.0, 10)])
@pytest.mark.parametrize("algorithm", ["auto", "brute"])
def test_dbscan_equals_scikit_learn_but_for_border_rows_of_two_clusters(data, eps, least, algorithm):
    X = DATA[data]
    a, b = ours.DBSCAN(eps, min_samples=least, algorithm=algorithm).fit(X), theirs.DBSCAN(eps=eps, min_samples=least).fit(X)
    core = a.core_sample_indices_
    np.testing.assert_array_equal(core, b.core_sample_indices_)
    np.testing.assert_array_equal(a.labels_[core], b.labels_[core])
    np.testing.assert_array_equal(a.labels_ < 0, b.labels_ < 0)
    np.testing.assert_allclose(a.components_, X[core])
    if len(core):
        D = cdist(X, X[core])
        for i in np.flatnonzero(a.labels_ != b.labels_):
            reach = set(a.labels_[core][D[i] <= eps])
            assert len(reach) > 1 and {a.labels_[i], b.labels_[i]} <= reach
            assert a.labels_[i] == a.labels_[core][D[i].argmin()]
    assert (ours.k_distances(X, least) <= eps).sum() == len(core)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", "precomputed"])
def test_dbscan_metrics(metric):
    X = squareform(pdist(MOONS)) if metric == "precomputed" else MOONS
    a, b = ours.DBSCAN(0.2, metric=metric).fit(X), theirs.DBSCAN(eps=0.2, metric=metric).fit(X)
    assert same(a.labels_, b.labels_)


@pytest.mark.parametrize("algorithm", ["auto", "brute"])
@pytest.mark.parametrize("eps", [0.5, 1.5])
def test_weighted_dbscan(eps, algorithm):
    for w in (INTEGERS, SHARES, SHARES - 0.4):
        a, b = ours.DBSCAN(eps, algorithm=algorithm).fit(BLOBS, sample_weight=w), theirs.DBSCAN(eps=eps).fit(BLOBS, sample_weight=w)
        np.testing.assert_array_equal(a.core_sample_indices_, b.core_sample_indices_)
        np.testing.assert_array_equal(a.labels_ < 0, b.labels_ < 0)
        np.testing.assert_array_equal(a.labels_[a.core_sample_indices_], b.labels_[b.core_sample_indices_])
    w = np.maximum(INTEGERS, 1)
    copies = ours.DBSCAN(eps).fit_predict(np.repeat(BLOBS, w, axis=0))
    np.testing.assert_array_equal(np.repeat(ours.DBSCAN(eps).fit_predict(BLOBS, sample_weight=w), w), copies)
    D = squareform(pdist(BLOBS))
    assert same(ours.DBSCAN(eps, metric="precomputed").fit_predict(D, sample_weight=w), ours.DBSCAN(eps).fit_predict(BLOBS, sample_weight=w))


def test_a_row_of_weight_0_counts_for_nobody_but_has_a_label():
    X = np.array([[0.0], [0.5], [1.0], [9.0]])
    assert ours.DBSCAN(0.6, min_samples=3).fit_predict(X, sample_weight=[1, 0, 1, 1]).tolist() == [-1] * 4
    assert ours.DBSCAN(0.6, min_samples=2).fit_predict(X, sample_weight=[1, 0, 1, 1]).tolist() == [0, 0, 0, -1], "itself core"
    assert ours.DBSCAN(0.6, min_samples=2).fit(X, sample_weight=[2, -1, 2, 1]).core_sample_indices_.tolist() == [1]


def test_dbscan_by_hand_and_all_noise():
    X = np.array([0, 0.5, 1, 1.5, 5, 5.4, 5.8, 10])[:, None]
    model = ours.DBSCAN(0.6, min_samples=3).fit(X)
    assert model.labels_.tolist() == [0, 0, 0, 0, 1, 1, 1, -1] and X[model.core_sample_indices_, 0].tolist() == [0.5, 1, 5.4]
    assert ours.DBSCAN(0.6, min_samples=4).fit(X).labels_.tolist() == [-1] * 8
    assert ours.DBSCAN(0.6).fit(X[:1]).labels_.tolist() == [-1]
    assert ours.DBSCAN(0.6, min_samples=1).fit(X).labels_.min() == 0


def test_published_agreement_on_moons():
    standard = {0.1: 0.337, 0.2: 1.0, 0.3: 0.0}
    for eps, value in standard.items():
        assert round(scores.adjusted_rand_score(MOON, theirs.DBSCAN(eps=eps).fit_predict(MOONS)), 3) == value
        assert abs(ours.adjusted_rand_score(MOON, ours.DBSCAN(eps).fit_predict(MOONS)) - value) < 0.002    # one border row joins its nearest core row
    found = [ours.KMeans(2, n_init=10, random_state=0), ours.AgglomerativeClustering(2), ours.AgglomerativeClustering(2, linkage="single"),
             ours.GaussianMixture(2, random_state=0), ours.MeanShift()]
    assert [round(ours.adjusted_rand_score(MOON, m.fit_predict(MOONS)), 3) for m in found] == [0.234, 0.297, 1.0, 0.461, 0.358]


@pytest.mark.parametrize("data", ["iris", "moons", "blobs", "streaks"])
@pytest.mark.parametrize("bin_seeding", [False, True])
@pytest.mark.parametrize("bandwidth", [None, 0.9])
def test_mean_shift_equals_scikit_learn(data, bin_seeding, bandwidth):
    X = DATA[data]
    a = ours.MeanShift(bandwidth=bandwidth, bin_seeding=bin_seeding).fit(X)
    b = theirs.MeanShift(bandwidth=bandwidth, bin_seeding=bin_seeding).fit(X)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-8)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_array_equal(a.predict(X), a.labels_)


@pytest.mark.parametrize("quantile", [0.05, 0.3, 0.9])
def test_bandwidth_equals_scikit_learn(quantile):
    assert np.isclose(ours.estimate_bandwidth(IRIS, quantile=quantile), theirs.estimate_bandwidth(IRIS, quantile=quantile))
    assert np.isclose(ours.estimate_bandwidth(IRIS, quantile=quantile, n_samples=50), theirs.estimate_bandwidth(IRIS, quantile=quantile, n_samples=50))


def test_mean_shift_counts_and_orphans():
    assert [len(ours.MeanShift(bandwidth=h).fit(IRIS).cluster_centers_) for h in (0.5, 0.7, 0.85, 1, 3)] == [16, 6, 3, 2, 1]
    X = np.array([[0.0], [0.1], [0.2], [9.0]])
    model = ours.MeanShift(bandwidth=1, seeds=[[0.0]], cluster_all=False).fit(X)
    assert model.labels_.tolist() == [0, 0, 0, -1]


# --- mixtures

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", ["iris", "streaks", "blobs"])
@pytest.mark.parametrize("k", [1, 3])
def test_mixture_equals_scikit_learn(kind, data, k):
    X = DATA[data]
    d = X.shape[1]
    P = {"full": np.stack([np.eye(d)] * k), "tied": np.eye(d), "diag": np.ones((k, d)), "spherical": np.ones(k)}[kind]
    given = dict(weights_init=np.full(k, 1 / k), means_init=X[[0, 60, 120][:k]], precisions_init=2 * P)
    for settings_ in (given, {"random_state": 0}, {"random_state": 1, "init_params": "random", "n_init": 2, "max_iter": 200}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a = ours.GaussianMixture(k, covariance_type=kind, **settings_).fit(X)
            b = TheirMixture(k, covariance_type=kind, **settings_).fit(X)
        for name in ("weights_", "means_", "covariances_", "precisions_"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6, atol=1e-6)
        assert (a.n_iter_, a.converged_) == (b.n_iter_, b.converged_)
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-6)
        np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), atol=1e-6)
        np.testing.assert_allclose([a.bic(X), a.aic(X), a.lower_bound_], [b.bic(X), b.aic(X), b.lower_bound_], atol=1e-4)
        assert np.all(np.diff(a.lower_bounds_) > -1e-9)


def test_published_mixtures():
    a = ours.GaussianMixture(3, random_state=0, tol=1e-6, max_iter=500).fit(IRIS)
    assert abs(150 * a.score(IRIS) + 180.19) < 0.01 and round(ours.adjusted_rand_score(SPECIES, a.predict(IRIS)), 3) == 0.904
    bic = [ours.GaussianMixture(k, n_init=5, random_state=0).fit(IRIS).bic(IRIS) for k in (1, 2, 3)]
    np.testing.assert_allclose(bic, [830.0, 574.0, 580.9], atol=0.1)
    y = make_blobs(300, random_state=170)[1]
    assert ours.adjusted_rand_score(y, ours.GaussianMixture(3, random_state=0).fit_predict(STREAKS)) == 1
    assert abs(ours.adjusted_rand_score(y, ours.KMeans(3, n_init=10, random_state=0).fit_predict(STREAKS)) - 0.557) < 0.0006
    full = ours.GaussianMixture(3, random_state=0).fit(IRIS)
    assert full._n_parameters() == 44


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_a_mixture_have_its_moments(kind):
    model = ours.GaussianMixture(2, covariance_type=kind, random_state=0).fit(IRIS)
    X, z = model.sample(20_000)
    np.testing.assert_allclose(X.mean(axis=0), IRIS.mean(axis=0), atol=0.05)
    assert abs(np.mean(z == 0) - model.weights_[0]) < 0.01 and X.shape == (20_000, 4)


# --- trees

@pytest.mark.parametrize("data", [d for d in DATA if d != "lattice"])
@pytest.mark.parametrize("method", LINKAGES)
def test_linkage_equals_scipy(data, method):
    X = DATA[data]
    Z, W = ours.linkage_matrix(X, method), tree.linkage(X, method)
    np.testing.assert_allclose(Z[:, 2], W[:, 2], rtol=1e-9, atol=1e-10)
    if data != "iris":                                                 # equal distances: the order of merges is not unique there
        np.testing.assert_allclose(Z, W, rtol=1e-9, atol=1e-10)
    assert tree.is_valid_linkage(Z)
    assert np.isclose(ours.cophenetic_correlation(Z, X), tree.cophenet(Z, pdist(X))[0])
    for k in (1, 2, 5, len(X)):
        assert same(ours.cut_tree(Z, n_clusters=k), tree.cut_tree(Z, k).ravel())
    for h in np.quantile(Z[:, 2], [0.1, 0.5, 0.97]):
        assert same(ours.cut_tree(Z, height=h), tree.fcluster(Z, h, "distance"))


@pytest.mark.parametrize("method, heights", [("single", [1, 2, 3, 4]), ("complete", [1, 3, 4, 10]), ("average", [1, 2.5, 4, 6.6667]),
                                             ("ward", [1, 2.8868, 4, 10.3280])])
def test_published_heights(method, heights):
    np.testing.assert_allclose(ours.linkage_matrix([[1.0], [2], [4], [7], [11]], method)[:, 2], heights, atol=6e-5)


@pytest.mark.parametrize("method, value", list(zip(LINKAGES, [0.8639, 0.7270, 0.8770, 0.8728])))
def test_published_cophenetic_correlations(method, value):
    assert abs(ours.cophenetic_correlation(ours.linkage_matrix(IRIS, method), IRIS) - value) < 6e-5


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("data", ["moons", "blobs", "streaks", "noise"])
def test_agglomeration_equals_scikit_learn(linkage, data):
    X = DATA[data]
    for given in ({"n_clusters": 4}, {"n_clusters": None, "distance_threshold": 0.7}):
        a = ours.AgglomerativeClustering(linkage=linkage, compute_distances=True, **given).fit(X)
        b = theirs.AgglomerativeClustering(linkage=linkage, compute_distances=True, **given).fit(X)
        assert same(a.labels_, b.labels_) and (a.n_clusters_, a.n_leaves_) == (b.n_clusters_, b.n_leaves_)
        np.testing.assert_allclose(a.distances_, b.distances_, atol=1e-8)
    if linkage != "ward":
        for metric in ("manhattan", "precomputed"):
            rows = cdist(X, X) if metric == "precomputed" else X
            a, b = (m.AgglomerativeClustering(3, linkage=linkage, metric=metric).fit(rows) for m in (ours, theirs))
            assert same(a.labels_, b.labels_)


def test_published_agreement_of_trees():
    scaled = lambda load: (StandardScaler().fit_transform(load(return_X_y=True)[0]), load(return_X_y=True)[1])  # noqa: E731
    (X, y), (W, w), (D, d) = scaled(load_iris), scaled(load_wine), load_digits(return_X_y=True)
    ari = lambda X, y, k, m: round(ours.adjusted_rand_score(y, ours.AgglomerativeClustering(k, linkage=m).fit_predict(X)), 3)  # noqa: E731
    assert [ari(X, y, 3, m) for m in LINKAGES] == [0.558, 0.573, 0.562, 0.615]
    assert (ari(W, w, 3, "ward"), ari(W, w, 3, "single"), ari(D, d, 10, "ward"), ari(D, d, 10, "single")) == (0.790, -0.007, 0.794, 0.0)
    for data, truth, value in ((X, y, 0.620), (W, w, 0.897)):
        assert round(ours.adjusted_rand_score(truth, ours.KMeans(3, n_init=10, random_state=0).fit_predict(data)), 3) == value


def test_dendrogram_draws_every_merge():
    ax = Figure().subplots()
    Z = ours.linkage_matrix(BLOBS[:20], "average")
    order = ours.plot_dendrogram(Z, ax, height=float(Z[-3, 2]), labels=list("abcdefghijklmnopqrst"))
    assert sorted(order) == list(range(20)) and len(ax.lines) == 20
    assert sorted(max(line.get_ydata()) for line in ax.lines[:-1]) == pytest.approx(sorted(Z[:, 2]))
    with pytest.raises(ValueError, match="expected 20 labels, got 2"):
        ours.plot_dendrogram(Z, ax, labels=["a", "b"])


@pytest.mark.parametrize("data", ["iris", "moons", "blobs", "streaks", "noise"])
@pytest.mark.parametrize("least, samples", [(5, None), (20, None), (10, 3)])
def test_hdbscan_equals_scikit_learn_but_for_ties(data, least, samples):
    a = ours.hdbscan(DATA[data], min_cluster_size=least, min_samples=samples)
    b = theirs.HDBSCAN(min_cluster_size=least, min_samples=samples, copy=True).fit_predict(DATA[data])
    assert a.max() == b.max() and abs(int((a < 0).sum()) - int((b < 0).sum())) <= 2
    assert ours.adjusted_rand_score(a, b) > 0.97               # equal heights may merge in another order


def test_hdbscan_refuses():
    for given, message in (({"min_cluster_size": 1}, "at least 2"), ({"min_cluster_size": 99}, "n_samples=10"), ({"min_samples": 0}, "min_samples must be")):
        with pytest.raises(ValueError, match=message):
            ours.hdbscan(BLOBS[:10], **given)
    assert set(ours.hdbscan(np.ones((9, 2)))) <= {-1, 0, 1}


# --- spectral

@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
@pytest.mark.parametrize("X, given", [(RINGS, {"affinity": "nearest_neighbors"}), (MOONS, {"affinity": "nearest_neighbors", "n_neighbors": 15}),
                                      (RINGS, {"gamma": 20.0}), (STREAKS, {"gamma": 2.0})])
def test_spectral_equals_scikit_learn(X, given):
    a, b = ours.SpectralClustering(2, random_state=0, **given).fit(X), theirs.SpectralClustering(2, random_state=0, **given).fit(X)
    np.testing.assert_allclose(a.affinity_matrix_, b.affinity_matrix_.toarray() if hasattr(b.affinity_matrix_, "toarray") else b.affinity_matrix_, atol=1e-10)
    assert same(a.labels_, b.labels_)
    assert same(ours.SpectralClustering(2, affinity="precomputed", random_state=0).fit_predict(a.affinity_matrix_), a.labels_)


# --- scores

@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6), st.integers(2, 60))
def test_external_scores_equal_scikit_learn(seed, a, b, n):
    gen = np.random.default_rng(seed)
    u, v = gen.integers(0, a, n), gen.integers(0, b, n)
    for name in ("rand_score", "adjusted_rand_score", "adjusted_mutual_info_score"):
        assert np.isclose(getattr(ours, name)(u, v), getattr(scores, name)(u, v), atol=1e-10), name
    np.testing.assert_array_equal(ours.contingency_matrix(u, v), scores.cluster.contingency_matrix(u, v))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_internal_scores_equal_scikit_learn(seed, k):
    gen = np.random.default_rng(seed)
    X, z = gen.normal(size=(30, 3)), np.r_[np.arange(k), gen.integers(0, k, 30 - k)]
    np.testing.assert_allclose(ours.silhouette_samples(X, z), scores.silhouette_samples(X, z), atol=1e-12)
    np.testing.assert_allclose(ours.silhouette_samples(cdist(X, X), z, metric="precomputed"), scores.silhouette_samples(X, z), atol=1e-7)
    assert np.isclose(ours.silhouette_score(X, z, metric="manhattan"), scores.silhouette_score(X, z, metric="manhattan"))
    assert np.isclose(ours.calinski_harabasz_score(X, z), scores.calinski_harabasz_score(X, z))
    assert np.isclose(ours.davies_bouldin_score(X, z), scores.davies_bouldin_score(X, z))


def test_scores_by_hand():
    assert ours.adjusted_rand_score([0, 0, 1, 1], [5, 5, 2, 2]) == 1 and ours.adjusted_rand_score([0, 0, 1, 1], [0, 1, 0, 1]) == -0.5
    assert round(ours.adjusted_rand_score([0, 0, 1, 1], [0, 0, 1, 2]), 4) == 0.5714
    assert ours.rand_score([0], [0]) == 1 == ours.adjusted_mutual_info_score([0], [3])
    values = [ours.silhouette_score(IRIS, ours.KMeans(k, n_init=5, random_state=0).fit_predict(IRIS)) for k in (2, 3, 4)]
    np.testing.assert_allclose(values, [0.681, 0.553, 0.498], atol=6e-4)
    values = [ours.calinski_harabasz_score(IRIS, ours.KMeans(k, n_init=5, random_state=0).fit_predict(IRIS)) for k in (2, 3, 4)]
    np.testing.assert_allclose(values, [513.9, 561.6, 530.8], atol=0.06)
    gen = np.random.default_rng(0)
    random = np.mean([(ours.rand_score(SPECIES, z), ours.adjusted_rand_score(SPECIES, z)) for z in gen.integers(0, 3, (300, 150))], axis=0)
    np.testing.assert_allclose(random, [0.557, 0.0], atol=0.002)


def test_gap_finds_nothing_in_noise():
    gap, sd = ours.gap_statistic(np.random.default_rng(1).uniform(size=(150, 2)), range(1, 5), B=10, random_state=0)
    assert gap.shape == sd.shape == (4,) and gap[0] >= gap[1] - sd[1]
    gap, sd = ours.gap_statistic(make_blobs(150, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)[0], range(1, 5), B=10, random_state=0)
    assert gap.argmax() == 2
    with pytest.raises(ValueError, match="fewer clusters than distinct rows"):
        ours.gap_statistic(np.ones((5, 1)), [1], B=2)


# --- symmetries

@pytest.mark.parametrize("make", [lambda: ours.KMeans(3, n_init=20, random_state=0), lambda: ours.KMedoids(3), lambda: ours.DBSCAN(0.6),
                                  lambda: ours.AgglomerativeClustering(3), lambda: ours.AgglomerativeClustering(3, linkage="average"),
                                  lambda: ours.GaussianMixture(3, n_init=5, random_state=0), lambda: ours.MeanShift(bandwidth=1.5),
                                  lambda: ours.SpectralClustering(3, random_state=0)])
def test_shift_rotation_and_order_change_only_names(make):
    X = make_blobs(90, centers=[[0, 0], [5, 1], [2, 6]], cluster_std=0.9, random_state=5)[0]
    z = make().fit_predict(X)
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    p = np.random.default_rng(0).permutation(len(X))
    assert same(make().fit_predict(X + 100.0), z)
    assert same(make().fit_predict(X @ turn), z)
    assert same(make().fit_predict(X[p]), z[p])


def test_dbscan_borders_do_not_depend_on_row_order():
    gen = np.random.default_rng(0)
    for _ in range(10):
        X = gen.integers(0, 12, (60, 2)).astype(float)
        z = ours.DBSCAN(1.0, min_samples=4).fit_predict(X)
        p = gen.permutation(60)
        w = ours.DBSCAN(1.0, min_samples=4).fit_predict(X[p])
        assert same(w, z[p]) and np.array_equal(w < 0, z[p] < 0)


@pytest.mark.parametrize("make", ESTIMATORS)
def test_inputs_are_not_modified(make):
    X = BLOBS[:40].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone(make()).fit(X)
    np.testing.assert_array_equal(X, BLOBS[:40])


# --- bad input

@pytest.mark.parametrize("make", BY_K)
@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_number_of_clusters_must_be_a_count(make, k):
    with pytest.raises(ValueError, match="n_clusters must be an integer of at least 1"):
        make(n_clusters=k).fit(BLOBS)


@pytest.mark.parametrize("make", BY_K)
def test_more_clusters_than_rows(make):
    with pytest.raises(ValueError, match=r"n_samples=3 should be >= n_clusters=4"):
        make(n_clusters=4).fit(BLOBS[:3])


@pytest.mark.parametrize("make", ESTIMATORS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(make, bad):
    X = BLOBS[:20].copy()
    X[3, 1] = bad
    with pytest.raises(ValueError, match="NaN|infinity"):
        make().fit(X)


@pytest.mark.parametrize("model, message", [
    (ours.DBSCAN(0), "eps must be a number above 0, got 0; a plot of k_distances"), (ours.DBSCAN(-1.0), "eps must be"),
    (ours.DBSCAN(float("nan")), "eps must be"), (ours.DBSCAN(min_samples=0), "min_samples must be"), (ours.DBSCAN(algorithm="best"), "algorithm must be"),
    (ours.MeanShift(bandwidth=0), "bandwidth must be a number above 0"), (ours.MeanShift(bandwidth=-2), "bandwidth must be"),
    (ours.MeanShift(bandwidth=1, seeds=[[1.0]]), "seeds must have 3 features"), (ours.MeanShift(bandwidth=0.1, seeds=[[1e6] * 3]), "No point was within"),
    (ours.KMeans(init="best"), "init must be"), (ours.KMeans(3, init=np.zeros((2, 3))), "does not match n_clusters=3"),
    (ours.KMeans(n_init="many"), "n_init must be"), (ours.KMeans(algorithm="best"), "algorithm must be 'lloyd' or 'elkan'"), (ours.KMeans(tol=-1), "tol must be"),
    (ours.KMeans(max_iter=0), "max_iter must be"),
    (ours.AgglomerativeClustering(metric="manhattan"), "Ward can only work with euclidean"), (ours.AgglomerativeClustering(linkage="best"), "method must be"),
    (ours.AgglomerativeClustering(distance_threshold=1.0), "Exactly one of"),
    (ours.AgglomerativeClustering(metric="precomputed", linkage="single"), r"must be square, got shape \(240, 3\)"),
    (ours.DBSCAN(metric="precomputed"), "must be square"), (ours.KMedoids(metric="precomputed"), "must be square"),
    (ours.SpectralClustering(affinity="precomputed"), "must be square"), (ours.SpectralClustering(affinity="best"), "affinity must be"),
    (ours.SpectralClustering(gamma=0), "gamma must be"), (ours.SpectralClustering(affinity="nearest_neighbors", n_neighbors=0), "n_neighbors must be"),
    (ours.GaussianMixture(0), "n_components must be"), (ours.GaussianMixture(500), r"n_samples=240 should be >= n_components=500"),
    (ours.GaussianMixture(covariance_type="round"), "covariance_type must be one of"), (ours.GaussianMixture(init_params="best"), "init_params must be"),
    (ours.GaussianMixture(2, means_init=np.zeros((2, 2))), r"means_init must have shape \(2, 3\), got \(2, 2\)"),
    (ours.GaussianMixture(2, weights_init=[0.5, 0.6]), "sum to 1"), (ours.GaussianMixture(2, weights_init=[1.0]), "weights_init must have shape"),
    (ours.GaussianMixture(1, precisions_init=[-np.eye(3)]), "positive definite"), (ours.GaussianMixture(reg_covar=-1), "reg_covar and tol"),
])
def test_settings_that_do_not_fit(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(BLOBS)


@pytest.mark.parametrize("model", [ours.DBSCAN(metric="precomputed"), ours.KMedoids(2, metric="precomputed"),
                                   ours.AgglomerativeClustering(metric="precomputed", linkage="average")])
def test_negative_or_lopsided_distances(model):
    with pytest.raises(ValueError, match="Negative values in data"):
        model.fit(np.array([[0.0, -1, 2], [-1, 0, 1], [2, 1, 0]]))
    with pytest.raises(ValueError, match="symmetric"):
        model.fit(np.array([[0.0, 1, 2], [3, 0, 1], [2, 1, 0]]))


def test_equal_rows():
    X = np.ones((12, 2))
    with pytest.raises(ValueError, match="estimated as 0 .* give a bandwidth above 0"):
        ours.MeanShift().fit(X)
    assert set(ours.DBSCAN().fit_predict(X)) == {0}
    assert set(ours.MeanShift(bandwidth=1).fit_predict(X)) == {0}
    assert ours.linkage_matrix(X, "ward")[:, 2].max() == 0
    assert np.isclose(ours.KMeans(1).fit(X).inertia_, 0)


def test_constant_columns_and_one_row():
    X = np.column_stack([BLOBS[:60], np.full(60, 7.0)])
    for make in (lambda: ours.KMeans(3, random_state=0), lambda: ours.AgglomerativeClustering(3), lambda: ours.DBSCAN(2.0),
                 lambda: ours.GaussianMixture(2, random_state=0), lambda: ours.MeanShift(bandwidth=2)):
        assert same(make().fit_predict(X), make().fit_predict(X[:, :-1]))
    assert ours.KMeans(1).fit([[3.0, 4.0]]).cluster_centers_.tolist() == [[3.0, 4.0]]
    assert ours.KMedoids(1).fit([[3.0]]).labels_.tolist() == [0]
    for model in (ours.AgglomerativeClustering(1), ours.GaussianMixture(1)):
        with pytest.raises(ValueError, match="minimum of 2 is required"):
            model.fit([[3.0, 4.0]])


def test_a_collapsing_component_names_reg_covar():
    for kind in KINDS:
        with pytest.raises(ValueError, match="increase reg_covar"):
            ours.GaussianMixture(2, covariance_type=kind, reg_covar=0, random_state=0).fit([[0.0, 0], [0, 0], [5, 0], [5, 0]])
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        ours.GaussianMixture(3, max_iter=2, tol=0, random_state=0).fit(IRIS)


@pytest.mark.parametrize("score", [ours.silhouette_score, ours.silhouette_samples, ours.calinski_harabasz_score, ours.davies_bouldin_score])
def test_scores_need_two_clusters_and_fewer_than_rows(score):
    for z in (np.zeros(10, int), np.arange(10)):
        with pytest.raises(ValueError, match="Valid values are 2 to n_samples - 1 = 9"):
            score(BLOBS[:10], z)
    with pytest.raises(ValueError, match="one label a row"):
        score(BLOBS[:10], np.zeros((10, 1)))


def test_partitions_of_different_length():
    for score in (ours.rand_score, ours.adjusted_rand_score, ours.adjusted_mutual_info_score, ours.contingency_matrix):
        with pytest.raises(ValueError, match="two partitions of the same rows"):
            score([0, 1], [0, 1, 1])


def test_too_many_rows_for_a_tree_are_told_the_memory():
    with pytest.raises(ValueError, match="50000 rows need 20.0 GB"):
        ours.AgglomerativeClustering(2).fit(np.zeros((50_000, 1)))


@pytest.mark.parametrize("given", [{}, {"n_clusters": 2, "height": 1.0}, {"n_clusters": 0}, {"n_clusters": 99}])
def test_cutting_needs_one_possible_wish(given):
    with pytest.raises(ValueError, match="n_clusters"):
        ours.cut_tree(ours.linkage_matrix(BLOBS[:10]), **given)


def test_other_refusals():
    with pytest.raises(ValueError, match="expected centres with 3 features"):
        ours.lloyd_step(BLOBS, [[1.0]])
    with pytest.raises(ValueError, match="kernel must be"):
        ours.mean_shift_step(BLOBS, BLOBS[:1], 1.0, kernel="square")
    with pytest.raises(ValueError, match=r"quantile must lie in \[0, 1\]"):
        ours.estimate_bandwidth(BLOBS, quantile=2)
    with pytest.raises(ValueError, match="expected merges of 9 rows"):
        ours.cophenetic_correlation(ours.linkage_matrix(BLOBS[:10]), BLOBS[:9])
    with pytest.raises(ValueError, match="n_samples=10 should be >= k=11"):
        ours.k_distances(BLOBS[:10], 11)
    with pytest.raises(ValueError, match="n_samples=2 should be >= n_clusters=3"):
        ours.kmeans_plusplus(BLOBS[:2], 3)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_narrow_components_far_apart_keep_their_digits(kind):
    gen = np.random.default_rng(0)
    X = np.vstack([gen.normal(c, 0.01, (60, 2)) for c in (-1e4, 1e4, 1e4 + 1)])
    start = dict(weights_init=np.full(3, 1 / 3), means_init=X[[0, 60, 120]])
    start["precisions_init"] = np.stack([np.eye(2)] * 3) if kind == "full" else np.eye(2)
    model = ours.GaussianMixture(3, covariance_type=kind, **start).fit(X)
    exact = np.stack([np.cov(X[i:i + 60].T, bias=True) for i in (0, 60, 120)]) + 1e-6 * np.eye(2)
    np.testing.assert_allclose(model.covariances_, exact if kind == "full" else exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(model.means_, X.reshape(3, 60, 2).mean(axis=1), rtol=1e-12)
