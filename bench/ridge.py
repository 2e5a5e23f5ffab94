"""Ridge regression: algorithms.Ridge against scikit-learn's."""
import numpy as np
from sklearn.linear_model import Ridge as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.regression import Ridge


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 3.0
    y = X @ rng.normal(size=d) + 2.0 + rng.normal(size=n)

    def compare(ours, theirs):
        same = np.allclose(ours.coef_, theirs.coef_, rtol=1e-8) and np.isclose(ours.intercept_, theirs.intercept_)
        return [] if same else ["the coefficients differ"]

    return Case(lambda: Ridge(1.0).fit(X, y), lambda: Theirs(1.0).fit(X, y), compare)


ITEM = Item("ridge", "ridge, n x d = 5000 x 100", "scikit-learn Ridge", 0.8,
            {"small": {"n": 200, "d": 10}, "standard": {"n": 5000, "d": 100}, "large": {"n": 50_000, "d": 100}}, make,
            grow=lambda n: {"n": n, "d": 100},
            note="Normal equations on both sides; the rest is validation.")
