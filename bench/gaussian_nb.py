"""Gaussian naive Bayes, fit and probabilities: algorithms.GaussianNB against scikit-learn's."""
import numpy as np
from sklearn.naive_bayes import GaussianNB as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms import GaussianNB


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, d)) + 0.3 * y[:, None]

    def run(model):
        return model.fit(X, y).predict_proba(X)

    def compare(a, b):
        return [] if np.allclose(a, b, rtol=1e-8, atol=1e-12) else ["the probabilities differ"]

    return Case(lambda: run(GaussianNB()), lambda: run(Theirs()), compare)


ITEM = Item("gaussian_nb", "Gaussian naive Bayes, 20000 x 50, fit and predict_proba", "scikit-learn GaussianNB", 0.6,
            {"small": {"n": 500, "d": 10}, "standard": {"n": 20_000, "d": 50}, "large": {"n": 200_000, "d": 50}}, make,
            grow=lambda n: {"n": n, "d": 50},
            note="The likelihood of all rows is one matrix product.")
