"""Layers: every one against Keras with copied weights, central differences, and the book's own autodiff."""
import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.nn import autodiff as ad
from mlcheat.nn import layers as L
from mlcheat.nn.activations import ACTIVATIONS, get, relu
from mlcheat.nn.forward_propagation import glorot_uniform, random_uniform
from mlcheat.nn.regularization import L1, L1L2, L2

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def tf(keras):
    return pytest.importorskip("tensorflow")


def shapes_of(shape):
    return shape if isinstance(shape, list) else [shape]


def data(shape, seed=0, dtype="float64"):
    """An array, or a list of them for layers that merge."""
    rng = RNG(seed)
    made = [rng.normal(size=s).astype(dtype) for s in shapes_of(shape)]
    return made if isinstance(shape, list) else made[0]


def as_list(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def central(f, x, h=1e-5):
    g = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        up = f()
        x[i] = old - h
        g[i] = (up - f()) / (2 * h)
        x[i] = old
    return g


def assert_close(a, b, rtol):
    scale = max(np.abs(b).max(initial=0), 1e-3)
    assert np.shape(a) == np.shape(b) and np.abs(np.asarray(a) - b).max(initial=0) <= rtol * scale


def assert_same(a, b, atol):
    assert np.shape(a) == np.shape(b) and np.abs(np.asarray(a) - np.asarray(b)).max(initial=0) <= atol


# name, our layer, Keras' class and arguments (None: the same), shape of the input(s)
CASES = [
    *[(f"Dense {act} {bias} {shape}", partial(L.Dense, 5, activation=act, use_bias=bias), "Dense",
       dict(units=5, activation=act, use_bias=bias), shape)
      for act in (None, "relu", "tanh", "sigmoid", "softmax", "gelu", "elu", "leaky_relu", "log_softmax", "selu", "silu",
                  "softplus", "softsign", "exponential")
      for bias, shape in ((True, (4, 3)), (False, (2, 4, 3)))],
    ("Dense rank 4", partial(L.Dense, 2, "relu"), "Dense", dict(units=2, activation="relu"), (2, 3, 4, 5)),
    ("Dense 1 row", partial(L.Dense, 1), "Dense", dict(units=1), (1, 1)),
    *[(f"Activation {a}", partial(L.Activation, a), "Activation", dict(activation=a), (3, 5))
      for a in ("linear", "relu", "tanh", "sigmoid", "softmax", "log_softmax", "gelu", "relu6", "mish", "hard_sigmoid", "celu")],
    *[(f"ReLU {o}", partial(L.ReLU, **o), "ReLU", o, (4, 6))
      for o in ({}, dict(max_value=0.7), dict(negative_slope=0.2), dict(threshold=0.3),
                dict(max_value=1.0, negative_slope=0.1, threshold=0.4))],
    *[(f"LeakyReLU {s}", partial(L.LeakyReLU, s), "LeakyReLU", dict(negative_slope=s), (4, 6)) for s in (0.0, 0.3, 1.5)],
    *[(f"Softmax {a}", partial(L.Softmax, a), "Softmax", dict(axis=a), (2, 3, 4)) for a in (-1, 1, (1, 2), (2,), (0, 2))],
    ("Flatten", L.Flatten, "Flatten", {}, (2, 3, 4, 5)),
    ("Flatten of a row", L.Flatten, "Flatten", {}, (4,)),
    *[(f"Reshape {t}", partial(L.Reshape, t), "Reshape", dict(target_shape=t), (2, 12)) for t in ((3, 4), (-1, 2), (12,), (2, -1, 3))],
    *[(f"Permute {d}", partial(L.Permute, d), "Permute", dict(dims=d), (2, 3, 4, 5)) for d in ((1, 2, 3), (3, 1, 2), (2, 3, 1))],
    ("RepeatVector", partial(L.RepeatVector, 3), "RepeatVector", dict(n=3), (2, 4)),
    *[(f"{n} {s}", getattr(L, n), n, {}, s) for n in ("Add", "Multiply", "Average", "Maximum", "Minimum")
      for s in ([(3, 4), (3, 4)], [(3, 4)] * 4, [(2, 3, 4), (2, 1, 4), (2, 3, 1)], [(2, 4), (2, 3, 4)], [(2, 3, 4, 5), (2, 1, 1, 5)])],
    ("Subtract", L.Subtract, "Subtract", {}, [(3, 4), (3, 4)]),
    ("Subtract stretched", L.Subtract, "Subtract", {}, [(2, 3, 4), (2, 1, 4)]),
    *[(f"Concatenate {a}", partial(L.Concatenate, a), "Concatenate", dict(axis=a), s)
      for a, s in ((-1, [(3, 4), (3, 2)]), (1, [(2, 3, 4), (2, 1, 4), (2, 2, 4)]), (2, [(2, 3, 1, 4), (2, 3, 2, 4)]))],
    *[(f"{n} at prediction", partial(getattr(L, n), 0.4), n, {"stddev" if n == "GaussianNoise" else "rate": 0.4}, (2, 3, 4))
      for n in ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout")],
]
IDS = [c[0] for c in CASES]


@pytest.mark.parametrize("make, theirs, options, shape", [c[1:] for c in CASES], ids=IDS)
def test_agrees_with_keras(keras, tf, make, theirs, options, shape):
    ours, theirs, x = make(seed=1), getattr(keras.layers, theirs)(**options), data(shape, dtype="float32")
    inputs = [tf.constant(a) for a in as_list(x)]          # Keras 3.12 cannot merge variables of unequal rank
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = theirs(inputs if isinstance(shape, list) else inputs[0])
        if theirs.weights:
            ours.build(shape)
            weights = [RNG(7 + k).normal(size=w.shape).astype("float32") for k, w in enumerate(ours.weights)]
            ours.set_weights(weights)
            theirs.set_weights(weights)
            y = theirs(inputs[0])
        u = RNG(2).normal(size=y.shape).astype("float32")
        loss = tf.reduce_sum(y * u)
    mine = ours(x)
    assert mine.dtype == np.float32
    assert_same(mine, y.numpy(), 1e-5)
    assert tuple(ours.compute_output_shape(shape)) == tuple(theirs.compute_output_shape(shape)) == mine.shape
    wanted = tape.gradient(loss, inputs + theirs.trainable_weights)
    got = as_list(ours.backward(u)) + ours.gradients
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        assert_same(a, b.numpy(), 1e-4)
    assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize("make, shape", [(c[1], c[4]) for c in CASES], ids=IDS)
def test_central_differences(make, shape):
    layer, x = make(dtype="float64", seed=3), data(shape, 4)
    before = [a.copy() for a in as_list(x)]
    y = layer(x)
    u = RNG(5).normal(size=y.shape)
    keep = u.copy()
    got = as_list(layer.backward(u))
    gradients = [g.copy() for g in layer.gradients]
    assert y.dtype == np.float64 and np.array_equal(u, keep)
    assert all(np.array_equal(a, b) for a, b in zip(as_list(x), before))                 # nothing was changed
    loss = lambda: float(np.sum(u * layer(x)))  # noqa: E731
    for a, g in [*zip(as_list(x), got), *zip(layer.trainable_weights, gradients)]:
        assert_close(g, central(loss, a), 1e-6)


@pytest.mark.parametrize("make, theirs, options, shape", [c[1:] for c in CASES], ids=IDS)
def test_open_sizes_and_masks_as_in_keras(keras, make, theirs, options, shape):
    ours, theirs = make(), getattr(keras.layers, theirs)(**options)
    open_shape = [(None, *s[1:]) for s in shape] if isinstance(shape, list) else (None, *shape[1:])
    assert tuple(ours.compute_output_shape(open_shape)) == tuple(theirs.compute_output_shape(open_shape))
    assert ours.supports_masking == theirs.supports_masking


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", None])
@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3)])
def test_dense_against_autodiff(name, shape):
    layer, x = L.Dense(4, name, dtype="float64", seed=0, bias_initializer="random_normal"), data(shape, 1)
    y = layer(x)
    u = RNG(2).normal(size=y.shape)
    dx = layer.backward(u)

    def f(x, W, b):
        z = x @ W + b
        return ((z if name is None else getattr(z, name)()) * u).sum()

    assert np.allclose(y, get(name)(x @ layer.kernel + layer.bias), rtol=1e-12, atol=1e-14)
    for a, b in zip([dx, *layer.gradients], ad.grad(f, (0, 1, 2))(x, layer.kernel, layer.bias)):
        assert_close(a, b, 1e-10)


