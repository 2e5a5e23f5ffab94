"""An LSTM layer, forward and backward: nn.LSTM against the peer's layer, float32, one thread.

The peer is Keras on TensorFlow, in whichever of its two compiled forms is faster on the day: the plain graph or XLA.
Where TensorFlow is missing it is torch.
"""
import time
from importlib.util import find_spec

import numpy as np

from bench.harness import Case, Item
from mlcheat.nn.recurrent import LSTM

KERAS = find_spec("keras") is not None and find_spec("tensorflow") is not None


def _keras(x, grad, weights, units):
    """Forward and backward through keras.layers.LSTM; all outputs and gradients as arrays."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:                                     # TensorFlow has run before in this process
        pass
    layer = keras.layers.LSTM(units, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights(weights)
    x, grad = tf.constant(x), tf.constant(grad)

    def step(x, grad):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, *tape.gradient(y, [x, *layer.trainable_variables], output_gradients=grad)

    def seconds(f):
        found = []
        for _ in range(6):                                   # the first call compiles
            start = time.perf_counter()
            f(x, grad)[-1].numpy()
            found.append(time.perf_counter() - start)
        return min(found)

    best = min((tf.function(step), tf.function(step, jit_compile=True)), key=seconds)
    return lambda: [a.numpy() for a in best(x, grad)], lambda found: found


def _torch(x, grad, weights, units):
    """Forward and backward through torch.nn.LSTM, which has two biases and gates in the order i, f, c, o as well."""
    import torch

    torch.set_num_threads(1)
    layer = torch.nn.LSTM(x.shape[2], units, batch_first=True)
    kernel, recurrent, bias = (torch.tensor(w.T.copy()) for w in weights)
    with torch.no_grad():
        for place, value in zip(layer.parameters(), (kernel, recurrent, bias, 0 * bias)):
            place.copy_(value)
    x, grad = torch.tensor(x, requires_grad=True), torch.tensor(grad)
    wanted = [x, *list(layer.parameters())[:3]]

    def run():
        y = layer(x)[0]
        return y, *torch.autograd.grad(y, wanted, grad)

    return run, lambda found: [a.detach().numpy().T if i in (2, 3) else a.detach().numpy() for i, a in enumerate(found)]


def make(batch: int, steps: int, features: int, units: int) -> Case:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, steps, features)).astype(np.float32)
    layer = LSTM(units, return_sequences=True, seed=0)
    grad = rng.normal(size=layer(x).shape).astype(np.float32)
    theirs, unpack = (_keras if KERAS else _torch)(x, grad, layer.get_weights(), units)

    def ours():
        y = layer(x)
        return y, layer.backward(grad), *layer.gradients

    def compare(ours, theirs):
        names = ("output", "input gradient", "kernel gradient", "recurrent gradient", "bias gradient")
        return [f"the {name} differs" for name, a, b in zip(names, ours, unpack(theirs), strict=True)
                if np.abs(a - b).max() > 1e-4 * np.abs(b).max()]

    return Case(ours, theirs, compare)


ITEM = Item("lstm", "LSTM forward + backward, batch 32, 32 steps, 64 to 64",
            "keras.layers.LSTM (tf.function, XLA where faster)" if KERAS else "torch.nn.LSTM", 1.0,
            {"small": {"batch": 4, "steps": 8, "features": 8, "units": 8},
             "standard": {"batch": 32, "steps": 32, "features": 64, "units": 64},
             "large": {"batch": 64, "steps": 64, "features": 256, "units": 256}}, make,
            needs="keras" if KERAS else "torch",
            note="One matrix product for all gates of a step.")
