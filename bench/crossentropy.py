"""Softmax and cross-entropy with its gradient: nn.SparseCategoricalCrossentropy against torch, float32."""
import numpy as np

from bench.harness import Case, Item
from mlcheat.nn import SparseCategoricalCrossentropy


def make(n: int, k: int) -> Case:
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(n, k)).astype(np.float32), rng.integers(0, k, n)
    tensor, labels, loss = torch.tensor(z, requires_grad=True), torch.tensor(y), SparseCategoricalCrossentropy(True)

    def theirs():
        tensor.grad = None
        value = torch.nn.functional.cross_entropy(tensor, labels)
        value.backward()
        return value.item(), tensor.grad.numpy()

    def compare(a, b):
        same = np.isclose(a[0], b[0], rtol=1e-5) and np.allclose(a[1], b[1], rtol=1e-4, atol=1e-6 / n)
        return [] if same else ["loss or gradient differ"]

    return Case(lambda: loss.value_and_gradient(y, z), theirs, compare)


ITEM = Item("crossentropy", "softmax and cross-entropy with gradient, 10000 x 100", "torch cross_entropy", 0.8,
            {"small": {"n": 32, "k": 10}, "standard": {"n": 10_000, "k": 100}, "large": {"n": 100_000, "k": 100}},
            make, needs="torch",
            note="Reductions along a short axis, rewritten as matrix products.")
