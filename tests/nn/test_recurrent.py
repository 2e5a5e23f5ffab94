"""Recurrent layers against Keras, central differences and automatic differentiation; masks, states, errors, edges."""
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from mlcheat.nn import autodiff as ad
from mlcheat.nn.layers import Dense, Embedding, Residual, deserialize_layer, serialize_layer
from mlcheat.nn.regularization import L2
from mlcheat.nn.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    Masking,
    SimpleRNN,
    TimeDistributed,
    from_source_weights,
    gru_step,
    lstm_step,
    pad_sequences,
    rnn_step,
    source_rnn,
    temporal_jacobian_norm,
)

rng = np.random.default_rng(5)
KINDS = {"rnn": (SimpleRNN, {}), "gru": (GRU, {}), "gru_before": (GRU, {"reset_after": False}), "lstm": (LSTM, {})}
MASKS = {
    "end": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]],
    "start": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]],
    "inside": [[1, 0, 1, 0, 1], [0, 1, 0, 0, 1], [1, 1, 0, 1, 1]],
    "all": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 1, 0]],
}


def close(ours, theirs, tol):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tol, atol=tol)


def randomise(layer, seed=3, scale=0.5):
    gen = np.random.default_rng(seed)
    layer.set_weights([gen.normal(0, scale, w.shape) for w in layer.weights])


def as_list(y):
    return list(y) if isinstance(y, (list, tuple)) else [y]


def keras_and_ours(ours, theirs, x, *, mask=None, states=None, tol=1e-5, grad_tol=1e-4):
    """Outputs, states, and gradients of input, weights and initial states, side by side with Keras."""
    import tensorflow as tf

    ours.build(x.shape)
    randomise(ours)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    tx = tf.constant(x)
    ts = None if states is None else [tf.constant(s) for s in states]
    options = {} if mask is None else {"mask": tf.constant(mask)}
    if ts is not None:
        options["initial_state"] = ts
    gen = np.random.default_rng(9)
    with tf.GradientTape() as tape:
        tape.watch([tx, *(ts or [])])
        outputs = as_list(theirs(tx, **options))
        cotangents = [gen.normal(size=y.shape).astype(np.float32) for y in outputs]
        total = tf.add_n([tf.reduce_sum(y * g) for y, g in zip(outputs, cotangents)])
    grads = tape.gradient(total, [tx, *(ts or []), *theirs.trainable_weights], unconnected_gradients="zero")
    given_ = {} if states is None else {"initial_state": states}
    mine = as_list(ours(x, mask=mask, **given_))
    for a, b in zip(mine, outputs, strict=True):
        close(a, b, tol)
    dx = ours.backward(cotangents[0], cotangents[1:]) if len(cotangents) > 1 else ours.backward(cotangents[0])
    initial = ours.grad_initial_state if states is not None else []
    for a, b in zip([dx, *initial, *ours.gradients], grads, strict=True):
        close(a, b, grad_tol)
    return mine


VARIANTS = [
    ("plain", {}, None, False), ("sequences", {"return_sequences": True, "return_state": True}, None, False),
    ("no bias", {"use_bias": False, "return_sequences": True}, None, True),
    ("backwards", {"go_backwards": True, "return_sequences": True, "return_state": True}, None, True),
    ("backwards, last", {"go_backwards": True}, "inside", False), ("end", {"return_sequences": True}, "end", True),
    ("start", {"return_sequences": True, "return_state": True}, "start", True), ("last, start", {}, "start", True),
    ("inside", {"return_sequences": True, "return_state": True}, "inside", True), ("last, inside", {"return_state": True}, "inside", True),
    ("all", {"return_sequences": True, "return_state": True}, "all", True), ("last, all", {"return_state": True}, "all", False),
    ("zero output", {"return_sequences": True, "zero_output_for_mask": True}, "inside", True),
    ("backwards, end", {"go_backwards": True, "return_sequences": True}, "end", False),
]


@pytest.mark.parametrize("name, options, masked, with_states", VARIANTS, ids=[v[0] for v in VARIANTS])
@pytest.mark.parametrize("kind", KINDS)
def test_layers_equal_keras(kind, name, options, masked, with_states):
    import keras

    cls, extra = KINDS[kind]
    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mask = None if masked is None else np.array(MASKS[masked], bool)
    states = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(cls.n_states)] if with_states else None
    ours = cls(2, **extra, **options)
    keras_and_ours(ours, getattr(keras.layers, cls.__name__)(2, **extra, **options), x, mask=mask, states=states)


@pytest.mark.parametrize("kind, options", [
    ("rnn", {"activation": "relu"}), ("rnn", {"activation": None}), ("rnn", {"activation": "gelu"}),
    ("gru", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}), ("gru", {"use_bias": False}),
    ("gru_before", {"activation": "softsign", "recurrent_activation": "tanh"}), ("gru_before", {"use_bias": False}),
    ("lstm", {"activation": "elu", "recurrent_activation": "hard_sigmoid"}), ("lstm", {"activation": None}),
    ("lstm", {"unit_forget_bias": False, "recurrent_activation": "softsign"})])
def test_other_activations_equal_keras(kind, options):
    import keras

    cls, extra = KINDS[kind]
    x = rng.normal(size=(2, 4, 3)).astype(np.float32)
    ours, theirs = (c(3, return_sequences=True, **extra, **options) for c in (cls, getattr(keras.layers, cls.__name__)))
    keras_and_ours(ours, theirs, x, mask=np.array([[True, False, True, True], [True, True, True, False]]))


