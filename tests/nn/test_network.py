"""Networks: training equal to Keras', graphs against autodiff, files that survive a crash, errors that say what is wrong."""
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from mlcheat.nn import autodiff as ad
from mlcheat.nn import losses as loss_functions
from mlcheat.nn import network as N
from mlcheat.nn.attention import MultiHeadAttention
from mlcheat.nn.callbacks import (Callback, CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler,
                                  ModelCheckpoint, ReduceLROnPlateau)
from mlcheat.nn.convolution import Conv2D, GlobalAveragePooling2D, MaxPooling2D, SeparableConv2D
from mlcheat.nn.layers import (Add, Average, Concatenate, Dense, Dropout, Embedding, Flatten, GaussianNoise, Layer,
                               Multiply, Residual, Subtract)
from mlcheat.nn.losses import Loss, MeanSquaredError, SparseCategoricalCrossentropy
from mlcheat.nn.network import Input, Network, Sequential, gradient_check, load
from mlcheat.nn.normalization import BatchNormalization, LayerNormalization
from mlcheat.nn.optimizers import SGD, Adam, AdamW, CosineDecay, RMSprop
from mlcheat.nn.recurrent import GRU, LSTM, Bidirectional
from mlcheat.nn.regularization import L2

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS = (DIGITS / 16).astype("float32")
ORDER = np.random.default_rng(0).permutation(1797)
TRAIN, TEST = ORDER[:1437], ORDER[1437:]
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def keras():
    keras = pytest.importorskip("keras")
    keras.config.disable_traceback_filtering()
    return keras


def mlp(*sizes, last="softmax", seed=0, **kwargs):
    return Sequential([Input((64,)), *(Dense(n, "relu") for n in sizes), Dense(10, last)], seed=seed, **kwargs)


def data(n=40, features=4, classes=3, seed=0):
    rng = RNG(seed)
    return rng.normal(size=(n, features)), rng.integers(0, classes, n)


def small(seed=0, loss="sparse_categorical_crossentropy", optimizer="adam", **kwargs):
    net = Sequential([Input((4,)), Dense(5, "tanh"), Dense(3, "softmax")], seed=seed, **kwargs)
    net.compile(optimizer, loss)
    return net


def assert_same_history(ours, theirs, tol=1e-5):
    assert set(ours) == set(theirs)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=tol, err_msg=name)


def assert_same_weights(ours, theirs, tol=1e-5):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=0, atol=tol)


# ---- fit equals keras.fit -----------------------------------------------------------------------

def keras_mlp(keras, *sizes, last="softmax"):
    keras.utils.set_random_seed(0)
    L = keras.layers
    return keras.Sequential([L.Input((64,)), *(L.Dense(n, "relu") for n in sizes), L.Dense(10, last)])


