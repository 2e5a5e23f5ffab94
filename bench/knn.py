"""k nearest neighbours by brute force: algorithms.NearestNeighbors against scikit-learn's."""
import numpy as np
from sklearn.neighbors import NearestNeighbors as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms import NearestNeighbors


def make(n: int, m: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X, Q = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    ours, theirs = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X), Theirs(n_neighbors=5, algorithm="brute").fit(X)

    def compare(a, b):
        return [] if np.array_equal(a[1], b[1]) and np.allclose(a[0], b[0], rtol=1e-6) else ["the neighbours differ"]

    return Case(lambda: ours.kneighbors(Q), lambda: theirs.kneighbors(Q), compare)


ITEM = Item("knn", "5 nearest neighbours, brute force, 1000 queries to 5000 x 20", "scikit-learn NearestNeighbors", 1.3,
            {"small": {"n": 500, "m": 100, "d": 10}, "standard": {"n": 5000, "m": 1000, "d": 20},
             "large": {"n": 50_000, "m": 1000, "d": 20}}, make,
            grow=lambda n: {"n": n, "m": 1000, "d": 20},
            note="Brute force on both sides: a matrix product, then a partial sort.")