@pytest.mark.parametrize("make, f, n", [
    (L.Add, lambda a, b, c: a + b + c, 3), (L.Average, lambda a, b, c: (a + b + c) / 3, 3), (L.Subtract, lambda a, b: a - b, 2),
    (L.Multiply, lambda a, b, c: a * b * c, 3), (L.Maximum, lambda a, b: ad.maximum(a, b), 2),
    (L.Minimum, lambda a, b: ad.minimum(a, b), 2), (L.Concatenate, lambda a, b: ad.concatenate([a, b], -1), 2)])
def test_merging_against_autodiff(make, f, n):
    layer, xs = make(dtype="float64"), data([(2, 3)] * n, 3)
    y = layer(xs)
    u = RNG(4).normal(size=y.shape)
    wanted = ad.grad(lambda *a: (f(*a) * u).sum(), tuple(range(n)))(*xs)
    for a, b in zip(layer.backward(u), wanted):
        assert_close(a, b, 1e-10)


def test_embedding_softmax_residual_against_autodiff():
    t, layer = RNG(0).integers(0, 6, size=(3, 4)), L.Embedding(6, 2, dtype="float64", seed=0)
    y = layer(t)
    u = RNG(1).normal(size=y.shape)
    layer.backward(u)
    assert_close(layer.gradients[0], ad.grad(lambda E: (E.embedding(t) * u).sum())(layer.embeddings), 1e-10)
    x, layer = data((3, 5)), L.Softmax(dtype="float64")
    y, u = layer(x), RNG(1).normal(size=(3, 5))
    assert_close(layer.backward(u), ad.grad(lambda x: (x.softmax() * u).sum())(x), 1e-10)
    block = L.Residual([L.Dense(7, "tanh"), L.Dense(4)], L.Dense(4, use_bias=False), dtype="float64", seed=2)
    y, u = block(x), RNG(1).normal(size=(3, 4))
    dx = block.backward(u)
    f = lambda x, W, b, V, c, P: ((x @ P + (x @ W + b).tanh() @ V + c) * u).sum()  # noqa: E731
    for a, b in zip([dx, *block.gradients], ad.grad(f, tuple(range(6)))(x, *block.weights)):
        assert_close(a, b, 1e-10)


