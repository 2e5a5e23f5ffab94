"""Least squares: basics.LinearRegression against scikit-learn's."""
import numpy as np
from sklearn.linear_model import LinearRegression as Theirs

from bench.harness import Case, Item
from mlcheat.basics import LinearRegression


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 3.0
    y = X @ rng.normal(size=d) + 2.0 + rng.normal(size=n)

    def compare(ours, theirs):
        same = np.allclose(ours.coef_, theirs.coef_, rtol=1e-8) and np.isclose(ours.intercept_, theirs.intercept_)
        return [] if same else ["the coefficients differ"]

    return Case(lambda: LinearRegression().fit(X, y), lambda: Theirs().fit(X, y), compare)


ITEM = Item("least_squares", "least squares, n x d = 5000 x 100", "scikit-learn LinearRegression", 1.0,
            {"small": {"n": 200, "d": 10}, "standard": {"n": 5000, "d": 100}, "large": {"n": 50_000, "d": 100}}, make,
            note="LAPACK on both sides; the rest is validation.")
