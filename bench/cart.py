"""A classification tree of depth 8 on simulated data: algorithms.DecisionTreeClassifier against scikit-learn's."""
import numpy as np
from sklearn.tree import DecisionTreeClassifier as Theirs

from bench.harness import Case, Item
from mlcheat.algorithms.decision_trees import DecisionTreeClassifier


def complaints(ours, theirs) -> list[str]:
    """Equally good trees remove the same impurity from the training rows, up to ties broken differently."""
    def impurity(model):
        tree = model.tree_
        leaf = tree.children_left < 0
        return float((tree.impurity * tree.weighted_n_node_samples)[leaf].sum() / tree.weighted_n_node_samples[0])

    a, b = impurity(ours), impurity(theirs)
    return [] if a <= b * 1.02 + 1e-9 else [f"our leaves have impurity {a}, theirs {b}"]


def make(n: int, d: int, max_depth: int) -> Case:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = (X @ rng.normal(size=d) + 2 * np.sin(3 * X[:, 0]) + rng.normal(size=n) > 0).astype(int)
    return Case(lambda: DecisionTreeClassifier(max_depth=max_depth).fit(X, y),
                lambda: Theirs(max_depth=max_depth, random_state=0).fit(X, y), complaints)


ITEM = Item("cart", "decision tree, 5000 x 20, depth 8", "scikit-learn DecisionTreeClassifier", 0.8,
            {"small": {"n": 300, "d": 10, "max_depth": 8}, "standard": {"n": 5000, "d": 20, "max_depth": 8},
             "large": {"n": 50_000, "d": 20, "max_depth": 8}}, make,
            grow=lambda n: {"n": n, "d": 20, "max_depth": 8},
            note="A level of the tree is one sweep over presorted columns; the C code goes node by node.")
