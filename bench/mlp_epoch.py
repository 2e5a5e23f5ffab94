"""One epoch of a small network: nn.Sequential.fit against scikit-learn's MLPClassifier, batch 32, Adam, digits."""
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from bench.harness import Case, Item
from mlcheat.nn import Adam, Dense, Input, Sequential, SparseCategoricalCrossentropy


def make(hidden: int, copies: int) -> Case:
    X, y = load_digits(return_X_y=True)
    X, y = np.tile((X / 16).astype(np.float32), (copies, 1)), np.tile(y, copies)
    ours = Sequential([Input((64,)), Dense(hidden, "relu"), Dense(10)], seed=0)
    ours.compile(Adam(1e-3), SparseCategoricalCrossentropy(from_logits=True))
    theirs = MLPClassifier((hidden,), batch_size=32, alpha=0.0, max_iter=1, warm_start=True, random_state=0)

    def fit():
        ours.fit(X, y, batch_size=32, verbose=0)
        return ours

    def their_fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return theirs.fit(X, y)

    def compare(a, b):
        """Five epochs each: ours must classify as well, within two per cent."""
        for _ in range(4):
            fit(), their_fit()
        mine, other = np.mean(a.predict(X).argmax(axis=1) == y), b.score(X, y)
        return [] if mine > other - 0.02 else [f"our accuracy is {mine:.3f}, theirs {other:.3f}"]

    return Case(fit, their_fit, compare)


ITEM = Item("mlp_epoch", "MLP 64-128-10, an epoch of digits, batch 32, Adam", "scikit-learn MLPClassifier", 0.5,
            {"small": {"hidden": 16, "copies": 1}, "standard": {"hidden": 128, "copies": 1},
             "large": {"hidden": 512, "copies": 4}}, make,
            note="Tiny layers: what counts is the number of calls a step.")