# --- embedding ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 3, 2)])
def test_embedding_as_in_keras(keras, tf, mask_zero, shape):
    t = RNG(0).integers(0, 6, size=shape)
    ours, theirs = L.Embedding(6, 3, mask_zero=mask_zero, seed=0), keras.layers.Embedding(6, 3, mask_zero=mask_zero)
    y = ours(t)
    theirs.build()
    theirs.set_weights(ours.get_weights())
    u = RNG(1).normal(size=y.shape).astype("float32")
    with tf.GradientTape() as tape:
        z = theirs(t)
        loss = tf.reduce_sum(z * u)
    assert_same(y, z.numpy(), 1e-5)
    wanted = tf.convert_to_tensor(tape.gradient(loss, theirs.weights[0])).numpy()
    dx = ours.backward(u)
    assert_same(ours.gradients[0], wanted, 1e-4)
    assert dx.shape == t.shape and not dx.any()
    mask = theirs.compute_mask(t)
    assert ours.supports_masking == theirs.supports_masking == mask_zero
    assert (ours.compute_mask(t) is None and mask is None) or np.array_equal(ours.compute_mask(t), mask)
    assert ours.compute_output_shape((None, 7)) == (None, 7, 3) and np.abs(ours.embeddings).max() <= 0.05


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_embedding_gradient_is_a_sum_over_places(indices, seed):
    layer, t = L.Embedding(10, 2, dtype="float64", seed=0), np.array(indices, dtype=np.int64)
    y = layer(t)
    u = RNG(seed).normal(size=y.shape)
    layer.backward(u)
    wanted = np.zeros((10, 2))
    for i, g in zip(indices, u):
        wanted[i] += g
    assert np.allclose(layer.gradients[0], wanted, atol=1e-12)


def test_embedding_forgets_the_rows_of_the_last_batch():
    layer = L.Embedding(4, 1)
    for t, wanted in (([[0, 1]], [1, 1, 0, 0]), ([[2, 2]], [0, 0, 2, 0])):
        layer(t), layer.backward(np.ones((1, 2, 1)))
        assert layer.gradients[0].ravel().tolist() == wanted


@pytest.mark.parametrize("bad, error", [([[-1]], IndexError), ([[6]], IndexError), ([[0, 7], [2, 3]], IndexError),
                                        ([[1.0]], TypeError), ([[True]], TypeError), ([["a"]], TypeError)])
def test_embedding_refuses(bad, error):
    with pytest.raises(error, match="expected integers"):
        L.Embedding(6, 2)(bad)


# --- noise -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_values_and_gradient(rate, dtype):
    layer, x = L.Dropout(rate, seed=0, dtype=dtype), data((200, 50), 1, dtype)
    keep = x.copy()
    y = layer(x, training=True)
    assert y.dtype == dtype and np.array_equal(x, keep)
    scale = 1 / (1 - rate) if rate < 1 else 0.0
    assert np.allclose(y, np.where(y == 0, 0, x * scale), rtol=1e-6)
    assert np.isclose(np.mean(y == 0), rate, atol=0.02)
    u = data((200, 50), 2, dtype)
    assert np.allclose(layer.backward(u), np.where(y == 0, 0, u * scale), rtol=1e-6)
    assert np.array_equal(layer(x), x) and np.array_equal(layer.backward(u), u)


def test_dropout_rate_1_gives_zeros_and_rate_0_the_identity():
    x = np.array([[1.0, 1e3, -2.0]])
    layer = L.Dropout(1)
    assert not layer(x, training=True).any() and not layer.backward(np.ones((1, 3))).any()
    layer = L.Dropout(0)
    assert np.array_equal(layer(x, training=True), x)


def test_dropout_mean_of_a_million_ones_and_keras_values(keras):
    ones = np.ones((1000, 1000), "float32")
    ours = L.Dropout(0.3, seed=0)(ones, training=True)
    theirs = keras.layers.Dropout(0.3, seed=0)(ones, training=True).numpy()
    assert np.allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)
    assert abs(ours.mean() - 1) < 0.01 and abs(theirs.mean() - 1) < 0.01


def test_dropout_draws_anew_and_again_with_the_seed():
    x = np.ones((4, 30))
    a, b = L.Dropout(0.5, seed=3), L.Dropout(0.5, seed=3)
    first, second = a(x, training=True), a(x, training=True)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, b(x, training=True)) and np.array_equal(second, b(x, training=True))


@pytest.mark.parametrize("noise_shape, axes", [((None, 1, None), (1,)), ((5, 1, 7), (1,)), ([1, None, None], (0,)),
                                               ((None, None, 1), (2,)), ((1, 1, 1), (0, 1, 2))])
def test_noise_shape_shares_draws(noise_shape, axes):
    y = L.Dropout(0.5, noise_shape, seed=1)(np.ones((5, 6, 7)), training=True)
    assert np.array_equal(y, np.broadcast_to(y.mean(axis=axes, keepdims=True), y.shape))
    assert axes == (0, 1, 2) or len(np.unique(y)) == 2


def test_noise_shape_that_does_not_fit():
    with pytest.raises(ValueError, match="noise_shape"):
        L.Dropout(0.5, (None, 3))(np.ones((2, 4)), training=True)
    with pytest.raises(ValueError, match="noise_shape"):
        L.Dropout(0.5, (None, 1, 1))(np.ones((2, 4)), training=True)


@pytest.mark.parametrize("layer, shape", [(L.SpatialDropout1D(0.5, seed=0), (40, 6, 9)), (L.SpatialDropout2D(0.5, seed=0), (40, 3, 4, 9))])
def test_spatial_dropout(layer, shape):
    x = data(shape, 1, "float32")
    y = layer(x, training=True)
    middle = tuple(range(1, len(shape) - 1))
    off = (y == 0).all(axis=middle, keepdims=True)
    assert np.allclose(y, np.where(off, 0, 2 * x)) and abs(off.mean() - 0.5) < 0.06
    assert np.allclose(layer.backward(np.ones(shape)), np.where(off, 0, 2) * np.ones(shape))
    with pytest.raises(ValueError, match="expected an input of shape"):
        layer(np.ones((3, 4)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gaussian_layers(dtype):
    x = np.full((400, 500), 3.0, dtype)
    layer = L.GaussianNoise(0.5, seed=0, dtype=dtype)
    y, u = layer(x, training=True), data((400, 500), 1, dtype)
    assert y.dtype == dtype and abs(y.mean() - 3) < 0.01 and abs(y.std() - 0.5) < 0.01 and np.array_equal(layer.backward(u), u)
    layer = L.GaussianDropout(0.2, seed=0, dtype=dtype)
    y = layer(x, training=True)
    assert y.dtype == dtype and abs(y.mean() - 3) < 0.02 and abs(y.std() - 3 * 0.5) < 0.02
    assert np.allclose(layer.backward(u), u * y / 3, rtol=1e-5)
    assert np.array_equal(L.GaussianNoise(0)(x, training=True), x) and np.array_equal(L.GaussianDropout(0)(x, training=True), x)
    assert L.GaussianNoise(2.0)(x, training=True).std() > 1.9                 # larger than Keras allows


@pytest.mark.parametrize("make", [L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.GaussianDropout])
@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf])
def test_rates_outside(make, rate):
    with pytest.raises(ValueError, match="rate must be a number"):
        make(rate)