def test_starting_weights_follow_keras():
    import keras

    for cls, extra in KINDS.values():
        ours, theirs = (c(5, **extra) for c in (cls, getattr(keras.layers, cls.__name__)))
        for layer in (ours, theirs):
            layer.build((None, None, 3))
        assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
        close(ours.bias, theirs.cell.bias, 1e-7)                    # the forget gate's part is 1
        u = ours.recurrent_kernel
        close(u @ u.T, np.eye(5), 1e-5)
        limit = np.sqrt(6 / sum(ours.kernel.shape))
        assert 0.5 * limit < np.abs(ours.kernel).max() <= limit
    lstm = LSTM(3, unit_forget_bias=False)
    lstm.build((None, None, 2))
    assert not lstm.bias.any()


@pytest.mark.parametrize("masked", [None, "inside"])
def test_three_stacked_layers_equal_keras(masked):
    import keras
    import tensorflow as tf

    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mask = None if masked is None else np.array(MASKS[masked], bool)
    ours = [LSTM(4, return_sequences=True), GRU(3, return_sequences=True), SimpleRNN(2)]
    theirs = [keras.layers.LSTM(4, return_sequences=True), keras.layers.GRU(3, return_sequences=True), keras.layers.SimpleRNN(2)]
    shape = x.shape
    for a, b in zip(ours, theirs):
        a.build(shape)
        b.build(shape)
        randomise(a)
        b.set_weights(a.get_weights())
        shape = a.compute_output_shape(shape)
    tx, g = tf.constant(x), rng.normal(size=(3, 2)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(tx)
        y = tx
        for layer in theirs:
            y = layer(y, mask=None if mask is None else tf.constant(mask))
        total = tf.reduce_sum(y * g)
    grads = tape.gradient(total, [tx, *(w for layer in theirs for w in layer.trainable_weights)])
    z, m = x, mask
    for layer in ours:
        z, m = layer(z, mask=m), layer.compute_mask(z, m)
    assert m is None
    close(z, y, 1e-5)
    d = g
    for layer in reversed(ours):
        d = layer.backward(d)
    for a, b in zip([d, *(w for layer in ours for w in layer.gradients)], grads, strict=True):
        close(a, b, 1e-4)


@pytest.mark.parametrize("mode", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("kind, options, masked", [
    ("lstm", {"return_sequences": True}, "inside"), ("gru", {"return_sequences": True, "return_state": True}, "end"),
    ("rnn", {}, "start"), ("lstm", {"return_state": True}, None)])
def test_bidirectional_equals_keras(mode, kind, options, masked):
    import keras

    cls, extra = KINDS[kind]
    x = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mask = None if masked is None else np.array(MASKS[masked], bool)
    states = [rng.normal(size=(3, 2)).astype(np.float32) for _ in range(2 * cls.n_states)] if masked else None
    ours = Bidirectional(cls(2, **extra, **options), mode)
    theirs = keras.layers.Bidirectional(getattr(keras.layers, cls.__name__)(2, **extra, **options), mode)
    mine = keras_and_ours(ours, theirs, x, mask=mask, states=states)
    shapes = as_list(ours.compute_output_shape(x.shape)) if len(mine) > 1 else [ours.compute_output_shape(x.shape)]
    assert [y.shape for y in mine] == shapes
    found = ours.compute_mask(x, mask)
    assert isinstance(found, list) == (len(mine) > 1) and (not isinstance(found, list) or len(found) == len(mine))


def test_bidirectional_with_a_layer_of_its_own_for_the_way_back():
    import keras

    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    k, back = keras.layers, {"return_sequences": True, "go_backwards": True}
    keras_and_ours(Bidirectional(GRU(2, return_sequences=True), "sum", backward_layer=LSTM(2, **back)),
                   k.Bidirectional(k.GRU(2, return_sequences=True), "sum", backward_layer=k.LSTM(2, **back)), x)
    with pytest.raises(ValueError, match="differ in go_backwards"):
        Bidirectional(GRU(2), backward_layer=GRU(2))
    with pytest.raises(ValueError, match="agree in return_sequences"):
        Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, return_sequences=True))


def test_time_distributed_equals_keras():
    import keras
    import tensorflow as tf

    from mlcheat.nn.convolution import Conv2D

    cases = [(Dense(4, "softmax"), keras.layers.Dense(4, "softmax"), (2, 5, 3)),
             (Conv2D(2, 2), keras.layers.Conv2D(2, 2), (2, 3, 4, 4, 1)),
             (GRU(2), keras.layers.GRU(2), (2, 3, 4, 5))]
    for inner, theirs, shape in cases:
        x = rng.normal(size=shape).astype(np.float32)
        ours, theirs = TimeDistributed(inner), keras.layers.TimeDistributed(theirs)
        ours.build(shape)
        randomise(ours)
        theirs.build(shape)
        theirs.set_weights(ours.get_weights())
        tx = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tx)
            y = theirs(tx)
            g = rng.normal(size=y.shape).astype(np.float32)
            total = tf.reduce_sum(y * g)
        close(ours(x), y, 1e-5)
        assert ours.compute_output_shape(shape) == tuple(y.shape)
        for a, b in zip([ours.backward(g), *ours.gradients], tape.gradient(total, [tx, *theirs.trainable_weights]), strict=True):
            close(a, b, 1e-4)