def test_the_published_history(keras):
    theirs = keras_mlp(keras, 32)
    theirs.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    ours = mlp(32)
    ours.set_weights(theirs.get_weights())
    ours.compile(SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    arguments = dict(epochs=5, shuffle=False, verbose=0, validation_data=(DIGITS[TEST], LABELS[TEST]))
    log = ours.fit(DIGITS[TRAIN], LABELS[TRAIN], **arguments).history
    assert np.allclose(log["loss"], [2.04162, 1.34502, 0.81529, 0.55505, 0.42228], atol=1e-5)
    assert_same_history(log, theirs.fit(DIGITS[TRAIN], LABELS[TRAIN], **arguments).history)
    assert_same_weights(ours.get_weights(), theirs.get_weights())
    assert ours.count_params() == 2410 and np.allclose(ours.predict(DIGITS[TEST]), theirs.predict(DIGITS[TEST], verbose=0), atol=1e-5)


@pytest.mark.parametrize("name, ours, arguments, tol", [
    ("SGD", SGD, dict(learning_rate=0.05, momentum=0.9), 1e-5),
    ("SGD", SGD, dict(learning_rate=0.05, momentum=0.9, nesterov=True, clipnorm=0.3), 1e-5),
    ("RMSprop", RMSprop, dict(learning_rate=0.003, centered=True), 1e-5),
    ("Adam", Adam, dict(learning_rate=0.003), 2e-5),
    ("AdamW", AdamW, dict(learning_rate=0.003, weight_decay=0.05), 2e-5),
    ("SGD", SGD, dict(learning_rate=0.1, use_ema=True, ema_momentum=0.9), 1e-5),
], ids=["momentum", "nesterov-clipnorm", "rmsprop", "adam", "adamw", "ema"])
def test_fit_equals_keras_for_every_optimizer(keras, name, ours, arguments, tol):
    theirs, net = keras_mlp(keras, 16, last=None), mlp(16, last=None)
    net.set_weights(theirs.get_weights())
    theirs.compile(getattr(keras.optimizers, name)(**arguments),
                   keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    net.compile(ours(**arguments), SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x, y, fit = DIGITS[TRAIN[:430]], LABELS[TRAIN[:430]], dict(epochs=3, shuffle=False, verbose=0)
    log = net.fit(x, y, validation_split=0.2, **fit).history
    assert_same_history(log, theirs.fit(x, y, validation_split=0.2, **fit).history, tol)
    assert_same_weights(net.get_weights(), theirs.get_weights(), tol)


def test_fit_equals_keras_with_weights_of_rows_and_classes(keras):
    theirs, net = keras_mlp(keras, 16), mlp(16)
    net.set_weights(theirs.get_weights())
    x, y = DIGITS[TRAIN[:300]], LABELS[TRAIN[:300]]
    row, classes = RNG(1).random(300).astype("float32"), {k: 0.5 + 0.1 * k for k in range(9)}
    for model in (theirs, net):
        model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    fit = dict(epochs=2, shuffle=False, verbose=0, sample_weight=row,
               validation_data=(DIGITS[TEST], LABELS[TEST], np.linspace(0, 2, 360, dtype="float32")))
    log, other = net.fit(x, y, **fit).history, theirs.fit(x, y, **fit).history
    assert np.allclose(log["loss"], other["loss"], atol=1e-5) and np.allclose(log["val_loss"], other["val_loss"], atol=1e-5)
    del fit["sample_weight"]
    log, other = net.fit(x, y, class_weight=classes, **fit).history, theirs.fit(x, y, class_weight=classes, **fit).history
    assert np.allclose(log["loss"], other["loss"], atol=1e-5) and np.allclose(log["val_loss"], other["val_loss"], atol=1e-5)
    assert_same_weights(net.get_weights(), theirs.get_weights())


def test_weighted_metrics_and_one_hot_targets_equal_keras(keras):
    theirs, net = keras_mlp(keras, 8), mlp(8)
    net.set_weights(theirs.get_weights())
    weight, y = RNG(2).random(100).astype("float32"), np.eye(10, dtype="float32")[LABELS[:100]]
    for model in (theirs, net):
        model.compile("sgd", "categorical_crossentropy", metrics=["mse"], weighted_metrics=["accuracy"])
    ours = net.evaluate(DIGITS[:100], y, sample_weight=weight, return_dict=True)
    assert_same_history(ours, theirs.evaluate(DIGITS[:100], y, sample_weight=weight, return_dict=True, verbose=0))
    assert_same_history(net.train_on_batch(DIGITS[:100], y, weight, return_dict=True),
                        theirs.train_on_batch(DIGITS[:100], y, weight, return_dict=True))


def test_accumulation_equals_keras(keras):
    theirs, net = keras_mlp(keras, 8), mlp(8)
    net.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.Adam(0.003, gradient_accumulation_steps=4), "sparse_categorical_crossentropy")
    net.compile(Adam(0.003), "sparse_categorical_crossentropy")
    x, y = DIGITS[:256], LABELS[:256]                        # 8 batches: no rest that would differ
    log = net.fit(x, y, epochs=2, shuffle=False, verbose=0, gradient_accumulation_steps=4).history
    assert_same_history(log, theirs.fit(x, y, epochs=2, shuffle=False, verbose=0).history)
    assert_same_weights(net.get_weights(), theirs.get_weights(), 2e-5)


def test_several_outputs_equal_keras(keras):
    L = keras.layers
    keras.utils.set_random_seed(1)
    x = L.Input((4,))
    h = L.Dense(6, "tanh", kernel_regularizer=keras.regularizers.L2(0.01), name="hidden")(x)
    theirs = keras.Model(x, [L.Dense(3, "softmax", name="kind")(h), L.Dense(1, name="size")(h)])
    x = Input((4,))
    h = Dense(6, "tanh", kernel_regularizer=L2(0.01), name="hidden")(x)
    net = Network(x, [Dense(3, "softmax", name="kind")(h), Dense(1, name="size")(h)])
    net.set_weights(theirs.get_weights())
    for model in (theirs, net):
        model.compile("rmsprop", ["sparse_categorical_crossentropy", "mse"], loss_weights=[1.0, 0.3],
                      metrics=[["accuracy"], ["mae"]])
    X, y = data(48)                       # Keras counts a short last batch in full in kind_loss, size_loss
    X, ys = X.astype("float32"), [y, X[:, :1].astype("float32")]
    fit = dict(batch_size=16, epochs=2, shuffle=False, verbose=0, validation_data=(X, ys))
    assert_same_history(net.fit(X, ys, **fit).history, theirs.fit(X, ys, **fit).history)
    assert_same_weights(net.get_weights(), theirs.get_weights())
    assert_same_history(net.evaluate(X, ys, 16, return_dict=True),
                        theirs.evaluate(X, ys, 16, return_dict=True, verbose=0))


@pytest.mark.parametrize("steps", [True, False], ids=["each-step", "last-step"])
def test_masks_reach_loss_and_metrics_as_in_keras(keras, steps):
    L = keras.layers
    keras.utils.set_random_seed(2)
    theirs = keras.Sequential([L.Input((6,)), L.Embedding(8, 4, mask_zero=True), L.GRU(5, return_sequences=steps),
                               L.Dense(3, "softmax")])
    net = Sequential([Input((6,)), Embedding(8, 4, mask_zero=True), GRU(5, return_sequences=steps), Dense(3, "softmax")])
    net.set_weights(theirs.get_weights())
    x = RNG(0).integers(1, 8, (30, 6))
    x[np.arange(6) >= RNG(1).integers(1, 7, 30)[:, None]] = 0
    y = RNG(2).integers(0, 3, (30, 6) if steps else 30)
    for model in (theirs, net):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit = dict(batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_history(net.fit(x, y, **fit).history, theirs.fit(x, y, **fit).history)
    assert_same_weights(net.get_weights(), theirs.get_weights())


def test_batch_norm_and_convolution_equal_keras(keras):
    L = keras.layers
    keras.utils.set_random_seed(3)
    theirs = keras.Sequential([L.Input((8, 8, 1)), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(),
                               L.Flatten(), L.Dense(10, "softmax")])
    from mlcheat.nn.layers import ReLU

    net = Sequential([Input((8, 8, 1)), Conv2D(4, 3), BatchNormalization(), ReLU(), MaxPooling2D(), Flatten(),
                      Dense(10, "softmax")])
    net.set_weights(theirs.get_weights())
    for model in (theirs, net):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = DIGITS[:192].reshape(-1, 8, 8, 1), LABELS[:192]
    fit = dict(epochs=2, shuffle=False, verbose=0, validation_data=(x[:50], y[:50]))
    assert_same_history(net.fit(x, y, **fit).history, theirs.fit(x, y, **fit).history)
    assert_same_weights(net.get_weights(), theirs.get_weights())


def test_accuracy_chooses_as_keras_does(keras):
    rng = RNG(0)
    cases = [(rng.integers(0, 3, 20), rng.random((20, 3))), (rng.integers(0, 3, (20, 1)), rng.random((20, 3))),
             (np.eye(3)[rng.integers(0, 3, 20)], rng.random((20, 3))), (rng.integers(0, 2, (20, 1)), rng.random((20, 1))),
             (rng.integers(0, 3, (5, 4)), rng.random((5, 4, 3)))]
    for y, p in cases:
        metric = keras.src.trainers.compile_utils.get_metric("accuracy", y, p)
        metric.update_state(y, p)
        assert np.isclose(N.accuracy(y, p).mean(), float(metric.result()))


# ---- metrics ------------------------------------------------------------------------------------

@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 6))
def test_metrics_against_scikit_learn(seed, k, classes):
    rng = RNG(seed)
    scores, y = rng.normal(size=(25, classes)), rng.integers(0, classes, 25)
    assert np.isclose(N.accuracy(y, scores).mean(), accuracy_score(y, scores.argmax(1)))
    assert np.isclose(N.categorical_accuracy(np.eye(classes)[y], scores).mean(), accuracy_score(y, scores.argmax(1)))
    if k < classes > 2:
        judge = top_k_accuracy_score(y, scores, k=k, labels=range(classes))
        assert np.isclose(N.top_k(k)(y, scores).mean(), judge)
        assert np.isclose(N.top_k(k)(np.eye(classes)[y], scores).mean(), judge)


def test_metrics_refuse_shapes_that_do_not_fit():
    for metric, y, p in ((N.binary_accuracy, [1, 0], [[0.5], [0.2]]), (N.categorical_accuracy, [1, 0], [[0.5, 0.2]] * 2),
                         (N.sparse_categorical_accuracy, [[1], [0]], [[0.5, 0.2]] * 2), (N.top_k(1), [1], [[0.5, 0.2]] * 2),
                         (N.accuracy, [1, 0, 1], [[0.5, 0.2]] * 2), (N.accuracy, 1, 1)):
        with pytest.raises(ValueError, match="need targets of shape"):
            metric(y, p)
    with pytest.raises(ValueError, match="labels must be 0 to 1, got 0 to 2"):
        N.top_k(1)([0, 2], [[0.5, 0.2]] * 2)
    for k in (0, 1.5, True):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            N.top_k(k)


def test_metrics_by_name_and_as_functions():
    X, y = data()
    net = small()
    net.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc", "top_2_accuracy", N.top_k(3), lambda y, p: p[:, 0]])
    log = net.evaluate(X, y, return_dict=True)
    assert list(log) == ["loss", "acc", "top_2_accuracy", "top_3_accuracy", "<lambda>"] and log["top_3_accuracy"] == 1
    assert np.isclose(log["<lambda>"], net.predict(X)[:, 0].mean(), atol=1e-6)


# ---- the numbers ----------------------------------------------------------------------------------

def test_a_dense_network_learns_the_digits():
    net = mlp(64)
    net.compile(Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    log = net.fit(DIGITS[TRAIN], LABELS[TRAIN], epochs=30, verbose=0, validation_data=(DIGITS[TEST], LABELS[TEST])).history
    assert log["val_accuracy"][-1] >= 0.96


def test_twenty_of_twenty_seeds_learn_xor():
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([0, 1, 1, 0])
    for seed in range(20):
        net = Sequential([Input((2,)), Dense(4, "tanh"), Dense(1, "sigmoid")], seed=seed)
        net.compile(Adam(0.05), "binary_crossentropy")
        done = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(net, "stop_training", logs["loss"] < 0.01))
        assert net.fit(x, y, epochs=2000, verbose=0, callbacks=[done]).history["loss"][-1] < 0.01, seed


def test_the_first_loss_of_ten_classes():
    net = Sequential([Dense(8, "relu"), Dense(10, "softmax", kernel_initializer="zeros")], dtype="float64")
    net.compile("sgd", "sparse_categorical_crossentropy")
    assert np.isclose(net.evaluate(DIGITS, LABELS), 2.302585, atol=1e-6)


def test_parameters():
    net = Sequential([Input((8, 8, 1)), Conv2D(8, 3), MaxPooling2D(2), Flatten(), Dense(10)])
    assert net.count_params() == 810 and "730" in net.summary() and "810 parameters" in net.summary()
    assert mlp(32).count_params() == 2410


# ---- graphs -----------------------------------------------------------------------------------------

def residual():
    x = Input((6, 6, 2))
    y = SeparableConv2D(4, 3, padding="same")(x)
    y = BatchNormalization()(y)
    y = Add()([y, Conv2D(4, 1)(x)])
    y = Residual([Conv2D(4, 3, padding="same", activation="tanh"), LayerNormalization()])(y)
    return Network(x, Dense(3, "softmax")(GlobalAveragePooling2D()(y)), seed=0), RNG(0).normal(size=(5, 6, 6, 2)), [0, 1, 2, 0, 1]


def shared():
    a, b, layer = Input((4,)), Input((4,)), Dense(4, "tanh")
    y = Concatenate()([layer(a), layer(layer(b)), Subtract()([a, b])])
    return Network([a, b], Dense(3, "softmax")(y), seed=0), [*RNG(0).normal(size=(2, 5, 4))], [0, 1, 2, 0, 1]


def nested():
    inner = Sequential([Dense(5, "tanh"), Dropout(0.3), Dense(4)])
    x = Input((4,))
    encoder = Network(x, [inner(x), inner(inner(x))])
    x = Input((4,))
    net = Sequential([Input((4,)), Dense(4), Network(x, Multiply()(encoder(x))), Dense(3, "softmax")], seed=0)
    return net, RNG(0).normal(size=(5, 4)), [0, 1, 2, 0, 1]


def sequences():
    x = Input((7,))
    e = Embedding(9, 4, mask_zero=True)(x)
    y, h, c = LSTM(5, return_sequences=True, return_state=True)(e)
    y = GRU(5, return_sequences=True)(y, initial_state=h)
    y = Bidirectional(GRU(3))(Average()([y, MultiHeadAttention(2, 3)(y, y)]))
    tokens = RNG(0).integers(1, 9, (5, 7))
    tokens[:, 5:] = 0
    return Network(x, Dense(3, "softmax")(Concatenate()([y, c])), seed=0), tokens, [0, 1, 2, 0, 1]


def stateful():
    net = Sequential([GRU(3, stateful=True), Dense(3, "softmax")], seed=0)
    return net, RNG(0).normal(size=(5, 4, 2)), [0, 1, 2, 0, 1]


def penalised():
    net = Sequential([Dense(4, "tanh", kernel_regularizer=L2(0.1)), BatchNormalization(), GaussianNoise(0.1), Dense(3, "softmax")], seed=0)
    return net, RNG(0).normal(size=(6, 3)), [0, 1, 2, 0, 1, 2]


MODELS = [residual, shared, nested, sequences, stateful, penalised]


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_gradient_check_of_every_model(make):
    net, x, y = make()
    net.compile("sgd", "sparse_categorical_crossentropy")
    weights = None
    if net.built:
        weights = net.get_weights()
    errors = gradient_check(net, x, y, max_entries=40)
    assert errors and max(errors.values()) < 1e-5, errors
    assert max(gradient_check(net, x, y, max_entries=10, training=False).values()) < 1e-5
    if weights is not None:
        assert all(np.array_equal(a, b) for a, b in zip(weights, net.weights)) and net.dtype == "float32"


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_every_model_trains_and_survives_a_file(make, tmp_path):
    net, x, y = make()
    net.compile(Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit = dict(batch_size=5, epochs=2, verbose=0)
    x, y = ([a[:5] for a in x] if isinstance(x, list) else x[:5]), y[:5]
    first = net.fit(x, y, **fit).history["loss"][0]
    net.save(tmp_path / "net.npz")
    twin = load(tmp_path / "net.npz")
    if make is stateful:
        net.layers[0].reset_states()
    assert np.array_equal(net.predict(x), twin.predict(x)) and twin.summary() == net.summary()
    if make is stateful:
        net.layers[0].reset_states(), twin.layers[0].reset_states()
    assert net.fit(x, y, **fit).history == twin.fit(x, y, **fit).history
    assert all(np.array_equal(a, b) for a, b in zip(net.weights, twin.weights))
    net.fit(x, y, batch_size=5, epochs=10, verbose=0)
    assert net.history.history["loss"][-1] < first


def test_a_sign_flip_is_found():
    class Wrong(Dense):
        def _backward(self, grad):
            return -super()._backward(grad)

    net = Sequential([Dense(5, "tanh"), Wrong(4, "tanh", name="wrong"), Dense(3, "softmax")], seed=0)
    net.compile("sgd", "sparse_categorical_crossentropy")
    errors = gradient_check(net, *data(8))
    assert errors["dense"] > 0.99 and errors["wrong"] < 1e-5         # what comes before it is wrong


def test_gradients_against_autodiff():
    net, (xa, xb), y = shared()
    net = N._in_float64(compiled := (net.compile("sgd", "sparse_categorical_crossentropy"), net)[1])
    assert compiled.dtype == "float32"
    loss, grads = net.loss_and_gradients([xa, xb], y)
    W, c, V, d = (ad.Tensor(w, requires_grad=True) for w in net.weights)
    ta, tb = ad.Tensor(xa, requires_grad=True), ad.Tensor(xb, requires_grad=True)
    layer = lambda x: (x @ W + c).tanh()
    z = ad.concatenate([layer(ta), layer(layer(tb)), ta - tb], axis=1) @ V + d
    p = z.exp()
    judge = -((p / p.sum(axis=1, keepdims=True)).log() * np.eye(3)[y]).sum() / 5
    judge.backward()
    assert np.isclose(loss, judge.item(), rtol=1e-12)
    for ours, theirs in zip(grads, (W, c, V, d)):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-9, atol=1e-13)
    outputs = net([xa, xb], training=True)
    back = net.backward(SparseCategoricalCrossentropy().gradient(y, outputs))
    for ours, theirs in zip(back, (ta, tb)):
        np.testing.assert_allclose(ours, theirs.grad, rtol=1e-9, atol=1e-13)


def test_an_output_that_nobody_compares_gets_no_gradient():
    x = Input((4,))
    h = Dense(5)(x)
    net = Network(x, [Dense(3, "softmax", name="used")(h), Dense(2, name="idle")(h)], seed=0)
    net.compile("sgd", ["sparse_categorical_crossentropy", None])
    X, y = data()
    before = net.get_layer("idle").get_weights()
    log = net.fit(X, [y, np.zeros((40, 2))], epochs=2, verbose=0).history
    assert set(log) == {"loss", "used_loss"} and log["loss"] == log["used_loss"]
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_layer("idle").weights))
    assert all((g == 0).all() for g in net.get_layer("idle").gradients)