@pytest.mark.parametrize("make", [L.Dropout, L.SpatialDropout1D, L.GaussianDropout, L.GaussianNoise])
@pytest.mark.parametrize("rate", ["0.5", None, True, [0.5], 1j])
def test_rates_that_are_no_numbers(make, rate):
    with pytest.raises(TypeError, match="must be a number"):
        make(rate)


def test_noise_settings_refused():
    with pytest.raises(ValueError, match="below 1"):
        L.GaussianDropout(1.0)
    with pytest.raises(ValueError, match="stddev"):
        L.GaussianNoise(-0.1)
    for bad, error in (("abc", TypeError), (3, TypeError), ((None, 1.5), TypeError), ((None, 0), ValueError), ((-1,), ValueError)):
        with pytest.raises(error, match="noise_shape"):
            L.Dropout(0.5, bad)


# --- masks ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["Add", "Average", "Multiply", "Maximum", "Minimum"])
@pytest.mark.parametrize("which", [(0, 1, 2), (0, 2), (1,), (0,), ()])
def test_masked_merging_as_in_keras(keras, tf, name, which):
    xs, rng = data([(2, 4, 3)] * 3, 1, "float32"), RNG(6)
    masks = [rng.random((2, 4)) < 0.6 if k in which else None for k in range(3)]
    inputs = [tf.Variable(x) for x in xs]
    theirs, ours = getattr(keras.layers, name)(), getattr(L, name)()
    with tf.GradientTape() as tape:
        wired = [tf.identity(v) for v in inputs]
        for x, m in zip(wired, masks):
            if m is not None:
                keras.src.backend.set_keras_mask(x, tf.constant(m))
        y = theirs(wired)
        u = rng.normal(size=y.shape).astype("float32")
        loss = tf.reduce_sum(y * u)
    assert_same(ours(xs, mask=masks), y.numpy(), 1e-5)
    for a, b in zip(ours.backward(u), tape.gradient(loss, inputs)):
        assert_same(a, b.numpy(), 1e-4)
    wanted, got = theirs.compute_mask(wired, masks), ours.compute_mask(xs, masks)
    assert (got is None and wanted is None) or np.array_equal(got, wanted)
    assert ours.compute_mask(xs, None) is None


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("which", [(0, 1), (1,), ()])
def test_concatenated_masks_as_in_keras(keras, axis, which):
    xs, rng = data([(2, 4, 3), (2, 4, 3)], 1, "float32"), RNG(0)
    masks = [rng.random((2, 4)) < 0.5 if k in which else None for k in range(2)]
    theirs, ours = keras.layers.Concatenate(axis), L.Concatenate(axis)
    given = [None if m is None else keras.ops.convert_to_tensor(m) for m in masks]
    wanted, got = theirs.compute_mask([keras.ops.convert_to_tensor(x) for x in xs], given), ours.compute_mask(xs, masks)
    assert (got is None and wanted is None) or np.array_equal(got, wanted)


def test_softmax_mask_as_in_keras(keras):
    x, rng = data((3, 4, 5), 1, "float32"), RNG(2)
    mask = rng.random((3, 4, 5)) < 0.5
    mask[0, 0] = False                                                    # nothing left: all zeros, no nan
    wanted = keras.layers.Softmax()(x, mask=keras.ops.convert_to_tensor(mask)).numpy()
    for m in (mask, mask.astype("float32")):
        layer = L.Softmax()
        y = layer(x, mask=m)
        assert_same(y, wanted, 1e-5)
        assert not y[0, 0].any() and not layer.backward(np.ones_like(y))[~mask].any()
    assert_same(L.Softmax()(x, mask=mask[:, :1]), keras.layers.Softmax()(x, mask=keras.ops.convert_to_tensor(mask[:, :1])).numpy(), 1e-5)
    with pytest.raises(ValueError):
        L.Softmax()(x, mask=np.ones((3, 4), bool))


def test_masks_travel():
    mask = np.array([[True, False]])
    x = np.ones((1, 2, 3))
    for layer in (L.Dense(2), L.Activation("relu"), L.Dropout(0.1), L.GaussianNoise(0.1), L.Residual(L.Dense(3))):
        assert layer.compute_mask(x, mask) is mask
    for layer in (L.Flatten(), L.Reshape((6,)), L.Permute((2, 1)), L.RepeatVector(2), L.Embedding(3, 2),
                  L.Residual(L.Permute((1, 2)))):
        assert layer.compute_mask(x, mask) is None


def test_residual_hands_the_mask_to_the_layers_inside():
    class Keep(L.Layer):
        def _forward(self, x, training, mask):
            self.seen = mask, training
            return x

        def _backward(self, grad):
            return grad

    first, last, mask = Keep(), Keep(), np.ones((2, 3), bool)
    L.Residual([first, L.Reshape((3, 4)), last])(np.ones((2, 3, 4)), training=True, mask=mask)
    assert first.seen == (mask, True) or first.seen[0] is mask and first.seen[1]
    assert last.seen == (None, True)                                      # reshape has stopped it