def test_time_distributed_hands_whole_numbers_and_masks_on():
    words = TimeDistributed(Embedding(7, 3, seed=0))
    y = words(np.array([[[1, 2], [3, 4]], [[5, 6], [0, 1]]]))
    assert y.shape == (2, 2, 2, 3) and np.array_equal(y[1, 0, 1], words.layer.embeddings[6])
    x, mask = rng.normal(size=(2, 3, 4, 2)), np.ones((2, 3, 4), bool)
    mask[1, 2, 3:] = False
    layer = TimeDistributed(SimpleRNN(2, dtype="float64", seed=0))
    y = layer(x, mask=mask)
    assert np.allclose(y[1, 2], layer.layer(x[1, 2:, :3])[0])
    with pytest.raises(ValueError, match="batch, time"):
        TimeDistributed(Dense(2))(np.ones((2, 3)))
    with pytest.raises(TypeError):
        TimeDistributed("dense")
    frozen = TimeDistributed(Dense(2), seed=1)
    frozen.input_gradient = False
    frozen(np.ones((1, 2, 3)))
    assert frozen.backward(np.ones((1, 2, 2))) is None


def test_masking_equals_keras():
    import keras

    x = rng.normal(size=(2, 4, 3)).astype(np.float32)
    x[0, 2:], x[1, 0], x[1, 3, 0] = -1, -1, -1
    ours, theirs = Masking(-1.0), keras.layers.Masking(-1.0)
    close(ours(x), theirs(x), 0)
    assert np.array_equal(ours.compute_mask(x), theirs.compute_mask(x))
    assert ours.compute_mask(x).tolist() == [[True, True, False, False], [False, True, True, True]]
    assert np.array_equal(ours.backward(np.ones_like(x)), np.ones_like(x) * ours.compute_mask(x)[..., None])
    with pytest.raises(ValueError, match="batch, time"):
        Masking()(np.ones(3))


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 6])
def test_pad_sequences_equals_keras(padding, truncating, maxlen):
    import keras

    for tail in ((), (2,)):
        sequences = [rng.normal(size=(n, *tail)) for n in (3, 1, 5, 0)]
        array, mask = pad_sequences(sequences, maxlen, padding, -7.5, truncating=truncating)
        theirs = keras.utils.pad_sequences(sequences[:-1], maxlen, "float64", padding, truncating, -7.5)
        assert np.array_equal(array[:-1], theirs) and not mask[-1].any() and (array[-1] == -7.5).all()
        assert np.array_equal(mask[:-1], (theirs != -7.5).all(axis=-1) if tail else theirs != -7.5)


