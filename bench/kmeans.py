"""k-means by Lloyd's steps from the same centres: algorithms.KMeans against scikit-learn's."""
import numpy as np
from sklearn.cluster import KMeans as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.clustering import KMeans


def make(n: int, d: int, k: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(k, d))[rng.integers(0, k, n)]
    given = {"init": X[:k], "n_init": 1, "max_iter": 30, "tol": 0.0}

    def compare(ours, theirs):
        same = np.allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-8) and ours.n_iter_ == theirs.n_iter_
        return [] if same and np.array_equal(ours.labels_, theirs.labels_) else ["centres, labels or steps differ"]

    return Case(lambda: KMeans(k, **given).fit(X), lambda: Theirs(k, **given).fit(X), compare)


ITEM = Item("kmeans", "k-means, 20000 x 20, 10 clusters, Lloyd", "scikit-learn KMeans", 1.6,
            {"small": {"n": 500, "d": 5, "k": 5}, "standard": {"n": 20_000, "d": 20, "k": 10},
             "large": {"n": 200_000, "d": 20, "k": 10}}, make,
            grow=lambda n: {"n": n, "d": 20, "k": 10},
            note="Both compute distances by matrix products; scikit-learn keeps them in the cache and never writes them out.")
