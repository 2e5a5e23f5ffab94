"""The lasso: algorithms.Lasso against scikit-learn's, both by coordinate descent to the same duality gap."""
import numpy as np
from sklearn.linear_model import Lasso as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.regression import Lasso


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) + 0.5 * rng.normal(size=(n, 1))
    w = np.where(rng.random(d) < 0.2, rng.normal(size=d), 0.0)
    y = X @ w + 2.0 + rng.normal(size=n)

    def objective(model):
        left = y - model.predict(X)
        return left @ left / (2 * n) + 0.05 * np.abs(model.coef_).sum()

    def compare(ours, theirs):
        a, b = objective(ours), objective(theirs)
        return [] if a <= b * (1 + 1e-6) else [f"our objective is {a}, theirs {b}"]

    return Case(lambda: Lasso(0.05).fit(X, y), lambda: Theirs(0.05).fit(X, y), compare)


ITEM = Item("lasso", "lasso, n x d = 5000 x 100", "scikit-learn Lasso", 1.0,
            {"small": {"n": 200, "d": 10}, "standard": {"n": 5000, "d": 100}, "large": {"n": 50_000, "d": 100}}, make,
            grow=lambda n: {"n": n, "d": 100},
            note="Coordinate descent on the Gram matrix, in both.")