def test_outputs_of_one_layer_have_names_of_their_own():
    a, b, layer = Input((4,)), Input((4,)), Dense(1, name="score")
    net = Network([a, b], [layer(a), layer(b)], seed=0)
    net.compile("sgd", "mse")                                   # one loss for all outputs
    X, _ = data()
    log = net.evaluate([X, 2 * X], [X[:, 0], X[:, 1]], return_dict=True)
    assert list(log) == ["loss", "score_loss", "score_1_loss"]
    assert np.isclose(log["loss"], log["score_loss"] + log["score_1_loss"]) and log["score_loss"] != log["score_1_loss"]


def test_models_that_share_layers_train_in_turn():
    x = Input((4,))
    h = Dense(3, "tanh", name="code")(x)
    encoder, whole = Network(x, h), Network(x, Dense(4)(h), seed=1)
    X, _ = data()
    whole.compile(Adam(0.01), "mse")
    encoder.compile(Adam(0.01), "mse")
    first = whole.fit(X, X, epochs=3, verbose=0).history["loss"]
    code = encoder.predict(X)
    encoder.fit(X, 0 * code, epochs=3, verbose=0)
    assert np.abs(encoder.predict(X)).mean() < np.abs(code).mean()
    assert np.array_equal(encoder.weights[0], whole.weights[0])
    whole.fit(X, X, epochs=20, verbose=0)
    assert whole.history.history["loss"][-1] < first[0] and np.array_equal(encoder.weights[0], whole.weights[0])