# --- the contract ------------------------------------------------------------------------------------------

def stack(**options):
    inner = L.Residual([L.Dense(3, "tanh", kernel_regularizer=L2(0.1), name="in"), L.Dense(4, bias_regularizer="l1")],
                       L.Dense(4, kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.1, "l2": 0.2}}), **options)
    return L.Residual([inner, L.Dense(4, "relu")], dtype="float64", seed=0)


def test_weights_of_layers_in_layers():
    block, x = stack(), data((5, 4))
    y = block(x)
    assert len(block.weights) == len(block.trainable_weights) == len(block.gradients) == 8
    assert [w.shape for w in block.weights] == [g.shape for g in block.gradients]
    assert block.count_params() == (4 * 3 + 3) + (3 * 4 + 4) + 20 + 20
    assert [layer.name for layer in block.flatten_layers()] == ["residual", "residual", "in", "dense", "dense", "dense"]
    new = [RNG(9).normal(size=w.shape) for w in block.weights]
    block.set_weights(new)
    assert all(np.array_equal(a, b) for a, b in zip(block.get_weights(), new)) and not np.allclose(block(x), y)
    assert not any(np.shares_memory(a, b) for a, b in zip(block.get_weights(), block.weights))


def test_bind_moves_weights_and_gradients_into_one_buffer():
    block, x, u = stack(), data((5, 4)), data((5, 4), 1)
    y, dx = block(x), block.backward(u)
    gradients = [g.copy() for g in block.gradients]
    theta, slope = np.full(block.count_params(), np.nan), np.full(block.count_params(), np.nan)
    cuts = np.cumsum([w.size for w in block.weights])[:-1]
    views = [[p.reshape(w.shape) for p, w in zip(np.split(b, cuts), block.weights)] for b in (theta, slope)]
    block.bind(*views)
    assert np.array_equal(block(x), y) and np.array_equal(np.concatenate([g.ravel() for g in gradients]), slope)
    slope[:] = np.nan
    assert np.array_equal(block.backward(u), dx) and all(np.array_equal(a, b) for a, b in zip(block.gradients, gradients))
    assert not np.isnan(slope).any()
    theta -= 1e-4 * slope
    assert np.sum(u * block(x)) < np.sum(u * y)
    block.add_regularization_gradients()
    assert not np.allclose(slope, np.concatenate([g.ravel() for g in gradients]))
    with pytest.raises(ValueError, match="expected weights of shapes"):
        block.bind([], [])


def test_penalties_of_layers_in_layers():
    block, x, u = stack(), data((5, 4)), data((5, 4), 1)
    block(x)
    total = lambda: float(np.sum(u * block(x)) + block.regularization_loss())  # noqa: E731
    block.backward(u)
    block.add_regularization_gradients()
    W1, _, _, b2, P = block.weights[:5]
    assert np.isclose(block.regularization_loss(), 0.1 * np.sum(W1**2) + 0.01 * np.abs(b2).sum()
                      + 0.1 * np.abs(P).sum() + 0.2 * np.sum(P**2))
    for w, g in zip(block.trainable_weights, [g.copy() for g in block.gradients]):
        if not np.array_equal(w, b2):                                    # at its kink
            assert_close(g, central(total, w), 1e-6)


def test_penalties_as_in_keras(keras):
    ours = L.Dense(3, kernel_regularizer=L1L2(0.1, 0.2), bias_regularizer=L1(0.3), bias_initializer="ones")
    theirs = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2),
                                bias_regularizer=keras.regularizers.L1(0.3))
    ours.build((None, 4))
    theirs.build((None, 4))
    theirs.set_weights(ours.get_weights())
    assert np.isclose(ours.regularization_loss(), float(sum(theirs.losses)), rtol=1e-5)
    ours.trainable = theirs.trainable = False
    assert ours.regularization_loss() == sum(theirs.losses) == 0


def test_freezing_reaches_the_layers_inside():
    block, x = stack(), data((5, 4))
    block(x)
    block.trainable = False
    assert not any(layer.trainable for layer in block.flatten_layers())
    assert block.trainable_weights == block.gradients == [] and len(block.weights) == len(block.non_trainable_weights) == 8
    u = data((5, 4), 1)
    dx = block.backward(u)
    block.trainable = True
    before = [g.copy() for g in block.gradients]
    block.trainable = False
    block.add_regularization_gradients()                                  # nothing to penalise
    block.trainable = True
    assert len(block.gradients) == 8 and all(np.array_equal(a, b) for a, b in zip(block.gradients, before))
    block(x)
    assert np.array_equal(block.backward(u), dx)                          # frozen layers pass gradients through
    block.layers[1].trainable = False
    assert len(block.trainable_weights) == len(block.gradients) == 6 and len(block.non_trainable_weights) == 2
    frozen = L.Residual(L.Dense(4), trainable=False)
    assert not frozen.layers[0].trainable
    block.bind([w.copy() for w in block.trainable_weights], [g.copy() for g in block.gradients])
    assert np.array_equal(block.backward(u), dx)


def test_dtype_reaches_the_layers_inside_and_stays_once_built():
    block = L.Residual([L.Dense(4), L.Dense(4)], dtype="float64")
    assert {layer.dtype for layer in block.flatten_layers()} == {"float64"}
    assert L.Residual(L.Dense(4, dtype="float64")).dtype == "float64"
    block(data((2, 4)))
    with pytest.raises(ValueError, match="float64 already"):
        block.dtype = "float32"
    block.dtype = "float64"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_kinds_of_input(dtype):
    layer = L.Dense(2, "relu", dtype=dtype, seed=0)
    y = layer([[1, 2, 3]])
    assert y.dtype == dtype and layer.backward([[1, 1]]).dtype == dtype and {g.dtype.name for g in layer.gradients} == {dtype}
    for x in (np.array([[1, 2, 3]]), np.array([[1.0, 2, 3]], "float16"), ((1, 2, 3),)):
        assert np.array_equal(layer(x), y)
    for bad in ([["a", "b", "c"]], [[1j, 2, 3]], [[None, 1, 2]]):
        with pytest.raises(TypeError, match="expected real numbers"):
            layer(bad)


