"""Attention against Keras, loops, central differences and automatic differentiation; masks, errors, edges."""
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from mlcheat.nn import autodiff as ad
from mlcheat.nn.attention import (
    AdditiveAttention,
    Attention,
    MultiHeadAttention,
    causal_mask,
    positional_encoding,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
)
from mlcheat.nn.regularization import L2

rng = np.random.default_rng(11)
MULTI = [
    (dict(num_heads=1, key_dim=3), (2, 4, 5), None, None), (dict(num_heads=2, key_dim=3), (2, 4, 5), (2, 6, 5), None),
    (dict(num_heads=3, key_dim=2, value_dim=4), (2, 4, 5), (2, 6, 7), (2, 6, 3)),
    (dict(num_heads=2, key_dim=3, use_bias=False), (1, 4, 6), (1, 3, 6), None),
]
SIMPLE = [(Attention, {}), (Attention, {"use_scale": True}), (AdditiveAttention, {}), (AdditiveAttention, {"use_scale": False})]


def close(ours, theirs, tol):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=tol, atol=tol)


def data(shapes, dtype=np.float32):
    return [rng.normal(size=s).astype(dtype) for s in shapes if s is not None]


def randomise(layer):
    gen = np.random.default_rng(5)
    layer.set_weights([gen.normal(0, 0.7, w.shape) for w in layer.weights])


@pytest.mark.parametrize("masked", ["none", "causal", "padding", "everything"])
@pytest.mark.parametrize("settings, q, v, k", MULTI)
def test_multi_head_equals_keras(settings, q, v, k, masked):
    import keras
    import tensorflow as tf

    x = data((q, v or q, k))
    given = {}
    if masked in ("causal", "everything"):
        given["use_causal_mask"] = True
    masks = [None, None]
    if masked in ("padding", "everything"):
        masks = [rng.random(q[:2]) < 0.7, rng.random((v or q)[:2]) < 0.7]
        masks[1][0] = False                                        # one sequence with nothing to look at
    if masked == "everything":
        given["attention_mask"] = rng.random((q[0], q[1], (v or q)[1])) < 0.7
    ours, theirs = MultiHeadAttention(**settings), keras.layers.MultiHeadAttention(**settings)
    ours.build([a.shape for a in x])
    randomise(ours)
    tensors = [tf.constant(a) for a in x]
    theirs.build(*[a.shape for a in x])
    theirs.set_weights(ours.get_weights())
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        if masks[0] is not None:                                   # Keras reads this mask from the tensor alone
            keras.src.backend.set_keras_mask(tensors[0], tf.constant(masks[0]))
        y, scores = theirs(*tensors, value_mask=masks[1], return_attention_scores=True, **given)
        g = rng.normal(size=y.shape).astype(np.float32)
        total = tf.reduce_sum(y * g)
    grads = tape.gradient(total, [*tensors, *theirs.trainable_weights])
    mine, weights = ours(*x, mask=masks, return_attention_scores=True, **given)
    close(mine, y, 1e-5)
    close(weights, scores, 1e-5)
    for a, b in zip([*ours.backward(g), *ours.gradients], grads, strict=True):
        close(a, b, 1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("cls, settings", SIMPLE)
def test_the_simple_layers_equal_keras(cls, settings, three, masked):
    import keras
    import tensorflow as tf

    x = data([(2, 3, 4), (2, 5, 4), (2, 5, 4) if three else None])
    mask = None
    if masked:
        mask = [rng.random((2, 3)) < 0.7, np.array([[True, True, False, True, False], [True, False, True, True, False]])]
    ours, theirs = cls(**settings), getattr(keras.layers, cls.__name__)(**settings)
    ours.build([a.shape for a in x])
    randomise(ours)
    tensors = [tf.constant(a) for a in x]
    theirs.build([a.shape for a in x])
    theirs.set_weights(ours.get_weights())
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = theirs(tensors, mask=None if mask is None else [tf.constant(m) for m in mask] + ([None] if three else []),
                   use_causal_mask=masked)
        g = rng.normal(size=y.shape).astype(np.float32)
        total = tf.reduce_sum(y * g)
    grads = tape.gradient(total, [*tensors, *theirs.trainable_weights])
    close(ours(x, mask=mask, use_causal_mask=masked), y, 1e-5)
    for a, b in zip([*ours.backward(g), *ours.gradients], grads, strict=True):
        close(a, b, 1e-4)


LAYERS = [lambda **k: MultiHeadAttention(2, 3, value_dim=2, **k), *[lambda c=c, s=s, **k: c(**s, **k) for c, s in SIMPLE]]


@pytest.mark.parametrize("three", [False, True])
@pytest.mark.parametrize("make", LAYERS)
def test_gradients_equal_central_differences(make, three):
    x = data([(2, 3, 4), (2, 5, 4), (2, 5, 4) if three else None], float)
    layer = make(dtype="float64", seed=0)
    layer.build([a.shape for a in x])
    randomise(layer)
    y = layer(x, use_causal_mask=True)
    g = rng.normal(size=y.shape)
    for ours, array in zip([*layer.backward(g), *[a.copy() for a in layer.gradients]], [*x, *layer.weights], strict=True):
        slope = np.empty_like(array)
        for i in np.ndindex(array.shape):
            kept, h = array[i], 1e-5
            array[i] = kept + h
            up = np.sum(g * layer(x, use_causal_mask=True))
            array[i] = kept - h
            slope[i] = (up - np.sum(g * layer(x, use_causal_mask=True))) / (2 * h)
            array[i] = kept
        np.testing.assert_allclose(ours, slope, rtol=1e-6, atol=1e-8)


def test_the_function_agrees_with_automatic_differentiation():
    q, k, v, g = (rng.normal(size=s) for s in ((3, 4), (5, 4), (5, 2), (3, 2)))
    mask = rng.random((3, 5)) < 0.7
    mask[:, 0] = True
    tq, tk, tv = (ad.Tensor(a, requires_grad=True) for a in (q, k, v))
    e = (tq @ tk.T * 0.5 - np.where(mask, 0, 1e3)).exp()
    y = e / e.sum(axis=-1, keepdims=True) @ tv
    (y * g).sum().backward()
    ours, weights = scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_allclose(ours, y.data, rtol=1e-12)
    grads = scaled_dot_product_attention_backward(g, q, k, v, weights)
    for mine, t in zip(grads, (tq, tk, tv)):
        np.testing.assert_allclose(mine, np.asarray(t.grad), rtol=1e-10, atol=1e-13)


def test_leading_axes_are_independent():
    q, k, v = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 6, 5)), rng.normal(size=(2, 3, 6, 2))
    y, _ = scaled_dot_product_attention(q, k, v)
    np.testing.assert_allclose(y[1, 2], scaled_dot_product_attention(q[1, 2], k[1, 2], v[1, 2])[0])


