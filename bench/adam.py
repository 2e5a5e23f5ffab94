"""One Adam step on one array: nn.Adam against torch.optim.Adam, both in place, float32."""
import numpy as np

from bench.harness import Case, Item
from mlcheat.nn import Adam


def make(n: int) -> Case:
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=n).astype(np.float32), rng.normal(size=n).astype(np.float32)
    parameter = torch.nn.Parameter(torch.tensor(w.copy()))
    parameter.grad = torch.tensor(g)
    ours, theirs = Adam(1e-3, epsilon=1e-12), torch.optim.Adam([parameter], 1e-3, eps=1e-12)

    def step():
        ours.apply([g], [w])
        return w

    def their_step():
        theirs.step()
        return parameter.detach().numpy()

    def compare(a, b):
        return [] if np.allclose(a, b, rtol=1e-5, atol=1e-6) else ["the parameters differ after one step"]

    return Case(step, their_step, compare)


ITEM = Item("adam", "an Adam step, 1e6 parameters, float32", "torch.optim.Adam", 0.7,
            {"small": {"n": 10_000}, "standard": {"n": 1_000_000}, "large": {"n": 10_000_000}}, make, needs="torch",
            note="Square root and division over a million numbers: memory bound, and fused kernels of the frameworks win.")
