"""Boosting of 100 trees of depth 3: algorithms.HistGradientBoostingRegressor against scikit-learn's exact GradientBoosting."""
import numpy as np
from sklearn.ensemble import GradientBoostingRegressor as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.ensembles import HistGradientBoostingRegressor


def data(n: int, d: int) -> tuple[np.ndarray, ...]:
    """Rows to fit and 2000 new ones."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n + 2000, d))
    y = X @ rng.normal(size=d) + 2 * np.sin(3 * X[:, 0]) + rng.normal(size=n + 2000)
    return X[:n], y[:n], X[n:], y[n:]


def as_good(X: np.ndarray, y: np.ndarray):
    """Complaints when our R squared on new rows falls behind by more than .01."""
    def compare(ours, theirs):
        a, b = ours.score(X, y), theirs.score(X, y)
        return [] if a >= b - 0.01 else [f"our R squared on new rows is {a}, theirs {b}"]

    return compare


def make(n: int, d: int) -> Case:
    X, y, X_new, y_new = data(n, d)
    return Case(lambda: HistGradientBoostingRegressor(max_depth=3).fit(X, y),
                lambda: Theirs(max_depth=3, random_state=0).fit(X, y), as_good(X_new, y_new))


ITEM = Item("gradient_boosting", "boosting on bins, 100 trees, depth 3, 5000 x 20", "scikit-learn GradientBoostingRegressor", 0.1,
            {"small": {"n": 300, "d": 10}, "standard": {"n": 5000, "d": 20}, "large": {"n": 20_000, "d": 20}}, make,
            note="Ours bins the features, the peer does not; the fair opponent is the next row.")