def test_not_an_input_is_changed_nor_a_weight_shared():
    start = np.ones((3, 2))
    a = L.Dense(2, kernel_initializer=lambda shape, seed, dtype: start, dtype="float64")
    a.build((None, 3))
    a.kernel += 1
    assert np.array_equal(start, np.ones((3, 2))) and np.array_equal(a.kernel, 2 * start)
    with pytest.raises(ValueError, match="asked for shape"):
        L.Dense(4, kernel_initializer=lambda shape, seed, dtype: start).build((None, 3))


def test_setting_a_weight_fills_it():
    layer = L.Dense(2)
    layer.build((None, 3))
    held = layer.kernel
    layer.kernel = np.arange(6).reshape(3, 2)
    assert layer.kernel is held and np.array_equal(layer.weights[0], np.arange(6).reshape(3, 2))
    with pytest.raises(ValueError, match="kernel has shape"):
        layer.kernel = np.ones(2)


def test_gradients_are_overwritten_not_added_up():
    layer, x, u = L.Dense(2, dtype="float64", seed=0), data((4, 3)), data((4, 2), 1)
    layer(x), layer.backward(u)
    once = [g.copy() for g in layer.gradients]
    layer(x), layer.backward(u)
    assert all(np.array_equal(a, b) for a, b in zip(once, layer.gradients))


def test_first_layer_can_leave_the_input_gradient_out():
    layer, x, u = L.Dense(2, dtype="float64", seed=0), data((4, 3)), data((4, 2), 1)
    layer(x), layer.backward(u)
    once = [g.copy() for g in layer.gradients]
    layer.input_gradient = False
    assert layer.backward(u) is None and all(np.array_equal(a, b) for a, b in zip(once, layer.gradients))


def test_names_as_in_keras(keras):
    for make, arguments in ((L.Dense, (2,)), (L.ReLU, ()), (L.LeakyReLU, ()), (L.SpatialDropout1D, (0.1,)), (L.GaussianNoise, (0.1,)),
                            (L.RepeatVector, (2,)), (L.Concatenate, ())):
        keras.backend.clear_session()
        assert make(*arguments).name == getattr(keras.layers, make.__name__)(*arguments).name
    assert L.Dense(2, name="mine").name == "mine" and repr(L.Dense(2, name="mine")) == "<Dense mine>"
    assert L._snake_case("MaxPooling2D") == "max_pooling2d"


@pytest.mark.parametrize("shape", [(0, 3), (0, 5, 3)])
def test_empty_batch(shape):
    layer = L.Dense(2, "softmax")
    y = layer(np.ones(shape))
    assert y.shape == (*shape[:-1], 2) and layer.backward(np.zeros_like(y)).shape == shape
    assert not any(g.any() for g in layer.gradients)
    for layer in (L.Flatten(), L.Reshape((-1,)), L.Dropout(0.5), L.Residual(L.Dense(3)), L.Softmax(), L.ReLU()):
        y = layer(np.ones(shape), training=True)
        assert y.shape == layer.compute_output_shape(shape) and layer.backward(y).shape == shape
    y = L.Add()([np.ones(shape), np.ones(shape)])
    assert y.shape == shape and L.Multiply()([np.ones(shape)] * 2).shape == shape and L.Maximum()([np.ones(shape)] * 2).shape == shape
    layer = L.Embedding(3, 2)
    assert layer(np.ones((0, 4), int)).shape == (0, 4, 2) and layer.backward(np.ones((0, 4, 2))).shape == (0, 4)


def test_layers_of_layers_refuse():
    layer = L.Dense(3)
    for bad in ([], [layer, layer]):
        with pytest.raises(ValueError, match="at least one layer"):
            L.Residual(bad)
    with pytest.raises(ValueError, match="give a projection"):
        L.Residual(L.Dense(3))(np.ones((2, 4)))
    with pytest.raises(ValueError, match="give a projection"):
        L.Residual(L.Dense(3), L.Dense(2)).build((None, 4))
    with pytest.raises(TypeError, match="expected a layer"):
        L.Residual([np.tanh])


@pytest.mark.parametrize("units", [0, -1])
def test_units_below_1(units):
    with pytest.raises(ValueError, match="units must be an integer of at least 1"):
        L.Dense(units)
    with pytest.raises(ValueError, match="output_dim"):
        L.Embedding(3, units)
    with pytest.raises(ValueError, match="input_dim"):
        L.Embedding(units, 3)
    with pytest.raises(ValueError, match="n must be"):
        L.RepeatVector(units)


@pytest.mark.parametrize("units", [1.0, "2", None, True, [3]])
def test_units_of_another_type(units):
    with pytest.raises(TypeError, match="units must be an integer"):
        L.Dense(units)