def test_graphs_that_make_no_sense():
    x, z = Input((4,)), Input((4,))
    with pytest.raises(ValueError, match="needs an input of shape .None, 4. that is not among the inputs"):
        Network(x, Add()([Dense(4)(x), z]))
    with pytest.raises(ValueError, match="no output depends on the input of shape"):
        Network([x, z], Dense(4)(x))
    h = Dense(4)(x)
    y = Add()([h, x])
    h.node.inputs.append(y)                                    # bitten into its own tail
    with pytest.raises(ValueError, match="cycle through the layer"):
        Network(x, y)
    with pytest.raises(TypeError, match="must be symbols"):
        Network(x, np.ones(3))
    with pytest.raises(TypeError, match="arrays and symbols do not mix, got ndarray"):
        Add()([x, np.ones((1, 4))])
    for shape in ((0,), (2.5,), ("a",)):
        with pytest.raises(ValueError, match="a size must be a whole number of at least 1"):
            Input(shape)


def test_one_layer_on_two_shapes():
    layer = Dense(4)
    with pytest.raises(ValueError, match="expected 4 features"):
        Network([a := Input((4,)), b := Input((5,))], Add()([layer(a), layer(b)]))
    with pytest.raises(ValueError, match="expected 4 features"):
        layer(Input((5,)))


def test_a_layer_stands_once():
    layer = Dense(4)
    with pytest.raises(ValueError, match="stands in it twice"):
        Sequential([layer, layer])
    with pytest.raises(ValueError, match="stands in it twice"):
        Sequential([layer, Sequential([layer])])
    x = Input((4,))
    with pytest.raises(ValueError, match="stands in it twice"):
        Network(x, layer(Sequential([layer])(x)))


def test_inputs_that_do_not_fit_a_graph():
    net, (xa, xb), y = shared()
    net.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="expected 2 inputs"):
        net([xa])
    with pytest.raises(ValueError, match="expected 2 inputs of one length, got the lengths .5."):
        net.fit([xa], y, verbose=0)
    with pytest.raises(ValueError, match=r"expected 2 inputs of one length, got the lengths \[5, 4\]"):
        net.fit([xa, xb[:4]], y, verbose=0)
    with pytest.raises(ValueError, match="expected an input of shape .None, 4."):
        net.predict([xa, xb[:, :3]])
    net([xa, xb])
    with pytest.raises(ValueError, match="expected gradients of shapes"):
        net.backward(np.ones((5, 2)))
    with pytest.raises(RuntimeError, match="backward needs a forward pass first"):
        shared()[0].backward(np.ones((5, 3)))


# ---- Sequential --------------------------------------------------------------------------------------

def test_layers_are_added_and_taken_off():
    net = Sequential([Input((4,)), Dense(5, name="a")], seed=0)
    net.add(Dense(3, name="a"))
    assert [layer.name for layer in net.layers] == ["a", "a_1"] and net.count_params() == 25 + 18
    assert net.pop().name == "a_1" and net.count_params() == 25 and net.predict(np.ones((2, 4))).shape == (2, 5)
    assert net.get_layer("a") is net.layers[0]
    with pytest.raises(ValueError, match="no layer 'b'; it has a"):
        net.get_layer("b")
    net.pop()
    with pytest.raises(ValueError, match="no layer to take off"):
        net.pop()
    with pytest.raises(TypeError, match="expected a layer, got 3"):
        net.add(3)
    with pytest.raises(ValueError, match="Input comes first"):
        Sequential([Dense(2), Input((3,))])
    with pytest.raises(ValueError, match="weights are float64 already"):
        built = Dense(2, dtype="float64")
        built.build((None, 4))
        Sequential([built])


def test_a_network_without_weights_says_so():
    net = Sequential([Dense(3)])
    for call in (net.count_params, net.summary, lambda: net.save("x"), lambda: net.save_weights("x"),
                 lambda: net.load_weights("x"), lambda: net.set_weights([np.ones((4, 3))])):
        with pytest.raises(ValueError, match="no weights yet|none before it is built"):
            call()
    with pytest.raises(RuntimeError, match="backward needs a forward pass first"):
        net.backward(np.ones((1, 3)))
    assert net.predict(np.ones((2, 4))).shape == (2, 3) and net.count_params() == 15     # data build it


def test_weights_of_the_wrong_number_or_shape():
    net = small()
    for weights in (net.get_weights()[:3], [w.T for w in net.get_weights()]):
        with pytest.raises(ValueError, match=r"expected weights of shapes \[\(4, 5\), \(5,\), \(5, 3\), \(3,\)\]"):
            net.set_weights(weights)


def test_frozen_layers_stay_and_dropout_stays_random():
    X, y = data()
    net = Sequential([Input((4,)), Dense(5, "tanh"), BatchNormalization(), Dropout(0.5), Dense(3, "softmax")], seed=0)
    for layer in net.layers[:3]:
        layer.trainable = False
    net.compile("adam", "sparse_categorical_crossentropy")
    before = net.get_weights()
    net.fit(X, y, epochs=2, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, net.weights)]
    assert same == [True] * 6 + [False] * 2
    net.trainable = False                                       # as in Keras, dropout goes on
    assert not np.array_equal(net(X, training=True), net(X, training=True))
    net.compile("adam", "sparse_categorical_crossentropy")
    before = net.get_weights()
    net.fit(X, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.weights))


def test_freezing_after_training_asks_for_a_new_compile():
    X, y = data()
    net = small()
    net.fit(X, y, verbose=0)
    net.layers[0].trainable = False
    with pytest.raises(ValueError, match="18 in place of 43 numbers; compile again"):
        net.fit(X, y, verbose=0)
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(X, y, verbose=0)


def test_all_weights_lie_in_one_array():
    X, y = data()
    net = small()
    net.fit(X, y, verbose=0)
    flat = net.weights[0].base
    assert all(w.base is flat for w in net.weights) and flat.size == net.count_params()
    net.set_weights([w + 1 for w in net.get_weights()])
    assert np.isclose(flat[:20].reshape(4, 5), net.weights[0]).all()


# ---- compile -----------------------------------------------------------------------------------------

