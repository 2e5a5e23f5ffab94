"""Mean shift from every row: algorithms.MeanShift against scikit-learn's."""
import numpy as np
from sklearn.cluster import MeanShift as Theirs
from sklearn.datasets import make_blobs

from bench.harness import Case, Item
from mlcheat.algorithms.clustering import MeanShift


def make(n: int, bandwidth: float) -> Case:
    X, _ = make_blobs(n, centers=[[0, 0], [5, 5], [0, 6]], cluster_std=0.8, random_state=0)

    def compare(ours, theirs):
        same = ours.cluster_centers_.shape == theirs.cluster_centers_.shape and np.array_equal(ours.labels_, theirs.labels_)
        return [] if same and np.allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-6) else ["centres or labels differ"]

    return Case(lambda: MeanShift(bandwidth=bandwidth).fit(X), lambda: Theirs(bandwidth=bandwidth).fit(X), compare)


ITEM = Item("mean_shift", "mean shift, 1000 x 2", "scikit-learn MeanShift", 0.05,
            {"small": {"n": 100, "bandwidth": 2.0}, "standard": {"n": 1000, "bandwidth": 2.0},
             "large": {"n": 4000, "bandwidth": 2.0}}, make,
            grow=lambda n: {"n": n, "bandwidth": 2.0},
            note="All points climb at once; scikit-learn climbs one by one.")
