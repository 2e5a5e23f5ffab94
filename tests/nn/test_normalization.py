"""Normalising layers against Keras, loops, central differences and automatic differentiation; errors, masks, edges."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from mlcheat.nn import autodiff as ad
from mlcheat.nn.layers import Dense
from mlcheat.nn.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    fold_batch_norm,
    normalize,
    normalize_backward,
    spectral_norm,
)
from mlcheat.nn.regularization import L2

rng = np.random.default_rng(7)
CASES = [
    (BatchNormalization, {}, (5, 4)), (BatchNormalization, {}, (3, 4, 5, 2)), (BatchNormalization, {"axis": 1}, (3, 4, 5)),
    (BatchNormalization, {"scale": False}, (5, 4)), (BatchNormalization, {"center": False}, (5, 4)),
    (BatchNormalization, {"momentum": 0.8, "epsilon": 0.1}, (4, 3, 2)),
    (LayerNormalization, {}, (5, 4)), (LayerNormalization, {}, (3, 4, 5)), (LayerNormalization, {"axis": [1, 2]}, (3, 4, 5)),
    (LayerNormalization, {"axis": 1}, (3, 4, 5)), (LayerNormalization, {"center": False, "scale": False}, (3, 4)),
    (GroupNormalization, {"groups": 2}, (3, 4, 5, 6)), (GroupNormalization, {"groups": -1}, (3, 4, 5, 6)),
    (GroupNormalization, {"groups": 1}, (3, 6)), (GroupNormalization, {"groups": 2, "axis": 1}, (3, 4, 5)),
    (RMSNormalization, {}, (5, 4)), (RMSNormalization, {"axis": [1, 2]}, (3, 4, 5)),
]
IDS = [f"{cls.__name__}-{settings}-{shape}" for cls, settings, shape in CASES]


def built(cls, settings, shape, dtype="float64", **more):
    """A layer with random weights; variances stay positive."""
    layer = cls(**settings, dtype=dtype, **more)
    layer.build((None, *shape[1:]))
    gen = np.random.default_rng(1)
    layer.set_weights([gen.uniform(0.5, 2, w.shape) for w in layer.weights])
    return layer


def same(ours, theirs, tol):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=tol, atol=tol)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls, settings, shape", CASES, ids=IDS)
def test_forward_and_gradients_equal_keras(cls, settings, shape, training):
    import keras
    import tensorflow as tf

    x, g = (rng.normal(1, 2, shape).astype(np.float32) for _ in range(2))
    ours = built(cls, settings, shape, "float32")
    theirs = getattr(keras.layers, cls.__name__)(**settings)
    theirs.build((None, *shape[1:]))
    theirs.set_weights(ours.get_weights())
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = theirs(tensor, training=training) if cls is BatchNormalization else theirs(tensor)
        total = tf.reduce_sum(y * g)
    grads = tape.gradient(total, [tensor, *theirs.trainable_weights])
    same(ours(x, training=training), y.numpy(), 1e-5)
    same(ours.backward(g), grads[0].numpy(), 1e-4)
    assert len(ours.gradients) == len(grads) - 1
    for mine, other in zip(ours.gradients, grads[1:]):
        same(mine, other.numpy(), 1e-4)
    for mine, other in zip(ours.get_weights(), theirs.get_weights()):
        same(mine, other, 1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cls, settings, shape", CASES, ids=IDS)
def test_gradients_equal_central_differences(cls, settings, shape, training):
    x, g = rng.normal(1, 2, shape), rng.normal(size=shape)
    layer = built(cls, settings, shape)
    start = layer.get_weights()

    def loss():
        layer.set_weights(start)                      # the moving averages too
        for w, value in zip(layer.trainable_weights, values):
            w[...] = value
        return np.sum(g * layer(x, training=training))

    values = [w.copy() for w in layer.trainable_weights]
    loss()
    ours = [layer.backward(g), *(a.copy() for a in layer.gradients)]
    for mine, array in zip(ours, [x, *values]):
        slope = np.empty_like(array)
        for i in np.ndindex(array.shape):
            kept, h = array[i], 1e-5
            array[i] = kept + h
            up = loss()
            array[i] = kept - h
            slope[i] = (up - loss()) / (2 * h)
            array[i] = kept
        np.testing.assert_allclose(mine, slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("axes, x_shape", [((0,), (5, 3)), ((0, 1), (4, 3, 2)), ((1,), (4, 3))])
def test_the_plain_formula_agrees_with_automatic_differentiation(axes, x_shape):
    x, g = rng.normal(size=x_shape), rng.normal(size=x_shape)
    t = ad.Tensor(x, requires_grad=True)
    centred = t - t.mean(axis=axes, keepdims=True)
    y = centred / ((centred * centred).mean(axis=axes, keepdims=True) + 0.01) ** 0.5
    (y * g).sum().backward()
    x_hat, inv_std = normalize(x, axes, 0.01)
    np.testing.assert_allclose(x_hat, y.data, rtol=1e-12)
    np.testing.assert_allclose(normalize_backward(g, x_hat, inv_std, axes), np.asarray(t.grad), rtol=1e-10, atol=1e-12)


def test_moving_statistics_after_five_batches_equal_keras():
    import keras

    ours, theirs = BatchNormalization(), keras.layers.BatchNormalization()
    for _ in range(5):
        x = rng.normal(3, 2, (8, 5, 5, 3)).astype(np.float32)
        ours(x, training=True)
        theirs(x, training=True)
    for mine, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)


def test_a_mask_leaves_positions_out_of_the_statistics_as_in_keras():
    import keras
    import tensorflow as tf

    x, g = (rng.normal(1, 2, (4, 5, 3)).astype(np.float32) for _ in range(2))
    mask = rng.random((4, 5)) < 0.6
    ours, theirs = BatchNormalization(), keras.layers.BatchNormalization()
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = theirs(tensor, training=True, mask=tf.constant(mask))
        total = tf.reduce_sum(y * g)
    grads = tape.gradient(total, [tensor, *theirs.trainable_weights])
    same(ours(x, training=True, mask=mask), y.numpy(), 1e-5)
    same(ours.backward(g), grads[0].numpy(), 1e-4)
    for mine, other in zip(ours.gradients, grads[1:]):
        same(mine, other.numpy(), 1e-4)
    same(ours.moving_variance, theirs.get_weights()[3], 1e-6)
    for bad in (mask[:, :3], mask.astype(int)):
        with pytest.raises(ValueError, match="expected a boolean mask of shape .4, 5."):
            ours(x, training=True, mask=bad)


def test_a_frozen_layer_uses_its_averages_in_training():
    layer = built(BatchNormalization, {}, (6, 3))
    x, before = rng.normal(size=(6, 3)), layer.get_weights()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights()))
    assert layer.gradients == [] and layer.trainable_weights == []


def test_a_batch_of_one_warns_and_gives_beta_and_no_gradient():
    layer = built(BatchNormalization, {}, (1, 3))
    with pytest.warns(UserWarning, match="variance 0; the output is beta"):
        y = layer([[1.0, 2.0, 3.0]], training=True)
    np.testing.assert_array_equal(y[0], layer.beta)
    np.testing.assert_allclose(layer.backward(np.ones((1, 3))), 0, atol=1e-15)


def test_an_empty_batch_leaves_the_averages_alone():
    layer = built(BatchNormalization, {}, (1, 3))
    before = layer.get_weights()
    y = layer(np.empty((0, 3)), training=True)
    assert y.shape == (0, 3) and layer.backward(y).shape == (0, 3)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights()))


@pytest.mark.parametrize("cls, settings, shape", CASES, ids=IDS)
def test_configuration_and_weights_make_the_same_layer(cls, settings, shape):
    x, layer = rng.normal(size=shape), built(cls, settings, shape)
    twin = cls.from_config(layer.get_config())
    twin.build((None, *shape[1:]))
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), layer(x))


@pytest.mark.parametrize("cls, settings, shape", CASES, ids=IDS)
def test_float32_stays_and_inputs_are_left_alone(cls, settings, shape):
    x = rng.normal(size=shape).astype(np.float32)
    x.flags.writeable = False
    layer = built(cls, settings, shape, "float32")
    y = layer(x, training=True)
    assert y.dtype == np.float32 and layer.backward(x).dtype == np.float32
    assert all(w.dtype == np.float32 for w in layer.weights + layer.gradients)


def test_penalties_reach_gamma_and_beta():
    layer = BatchNormalization(gamma_regularizer=L2(0.5), beta_regularizer="l1", dtype="float64")
    layer.build((None, 2))
    layer.beta = [1.0, -3.0]
    assert layer.regularization_loss() == pytest.approx(0.5 * 2 + 0.01 * 4)


@pytest.mark.parametrize("bias", [None, np.array([1.0, 2.0, 3.0])])
@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}])
def test_folding_gives_one_layer(settings, bias):
    bn = built(BatchNormalization, settings, (5, 3))
    x, kernel = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    W, b = fold_batch_norm(kernel, bias, bn)
    np.testing.assert_allclose(x @ W + b, bn(x @ kernel + (0 if bias is None else bias)))


def test_the_bias_before_it_gets_no_gradient():
    dense, bn = Dense(3, dtype="float64", seed=0), BatchNormalization(dtype="float64")
    bn(dense(rng.normal(size=(9, 4))), training=True)
    dense.backward(bn.backward(rng.normal(size=(9, 3))))
    assert np.abs(dense.grad_of("bias")).max() < 1e-13


def test_a_constant_feature_stays_finite():
    x = np.full((4, 3), 1e4)
    for layer in (BatchNormalization(), LayerNormalization(), GroupNormalization(1), RMSNormalization()):
        assert np.isfinite(layer(x, training=True)).all() and np.isfinite(layer.backward(np.ones((4, 3)))).all()


@pytest.mark.parametrize("make, error, message", [
    (lambda: BatchNormalization(momentum=1.5), ValueError, r"momentum must be in \[0, 1\], got 1.5"),
    (lambda: BatchNormalization(epsilon=-1), ValueError, "epsilon must be a finite number of at least 0, got -1"),
    (lambda: LayerNormalization(axis="last"), TypeError, "axis must be an int or a list of ints, got 'last'"),
    (lambda: BatchNormalization(axis=[1, 2]), TypeError, "axis must be an int"),
    (lambda: GroupNormalization(groups=0), ValueError, "groups must be a positive int or -1, got 0"),
    (lambda: GroupNormalization(4)(np.ones((2, 6))), ValueError, "4 groups do not divide 6 channels"),
    (lambda: BatchNormalization(axis=0)(np.ones((2, 6))), ValueError, "axis 0 must be one of 1 to 1"),
    (lambda: LayerNormalization(axis=3)(np.ones((2, 6))), ValueError, r"axis 3 must be one of 1 to 1 .* \(2, 6\)"),
    (lambda: built(BatchNormalization, {}, (5, 3))(np.ones((5, 4))), ValueError, r"built for .*\(None, 3\), got \(5, 4\)"),
    (lambda: built(BatchNormalization, {}, (5, 3))(np.ones((5, 2, 3))), ValueError, r"got \(5, 2, 3\)"),
    (lambda: BatchNormalization().backward(np.ones((2, 2))), RuntimeError, "needs a forward pass first"),
    (lambda: BatchNormalization().build((None, None)), ValueError, "size along axis -1 must be known"),
    (lambda: fold_batch_norm(np.ones((2, 2)), None, BatchNormalization()), ValueError, "is not built"),
    (lambda: fold_batch_norm(np.ones((2, 2)), None, built(BatchNormalization, {}, (5, 3))), ValueError, "3 features"),
    (lambda: spectral_norm(np.ones(3)), ValueError, "at least 2 axes"),
])
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_spectral_norm_is_the_largest_singular_value():
    W = rng.normal(size=(3, 3, 4, 8))
    exact = np.linalg.svd(W.reshape(-1, 8), compute_uv=False)[0]
    assert spectral_norm(W, 500) == pytest.approx(exact, rel=1e-9)
    assert spectral_norm(W, 1) <= exact * (1 + 1e-12)