def test_compile_refuses():
    net = small()
    for arguments, error, message in ((("adamm", "mse"), ValueError, "no optimizer 'adamm'; there are sgd"),
                                      ((3, "mse"), TypeError, "expected an optimizer or its name"),
                                      (("adam",), ValueError, "compile needs a loss"),
                                      (("adam", "msee"), ValueError, "no loss 'msee'"),
                                      (("adam", ["mse", "mse"]), ValueError, "expected 1 losses"),
                                      (("adam", "mse", None, ["acccuracy"]), ValueError, "no metric 'acccuracy'; there are accuracy"),
                                      (("adam", "mse", None, "accuracy"), TypeError, "expected a list of metrics"),
                                      (("adam", "mse", ["accuracy"]), TypeError, "loss weights must be numbers, got 'accuracy'")):
        with pytest.raises(error, match=message):
            net.compile(*arguments)
    net.compile("Adam", "Huber")
    assert isinstance(net.optimizer, Adam) and type(net.losses[0]).__name__ == "Huber"
    x = Input((4,))
    two = Network(x, [Dense(1)(x), Dense(1)(x)])
    with pytest.raises(ValueError, match="expected 2 losses and loss weights, one for each output, got 1 and 2"):
        two.compile("sgd", ["mse"])
    with pytest.raises(ValueError, match="expected a list of metrics for each of 2 outputs, got 1"):
        two.compile("sgd", "mse", metrics=["mae"])


def test_nothing_before_compile():
    X, y = data()
    net = Sequential([Dense(3, "softmax")])
    for call in (lambda: net.fit(X, y), lambda: net.evaluate(X, y), lambda: net.train_on_batch(X, y), lambda: net.test_on_batch(X, y),
                 lambda: net.loss_and_gradients(X, y), lambda: gradient_check(net, X, y)):
        with pytest.raises(RuntimeError, match="call compile before"):
            call()


# ---- bad data ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, error, message", [
    (dict(y=np.zeros(39, int)), ValueError, "x has 40 rows, y has shape .39,."),
    (dict(x=np.ones((40, 5))), ValueError, "expected inputs of shape .None, 4., got .40, 5."),
    (dict(x=np.ones(40)), ValueError, "expected inputs of shape"),
    (dict(x=np.ones((0, 4)), y=np.zeros(0, int)), ValueError, "the data are empty"),
    (dict(x=3.0), ValueError, "the data are empty"),
    (dict(x=np.full((40, 4), "a")), TypeError, "expected real numbers"),
    (dict(y=np.zeros((40, 2))), ValueError, "shape"),
    (dict(y=np.zeros((40, 3, 1), int)), ValueError, "shape"),
    (dict(y=np.arange(40) % 4), ValueError, "class numbers from 0 to 2 for 3 classes, got values from 0 to 3"),
    (dict(y=np.arange(40) % 3 - 1), ValueError, "got values from -1 to 1"),
    (dict(y=np.full(40, np.nan)), ValueError, r"y holds nan at index \(0,\)"),
    (dict(y=np.full(40, 0.5)), ValueError, "class numbers"),
    (dict(sample_weight=np.ones(39)), ValueError, "expected 40 sample weights"),
    (dict(sample_weight=np.full(40, -1.0)), ValueError, "sample weights must be finite and at least 0"),
    (dict(sample_weight=np.full(40, np.nan)), ValueError, "sample weights must be finite"),
    (dict(class_weight=[1, 2, 3]), TypeError, "class_weight must map classes to weights"),
    (dict(batch_size=0), ValueError, "batch_size must be a whole number of at least 1, got 0"),
    (dict(batch_size=1.5), ValueError, "batch_size must be a whole number"),
    (dict(epochs=-1), ValueError, "epochs must be a whole number of at least 0, got -1"),
    (dict(initial_epoch=-1), ValueError, "initial_epoch"),
    (dict(gradient_accumulation_steps=0), ValueError, "gradient_accumulation_steps"),
    (dict(validation_split=1.0), ValueError, r"validation_split must be in \[0, 1\), got 1.0"),
    (dict(validation_split=-0.1), ValueError, "validation_split must be"),
    (dict(validation_split=0.99), ValueError, "leaves no rows for training"),
    (dict(validation_split=1e-20), ValueError, "leaves no rows for validation"),
    (dict(validation_data=np.ones((3, 4))), ValueError, "validation_data must be .x, y."),
    (dict(validation_data=(np.ones((3, 4)), [0, 1])), ValueError, "x has 3 rows, y has shape"),
    (dict(y=None), ValueError, "y is missing"),
    (dict(y=None, x=iter([])), ValueError, "no batch came"),
    (dict(y=None, x=iter([]), epochs=2), ValueError, "a generator runs once, not for 2 epochs"),
    (dict(y=None, x={"a": 1}.values(), epochs=2), ValueError, "expected batches .x, y."),
    (dict(y=None, x={1: 2}, validation_split=0.5), ValueError, "validation_split and sample_weight need arrays"),
    (dict(callbacks=[3]), TypeError, "expected callbacks"),
])
def test_bad_input_speaks_up_before_the_first_batch(change, error, message):
    net = small()
    before = net.get_weights()
    X, y = data()
    arguments = {"x": X, "y": y, "verbose": 0} | change
    with pytest.raises(error, match=message):
        net.fit(**arguments)
    assert all(np.array_equal(a, b) for a, b in zip(before, net.weights)) and net.optimizer.iterations == 0
    assert net.fit(X, y, verbose=0).epoch == [0]


def test_nan_in_x_is_found_where_it_is():
    X, y = data()
    X[3, 2] = np.inf
    for call in (lambda: small().fit(X, y, verbose=0), lambda: small().evaluate(X, y), lambda: small().predict(X)):
        with pytest.raises(ValueError, match=r"x holds inf at index \(3, 2\); 1 of its 160 numbers are not finite"):
            call()


def test_large_finite_data_are_no_nan():
    N._no_nan(np.full(10, 3e38, np.float32), "x")
    N._no_nan(np.full(10, 1e308), "x")                           # the sum overflows, the numbers do not


def test_an_empty_model():
    with pytest.raises(ValueError, match="has no layers"):
        Sequential().predict(np.ones((2, 2)))
    net = Sequential()
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no layers"):
        net.fit(np.ones((2, 2)), np.ones(2), verbose=0)


def test_inputs_are_never_changed():
    X, y = data()
    weight = np.linspace(0, 1, 40)
    copies = X.copy(), y.copy(), weight.copy()
    net = Sequential([Dense(3, "relu"), Dense(3, "softmax")], seed=0, dtype="float64")
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(X, y, sample_weight=weight, class_weight={0: 2.0}, epochs=2, validation_split=0.3, verbose=0)
    net.predict(X), net.evaluate(X, y), gradient_check(net, X, y, max_entries=3)
    assert all(np.array_equal(a, b) for a, b in zip(copies, (X, y, weight)))


def test_a_last_batch_of_one_row_makes_batch_norm_warn():
    X, y = data(9)
    net = Sequential([Dense(3), BatchNormalization(), Dense(3, "softmax")], seed=0)
    net.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="a batch with one value for each feature"):
        net.fit(X, y, batch_size=8, verbose=0)


# ---- fit ------------------------------------------------------------------------------------------------

def test_no_epochs_no_history():
    X, y = data()
    net = small()
    before = net.get_weights()
    history = net.fit(X, y, epochs=0, verbose=0)
    assert history.history == {} and history.epoch == [] and history is net.history
    assert all(np.array_equal(a, b) for a, b in zip(before, net.weights))
    assert net.fit(X, y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 45), st.sampled_from([None, 1, 2, 3, 7]))