@pytest.mark.parametrize("make", LAYERS)
def test_an_all_masked_row_gives_zero_weights_and_no_nan(make):
    layer, x = make(dtype="float64", seed=0), data([(1, 2, 4), (1, 3, 4)], float)
    y, weights = layer(x, mask=[None, np.zeros((1, 3), bool)], return_attention_scores=True)
    assert not weights.any() and np.isfinite(y).all()
    assert all(np.isfinite(g).all() for g in layer.backward(np.ones_like(y)))


def test_huge_scores_stay_finite_and_nan_stays_visible():
    y, weights = scaled_dot_product_attention([[1e200]], [[1e100], [-1e100]], [[1.0], [2.0]], scale=1.0)
    assert y[0, 0] == 1.0 and weights.tolist() == [[1.0, 0.0]]
    assert np.isnan(scaled_dot_product_attention([[np.nan]], [[1.0]], [[1.0]])[0]).all()


def test_dropout_of_weights_only_in_training_and_its_gradient():
    layer, x = MultiHeadAttention(2, 3, dropout=0.4, dtype="float64", seed=0), data([(2, 6, 4)], float)[0]
    still = layer(x, x)
    np.testing.assert_array_equal(still, layer(x, x))
    assert not np.allclose(still, layer(x, x, training=True))
    g, h = rng.normal(size=still.shape), 1e-6 * rng.normal(size=x.shape)

    def value(x):
        layer.rng = np.random.default_rng(4)
        return np.sum(g * layer(x, x, training=True))

    slope = (value(x + h) - value(x - h)) / 2
    value(x)
    assert np.sum(sum(layer.backward(g)) * h) == pytest.approx(slope, rel=1e-6)
    many = np.mean([layer(x, x, training=True) for _ in range(3000)], axis=0)
    np.testing.assert_allclose(many, still, atol=0.05)