def test_pad_sequences_refuses():
    for bad in ([], [3, 4]):
        with pytest.raises(ValueError, match="at least one sequence"):
            pad_sequences(bad)
    with pytest.raises(ValueError, match="same features"):
        pad_sequences([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ValueError, match="padding"):
        pad_sequences([[1]], padding="middle")
    with pytest.raises(ValueError, match="truncating"):
        pad_sequences([[1]], truncating="middle")
    with pytest.raises(ValueError, match="maxlen"):
        pad_sequences([[1]], maxlen=0)
    given_ = np.array([1, 2])
    assert pad_sequences([given_, [3]])[0].dtype == given_.dtype and given_.tolist() == [1, 2]


# ---- gradients --------------------------------------------------------------------------------------------------------

MAKERS = [
    lambda **k: SimpleRNN(3, return_sequences=True, **k), lambda **k: SimpleRNN(3, go_backwards=True, **k),
    lambda **k: GRU(3, return_sequences=True, **k), lambda **k: GRU(3, reset_after=False, return_sequences=True, **k),
    lambda **k: GRU(3, reset_after=False, use_bias=False, activation="softplus", recurrent_activation="softsign", **k),
    lambda **k: LSTM(3, return_sequences=True, **k), lambda **k: LSTM(3, activation="gelu", go_backwards=True, **k),
    lambda **k: Bidirectional(LSTM(2, return_sequences=True), "mul", **k), lambda **k: Bidirectional(GRU(2), "ave", **k),
    lambda **k: TimeDistributed(Dense(3, "softmax"), **k)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_gradients_equal_central_differences(make, masked):
    x = rng.normal(size=(3, 5, 2))
    mask = np.array(MASKS["inside"], bool) if masked else None
    layer = make(dtype="float64", seed=0)
    layer.build(x.shape)
    randomise(layer)
    recurrent = not isinstance(layer, TimeDistributed)
    n = 0 if not recurrent else len(layer.layers or [layer]) * (layer.layers or [layer])[0].n_states
    states = [rng.normal(size=(3, (layer.layers or [layer])[0].units)) for _ in range(n)]
    run = lambda: layer(x, mask=mask if recurrent else None, **({"initial_state": states} if recurrent else {}))  # noqa: E731
    g = rng.normal(size=run().shape)
    dx = layer.backward(g)
    found = [dx, *(layer.grad_initial_state if recurrent else []), *layer.gradients]
    for ours, array in zip([a.copy() for a in found], [x, *states, *layer.weights], strict=True):
        slope = np.empty_like(array)
        for i in np.ndindex(array.shape):
            kept, h = array[i], 1e-5
            array[i] = kept + h
            up = np.sum(g * run())
            array[i] = kept - h
            slope[i] = (up - np.sum(g * run())) / (2 * h)
            array[i] = kept
        np.testing.assert_allclose(ours, slope, rtol=1e-6, atol=1e-8)


def unrolled(kind, x, states, weights):
    """The formulas, step by step, on tensors that differentiate themselves."""
    W, U, b = weights
    u, outputs = U.shape[0], []
    part = lambda a, k: a[..., k * u:(k + 1) * u]  # noqa: E731
    h, c = states[0], states[-1]
    for t in range(x.shape[1]):
        if kind == "rnn":
            h = (x[:, t] @ W + h @ U + b).tanh()
        elif kind == "lstm":
            a = x[:, t] @ W + h @ U + b
            c = part(a, 1).sigmoid() * c + part(a, 0).sigmoid() * part(a, 2).tanh()
            h = part(a, 3).sigmoid() * c.tanh()
        else:
            bx, bh = (b[0], b[1]) if kind == "gru" else (b, b * 0)
            a, inner = x[:, t] @ W + bx, h @ U + bh
            z, r = (part(a, 0) + part(inner, 0)).sigmoid(), (part(a, 1) + part(inner, 1)).sigmoid()
            past = r * part(inner, 2) if kind == "gru" else (r * h) @ part(U, 2)
            h = z * h + (1 - z) * (part(a, 2) + past).tanh()
        outputs.append(h)
    return outputs


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_automatic_differentiation(kind):
    cls, extra = KINDS[kind]
    x, states = rng.normal(size=(2, 6, 3)), [rng.normal(size=(2, 4)) for _ in range(cls.n_states)]
    layer = cls(4, return_sequences=True, dtype="float64", **extra)
    layer.build(x.shape)
    randomise(layer)
    g = rng.normal(size=(2, 6, 4))
    tensors = [ad.Tensor(a.copy(), requires_grad=True) for a in (x, *states, *layer.weights)]
    tx, ts, tw = tensors[0], tensors[1:1 + cls.n_states], tensors[1 + cls.n_states:]
    outputs = unrolled(kind, tx, ts, tw)
    sum((y * g[:, t]).sum() for t, y in enumerate(outputs)).backward()
    y = layer(x, initial_state=states)
    for t, expected in enumerate(outputs):
        np.testing.assert_allclose(y[:, t], expected.numpy(), rtol=1e-12, atol=1e-13)
    dx = layer.backward(g)
    for a, b in zip([dx, *layer.grad_initial_state, *layer.gradients], tensors, strict=True):
        np.testing.assert_allclose(a, b.grad.numpy() if hasattr(b.grad, "numpy") else b.grad, rtol=1e-10, atol=1e-10)


# ---- one step, and the source's layout --------------------------------------------------------------------------------

def test_one_step_functions_equal_keras_cells_and_layers():
    import keras

    x, h, c = (rng.normal(size=(3, n)) for n in (4, 2, 2))
    steps = {"rnn": lambda w: [rnn_step(x, h, *w)], "gru": lambda w: [gru_step(x, h, *w)],
             "gru_before": lambda w: [gru_step(x, h, *w, reset_after=False)], "lstm": lambda w: list(lstm_step(x, h, c, *w))}
    for kind, (cls, extra) in KINDS.items():
        for bias in (True, False):
            layer = cls(2, dtype="float64", use_bias=bias, return_state=True, **extra)
            layer.build((None, 1, 4))
            randomise(layer)
            states = [h, c][:cls.n_states]
            found = steps[kind](layer.weights)
            for a, b in zip(found, layer(x[:, None], initial_state=states)[1:], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)
            cell = getattr(keras.layers, f"{cls.__name__}Cell")(2, use_bias=bias, **extra)
            cell.build((None, 4))
            cell.set_weights(layer.get_weights())
            for a, b in zip(found, cell(x.astype("f"), [s.astype("f") for s in states])[1], strict=True):
                close(a, b, 1e-5)
    assert np.allclose(rnn_step(x, h, np.ones((4, 2)), np.eye(2), activation="relu"),
                       np.maximum(x.sum(1, keepdims=True) + h, 0))


def test_one_step_functions_refuse_wrong_shapes():
    x, h, W, U = np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 4)), np.ones((4, 4))
    for bad in ((x[:1], h, W, U), (x, h[:, :3], W, U), (x, h, W[:2], U), (x, h, W, U[:3]), (x[0], h, W, U)):
        with pytest.raises(ValueError, match="expected x"):
            rnn_step(*bad)
    with pytest.raises(ValueError, match="bias of shape"):
        rnn_step(x, h, W, U, np.ones((1, 4)))
    with pytest.raises(ValueError, match="3 u"):
        gru_step(x, h, W, U)
    with pytest.raises(ValueError, match="4 u"):
        lstm_step(x, h, h, W, U)
    with pytest.raises(ValueError, match=r"\(2, 12\)"):
        gru_step(x, h, np.ones((3, 12)), np.ones((4, 12)), np.ones(12))


SAMPLE = np.array([[[1, 3], [2, 4], [3, 6]], [[4, 3], [3, 4], [1, 5]]])


