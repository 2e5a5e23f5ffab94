"""Softmax and cross-entropy with its gradient: nn.losses against TensorFlow, compiled."""
import numpy as np

from bench.harness import Case, Item
from mlcheat.nn.losses import SparseCategoricalCrossentropy


def make(n: int, k: int) -> Case:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(n, k)).astype(np.float32) * 3, rng.integers(0, k, n)
    logits, labels = tf.constant(z), tf.constant(y)
    loss = SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def theirs():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return value, tape.gradient(value, logits)

    def compare(ours, reference):
        value, gradient = reference[0].numpy(), reference[1].numpy()
        same = np.isclose(ours[0], value, rtol=1e-5) and np.allclose(ours[1], gradient, atol=1e-7)
        return [] if same else [f"the loss is {ours[0]}, theirs {value}, or the gradients differ"]

    return Case(lambda: loss.value_and_gradient(y, z), theirs, compare)


ITEM = Item("softmax_cross_entropy", "softmax + cross-entropy with gradient, 10000 x 100", "TensorFlow tf.function", 0.8,
            {"small": {"n": 100, "k": 10}, "standard": {"n": 10_000, "k": 100}, "large": {"n": 100_000, "k": 100}}, make)