def test_every_row_is_seen_once_an_epoch(n, batch_size, every):
    seen = []

    class Spy(Layer):
        def _forward(self, x, training, mask):
            seen.append(x[:, 0].copy())
            return x

        def _backward(self, grad):
            return grad

    net = Sequential([Spy(), Dense(1)], seed=0)
    net.compile(SGD(1e-3), "mse")
    net.fit(np.arange(float(n))[:, None], np.zeros(n), batch_size, epochs=2, verbose=0, gradient_accumulation_steps=every)
    batches = math.ceil(n / batch_size)
    assert [len(s) for s in seen] == 2 * ([batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0))
    assert net.optimizer.iterations == 2 * math.ceil(batches / (every or 1))
    for epoch in (seen[:batches], seen[batches:]):
        assert sorted(np.concatenate(epoch)) == list(range(n))


def test_validation_split_takes_the_last_rows():
    X = np.arange(100.0)[:, None]
    net = Sequential([Dense(1, use_bias=False)], seed=0, dtype="float64")
    net.compile(SGD(1e-12), "mse")
    log = net.fit(X, X[:, 0], validation_split=0.2, verbose=0).history
    w = net.weights[0][0, 0]
    assert np.isclose(log["val_loss"][0], np.mean((w * X[80:] - X[80:]) ** 2))


def test_class_weights_do_not_touch_the_validation():
    X, y = data()
    logs = []
    for weights in (None, {0: 5.0, 1: 1.0, 2: 1.0}):
        net = small(optimizer=SGD(1e-9))
        logs.append(net.fit(X, y, validation_split=0.5, class_weight=weights, verbose=0).history)
    assert np.isclose(logs[0]["val_loss"], logs[1]["val_loss"], rtol=1e-6).all() and logs[1]["loss"][0] > 1.5 * logs[0]["loss"][0]


@pytest.mark.parametrize("optimizer", [SGD, Adam], ids=["sgd", "adam"])
def test_accumulation_is_the_large_batch(optimizer):
    X, y = data(70)
    nets = []
    for size, every in ((8, 4), (32, None)):
        net = Sequential([Dense(6, "tanh", kernel_regularizer=L2(0.01)), Dense(3, "softmax")], seed=1, dtype="float64")
        net.compile(optimizer(0.01), "sparse_categorical_crossentropy")
        net.fit(X, y, size, epochs=3, shuffle=False, verbose=0, gradient_accumulation_steps=every)
        nets.append(net)
    assert_same_weights(*(net.weights for net in nets), 1e-12)
    assert nets[0].optimizer.iterations == nets[1].optimizer.iterations == 9


def test_batches_from_an_iterable_equal_arrays():
    X, y = data(50)
    weight = RNG(1).random(50)

    class Blocks:
        def __iter__(self):
            return ((X[i:i + 16], y[i:i + 16], weight[i:i + 16]) for i in range(0, 50, 16))

    one, two = (Sequential([Dense(5, "tanh"), Dense(3, "softmax")], seed=0) for _ in range(2))
    for net in (one, two):
        net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    a = one.fit(Blocks(), batch_size=16, epochs=3, verbose=0, validation_data=(X, y), class_weight={1: 2.0}).history
    b = two.fit(X, y, 16, epochs=3, shuffle=False, verbose=0, validation_data=(X, y), sample_weight=weight, class_weight={1: 2.0}).history
    assert a == b
    one.fit(iter(Blocks()), verbose=0)                            # a generator serves one epoch


def test_the_same_seed_the_same_network():
    X, y = data()

    def run(seed):
        net = Sequential([Dense(5, "relu"), Dropout(0.3), Dense(3, "softmax")], seed=seed)
        net.compile("adam", "sparse_categorical_crossentropy")
        log = net.fit(X, y, batch_size=7, epochs=3, verbose=0).history
        return net.predict(X), log["loss"]

    assert np.array_equal(run(5)[0], run(5)[0]) and run(5)[1] == run(5)[1] and run(5)[1] != run(6)[1]


def test_a_loss_that_becomes_nan_stops_and_keeps_the_history():
    X, y = RNG(0).normal(size=(64, 3)), RNG(1).normal(size=64)
    net = Sequential([Dense(8), Dense(1)], seed=0)
    net.compile(SGD(5.0), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("always", "the loss became|a gradient became", RuntimeWarning)
        with pytest.warns(RuntimeWarning, match="became (nan|inf|nan or infinite) in epoch .*training stops"):
            history = net.fit(X, y, epochs=50, verbose=0, validation_data=(X, y))
    assert 1 <= len(history.epoch) < 50 and net.stop_training and history is net.history
    assert not math.isfinite(history.history["loss"][-1]) or not np.isfinite(net.weights[0]).all() or len(history.epoch) < 50


def test_a_network_whose_output_is_nan_stops_before_the_update():
    X, y = data()
    net = small()
    net.weights[0][0, 0] = np.nan
    with pytest.warns(RuntimeWarning, match="the loss became nan in epoch 1: training stops"):
        history = net.fit(X, y, epochs=3, verbose=0)
    assert history.epoch == [0] and net.optimizer.iterations == 0
    assert math.isnan(net.train_on_batch(X, y)) and net.optimizer.iterations == 0
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        net.loss_and_gradients(X, y)


def test_an_infinite_gradient_stops_the_training():
    class Explosion(Layer):
        def _forward(self, x, training, mask):
            return x

        def _backward(self, grad):
            return grad * np.inf

    net = Sequential([Dense(3), Explosion(), Dense(1)], seed=0)
    net.compile("sgd", "mse")
    before = (net.build((None, 4)), net.get_weights())[1]
    with pytest.warns(RuntimeWarning, match="a gradient became nan or infinite in epoch 1"):
        assert net.fit(*data(), epochs=3, verbose=0).epoch == [0]
    assert all(np.array_equal(a, b) for a, b in zip(before, net.weights))


class Stop(Exception):
    pass


def test_an_exception_in_the_middle_leaves_the_network_usable():
    X, y = data()
    net, twin = small(), small()

    def raise_it(batch, logs=None):
        if batch == 2:
            raise Stop

    with pytest.raises(Stop):
        net.fit(X, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=raise_it)])
    twin.fit(X[:24], y[:24], batch_size=8, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(net.weights, twin.weights)) and net.optimizer.iterations == 3
    assert all(layer.input_gradient for layer in net.flatten_layers()) and net.history.epoch == []
    assert net.fit(X, y, shuffle=False, verbose=0).history == twin.fit(X, y, shuffle=False, verbose=0).history
    assert net(X).shape == (40, 3) and net.backward(np.ones((40, 3))).shape == (40, 4)


def test_an_exception_in_a_backward_pass_leaves_the_flags_as_they_were():
    class Broken(Dense):
        broken = True

        def _backward(self, grad):
            if self.broken:
                raise Stop
            return super()._backward(grad)

    net = Sequential([Dense(4), Broken(3, "softmax")], seed=0)
    net.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(Stop):
        net.fit(*data(), verbose=0)
    assert net.layers[0].input_gradient and net.optimizer.iterations == 0
    Broken.broken = False
    net.fit(*data(), verbose=0)


def test_a_data_stream_that_breaks_off():
    X, y = data()

    def broken():
        yield X[:8], y[:8]
        raise Stop

    net = small()
    with pytest.raises(Stop):
        net.fit(broken(), verbose=0, gradient_accumulation_steps=4)
    assert net.optimizer.iterations == 0 and net.fit(X, y, verbose=0).epoch == [0]


def test_callbacks_are_called_in_order():
    calls = []

    class Spy(Callback):
        def __getattribute__(self, name):
            if name.startswith("on_"):
                return lambda *args: calls.append(name)
            return super().__getattribute__(name)

        def on_train_batch_begin(self, batch, logs=None):
            """Makes the list call the batch marks."""

    X, y = data(20)
    small().fit(X, y, batch_size=16, epochs=2, verbose=0, callbacks=[Spy()])
    names = [name.removeprefix("on_") for name in calls]
    epoch = ["epoch_begin", "train_batch_begin", "train_batch_end", "train_batch_begin", "train_batch_end", "epoch_end"]
    assert names == ["train_begin", *epoch, *epoch, "train_end"]