def test_unknown_names_are_refused_at_construction():
    for options, word in ((dict(activation="rellu"), "rellu"), (dict(kernel_initializer="zero"), "zero"), (dict(bias_initializer="x"), "x"),
                          (dict(kernel_regularizer="l3"), "l3"), (dict(bias_regularizer="l3"), "l3"), (dict(dtype="float16"), "float16"),
                          (dict(dtype="int32"), "int32"), (dict(activation=np.tanh), "derivative")):
        with pytest.raises(ValueError, match=word):
            L.Dense(2, **options)
    for options in (dict(activation=3), dict(kernel_initializer=3), dict(kernel_regularizer=3), dict(dtype="nothing"), dict(colour="red")):
        with pytest.raises(TypeError):
            L.Dense(2, **options)
    with pytest.raises(ValueError, match="data_format"):
        L.Flatten("channels_first")
    with pytest.raises(ValueError, match="data_format"):
        L.SpatialDropout2D(0.1, "channels_first")
    for options in (dict(max_value=-1), dict(negative_slope=-0.1), dict(threshold=-1), dict(threshold=math.nan)):
        with pytest.raises(ValueError, match="ReLU"):
            L.ReLU(**options)
    with pytest.raises(ValueError, match="negative_slope"):
        L.LeakyReLU(-0.1)
    for bad in ("a", 1.0, (), (1, "a")):
        with pytest.raises(TypeError, match="axis must be"):
            L.Softmax(bad)
    with pytest.raises(ValueError, match="axis"):
        L.Softmax(3)(np.ones((2, 2)))
    with pytest.raises(TypeError, match="axis must be"):
        L.Concatenate(1.0)


def test_wrong_shapes_say_expected_and_got():
    layer = L.Dense(2)
    for bad in ((3,), ()):
        with pytest.raises(ValueError, match=r"expected an input of shape \(batch, ..., features\)"):
            layer(np.ones(bad))
    with pytest.raises(ValueError, match="known number of features"):
        layer.build((None, None))
    layer(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"expected 3 features on the last axis, got shape \(2, 4\)"):
        layer(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(2, 2\), got \(2, 3\)"):
        layer.backward(np.ones((2, 3)))
    with pytest.raises(ValueError, match="expected weights of shapes"):
        layer.set_weights([np.ones((3, 2))])
    with pytest.raises(ValueError, match="expected weights of shapes"):
        layer.set_weights([np.ones((2, 3)), np.ones(2)])
    with pytest.raises(ValueError, match="none before it is built"):
        L.Dense(2).set_weights([np.ones((2, 3)), np.ones(2)])
    with pytest.raises(ValueError, match="no weights yet"):
        L.Dense(2).count_params()
    with pytest.raises(AttributeError, match="no attribute 'kernel'"):
        _ = L.Dense(2).kernel


@pytest.mark.parametrize("make, shape", [(c[1], c[4]) for c in CASES[::4]], ids=IDS[::4])
def test_backward_before_forward(make, shape):
    with pytest.raises(RuntimeError, match="needs a forward pass first"):
        make().backward(np.ones((2, 2)))


def test_reshaping_refuses():
    for bad in ((5,), (-1, 5), (13,)):
        with pytest.raises(ValueError, match="do not fit"):
            L.Reshape(bad)(np.ones((2, 12)))
    with pytest.raises(ValueError, match="only one size"):
        L.Reshape((-1, -1))
    for bad, error in (((0,), ValueError), ((-2,), ValueError), ((2.0,), TypeError)):
        with pytest.raises(error, match="each size"):
            L.Reshape(bad)
    for bad in ((0, 1), (1, 3), (1, 1)):
        with pytest.raises(ValueError):
            L.Permute(bad)
    with pytest.raises(ValueError, match="expected 2 axes"):
        L.Permute((2, 1))(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"\(batch, features\)"):
        L.RepeatVector(2)(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="batch axis"):
        L.Flatten()(np.float64(3))


def test_merging_refuses():
    for make in (L.Add, L.Multiply, L.Maximum, L.Concatenate):
        for bad in (np.ones((2, 3)), [], 3.0):
            with pytest.raises(ValueError, match="expected a list of inputs"):
                make()(bad)
    for shapes in ([(2, 3), (2, 4)], [(2, 3), (3, 3)], [(2, 3), (1, 3)]):
        with pytest.raises(ValueError, match="do not fit together"):
            L.Add()([np.ones(s) for s in shapes])
    for n in (1, 3):
        with pytest.raises(ValueError, match=f"expected 2 inputs, got {n}"):
            L.Subtract()([np.ones((2, 3))] * n)
    with pytest.raises(ValueError, match="must agree"):
        L.Concatenate()([np.ones((2, 3)), np.ones((3, 3))])
    with pytest.raises(ValueError, match="side by side"):
        L.Concatenate(2)([np.ones((2, 3)), np.ones((2, 3))])
    with pytest.raises(ValueError, match="side by side"):
        L.Concatenate()([np.ones((2, 3)), np.ones((2, 3, 4))])
    with pytest.raises(ValueError, match="axis 0 is the batch"):
        L.Concatenate(0)
    with pytest.raises(ValueError, match="list of shapes"):
        L.Add().build((None, 3))
    assert L.Concatenate(1).compute_output_shape([(None, None, 3), (None, 2, 3)]) == (None, None, 3)


def test_ties_go_to_the_first():
    for make in (L.Maximum, L.Minimum):
        layer = make()
        layer([np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))])
        assert [g.tolist() for g in layer.backward([[1, 1]])] == [[[1, 1]], [[0, 0]], [[0, 0]]]
        y = layer([np.array([[1.0, np.nan]]), np.array([[np.nan, 2.0]])])
        assert np.isnan(y).all()


# --- activations at the end of a layer ------------------------------------------------------------------

@pytest.mark.parametrize("name", [None, *ACTIVATIONS])
def test_activation_forward_and_backward(name):
    z, u = data((4, 6), 1), data((4, 6), 2)
    a = L.activation_forward(name, z.copy())
    assert np.allclose(a, get(name)(z), rtol=1e-14)
    assert_close(L.activation_backward(name, z, a, u), central(lambda: np.sum(u * get(name)(z)), z), 1e-6)
    if name is not None and ACTIVATIONS[name].function.__name__ == name:
        assert L.Dense(2, get(name)).activation == name                    # functions are kept by name


