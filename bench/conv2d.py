"""A convolution layer, forward and backward: nn.Conv2D against the peer's layer, float32, one thread.

The peer is torch where it is installed, otherwise TensorFlow's compiled function.
"""
from importlib.util import find_spec

import numpy as np

from bench.harness import Case, Item
from mlcheat.nn.convolution import Conv2D

TORCH = find_spec("torch") is not None


def _torch(x, kernel, bias, grad):
    """Forward and backward in torch, on its own layout: channels first."""
    import torch

    torch.set_num_threads(1)
    first = [torch.tensor(a.transpose(order).copy(), requires_grad=True)
             for a, order in ((x, (0, 3, 1, 2)), (kernel, (3, 2, 0, 1)), (bias, (0,)))]
    up = torch.tensor(grad.transpose(0, 3, 1, 2).copy())

    def run():
        y = torch.nn.functional.conv2d(*first)
        return y, torch.autograd.grad(y, first, up)

    def last(found):
        y, (gx, gw, gb) = found
        channels_last = lambda a: a.detach().numpy().transpose(0, 2, 3, 1)  # noqa: E731
        return channels_last(y), channels_last(gx), gw.numpy().transpose(2, 3, 1, 0), gb.numpy()

    return run, last


def _tensorflow(x, kernel, bias, grad):
    """Forward and backward in a compiled TensorFlow function."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:                                     # TensorFlow has run before in this process
        pass
    x, kernel, bias, grad = (tf.constant(a) for a in (x, kernel, bias, grad))

    @tf.function
    def step(x, kernel, bias, grad):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel, bias])
            y = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "VALID"), bias)
        return y, *tape.gradient(y, [x, kernel, bias], output_gradients=grad)

    return lambda: step(x, kernel, bias, grad), lambda found: [a.numpy() for a in found]


def make(batch: int, size: int, channels: int, filters: int) -> Case:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, size, size, channels)).astype(np.float32)
    layer = Conv2D(filters, 3, seed=0)
    grad = rng.normal(size=layer(x).shape).astype(np.float32)
    theirs, unpack = (_torch if TORCH else _tensorflow)(x, layer.kernel, layer.bias, grad)

    def ours():
        y = layer(x)
        return y, layer.backward(grad), layer.grad_of("kernel"), layer.grad_of("bias")

    def compare(ours, theirs):
        names, scale = ("output", "input gradient", "kernel gradient", "bias gradient"), 1e-4
        return [f"the {name} differs" for name, a, b in zip(names, ours, unpack(theirs))
                if np.abs(a - b).max() > scale * np.abs(b).max()]

    return Case(ours, theirs, compare)


ITEM = Item("conv2d", "Conv2D forward + backward, batch 32, 28 x 28 x 8, 16 filters 3 x 3",
            "torch conv2d" if TORCH else "TensorFlow conv2d (tf.function)", 2.0,
            {"small": {"batch": 4, "size": 12, "channels": 4, "filters": 8},
             "standard": {"batch": 32, "size": 28, "channels": 8, "filters": 16},
             "large": {"batch": 32, "size": 56, "channels": 64, "filters": 64}}, make,
            needs="torch" if TORCH else "tensorflow",
            note="Strided windows, then a matrix product; the frameworks have kernels of their own.")
