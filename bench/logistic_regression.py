"""Binary logistic regression: basics.LogisticRegression against scikit-learn's default solver."""
import numpy as np
from sklearn.linear_model import LogisticRegression as Theirs

from bench.harness import Case, Item
from mlcheat.basics import LogisticRegression


def objective(model, X, y) -> float:
    """What both minimise, with C = 1."""
    z = X @ model.coef_[0] + model.intercept_[0]
    return float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 * model.coef_[0] @ model.coef_[0])


def make(n: int, d: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-(X @ rng.normal(size=d) * 0.5 + 0.3)))).astype(int)

    def compare(ours, theirs):
        a, b = objective(ours, X, y), objective(theirs, X, y)
        return [] if a <= b * (1 + 1e-6) else [f"our objective is {a}, theirs {b}"]

    return Case(lambda: LogisticRegression(tol=1e-4).fit(X, y), lambda: Theirs(tol=1e-4).fit(X, y), compare)


ITEM = Item("logistic_regression", "logistic regression, 20000 x 50", "scikit-learn LogisticRegression (lbfgs)", 0.9,
            {"small": {"n": 500, "d": 10}, "standard": {"n": 20_000, "d": 50}, "large": {"n": 200_000, "d": 50}}, make,
            grow=lambda n: {"n": n, "d": 50},
            note="The same L-BFGS; loss and gradient share one pass.")