def test_callbacks_inside_fit(tmp_path):
    X, y = data(60)
    net = Sequential([Input((4,)), Dense(30, "relu"), Dense(3, "softmax")], seed=0)
    net.compile(Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = EarlyStopping(patience=5, restore_best_weights=True)
    best = ModelCheckpoint(tmp_path / "best.npz", save_best_only=True)
    log = net.fit(X, y, epochs=200, validation_split=0.5, verbose=0, callbacks=[
        LearningRateScheduler(lambda epoch, rate: rate * 0.99), stop, best, CSVLogger(tmp_path / "log.csv")]).history
    assert len(log["loss"]) == stop.best_epoch + 6 < 200
    assert np.isclose(net.evaluate(X[30:], y[30:])[0], min(log["val_loss"]), atol=1e-6)
    kept = load(tmp_path / "best.npz")
    assert all(np.array_equal(a, b) for a, b in zip(kept.weights, net.weights))
    assert np.allclose(log["learning_rate"], 0.05 * 0.99 ** np.arange(1, len(log["loss"]) + 1))
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss" and len(lines) == len(log["loss"]) + 1


def test_a_monitor_that_is_missing_warns_once():
    with pytest.warns(UserWarning, match="watches 'val_loss', which is not in the logs") as record:
        history = small().fit(*data(), epochs=3, verbose=0, callbacks=[EarlyStopping()])
    assert history.epoch == [0, 1, 2] and len([r for r in record if "watches" in str(r.message)]) == 1


def test_rates_fall_on_a_plateau():
    script = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=[4, 3, 3.5, 3.2, 2.5, 2.6][epoch]))
    log = small(optimizer=SGD(0.8)).fit(*data(), epochs=6, verbose=0,
                                        callbacks=[script, ReduceLROnPlateau(factor=0.5, patience=1)]).history
    assert np.allclose(log["learning_rate"], [0.8, 0.8, 0.8, 0.4, 0.2, 0.2])


def test_what_is_printed(capsys):
    X, y = data()
    for verbose, count in ((0, 0), (1, 4), (2, 2), ("auto", 4)):
        small().fit(X, y, epochs=2, verbose=verbose)
        assert len(capsys.readouterr().out.splitlines()) == count


def test_one_batch_at_a_time():
    X, y = data()
    one, two = small(), small()
    loss = one.train_on_batch(X, y)
    assert isinstance(loss, float) and np.isclose(loss, small().test_on_batch(X, y), rtol=1e-6)
    log = two.fit(X, y, batch_size=40, shuffle=False, verbose=0).history
    assert np.isclose(log["loss"][0], loss) and all(np.array_equal(a, b) for a, b in zip(one.weights, two.weights))
    assert one.evaluate(X, y, None) == one.test_on_batch(X, y)
    before = one.get_weights()
    total, grads = one.loss_and_gradients(X, y)
    grads[0][...] = 7                                            # copies: the network does not see it
    assert [g.shape for g in grads] == [w.shape for w in one.weights] and not (one.gradients[0] == 7).any()
    assert all(np.array_equal(a, b) for a, b in zip(before, one.weights))


def test_a_schedule_counts_updates():
    X, y = data(40)
    net = small(optimizer=SGD(CosineDecay(0.1, 10)))
    net.fit(X, y, batch_size=8, epochs=1, verbose=0)
    assert np.isclose(net.optimizer.learning_rate, 0.05)


def test_overfitting_one_batch():
    net = mlp(64)
    net.compile(Adam(0.01), "sparse_categorical_crossentropy")
    for _ in range(150):
        loss = net.train_on_batch(DIGITS[:32], LABELS[:32])
    assert loss < 0.01


# ---- files -----------------------------------------------------------------------------------------------

