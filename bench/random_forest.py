"""A random forest of 50 trees: algorithms.RandomForestClassifier against scikit-learn's."""
import numpy as np
from sklearn.ensemble import RandomForestClassifier as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.ensembles import RandomForestClassifier


def make(n: int, d: int, trees: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n + 2000, d))
    y = (X @ rng.normal(size=d) + 2 * np.sin(3 * X[:, 0]) + rng.normal(size=n + 2000) > 0).astype(int)
    X, y, X_new, y_new = X[:n], y[:n], X[n:], y[n:]

    def compare(ours, theirs):
        a, b = ours.score(X_new, y_new), theirs.score(X_new, y_new)
        return [] if a >= b - 0.015 else [f"our accuracy on new rows is {a}, theirs {b}"]

    return Case(lambda: RandomForestClassifier(trees, random_state=0).fit(X, y),
                lambda: Theirs(trees, random_state=0).fit(X, y), compare)


ITEM = Item("random_forest", "random forest, 50 trees, 5000 x 20", "scikit-learn RandomForestClassifier", 0.5,
            {"small": {"n": 300, "d": 10, "trees": 50}, "standard": {"n": 5000, "d": 20, "trees": 50},
             "large": {"n": 50_000, "d": 20, "trees": 50}}, make,
            grow=lambda n: {"n": n, "d": 20, "trees": 50},
            note="All trees of a level share one counting pass over 64 bins; scikit-learn searches every threshold.")