def test_the_sample_program():
    gen = np.random.default_rng(0)
    params = [gen.normal(0, 0.01, s) for s in ((5, 5), (5, 3), (4, 5))] + [np.zeros((5, 1)), np.zeros((4, 1))]
    out = source_rnn(SAMPLE, params)
    assert SAMPLE.shape == (2, 3, 2) and out.shape == (2, 4, 2)
    np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-12)
    W_aa, W_ax, W_y, b_a, b_y = params
    layer, head = SimpleRNN(5, return_sequences=True, dtype="float64"), TimeDistributed(Dense(4, "softmax"), dtype="float64")
    x = SAMPLE.transpose(2, 0, 1)
    layer.build(x.shape)
    layer.set_weights([W_ax.T, W_aa.T, b_a[:, 0]])
    head.build((2, 2, 5))
    head.set_weights([W_y.T, b_y[:, 0]])
    assert x.shape == (2, 2, 3) and layer(x).shape == (2, 2, 5)
    np.testing.assert_allclose(head(layer(x)), out.transpose(2, 0, 1), rtol=1e-12)
    with pytest.raises(ValueError, match="steps, d, batch"):
        source_rnn(SAMPLE, [p.T for p in params])


def test_the_source_matrix_is_split():
    gen = np.random.default_rng(1)
    W, h, x = gen.normal(size=(5, 8)), gen.normal(size=(5, 2)), gen.normal(size=(3, 2))
    kernel, recurrent = from_source_weights(W, 5)
    assert kernel.shape == (3, 5) and recurrent.shape == (5, 5)
    assert np.abs(W @ np.vstack([h, x]) - (x.T @ kernel + h.T @ recurrent).T).max() < 4e-15
    for hidden in (0, 8, 9):
        with pytest.raises(ValueError, match="columns for the state"):
            from_source_weights(W, hidden)


# ---- numbers ----------------------------------------------------------------------------------------------------------

def test_numbers_of_parameters():
    for layer, n in ((SimpleRNN(5), 45), (GRU(5), 150), (GRU(5, reset_after=False), 135), (LSTM(5), 180)):
        layer.build((None, None, 3))
        assert layer.count_params() == n
    big = LSTM(32)
    big.build((None, None, 10))
    assert big.count_params() == 5504


def test_the_jacobian_over_time():
    gen = np.random.default_rng(0)
    N = gen.normal(size=(5, 5))
    start = 0.1 * gen.normal(size=5)

    def norms(matrix, activation="tanh"):
        layer = SimpleRNN(5, activation, dtype="float64")
        layer.build((None, 50, 1))
        layer.set_weights([np.zeros((1, 5)), matrix.T, np.zeros(5)])
        return temporal_jacobian_norm(layer, np.zeros((50, 1)), start)

    small = norms(0.01 * N)
    ten = temporal_jacobian_norm_of_first(norms, 0.01 * N, start, 10)
    assert np.isclose(ten, 1.12e-16, rtol=0.005) and np.isclose(small[-1], 1.17e-80, rtol=0.005)
    assert np.isclose(norms(np.linalg.qr(N)[0])[-1], 0.927, atol=5e-4)
    assert np.isclose(norms(N)[-1], 8.0, atol=0.01)
    assert np.isclose(np.abs(np.linalg.eigvals(1.5 * N)).max(), 3.772, atol=5e-4)
    assert np.isclose(norms(1.5 * N, "linear")[-1], 7.5e28, rtol=0.01)


def temporal_jacobian_norm_of_first(norms, matrix, start, steps):
    """The product of the first `steps` Jacobians, written out."""
    h, product = start, np.eye(5)
    for _ in range(steps):
        h = np.tanh(matrix @ h)
        product = (1 - h * h)[:, None] * matrix @ product
    layer = SimpleRNN(5, dtype="float64")
    layer.build((None, steps, 1))
    layer.set_weights([np.zeros((1, 5)), matrix.T, np.zeros(5)])
    found = temporal_jacobian_norm(layer, np.zeros((steps, 1)), start)[-1]
    np.testing.assert_allclose(found, np.linalg.norm(product, 2), rtol=1e-10)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_jacobian_equals_differences(kind):
    cls, extra = KINDS[kind]
    layer = cls(3, **extra, seed=1)
    x, n = rng.normal(size=(4, 2)), 3 * cls.n_states
    before = temporal_jacobian_norm(layer, x)
    probe = cls(3, dtype="float64", return_state=True, **extra)
    probe.build((1, 4, 2))
    probe.set_weights(layer.get_weights())

    def last(s):
        return np.concatenate(probe(x[None], initial_state=np.split(s[None], cls.n_states, axis=1))[1:], axis=1)[0]

    J = np.array([(last(e) - last(-e)) / 2e-5 for e in 1e-5 * np.eye(n)])
    np.testing.assert_allclose(before[-1], np.linalg.norm(J, 2), rtol=1e-7)
    backwards = cls(3, go_backwards=True, stateful=True, **extra)
    backwards.build((1, 4, 2))
    backwards.set_weights(layer.get_weights())
    np.testing.assert_allclose(temporal_jacobian_norm(backwards, x[::-1]), before, rtol=1e-12)
    assert backwards.states is None and layer.cache is None
    with pytest.raises(TypeError, match="recurrent layer"):
        temporal_jacobian_norm(Dense(2), x)
    for bad in (x[0], x[:, :1], x[:0]):
        with pytest.raises(ValueError):
            temporal_jacobian_norm(layer, bad)


def test_cell_memory_over_fifty_steps():
    for bias, expected in ((0.0, 0.5**50), (1.0, (1 / (1 + np.exp(-1))) ** 50)):
        layer = LSTM(1, dtype="float64", return_state=True)
        layer.build((None, 50, 1))
        layer.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), [0, bias, 0, 0]])
        c = layer(np.zeros((1, 50, 1)), initial_state=[np.zeros((1, 1)), np.ones((1, 1))])[2]
        np.testing.assert_allclose(c, expected, rtol=1e-12)
    assert np.isclose(0.5**50, 8.9e-16, rtol=0.01) and np.isclose((1 / (1 + np.exp(-1))) ** 50, 1.58e-7, rtol=0.01)


