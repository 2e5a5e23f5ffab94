"""Ward and average linkage: algorithms.AgglomerativeClustering against scikit-learn's."""
import numpy as np
from sklearn.cluster import AgglomerativeClustering as Theirs
from sklearn.metrics import adjusted_rand_score

from bench.harness import Case, Item
from mlcheat.algorithms.clustering import AgglomerativeClustering


def make(n: int) -> Case:
    X = np.random.default_rng(0).normal(size=(n, 5))

    def both(kind):
        return [kind(n_clusters=10, linkage=linkage, compute_distances=True).fit(X) for linkage in ("ward", "average")]

    def compare(ours, theirs):
        return [f"{a.linkage}: heights or clusters differ" for a, b in zip(ours, theirs)
                if not np.allclose(a.distances_, b.distances_) or adjusted_rand_score(a.labels_, b.labels_) < 1]

    return Case(lambda: both(AgglomerativeClustering), lambda: both(Theirs), compare)


ITEM = Item("agglomerative", "agglomerative, ward and average, 1500 x 5", "scikit-learn AgglomerativeClustering", 2.0,
            {"small": {"n": 150}, "standard": {"n": 1500}, "large": {"n": 5000}}, make,
            grow=lambda n: {"n": n},
            note="A chain of nearest neighbours; the C code writes less memory a merge.")
