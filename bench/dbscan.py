"""DBSCAN in the plane: algorithms.DBSCAN against scikit-learn's."""
from sklearn.cluster import DBSCAN as Theirs
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from bench.harness import Case, Item
from mlcheat.algorithms.clustering import DBSCAN


def make(n: int, eps: float) -> Case:
    X, _ = make_moons(n, noise=0.08, random_state=0)

    def compare(ours, theirs):
        same = (ours.core_sample_indices_.tolist() == theirs.core_sample_indices_.tolist()
                and ((ours.labels_ < 0) == (theirs.labels_ < 0)).all() and adjusted_rand_score(ours.labels_, theirs.labels_) > 0.999)
        return [] if same else ["core rows, noise or clusters differ"]

    return Case(lambda: DBSCAN(eps).fit(X), lambda: Theirs(eps=eps).fit(X), compare)


ITEM = Item("dbscan", "DBSCAN, 3000 x 2", "scikit-learn DBSCAN", 2.0,
            {"small": {"n": 300, "eps": 0.2}, "standard": {"n": 3000, "eps": 0.1}, "large": {"n": 30_000, "eps": 0.05}}, make,
            grow=lambda n: {"n": n, "eps": 0.1 * (3000 / n) ** 0.5},
            note="A grid of cells against a tree.")