# ---- properties -------------------------------------------------------------------------------------------------------

@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 4),
       st.integers(0, 2**31))
def test_properties(kind, batch, time, d, units, seed):
    cls, extra = KINDS[kind]
    gen = np.random.default_rng(seed)
    x = gen.normal(size=(batch, time, d))
    layer = cls(units, return_sequences=True, return_state=True, dtype="float64", seed=seed, **extra)
    y, *states = layer(x)
    assert [a.shape for a in (y, *states)] == layer.compute_output_shape(x.shape) == layer.output_shape
    np.testing.assert_array_equal(y[:, -1], states[0])
    one = np.concatenate([layer(row[None])[0] for row in x])                     # a batch is its rows
    np.testing.assert_allclose(one, y, rtol=1e-9, atol=1e-12)
    cut = gen.integers(0, time + 1)                                              # cut in two, state handed over
    if 0 < cut < time:
        first, *middle = layer(x[:, :cut])
        second, *last = layer(x[:, cut:], initial_state=middle)
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), y, rtol=1e-9, atol=1e-12)
        for a, b in zip(last, states):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    given_ = [gen.normal(size=(batch, units)) for _ in states]                   # nothing but masked steps
    nothing, *same = layer(x, mask=np.zeros((batch, time), bool), initial_state=given_)
    assert not nothing.any() and all(np.array_equal(a, b) for a, b in zip(same, given_))
    dx = layer.backward(np.ones_like(nothing), [np.full_like(s, 2.0) for s in same])
    assert not dx.any() and not any(g.any() for g in layer.gradients)
    assert all((g == 2).all() for g in layer.grad_initial_state)
    mask = gen.random((batch, time)) < 0.6                                       # masked steps may as well not be there
    y, *states = layer(x, mask=mask)
    for row, keep, found, state in zip(x, mask, y, states[0]):
        if keep.any():
            short = layer(row[None, keep])[0][0]
            np.testing.assert_allclose(found[keep], short, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(state, short[-1], rtol=1e-9, atol=1e-12)


def test_masked_steps_repeat_the_output_before():
    x, mask = rng.normal(size=(1, 5, 2)), np.array([[False, True, False, False, True]])
    y = LSTM(3, return_sequences=True, dtype="float64", seed=0)(x, mask=mask)[0]
    assert not y[0].any() and np.array_equal(y[2], y[1]) and np.array_equal(y[3], y[1]) and not np.allclose(y[4], y[1])


def test_stateful_layers_carry_on():
    x = rng.normal(size=(2, 6, 3))
    for cls, extra in KINDS.values():
        plain, carried = (cls(4, return_sequences=True, dtype="float64", seed=0, stateful=s, **extra) for s in (False, True))
        parts = np.concatenate([carried(x[:, :2]), carried(x[:, 2:])], axis=1)
        np.testing.assert_allclose(parts, plain(x), rtol=1e-12)
        with pytest.raises(ValueError, match="reset_states"):
            carried(x[:1])
        carried.reset_states()
        np.testing.assert_allclose(carried(x), plain(x), rtol=1e-12)
        carried.reset_state()
        assert carried(x[:1]).shape == (1, 6, 4)
        again = plain(x)
        np.testing.assert_array_equal(plain(x), again)             # without it every call starts anew
    both = Bidirectional(LSTM(2, stateful=True), seed=0)
    both(x)
    assert both.layers[1].states is not None
    both.reset_states()
    assert both.layers[0].states is None and both.layers[1].states is None


def test_shared_layers_keep_everything_for_the_way_back_in_the_cache():
    for make in MAKERS:
        layer = make(dtype="float64", seed=0)
        first, second = rng.normal(size=(2, 3, 4, 2))
        y = layer(first)
        g = rng.normal(size=y.shape)
        expected = layer.backward(g)
        kept = [(inner, inner.cache, inner.output_shape) for inner in layer.flatten_layers()]
        layer(second)
        for inner, cache, shape in kept:
            inner.cache, inner.output_shape = cache, shape
        np.testing.assert_array_equal(layer.backward(g), expected)
        np.testing.assert_array_equal(layer.backward(g), expected)                # twice from one cache


def test_outputs_and_inputs_belong_to_the_caller():
    x, g = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 5))
    for cls, extra in KINDS.values():
        layer = cls(5, return_sequences=True, return_state=True, stateful=True, dtype="float64", seed=0, **extra)
        mask, before = np.ones((2, 4), bool), (x.copy(), g.copy())
        y, *states = layer(x, mask=mask)
        carried = [s.copy() for s in layer.states]
        gs = [np.ones((2, 5)) for _ in states]
        expected = layer.backward(g, gs)
        for a in (y, *states):
            a[...] = 99
        np.testing.assert_array_equal(layer.backward(g, gs), expected)
        assert all(np.array_equal(a, b) for a, b in zip(layer.states, carried))
        assert np.array_equal(x, before[0]) and np.array_equal(g, before[1]) and all((s == 1).all() for s in gs)


