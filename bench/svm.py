"""Kernel machine: algorithms.SVC against scikit-learn's libsvm."""
import numpy as np
from sklearn.svm import SVC as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms import SVC


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = (np.sin(2 * X[:, 0]) + X[:, 1] ** 2 + 0.5 * rng.normal(size=n) > 1).astype(int)

    def compare(a, b):
        far = np.abs(a.decision_function(X) - b.decision_function(X)).max()
        return [] if far < 2e-2 else [f"scores differ by {far:.3g}"]

    return Case(lambda: SVC().fit(X, y), lambda: Theirs().fit(X, y), compare)


ITEM = Item("svm", "SVC with the RBF kernel, 1000 rows", "scikit-learn SVC (libsvm)", 1.5,
            {"small": {"n": 200, "d": 5}, "standard": {"n": 1000, "d": 10}, "large": {"n": 4000, "d": 10}}, make,
            grow=lambda n: {"n": n, "d": 10},
            note="The solver chooses two rows a step; libsvm does it in C without a call in between.")