def trained(**kwargs):
    X, y = data()
    net = Sequential([Input((4,)), Dense(5, "tanh"), Dropout(0.3, seed=4), BatchNormalization(), Dropout(0.1), Dense(3, "softmax")],
                     seed=0, name="mine", **kwargs)
    net.compile(Adam(0.01, use_ema=True, clipnorm=1.0), SparseCategoricalCrossentropy(), metrics=["accuracy", N.top_k(2)])
    net.fit(X, y, batch_size=16, epochs=2, verbose=0)
    return net


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_goes_on_to_the_last_bit(tmp_path, dtype):
    X, y = data()
    net = trained(dtype=dtype)
    net.save(tmp_path / "net.npz")
    twin = load(str(tmp_path / "net.npz"))
    assert twin.name == "mine" and twin.dtype == dtype and twin.optimizer.iterations == net.optimizer.iterations
    for model in (net, twin):
        model.fit(X, y, batch_size=16, epochs=3, verbose=0)
    assert net.history.history == twin.history.history
    assert all(np.array_equal(a, b) for a, b in zip(net.weights, twin.weights))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(["sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "lion"]),
       st.sampled_from(["mse", "huber", "log_cosh", "mae"]))
def test_files_keep_every_optimizer_and_loss(tmp_path_factory, seed, optimizer, loss):
    path = tmp_path_factory.mktemp("net") / "net.npz"
    X = RNG(seed).normal(size=(12, 3))
    net = Sequential([Dense(4, "relu"), Dense(1)], seed=seed)
    net.compile(optimizer, loss)
    net.fit(X, X[:, 0], verbose=0)
    net.save(path)
    twin = load(path)
    for model in (net, twin):
        model.fit(X, X[:, 0], epochs=2, verbose=0)
    assert net.history.history == twin.history.history and all(np.array_equal(a, b) for a, b in zip(net.weights, twin.weights))


def test_a_file_without_compile_and_frozen_layers(tmp_path):
    net = Sequential([Input((4,)), Dense(3, trainable=False), Dense(2)], seed=0)
    net.save(tmp_path / "net.npz")
    twin = load(tmp_path / "net.npz")
    assert twin.optimizer is None and not twin.layers[0].trainable and len(twin.trainable_weights) == 2


def test_weights_alone(tmp_path):
    net = trained()
    net.save_weights(tmp_path / "w.npz")
    net.save(tmp_path / "net.npz")
    for name in ("w.npz", "net.npz"):
        twin = Sequential.from_config(net.get_config())
        twin.load_weights(tmp_path / name)
        assert all(np.array_equal(a, b) for a, b in zip(net.weights, twin.weights))
    with pytest.raises(ValueError, match="holds weights alone"):
        load(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="expected weights of shapes"):
        small().load_weights(tmp_path / "w.npz")


def repack(path, target, **changes):
    """The file with parts changed: arrays by name, `describe` a function of the description."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(bytes(arrays.pop("description")).decode())
    description = changes.pop("describe", lambda d: d)(description)
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(target, description=np.frombuffer(json.dumps(description).encode(), np.uint8), **arrays)
    return target


def test_files_that_are_refused(tmp_path):
    good = tmp_path / "good.npz"
    trained().save(good)
    raw, bad = good.read_bytes(), tmp_path / "bad.npz"
    for cut in (0, 1, 100, len(raw) // 2, len(raw) - 1):
        bad.write_bytes(raw[:cut])
        with pytest.raises(ValueError, match="is no file saved by mlcheat, or it is damaged"):
            load(bad)
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 255                                # one byte: the checksum finds it
    for content in (b"hello", bytes(flipped)):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="is no file saved by mlcheat, or it is damaged"):
            load(bad)
    np.savez(bad, a=np.ones(3))
    with pytest.raises(ValueError, match="is no file saved by mlcheat"):
        load(bad)
    with open(bad, "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ValueError, match="is no file saved by mlcheat"):
        load(bad)
    np.savez(bad, description=np.array([{"mlcheat": 1}], dtype=object))
    with pytest.raises(ValueError, match="is no file saved by mlcheat.*allow_pickle"):
        load(bad)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.npz")


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/mlcheat-was-here",)


@pytest.mark.parametrize("describe, arrays, message", [
    (lambda d: d | {"mlcheat": 2}, {}, "has format 2; this version of mlcheat reads format 1"),
    (lambda d: 3, {}, "damaged"),
    (lambda d: d, {"weight_00000": None}, "damaged.*expected weights of shapes"),
    (lambda d: d, {"weight_00000": np.ones((5, 5))}, "damaged.*expected weights of shapes"),
    (lambda d: d, {"weight_00000": np.array([Evil()], dtype=object)}, "allow_pickle"),
    (lambda d: d, {"optimizer_calls": None}, "damaged"),
    (lambda d: {k: v for k, v in d.items() if k != "random"}, {}, "damaged"),
    (lambda d: d | {"model": {"class_name": "Dense", "config": {"units": 3}}}, {}, "a Dense is no network"),
    (lambda d: d | {"model": {"class_name": "Nonsense", "config": {}}}, {}, "no layer 'Nonsense' is known"),
    (lambda d: d | {"model": 3}, {}, "damaged"),
    (lambda d: d | {"compile": d["compile"] | {"losses": [{"class_name": "np", "fn": "", "config": {}}]}}, {}, "np is no loss"),
    (lambda d: d | {"compile": d["compile"] | {"optimizer": {"class_name": "eval", "config": {}}}}, {}, "damaged"),
], ids=["newer", "number", "missing", "other-shape", "pickled", "no-optimizer", "no-generator", "no-network", "unknown-layer", "no-model", "no-loss", "no-such-optimizer"])
def test_foreign_and_changed_files_are_refused(tmp_path, describe, arrays, message):
    trained().save(tmp_path / "good.npz")
    bad = repack(tmp_path / "good.npz", tmp_path / "bad.npz", describe=describe, **arrays)
    with pytest.raises(ValueError, match=message):
        load(bad)
    assert not os.path.exists("/tmp/mlcheat-was-here")


def test_functions_of_your_own_are_not_saved_silently(tmp_path):
    class Mine(Adam):
        pass

    class Worse(MeanSquaredError):
        pass

    for optimizer, loss, metrics, message in (
            (Mine(), "mse", [], "Mine is a class of your own"), ("adam", Worse(), [], "Worse is a class of your own"),
            ("adam", "mse", [lambda y, p: p], "the metric <lambda> is a function of your own"),
            (SGD(lambda step: 0.1), "mse", [], "a function of your own cannot be saved")):
        net = Sequential([Input((2,)), Dense(1)], seed=0)
        net.compile(optimizer, loss, metrics=metrics)
        with pytest.raises(ValueError, match=message):
            net.save(tmp_path / "net.npz")
        net.save_weights(tmp_path / "weights.npz")
    assert sorted(os.listdir(tmp_path)) == ["weights.npz"]


@pytest.mark.parametrize("death", ["os._exit(9)", "os.kill(os.getpid(), signal.SIGKILL)"])
@pytest.mark.parametrize("place", ["np.savez", "os.fsync"])
def test_a_crash_in_the_middle_of_save_leaves_the_old_file(tmp_path, death, place):
    path = tmp_path / "net.npz"
    net = small()
    net.save(path)
    old = path.read_bytes()
    program = textwrap.dedent(f"""
        import os, signal, sys
        import numpy as np
        from mlcheat.nn.network import load
        net = load(sys.argv[1])
        net.set_weights([w + 1 for w in net.weights])
        real = np.savez

        def half(file, **arrays):
            real(file, **dict(list(arrays.items())[:2]))
            file.flush()
            {death}

        if "{place}" == "np.savez":
            np.savez = half
        else:
            os.fsync = lambda number: {death}
        net.save(sys.argv[1])
        """)
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert done.returncode in (9, -signal.SIGKILL), done.stderr
    assert path.read_bytes() == old and np.array_equal(load(path).weights[0], net.weights[0])


def test_an_error_in_the_middle_of_save_leaves_nothing_behind(tmp_path, monkeypatch):
    net = small()
    net.save(tmp_path / "net.npz")
    old = (tmp_path / "net.npz").read_bytes()

    def full(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="the disk is full"):
        net.save(tmp_path / "net.npz")
    assert (tmp_path / "net.npz").read_bytes() == old and os.listdir(tmp_path) == ["net.npz"]


def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    small().save(tmp_path / "net.npz")
    assert (tmp_path / "net.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_loading_finds_layers_that_were_never_imported(tmp_path):
    net = Sequential([Input((6, 6, 1)), Conv2D(2, 3), LayerNormalization(), Flatten(), Dense(2)], seed=0)
    net.save(tmp_path / "net.npz")
    program = "import sys; from mlcheat.nn.network import load; print(load(sys.argv[1]).count_params(), 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "net.npz")], capture_output=True, text=True)
    assert done.stdout.split() == [str(net.count_params()), "False"], done.stderr


# ---- gradient_check ----------------------------------------------------------------------------------------

def test_gradient_check_refuses_and_limits():
    net = small()
    X, y = data(6)
    for arguments, message in ((dict(eps=0), "eps must be above 0"), (dict(max_entries=0), "max_entries must be")):
        with pytest.raises(ValueError, match=message):
            gradient_check(net, X, y, **arguments)
    with pytest.raises(ValueError, match="x has 6 rows"):
        gradient_check(net, X, y[:5])
    assert list(gradient_check(net, X, y, max_entries=1)) == ["dense", "dense_1"]
    net.trainable = False
    assert gradient_check(net, X, y) == {}


def test_a_bias_before_batch_norm_has_no_gradient_and_no_error():
    net = Sequential([Dense(4, kernel_initializer="zeros", name="idle"), BatchNormalization(), Dense(3, "softmax")], seed=0)
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.layers[0].kernel_initializer = "glorot_uniform"
    assert max(gradient_check(net, *data(10)).values()) < 1e-5


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), min_size=1, max_size=3), st.sampled_from(["tanh", "sigmoid", "softplus", "gelu"]),
       st.sampled_from(["mse", "log_cosh", "huber"]))
def test_gradients_of_random_networks(seed, sizes, activation, loss):
    x = RNG(seed).normal(size=(4, 3))
    symbol = Input((3,))
    y = symbol
    for n in sizes:
        y = Concatenate()([Dense(n, activation)(y), y])             # every layer sees all earlier ones
    net = Network(symbol, Dense(2)(y), seed=seed)
    net.compile("sgd", loss)
    assert max(gradient_check(net, x, x[:, :2], max_entries=10, seed=seed).values()) < 1e-5


def test_the_loss_names_are_those_of_the_chapter_on_losses():
    for name in ("mean_squared_error", "poisson", "hinge"):
        assert isinstance(Loss(name).fn, type(getattr(loss_functions, name)))


def test_two_moons():
    X, y = make_moons(200, noise=0.15, random_state=0)
    net = Sequential([Dense(16, "tanh"), Dense(16, "tanh"), Dense(1, "sigmoid")], seed=0)
    net.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    assert net.fit(X, y, epochs=80, verbose=0).history["accuracy"][-1] > 0.95