def test_gradients_of_states_alone():
    x = rng.normal(size=(2, 4, 3))
    layer = LSTM(3, return_state=True, dtype="float64", seed=0)
    y, h, c = layer(x)
    gh, gc = rng.normal(size=(2, 2, 3))
    both = layer.backward(None, [gh, gc])
    np.testing.assert_allclose(both, layer.backward(gh, [None, gc]), rtol=1e-12)         # the output is h
    np.testing.assert_allclose(both, layer.backward(None, [gh, None]) + layer.backward(None, [None, gc]), atol=1e-12)
    assert not layer.backward(None, None).any()
    joined = Bidirectional(GRU(2, return_state=True), None, dtype="float64", seed=0)
    a, b, *_ = joined(x)
    ga, gb = rng.normal(size=(2, 2, 2))
    np.testing.assert_allclose(joined.backward(ga, [gb, None, None]), joined.backward(None, [None, ga, gb]), rtol=1e-12)
    np.testing.assert_allclose(joined.backward(ga, [gb]), joined.backward(None, [None, ga, gb]), rtol=1e-12)


# ---- settings ---------------------------------------------------------------------------------------------------------

def test_configs_make_equal_layers():
    x = rng.normal(size=(2, 4, 3))
    layers = [make(dtype="float64", seed=0) for make in MAKERS]
    layers += [LSTM(2, kernel_regularizer=L2(0.1), activation="relu", name="memory"), Masking(2.0),
               Bidirectional(LSTM(2, name="reader"), None, name="both")]
    for layer in layers:
        text = json.dumps(serialize_layer(layer))
        copy = deserialize_layer(json.loads(text))
        assert json.dumps(serialize_layer(copy)) == text
        for one in (layer, copy):
            one.build(x.shape)
        copy.set_weights(layer.get_weights())
        for a, b in zip(as_list(layer(x)), as_list(copy(x)), strict=True):
            np.testing.assert_array_equal(a, b)
    assert [inner.name for inner in layers[-1].layers] == ["forward_reader", "backward_reader"]


def test_seeds_decide_the_weights():
    first, again = (Bidirectional(LSTM(3), seed=4) for _ in range(2))
    given_, twice = (Bidirectional(LSTM(3, seed=4)) for _ in range(2))
    for pair in ((first, again), (given_, twice)):
        for layer in pair:
            layer.build((None, 2, 2))
        assert all(np.array_equal(a, b) for a, b in zip(pair[0].weights, pair[1].weights))
        assert not np.array_equal(pair[0].weights[0], pair[0].weights[3])


def test_penalties_freezing_and_dtype():
    x = rng.normal(size=(2, 4, 3)).astype(np.float32)
    layer = Bidirectional(GRU(2, kernel_regularizer=L2(0.5), recurrent_regularizer=L2(0.1), bias_regularizer="l1"), seed=0)
    layer(x)
    expected = sum(0.5 * (w.kernel**2).sum() + 0.1 * (w.recurrent_kernel**2).sum() for w in layer.layers)
    assert np.isclose(layer.regularization_loss(), expected, rtol=1e-6)
    layer.trainable = False
    assert layer.gradients == [] and layer(x).dtype == np.float32
    for g in layer.layers[0]._gradients.values():
        g[...] = 7
    assert layer.backward(np.ones((2, 4), np.float32)).shape == x.shape
    assert all((g == 7).all() for g in layer.layers[0]._gradients.values())
    double = LSTM(2, dtype="float64")
    assert double(x).dtype == np.float64 and LSTM(2)(x.astype(np.float64)).dtype == np.float32
    assert LSTM(2)(np.ones((1, 2, 3), int)).dtype == np.float32


def test_the_first_layer_can_save_its_input_gradient():
    x = rng.normal(size=(2, 4, 3))
    for make in MAKERS:
        layer = make(dtype="float64", seed=0)
        y = layer(x)
        g = rng.normal(size=y.shape)
        layer.backward(g)
        full = [a.copy() for a in layer.gradients]
        layer.input_gradient = False
        assert layer.backward(g) is None
        assert all(np.array_equal(a, b) for a, b in zip(layer.gradients, full))


def test_masks_that_go_on():
    mask, x = np.ones((2, 4), bool), np.ones((2, 4, 3))
    assert LSTM(2).compute_mask(x, mask) is None and LSTM(2, return_sequences=True).compute_mask(x, mask) is mask
    assert LSTM(2, return_sequences=True, return_state=True).compute_mask(x, mask) == [mask, None, None]
    assert Bidirectional(LSTM(2, return_sequences=True)).compute_mask(x, mask) is mask
    assert TimeDistributed(Dense(2)).compute_mask(x, mask) is mask
    block = Residual([SimpleRNN(3, return_sequences=True)], dtype="float64")
    np.testing.assert_allclose(block(x), x + block.block[0](x))


# ---- in networks ------------------------------------------------------------------------------------------------------

