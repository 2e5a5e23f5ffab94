"""A classification tree without limit on the breast cancer data: algorithms.DecisionTreeClassifier against scikit-learn's."""
from sklearn.tree import DecisionTreeClassifier as Theirs

from bench.cart import complaints
from bench.harness import Case, Item
from mlcheat.algorithms.decision_trees import DecisionTreeClassifier
from mlcheat.data import load_breast_cancer


def make(rows: int) -> Case:
    X, y = load_breast_cancer(return_X_y=True)
    return Case(lambda: DecisionTreeClassifier().fit(X[:rows], y[:rows]),
                lambda: Theirs(random_state=0).fit(X[:rows], y[:rows]), complaints)


ITEM = Item("cart_breast_cancer", "decision tree, breast cancer data, no limit", "scikit-learn DecisionTreeClassifier", 0.8,
            {"small": {"rows": 150}, "standard": {"rows": 569}, "large": {"rows": 569}}, make,
            note="A small table: calls count as much as work.")
