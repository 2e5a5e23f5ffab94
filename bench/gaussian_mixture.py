"""Gaussian mixture by EM from the same start: algorithms.GaussianMixture against scikit-learn's."""
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.clustering import GaussianMixture


def make(n: int, d: int, k: int) -> Case:
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(k, d))
    X = rng.normal(size=(n, d)) + centres[rng.integers(0, k, n)]
    given = {"n_components": k, "max_iter": 50, "tol": 0.0, "means_init": X[:k],
             "weights_init": np.full(k, 1 / k), "precisions_init": np.tile(np.eye(d), (k, 1, 1))}

    def compare(ours, theirs):
        a, b = ours.score(X), theirs.score(X)
        return [] if abs(a - b) < 1e-6 * abs(b) else [f"mean log-likelihood {a:.8f}, not {b:.8f}"]

    def fit(kind):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)           # 50 rounds for both, whatever they reach
            return kind(**given).fit(X)

    return Case(lambda: fit(GaussianMixture), lambda: fit(Theirs), compare)


ITEM = Item("gaussian_mixture", "Gaussian mixture, 5000 x 5, 5 components, 50 rounds", "scikit-learn GaussianMixture", 0.3,
            {"small": {"n": 500, "d": 3, "k": 3}, "standard": {"n": 5000, "d": 5, "k": 5}, "large": {"n": 50_000, "d": 10, "k": 5}}, make,
            grow=lambda n: {"n": n, "d": 5, "k": 5},
            note="Both steps of EM are one matrix product each instead of one for each component.")