def test_in_networks():
    from mlcheat.nn.network import Input, Network, Sequential

    gen = np.random.default_rng(0)
    x = gen.normal(size=(4, 5, 2))
    x[:2, 3:] = 0
    model = Sequential([Masking(), Bidirectional(GRU(3, return_sequences=True)), LSTM(4), Dense(1)], seed=0, dtype="float64")
    short = model.predict(x[:2])
    np.testing.assert_allclose(model.predict(x[:2, :3]), short, rtol=1e-9)
    model.compile("adam", "mse")
    before = model.evaluate(x, np.ones((4, 1)))
    model.fit(x, np.ones((4, 1)), epochs=20, verbose=0)
    assert model.evaluate(x, np.ones((4, 1))) < before
    read, write = Input((5, 2)), Input((3, 2))                     # an encoder hands its states to a decoder
    _, *states = LSTM(3, return_state=True)(read)
    net = Network([read, write], Dense(2)(LSTM(3, return_sequences=True)(write, initial_state=states)), seed=0, dtype="float64")
    data, y = [x, gen.normal(size=(4, 3, 2))], gen.normal(size=(4, 3, 2))
    net.compile("adam", "mse")
    loss, grads = net.loss_and_gradients(data, y)
    for w, g in zip(net.trainable_weights, grads):
        i = tuple(n // 2 for n in w.shape)
        kept, values = w[i], []
        for h in (1e-5, -1e-5):
            w[i] = kept + h
            values.append(net.loss_and_gradients(data, y)[0])
        w[i] = kept
        assert np.isclose(g[i], (values[0] - values[1]) / 2e-5, rtol=1e-5, atol=1e-9)


# ---- bad input --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_wrong_inputs_are_refused_at_the_door(kind):
    cls, extra = KINDS[kind]
    layer = cls(3, **extra)
    for shape in ((2, 3), (2, 3, 4, 5), (2, 0, 3), (3,)):
        with pytest.raises(ValueError, match="batch, time, features"):
            layer(np.ones(shape))
    assert not layer.built
    layer(np.ones((2, 4, 3)))
    with pytest.raises(ValueError, match=r"expected 3 features.*\(2, 4, 5\)"):
        layer(np.ones((2, 4, 5)))
    with pytest.raises(ValueError, match="batch, time, features"):
        layer.compute_output_shape((None, 4, None))
    for bad in (np.ones((2, 3), bool), np.ones((2, 4)), np.ones((2, 4), int), np.ones((2, 4, 1), bool)):
        with pytest.raises(ValueError, match=r"boolean mask of shape \(2, 4\)"):
            layer(np.ones((2, 4, 3)), mask=bad)
    n = cls.n_states
    good = np.zeros((2, 3))
    for bad in ([good] * (n + 1), [good[:1]] * n, [good[:, :2]] * n, [good] * (n - 1) if n > 1 else good[0]):
        with pytest.raises(ValueError, match=f"expected {n} initial state"):
            layer(np.ones((2, 4, 3)), initial_state=bad)
    layer(np.ones((2, 4, 3)), initial_state=good if n == 1 else (good, good))
    with pytest.raises(ValueError, match=r"gradient of shape \(2, 3\)"):
        layer.backward(np.ones((2, 4, 3)))
    with pytest.raises(ValueError, match="state gradient"):
        layer.backward(good, [good] * (n + 1))
    with pytest.raises(TypeError, match="real numbers"):
        layer(np.ones((2, 4, 3), complex))
    with pytest.raises(RuntimeError, match="forward pass first"):
        cls(3, **extra).backward(good)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_settings_are_refused(kind):
    cls, extra = KINDS[kind]
    for units in (0, -2):
        with pytest.raises(ValueError, match="units"):
            cls(units, **extra)
    for units in (2.0, True, "2"):
        with pytest.raises(TypeError, match="units"):
            cls(units, **extra)
    for name in ("softmax", "log_softmax", "sparsemax"):
        with pytest.raises(ValueError, match="each number alone"):
            cls(2, activation=name, **extra)
    for bad in ({"activation": "tan"}, {"kernel_initializer": "big"}, {"recurrent_initializer": "x"}, {"bias_initializer": "x"},
                {"activation": lambda z: z}):
        with pytest.raises(ValueError):
            cls(2, **bad, **extra)


def test_bidirectional_refuses():
    with pytest.raises(ValueError, match="merge_mode"):
        Bidirectional(LSTM(2), "max")
    for bad in (Dense(2), "lstm", None):
        with pytest.raises(TypeError):
            Bidirectional(bad)
    layer, x = Bidirectional(LSTM(2)), np.ones((1, 3, 2))
    with pytest.raises(RuntimeError, match="forward pass first"):
        layer.backward(np.ones((1, 4)))
    for states in ([np.zeros((1, 2))] * 2, [np.zeros((1, 2))] * 3, [np.zeros((1, 2))] * 5):
        with pytest.raises(ValueError, match="initial state"):
            layer(x, initial_state=states)
    layer(x)
    with pytest.raises(ValueError, match=r"gradient of shape \(1, 4\)"):
        layer.backward(np.ones((1, 2)))
    with pytest.raises(ValueError, match="further gradients"):
        layer.backward(np.ones((1, 4)), [None])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_inputs(kind, dtype):
    cls, extra = KINDS[kind]
    x = np.array([1e4, -1e4, 1e4, -1e4]).reshape(1, 4, 1)
    layer = cls(3, return_sequences=True, dtype=dtype, seed=0, **extra)
    with np.errstate(all="raise", under="ignore"):
        y = layer(x)
        dx = layer.backward(np.ones_like(y))
    assert np.isfinite(y).all() and np.isfinite(dx).all() and all(np.isfinite(g).all() for g in layer.gradients)
    x[0, 2] = np.nan
    y = layer(x)
    assert np.isfinite(y[0, :2]).all() and np.isnan(y[0, 2:]).all()
    masked = layer(x, mask=np.array([[True, True, False, True]]))
    assert np.isfinite(masked).all()
    assert layer(np.empty((0, 4, 1))).shape == (0, 4, 3) and layer.backward(np.empty((0, 4, 3))).shape == (0, 4, 1)
