"""`python -m bench.gpu`: steps a second of every architecture on whatever device is there.

Each network is trained by a plain Keras `fit`, by our loop, with XLA, and with mixed precision where the device has it;
then the batch is doubled until the memory is full. A second process measures `fit` under `KERAS_BACKEND=jax`. The result is
a Markdown table; what cannot be measured here is named with its reason.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Net:
    """How to build a network, what it is trained on, and, where it has a training step of its own, how."""

    name: str
    build: Callable[[], Any]
    data: Callable[[int], tuple]                     # examples -> (x, y) or (x,)
    loss: str = ""
    fit: Callable[..., Any] | None = None            # (model, x, runtime, epochs, batch) for VAE and GAN


def networks(width: int) -> list[Net]:
    """The architectures of the book at the size of MNIST, `width` times as wide."""
    import numpy as np

    from mlcheat.architectures.cnn import cnn
    from mlcheat.architectures.mlp import mlp

    def pictures(flat):
        def data(n):
            rng = np.random.default_rng(0)
            x = rng.uniform(size=(n, 784) if flat else (n, 28, 28, 1)).astype("float32")
            return x, rng.integers(0, 10, n)
        return data

    def names(n):
        rng = np.random.default_rng(0)
        return rng.integers(1, 30, (n, 20)), rng.integers(0, 12, n)

    def recurrent():
        from mlcheat.architectures.rnn import rnn_classifier

        return rnn_classifier(30, 12, units=128 * width)

    def same(n):
        x, _ = pictures(True)(n)
        return x, x

    def autoencoder():
        from mlcheat.architectures.autoencoder import autoencoder

        return autoencoder(784, hidden=(128 * width, 64 * width)).model

    def vae():
        from mlcheat.architectures.vae import VAE

        return VAE((28, 28, 1), 16, filters=(32 * width, 64 * width))

    def fit_vae(model, x, runtime, epochs, batch):
        from mlcheat.architectures.vae import fit_vae as fit

        return fit(model, x, runtime=runtime, epochs=epochs, batch_size=batch)

    def gan():
        from mlcheat.architectures.gan import GAN, discriminator, generator

        return GAN(generator((32, 32, 1), 64, width=32 * width), discriminator((32, 32, 1), width=32 * width))

    def fit_gan(model, x, runtime, epochs, batch):
        from mlcheat.architectures.gan import fit_gan as fit

        return fit(model, x, runtime=runtime, epochs=epochs, batch_size=batch)

    def tanh_pictures(n):
        return (np.random.default_rng(0).uniform(-1, 1, (n, 32, 32, 1)).astype("float32"),)

    labels = "sparse_categorical_crossentropy"
    hidden = tuple(width * h for h in (500, 200, 100))
    filters = tuple(width * f for f in (16, 32, 64))
    return [Net("mlp", lambda: mlp(784, 10, hidden=hidden), pictures(True), labels),
            Net("cnn", lambda: cnn((28, 28, 1), 10, filters=filters), pictures(False), labels),
            Net("rnn", recurrent, names, labels), Net("autoencoder", autoencoder, same, "mse"),
            Net("vae", vae, lambda n: pictures(False)(n)[:1], fit=fit_vae), Net("gan", gan, tanh_pictures, fit=fit_gan)]


def _loss(name: str):
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True) if name.startswith("sparse") else name


def keras_fit(net: Net, batch: int, steps: int) -> float:
    """Steps a second of `model.fit`, the first epoch, which compiles, left out."""
    import keras

    x, y = net.data(batch * steps)
    model = net.build()
    model.compile(keras.optimizers.Adam(1e-3), _loss(net.loss))
    model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
    return 2 * steps / (time.perf_counter() - start)


def our_fit(net: Net, batch: int, steps: int, *, jit: bool, precision: str) -> float:
    """Steps a second of `Runtime`, the first epoch left out."""
    import keras

    from mlcheat.architectures.runtime import Runtime, pipeline

    runtime = Runtime(jit=jit, precision=precision, strategy="none")
    data = net.data(batch * steps)
    with runtime.scope():
        model = net.build()
    if net.fit is not None:
        history = net.fit(model, data[0], runtime, 3, batch)
    else:
        history = runtime.fit_model(model, pipeline(*data, batch_size=batch), loss=_loss(net.loss), epochs=3,
                                    optimizer=keras.optimizers.Adam(1e-3))
    return 2 * steps / sum(history.seconds[1:])


def largest_batch(net: Net, start: int) -> str:
    """The last power of two times `start` that one step fits into the memory of the device."""
    import tensorflow as tf

    best = 0
    while start <= 2**20:
        try:
            our_fit(net, start, 1, jit=False, precision="float32")
        except (tf.errors.ResourceExhaustedError, tf.errors.InternalError, MemoryError):
            break
        best, start = start, 2 * start
    return f"{best:,}" + ("" if start <= 2**20 else " and more")


def measure(batch: int, steps: int, width: int) -> tuple[list[list[str]], list[str]]:
    """Rows of the table and remarks on what was not measured."""
    import tensorflow as tf

    gpu = bool(tf.config.list_physical_devices("GPU"))
    mixed = "mixed_bfloat16" if gpu else None
    rows, remarks = [], []
    for net in networks(width):
        plain = None if net.fit else keras_fit(net, batch, steps)
        speeds = [our_fit(net, batch, steps, jit=jit, precision=p) if p else None
                  for jit, p in ((False, "float32"), (True, "float32"), (True, mixed))]
        big = largest_batch(net, batch) if gpu else "-"
        rows.append([net.name, *("-" if s is None else f"{s:,.0f}" for s in (plain, *speeds)), big])
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    remarks.append("VAE and GAN have a training step of their own; Keras' `fit` cannot train them as they are.")
    if not gpu:
        remarks += ["Mixed precision: not measured, a processor only emulates it.",
                    "Largest batch: not tried, on a processor it would fill the main memory."]
    return rows, remarks


def jax_rows(batch: int, steps: int, width: int) -> tuple[list[list[str]], str]:
    """`fit` of the same models with JAX below Keras, in a process of its own."""
    code = ("import json, sys; from bench.gpu import keras_fit, networks; import keras; assert keras.backend.backend() == 'jax'; "
            f"print(json.dumps([[n.name, keras_fit(n, {batch}, {steps})] for n in networks({width}) if not n.fit]))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"})
    if done.returncode:
        return [], f"JAX: not measured, {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    return [[name, f"{speed:,.0f}"] for name, speed in json.loads(done.stdout.splitlines()[-1])], ""


def device() -> str:
    """The device in words."""
    import keras
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    name = tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU") if found else f"{os.cpu_count()} processor cores"
    return f"{name}; TensorFlow {tf.__version__}, Keras {keras.__version__}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40, help="steps an epoch")
    parser.add_argument("--width", type=int, default=1, help="networks so many times as wide")
    options = parser.parse_args(arguments)
    sizes = options.batch, options.steps, options.width
    rows, remarks = measure(*sizes)
    jax, reason = jax_rows(*sizes)
    found = dict(jax)
    lines = [f"Steps a second on {device()}; batch {options.batch}.", "",
             "| network | Keras `fit` | our loop | with XLA | XLA, mixed precision | JAX `fit` | largest batch |",
             "|:---|---:|---:|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join([*row[:5], found.get(row[0], "-"), row[5]]) + " |" for row in rows]
    print("\n".join([*lines, "", *(f"- {r}" for r in [*remarks, *([reason] if reason else [])])]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
