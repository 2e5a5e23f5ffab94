"""Boosting of 100 trees of depth 3: algorithms.HistGradientBoostingRegressor against scikit-learn's class of that name."""
from sklearn.ensemble import HistGradientBoostingRegressor as Theirs

from bench.gradient_boosting import as_good, data
from bench.harness import Case, Item
from mlcheat.algorithms.ensembles import HistGradientBoostingRegressor


def make(n: int, d: int) -> Case:
    X, y, X_new, y_new = data(n, d)
    return Case(lambda: HistGradientBoostingRegressor(max_depth=3).fit(X, y),
                lambda: Theirs(max_depth=3, early_stopping=False).fit(X, y), as_good(X_new, y_new))


ITEM = Item("hist_gradient_boosting", "boosting on bins, 100 trees, depth 3, 5000 x 20",
            "scikit-learn HistGradientBoostingRegressor", 2.0,
            {"small": {"n": 300, "d": 10}, "standard": {"n": 5000, "d": 20}, "large": {"n": 50_000, "d": 20}}, make,
            grow=lambda n: {"n": n, "d": 20},
            note="The same algorithm in C with two bytes a bin; here compiled code wins.")