def test_configuration_weights_dtype_and_inputs():
    layer = MultiHeadAttention(2, 3, value_dim=5, use_bias=False, kernel_regularizer=L2(0.1), seed=0)
    x = data([(2, 4, 6)])[0]
    x.flags.writeable = False
    y = layer(x, x)
    twin = MultiHeadAttention.from_config(layer.get_config())
    twin.build([x.shape, x.shape])
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x, x), y)
    assert y.dtype == np.float32 and all(g.dtype == np.float32 for g in layer.backward(y))
    assert twin.regularization_loss() == pytest.approx(0.1 * sum(float((w**2).sum()) for w in layer.weights), rel=1e-6)
    assert layer.compute_output_shape([(None, 4, 6), (None, 4, 6)]) == (None, 4, 6)


def test_positions_are_waves_and_their_products_depend_on_distance():
    P = positional_encoding(40, 16)
    gram = P @ P.T
    for k in range(40):
        np.testing.assert_allclose(np.diag(gram, k), gram[0, k])
    assert positional_encoding(3, 4, dtype=np.float32).dtype == np.float32 and positional_encoding(0, 4).shape == (0, 4)


ones = np.ones
BAD = [
    (lambda: scaled_dot_product_attention(ones((2, 3)), ones((4, 2)), ones((4, 2))), ValueError, r"got \(2, 3\), \(4, 2\)"),
    (lambda: scaled_dot_product_attention(ones(3), ones(3), ones(3)), ValueError, "expected query"),
    (lambda: scaled_dot_product_attention(ones((2, 2)), ones((3, 2)), ones((3, 1)), ones((2, 3))), ValueError, "boolean mask"),
    (lambda: scaled_dot_product_attention(ones((2, 2)), ones((3, 2)), ones((3, 1)), ones((3, 2), bool)), ValueError,
     r"fits the scores of shape \(2, 3\), got \(3, 2\)"),
    (lambda: MultiHeadAttention(0, 3), ValueError, "num_heads must be an int of at least 1, got 0"),
    (lambda: MultiHeadAttention(2, 3, dropout=1.0), ValueError, r"dropout must be in \[0, 1\), got 1.0"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3, 4))), TypeError, "self-attention"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3)), ones((2, 3))), ValueError, "batch, positions, features"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3, 4)), ones((1, 3, 4))), ValueError, "one batch size"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3, 4)), ones((2, 3, 4)), ones((2, 5, 4))), ValueError, "as many values as keys"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3, 4)), ones((2, 3, 4)), mask=[ones((2, 4), bool)]), ValueError,
     r"boolean mask of shape \(2, 3\)"),
    (lambda: MultiHeadAttention(2, 3)(ones((2, 3, 4)), ones((2, 5, 4)), attention_mask=ones((5, 3), bool)), ValueError,
     r"attention mask of shape \(2, 3, 5\)"),
    (lambda: Attention()([ones((2, 3, 4)), ones((2, 3, 5))]), ValueError, "queries and keys of one length, got 4 and 5"),
    (lambda: Attention()([ones((2, 3, 4))]), ValueError, "expected query, value and perhaps key"),
    (lambda: causal_mask(-1), ValueError, "at least 0, got -1"),
    (lambda: positional_encoding(3, 5), ValueError, "even depth"),
    (lambda: MultiHeadAttention(2, 3).backward(ones((2, 3, 4))), RuntimeError, "needs a forward pass first"),
]


@pytest.mark.parametrize("make, error, message", BAD)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_other_numbers_of_features_are_refused_after_building():
    layer = MultiHeadAttention(2, 3)
    layer(ones((2, 3, 4)), ones((2, 3, 6)))
    with pytest.raises(ValueError, match=r"expected inputs with \[4, 6\] features, got \[4, 4\]"):
        layer(ones((2, 3, 4)), ones((2, 3, 4)))
