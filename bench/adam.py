"""One Adam step on a million parameters: nn.optimizers against the formula in plain NumPy."""
import numpy as np

from bench.harness import Case, Item
from mlcheat.nn.optimizers import Adam


class Plain:
    """Adam as the paper writes it, one array expression a line."""

    def __init__(self, w: np.ndarray):
        self.w, self.m, self.v, self.t = w.copy(), np.zeros_like(w), np.zeros_like(w), 0

    def step(self, g: np.ndarray) -> np.ndarray:
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.999 * self.v + 0.001 * g * g
        rate = np.float32(0.001 * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t))
        self.w -= rate * self.m / (np.sqrt(self.v) + np.float32(1e-7))
        return self.w.copy() if self.t == 1 else self.w


def make(n: int) -> Case:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=n).astype(np.float32), rng.normal(size=n).astype(np.float32)
    mine, optimizer, plain = w.copy(), Adam(), Plain(w)

    def ours():
        optimizer.apply([g], [mine])
        return mine.copy() if optimizer.iterations == 1 else mine

    def compare(a, b):
        return [] if np.allclose(a, b, atol=1e-6) else ["the parameters differ after a step"]

    return Case(ours, lambda: plain.step(g), compare)


ITEM = Item("adam", "an Adam step, 1e6 parameters", "plain NumPy", 0.7,
            {"small": {"n": 10_000}, "standard": {"n": 1_000_000}, "large": {"n": 10_000_000}}, make)