def test_own_activation_with_a_derivative():
    def cube(z):
        return z**3

    cube.prime = lambda z: 3 * z**2
    x, u = data((3, 4)), data((3, 2), 1)
    layer = L.Dense(2, cube, dtype="float64", seed=0)
    layer(x)
    dx = layer.backward(u)
    assert_close(dx, central(lambda: float(np.sum(u * layer(x))), x), 1e-6)

    def relu(z):                                                           # the name alone does not count
        return z * 2

    relu.prime = lambda z: 0 * z + 2
    assert np.array_equal(L.Activation(relu)([[-1.0]]), [[-2.0]])


# --- settings ---------------------------------------------------------------------------------------------

CONFIGS = [
    L.Dense(3, relu, False, glorot_uniform, kernel_regularizer=L2(0.1), bias_regularizer="l1", name="d", trainable=False, dtype="float64"),
    L.Dense(np.int64(3)), L.Activation("tanh"), L.ReLU(6), L.LeakyReLU(0.1), L.Softmax((1, 2)), L.Dropout(0.3, (None, 1), seed=4),
    L.Dropout(0.3, seed=RNG(0)), L.SpatialDropout1D(0.2, 5), L.SpatialDropout2D(0.2), L.GaussianNoise(0.1, 3), L.GaussianDropout(0.1),
    L.Flatten(), L.Reshape((2, -1)), L.Permute((2, 1)), L.RepeatVector(2), L.Embedding(4, 2, embeddings_regularizer=L1L2(0.1, 0.2), mask_zero=True),
    L.Add(), L.Subtract(), L.Multiply(), L.Average(), L.Maximum(), L.Minimum(), L.Concatenate(1), stack(),
]


@pytest.mark.parametrize("layer", CONFIGS, ids=lambda layer: type(layer).__name__)
def test_config_survives_json(layer):
    config = layer.get_config()
    text = json.dumps(config)
    again = type(layer).from_config(json.loads(text))
    assert json.dumps(again.get_config()) == text and type(again) is type(layer)
    copy = L.deserialize_layer(json.loads(json.dumps(L.serialize_layer(layer))))
    assert type(copy) is type(layer) and copy.get_config() == again.get_config()
    assert (copy.name, copy.dtype, copy.trainable, copy.supports_masking) == (layer.name, layer.dtype, layer.trainable, layer.supports_masking)


def test_config_rebuilds_the_same_network():
    block, x = stack(), data((5, 4))
    y = block(x)
    copy = L.Residual.from_config(json.loads(json.dumps(block.get_config())))
    copy.build(x.shape)
    copy.set_weights(block.get_weights())
    assert np.array_equal(copy(x), y) and np.isclose(copy.regularization_loss(), block.regularization_loss())


def test_config_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="Dense has no argument colour"):
        L.Dense.from_config({"units": 2, "colour": "red"})
    with pytest.raises(ValueError, match="no layer 'Nothing'"):
        L.deserialize_layer({"class_name": "Nothing", "config": {}})
    for bad in (3, {"class_name": "Dense"}, "Dense"):
        with pytest.raises(TypeError, match="expected a layer"):
            L.deserialize_layer(bad)
    own = partial(random_uniform, minval=-1, maxval=1)
    assert L.Dense(2, kernel_initializer=own).get_config()["kernel_initializer"] is own


def test_arguments_of_a_layer_without_keywords():
    class Two(L.Dense):
        def __init__(self):
            super().__init__(2)

    assert Two().get_config() == {} and isinstance(Two.from_config({}), Two)


def test_symbolic_inputs_grow_a_graph():
    class Symbol:
        def add_node(self, layer, x, *args, **kwargs):
            return layer, x, args, kwargs

    s, layer, merge = Symbol(), L.Dense(2), L.Add()
    assert layer(s, training=True) == (layer, s, (), {"training": True}) and merge([s, s]) == (merge, [s, s], (), {})


def test_a_bare_layer_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="how to compute"):
        L.Layer()([[1.0]])


def test_seeds():
    a, b, c = (L.Dense(3, seed=s) for s in (0, 0, 1))
    for layer in (a, b, c):
        layer.build((None, 4))
    assert np.array_equal(a.kernel, b.kernel) and not np.array_equal(a.kernel, c.kernel)
    one, two = (L.Residual([L.Dense(4), L.Dense(4)], seed=5) for _ in range(2))
    for layer in (one, two):
        layer.build((None, 4))
    assert all(np.array_equal(v, w) for v, w in zip(one.weights, two.weights)) and not np.array_equal(one.weights[0], one.weights[2])


# --- published numbers ---------------------------------------------------------------------------------------

def test_numbers():
    assert L.Dense(8).compute_output_shape((None, 4)) == (None, 8)
    layer = L.Dense(8)
    layer.build((None, 4))
    assert layer.count_params() == 40
    assert round(math.comb(16, 8) / 2**16, 3) == 0.196
    assert L.Dropout(0.2, seed=0)(np.ones((1, 99)), training=True).max() == 1.25
    z = np.linspace(-30, 30, 61)
    assert np.allclose(get("sigmoid")(z), get("softmax")(np.column_stack([0 * z, z]))[:, 1], rtol=1e-13)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000), st.sampled_from([None, "relu", "tanh", "softmax"]))
@settings(max_examples=30, deadline=None)
def test_dense_is_linear_in_the_gradient(n, d, m, seed, activation):
    layer, rng = L.Dense(m, activation, dtype="float64", seed=seed), RNG(seed)
    x = rng.normal(size=(n, d))
    y = layer(x)
    u, v = rng.normal(size=y.shape), rng.normal(size=y.shape)
    parts = []
    for g in (u, v, 2 * u - v):
        dx = layer.backward(g)
        parts.append([dx.copy(), *(w.copy() for w in layer.gradients)])
    for a, b, c in zip(*parts):
        assert np.allclose(c, 2 * a - b, atol=1e-12)
