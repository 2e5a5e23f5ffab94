"""Multilayer perceptrons: sizes and settings, training against Keras' fit, exact counting, NumPy copies, quality over seeds."""
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as L
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from mlcheat import data
from mlcheat.architectures.mlp import (
    collapse_linear,
    digits_mlp,
    evaluate_classifier,
    fashion_mlp,
    fit_classifier,
    manual_epoch,
    mlp,
)
from mlcheat.architectures.runtime import Runtime, checkpoint, max_difference, pipeline, to_numpy
from mlcheat.nn.losses import SparseCategoricalCrossentropy

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 6)).astype("float32"), RNG.integers(0, 3, 70)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def digits():
    """The digits as in the chapter: 1,437 for training, 360 for testing."""
    x, y = data.load_digits(return_X_y=True)
    return train_test_split(x / 16, y, test_size=360, random_state=0, stratify=y)


def small(seed=0, **options):
    return mlp(6, 3, hidden=(8, 5), seed=seed, **options)


def apart(a, b):
    """The largest difference between the weights of two models."""
    return max(float(np.max(np.abs(v - w))) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


# ---- building -----------------------------------------------------------------------------------

def test_the_models_of_the_chapter():
    assert fashion_mlp().count_params() == 392_500 + 100_200 + 20_100 + 1_010 == 513_810
    assert digits_mlp().count_params() == 6_570 and mlp(64, 10).count_params() == 153_810
    assert fashion_mlp().input_shape == (None, 784) and fashion_mlp().output_shape == (None, 10)
    assert [layer.units for layer in fashion_mlp().layers] == [500, 200, 100, 10]
    assert sum(w.size for w in fashion_mlp().get_weights() if w.ndim == 2) == 513_000


@pytest.mark.parametrize("hidden", [(), (1,), (7, 3), [4] * 6, np.array([5, 2])])
@pytest.mark.parametrize("classes", [1, 2, 9])
def test_sizes_and_counts(hidden, classes):
    model = mlp(6, classes, hidden=hidden)
    sizes = [6, *hidden, classes]
    assert model.count_params() == sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))
    assert model(X).shape == (70, classes) and model.layers[-1].activation is keras.activations.linear


def test_the_forward_pass_is_the_formula():
    model = small(activation="tanh")
    h, weights = X.astype(float), model.get_weights()
    for l in (0, 2):
        h = np.tanh(h @ weights[l] + weights[l + 1])
    assert np.allclose(model(X), h @ weights[4] + weights[5], atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "linear", keras.activations.sigmoid, None])
def test_activations_by_name_and_function(activation):
    model = small(activation=activation)
    assert model.layers[0].activation is keras.activations.get(activation)


@pytest.mark.parametrize("activation, variance", [("relu", 2 / 500), ("silu", 2 / 500), ("tanh", 2 / 900), ("sigmoid", 2 / 900)])
def test_he_before_relu_and_glorot_elsewhere(activation, variance):
    model = mlp(500, 10, hidden=(400,), activation=activation)
    assert np.isclose(model.layers[0].kernel.numpy().var(), variance, rtol=0.03)
    assert np.isclose(model.layers[1].kernel.numpy().var(), 2 / 410, rtol=0.08)           # the logits: always Glorot
    assert not np.any(model.layers[0].bias.numpy())


def test_an_initializer_of_ones_own():
    for given_ in ("random_normal", keras.initializers.RandomNormal(stddev=0.05)):
        kernels = [layer.kernel.numpy() for layer in mlp(50, 50, hidden=(50,), initializer=given_).layers]
        assert np.isclose(kernels[0].std(), 0.05, rtol=0.05) and not np.allclose(kernels[0], kernels[1])
    assert not np.any(mlp(6, 3, initializer="zeros")(X))


def test_seeds():
    assert apart(small(3), small(3)) == 0 and apart(small(3), small(4)) > 0.1
    equal = mlp(8, 8, hidden=(8, 8)).get_weights()
    assert not np.allclose(equal[0], equal[2])                   # layers of one shape start differently
    state = np.random.get_state()[1].copy()
    mlp(8, 8)
    assert np.array_equal(state, np.random.get_state()[1])


def test_dropout_batch_norm_and_penalty():
    model = small(dropout=0.25, batch_norm=True, l2=0.01)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Dense", "BatchNormalization", "Activation", "Dropout"] * 2 + ["Dense"]
    assert model.layers[3].rate == 0.25 and not model.layers[0].use_bias and model.layers[-1].use_bias
    squares = sum(float(np.sum(w**2)) for w in model.get_weights() if w.ndim == 2)
    assert np.isclose(sum(float(p) for p in model.losses), 0.01 * squares)
    assert not small().losses
    a, b = (small(dropout=0.5)(X, training=True) for _ in range(2))
    assert np.array_equal(a, b) and not np.allclose(a, small()(X))


def test_mixed_precision_gives_float32_logits():
    with Runtime(precision="mixed_bfloat16", strategy="none").scope():
        model = small()
    assert model.layers[0].compute_dtype == "bfloat16" and model(X).dtype == "float32"


@pytest.mark.parametrize("arguments, words", [
    ({"hidden": (8, 0)}, "width.*at least 1.*0"), ({"hidden": (-3,)}, "width.*-3"), ({"hidden": (2.5,)}, "width.*2.5"),
    ({"hidden": (True,)}, "width.*True"), ({"dropout": 1.0}, "dropout.*1.0"), ({"dropout": -0.1}, "dropout.*-0.1"),
    ({"l2": -1.0}, "l2.*-1.0"), ({"l2": np.nan}, "l2.*nan"), ({"classes": 0}, "classes.*0"), ({"input_dim": 0}, "input_dim.*0"),
    ({"input_dim": 6.0}, "input_dim.*6.0"),
])
def test_sizes_and_rates_out_of_range(arguments, words):
    with pytest.raises(ValueError, match=words):
        mlp(**({"input_dim": 6, "classes": 3} | arguments))


# ---- training -----------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"l2": 0.01}, {"batch_norm": True}, {"activation": "tanh"}])
def test_three_loops_end_at_the_same_weights(options):
    ours, keras_s, written = small(**options), small(**options), small(**options)
    history = fit_classifier(ours, X, Y, epochs=3, batch_size=16, learning_rate=0.01, seed=5, validation=(X[:20], Y[:20]))
    keras_s.compile(keras.optimizers.Adam(0.01), LOSS, metrics=["accuracy"])
    theirs = keras_s.fit(pipeline(X, Y, batch_size=16, seed=5), epochs=3, shuffle=False, verbose=0, validation_data=(X[:20], Y[:20]))
    optimizer, batches = keras.optimizers.Adam(0.01), pipeline(X, Y, batch_size=16, seed=5)
    reports = [manual_epoch(written, optimizer, batches) for _ in range(3)]
    assert apart(ours, keras_s) < 1e-6 and apart(ours, written) < 1e-6
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"} == set(theirs.history)
    for name in history.history:
        assert np.allclose(history.history[name], theirs.history[name], atol=1e-5), name
    for name in ("loss", "accuracy"):
        assert np.allclose(history.history[name], [r[name] for r in reports], atol=1e-5)


def test_manual_epoch_without_shuffling():
    ours, theirs = small(), small()
    theirs.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOSS)
    record = theirs.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    optimizer, batches = keras.optimizers.SGD(0.1, momentum=0.9), pipeline(X, Y, batch_size=16, shuffle=False)
    reports = [manual_epoch(ours, optimizer, batches) for _ in range(2)]
    assert apart(ours, theirs) < 1e-6
    assert len(reports[0]["batch_losses"]) == 5                  # the short last batch of 6 counts as 6 of 70
    assert np.allclose([r["loss"] for r in reports], record.history["loss"], atol=1e-6)
    assert not np.isclose(reports[0]["loss"], reports[0]["batch_losses"].mean(), atol=1e-5)
    with pytest.raises(ValueError, match="no batch"):
        manual_epoch(ours, optimizer, [])


def test_weight_decay_is_adamw():
    ours, theirs = small(), small()
    fit_classifier(ours, X, Y, epochs=2, batch_size=35, weight_decay=0.1)
    theirs.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.1), LOSS)
    theirs.fit(pipeline(X, Y, batch_size=35, seed=0), epochs=2, shuffle=False, verbose=0)
    plain = small()
    fit_classifier(plain, X, Y, epochs=2, batch_size=35)
    assert apart(ours, theirs) < 1e-6 < apart(ours, plain)


def test_a_schedule_and_a_seed():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    first, second, other = small(), small(), small()
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        fit_classifier(model, X, Y, epochs=2, batch_size=16, learning_rate=rate, seed=seed)
    assert apart(first, second) == 0 < apart(first, other)


def test_early_stopping_takes_the_best_weights_back():
    model = small()
    history = fit_classifier(model, X[:20], Y[:20], validation=(X[20:], Y[20:]), epochs=60, learning_rate=0.05, early_stopping=3)
    losses = history.history["val_loss"]
    assert len(losses) < 60 and len(losses) == int(np.argmin(losses)) + 4
    assert np.isclose(evaluate_classifier(model, X[20:], Y[20:])["loss"], min(losses), atol=1e-5)
    with pytest.raises(ValueError, match="validation"):
        fit_classifier(model, X, Y, early_stopping=3)
    with pytest.raises(ValueError, match="early_stopping.*0"):
        fit_classifier(model, X, Y, early_stopping=0, validation=(X, Y))


def test_callbacks_batches_and_runtime(tmp_path):
    runtime = Runtime(strategy="none", precision="mixed_bfloat16")
    with runtime.scope():
        model = small()
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
    batches = []
    history = fit_classifier(model, X, Y, runtime=runtime, epochs=2, batch_size=1000, callbacks=[seen, checkpoint(tmp_path / "run")])
    assert batches == [0, 0] and history.epoch == [0, 1]         # a batch larger than the data: all of them
    before = X.copy()
    fit_classifier(small(), X, Y, epochs=1)
    assert np.array_equal(before, X)
    assert fit_classifier(small(), X.tolist(), Y.tolist(), epochs=0).epoch == []


@pytest.mark.parametrize("layers, shape", [
    ([L.Conv2D(2, 3), L.Flatten()], (5, 5, 1)), ([L.GRU(4)], (None, 3)), ([L.Embedding(9, 4), L.GlobalAveragePooling1D()], (None,))])
def test_other_architectures_train_as_well(layers, shape):
    model = keras.Sequential([keras.Input(shape), *layers, L.Dense(3)])
    x = RNG.integers(0, 9, (20, *(n or 6 for n in shape)))
    x = x if len(shape) == 1 else x / 9
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        history = fit_classifier(model, x, Y[:20], epochs=2, batch_size=10)
        report = evaluate_classifier(model, x, Y[:20])
    assert len(history.epoch) == 2 and report["confusion"].sum() == 20


def test_32_pictures_by_heart(digits):
    x, _, y, _ = digits
    model = digits_mlp()
    fit_classifier(model, x[:32], y[:32], batch_size=32, epochs=200, learning_rate=0.01)
    assert evaluate_classifier(model, x[:32], y[:32])["loss"] < 0.01


def test_a_zero_last_layer_starts_at_the_log_of_the_number_of_classes(digits):
    _, x, _, y = digits
    model = digits_mlp()
    assert 1.8 < evaluate_classifier(model, x, y)["loss"] < 3.2
    model.layers[-1].kernel.assign(np.zeros((32, 10)))
    assert evaluate_classifier(model, x, y)["loss"] == pytest.approx(np.log(10), abs=1e-12)


# ---- judging ------------------------------------------------------------------------------------

def _reader(classes):
    """A model that hands its input on as logits."""
    model = mlp(classes, classes, hidden=())
    model.set_weights([np.eye(classes), np.zeros(classes)])
    return model


@settings(max_examples=25)
@given(st.integers(2, 6).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), min_size=1, max_size=40))),
       st.integers(1, 50), st.integers(0, 1000))
def test_counting_is_exact(task, batch_size, seed):
    classes, y = task
    logits = 5 * np.random.default_rng(seed).normal(size=(len(y), classes)).astype("float32")
    report = evaluate_classifier(_reader(classes), logits, y, batch_size=batch_size)
    said = logits.argmax(axis=1)
    assert np.array_equal(report["confusion"], confusion_matrix(y, said, labels=range(classes)))
    assert report["accuracy"] == np.mean(said == y) and type(report["accuracy"]) is type(report["loss"]) is float
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    assert np.isclose(report["loss"], log_loss(y, p, labels=range(classes)), atol=1e-6)


def test_huge_logits_stay_finite():
    report = evaluate_classifier(_reader(2), [[1e30, -1e30], [0.0, 200.0]], [0, 0])
    assert np.isclose(report["loss"], 100) and report["accuracy"] == 0.5


def test_evaluation_agrees_with_keras_and_is_in_inference_mode():
    model = small(dropout=0.5, batch_norm=True, l2=0.01)
    fit_classifier(model, X, Y, epochs=3, batch_size=16)
    first = evaluate_classifier(model, X, Y, batch_size=7)
    assert np.isclose(first["loss"], evaluate_classifier(model, X, Y)["loss"], atol=1e-6)
    penalty = sum(float(p) for p in model.losses)
    model.compile(loss=LOSS, metrics=["accuracy"])
    assert np.allclose([first["loss"] + penalty, first["accuracy"]], model.evaluate(X, Y, verbose=0), atol=1e-5)
    careless = model(X[:4], training=True)
    assert not np.allclose(careless, model(X[:4]), atol=0.1)


# ---- bad data: the same checks before training and before judging --------------------------------

@pytest.mark.parametrize("x, y, words", [
    (X.reshape(70, 2, 3), Y, r"shape \(n, 6\), got \(70, 2, 3\); flatten pictures by x.reshape\(len\(x\), -1\)"),
    (X[:, :5], Y, "examples of shape 6, got 5"), (X[0], Y, r"got \(6,\)"), (X[:0], Y[:0], "no example"),
    (X, Y[:9], r"each of the 70 examples, got shape \(9,\)"), (X, Y[:, None], r"got shape \(70, 1\)"),
    (X, np.eye(3)[Y], r"one-hot, shape \(70, 3\).*argmax"), (X, Y / 1.0, "whole numbers from 0 to 2, got float64"),
    (X, Y + 1, "from 0 to 2, got some from 1 to 3"), (X, Y - 1, "got some from -1 to 1"),
    (np.where(X > 2, np.nan, X), Y, "nan or infinite"), (np.where(X > 2, np.inf, X), Y, r"x holds \d+ values"),
    (X.astype(str), Y, "numbers, got <U"),
])
@pytest.mark.parametrize("use", [fit_classifier, evaluate_classifier])
def test_data_that_do_not_fit(use, x, y, words):
    with pytest.raises(ValueError, match=words):
        use(small(), x, y)


def test_the_validation_part_is_checked_too():
    with pytest.raises(ValueError, match="one-hot"):
        fit_classifier(small(), X, Y, validation=(X, np.eye(3)[Y]))


@pytest.mark.parametrize("settings_, words", [
    ({"learning_rate": 0.0}, "learning_rate.*0.0"), ({"learning_rate": -1}, "learning_rate.*-1"), ({"weight_decay": -0.1}, "weight_decay"),
    ({"batch_size": 0}, "batch_size.*0"), ({"epochs": -1}, "epochs.*-1")])
def test_settings_out_of_range(settings_, words):
    with pytest.raises(ValueError, match=words):
        fit_classifier(small(), X, Y, **settings_)


def test_models_that_give_no_logits_or_are_not_built():
    soft = keras.Sequential([keras.Input((6,)), L.Dense(3, "softmax")])
    for use in (fit_classifier, evaluate_classifier):
        with pytest.raises(ValueError, match="logits.*softmax"):
            use(soft, X, Y)
        with pytest.raises(ValueError, match="built"):
            use(keras.Sequential([L.Dense(3)]), X, Y)


def test_pixels_that_were_not_scaled():
    raw = data.load_digits(return_X_y=True)
    model = digits_mlp()
    with pytest.warns(UserWarning, match="up to 16.*0 to 255"):
        evaluate_classifier(model, *raw)
    with pytest.warns(UserWarning, match="up to 255") as caught:
        evaluate_classifier(mlp(4, 2), np.array([[0, 255, 3, 9]], np.uint8), [0])
    assert caught[0].filename == __file__                        # the warning points at the caller's line
    scaled = keras.Sequential([keras.Input((64,)), L.Rescaling(1 / 16), L.Dense(10)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        evaluate_classifier(scaled, *raw)
        evaluate_classifier(model, raw[0] / 16, raw[1])
        evaluate_classifier(small(), np.round(X), Y)             # whole numbers, some below zero: no grey levels


def test_fashion_mnist_missing(monkeypatch, tmp_path):
    import pooch

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setenv("MLCHEAT_DATA", str(tmp_path / "named"))
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr(pooch, "retrieve", offline)
    with pytest.raises(data.DatasetUnavailableError) as caught:
        data.load_fashion_mnist(tmp_path / "given")
    for words in ("given", "named", "cache", "load_digits"):
        assert words in str(caught.value)


# ---- a stack without activations -----------------------------------------------------------------

@settings(max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.integers(0, 1000))
def test_collapse_is_the_product(sizes, seed):
    rng = np.random.default_rng(seed)
    weights = [a for n, m in zip(sizes, sizes[1:]) for a in (rng.normal(size=(n, m)), rng.normal(size=m))]
    W, b = collapse_linear(weights)
    h = rng.normal(size=(4, sizes[0]))
    out = h
    for kernel, bias in zip(weights[::2], weights[1::2]):
        out = out @ kernel + bias
    assert np.allclose(h @ W + b, out) and np.linalg.matrix_rank(W) <= min(sizes)
    assert np.allclose(W, np.linalg.multi_dot(weights[::2]) if len(sizes) > 2 else weights[0])


def test_collapse_of_the_network_of_the_ml_cheatsheet():
    model = mlp(64, 10, activation="linear")
    W, b = collapse_linear(model.get_weights())
    x = np.random.default_rng(0).random((50, 64))
    assert np.allclose(x @ W + b, model.predict(x, verbose=0), atol=1e-5) and W.dtype == np.float32
    assert np.linalg.matrix_rank(collapse_linear(mlp(64, 10, hidden=(5,), activation=None).get_weights())[0], tol=1e-4) == 5


@pytest.mark.parametrize("weights, words", [
    ([], "even number.*0"), ([np.eye(2)], "even number.*1"), ([np.eye(2), [0.0]], r"layer 1.*\(1,\)"), ([[1.0], [0.0]], "layer 1"),
    ([np.eye(2), [0, 0], np.eye(3), [0, 0, 0]], r"layer 2: expected W of shape \(2, units\).*\(3, 3\)")])
def test_collapse_of_arrays_that_do_not_fit(weights, words):
    with pytest.raises(ValueError, match=words):
        collapse_linear(weights)


# ---- NumPy, scikit-learn ------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "dropout": 0.3}, {"activation": "tanh", "l2": 0.01}, {"activation": "gelu"}])
def test_the_numpy_copy(options):
    model = small(**options)
    fit_classifier(model, X, Y, epochs=2, batch_size=16)
    assert max_difference(model, to_numpy(model), X) < 1e-5


@pytest.mark.parametrize("options", [{}, {"l2": 0.01}, {"activation": "tanh"}])
def test_the_gradients_of_the_numpy_copy(options):
    model = small(**options)
    network = to_numpy(model)
    network.compile("adam", SparseCategoricalCrossentropy(from_logits=True))
    value, gradients = network.loss_and_gradients(X, Y)
    with tf.GradientTape() as tape:
        loss = tf.add_n([LOSS(Y, model(X)), *model.losses])
    assert np.isclose(value, float(loss), atol=1e-5)
    for ours, theirs in zip(gradients, tape.gradient(loss, model.trainable_variables), strict=True):
        assert np.allclose(ours, theirs, atol=1e-4 * max(1e-3, float(np.max(np.abs(theirs)))))


@pytest.mark.parametrize("activation, name", [("relu", "relu"), ("tanh", "tanh"), ("sigmoid", "logistic"), (None, "identity")])
def test_scikit_learn_with_the_same_weights(activation, name):
    model = small(activation=activation)
    theirs = MLPClassifier((8, 5), activation=name, solver="sgd").partial_fit(X, Y, classes=range(3))
    weights = model.get_weights()
    theirs.coefs_, theirs.intercepts_ = [w.astype(float) for w in weights[::2]], [w.astype(float) for w in weights[1::2]]
    assert np.allclose(theirs.predict_proba(X), keras.ops.softmax(model(X)), atol=1e-6)


# ---- quality ------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(5))
def test_the_quality_on_the_digits(digits, seed):
    x, x_test, y, y_test = digits
    model = digits_mlp(seed)
    fit_classifier(model, x, y, epochs=30, seed=seed)
    assert evaluate_classifier(model, x_test, y_test)["accuracy"] >= 0.95
    if seed == 0:
        assert max_difference(model, to_numpy(model), x_test) < 1e-5


@pytest.mark.parametrize("learning_rate, least", [(0.001, 0.96), (0.01, 0.93)])
def test_the_network_of_the_ml_cheatsheet_on_the_digits(digits, learning_rate, least):
    x, x_test, y, y_test = digits
    model = mlp(64, 10)
    fit_classifier(model, x, y, epochs=15, learning_rate=learning_rate)
    assert evaluate_classifier(model, x_test, y_test)["accuracy"] >= least


def test_shuffled_pixels_with_shuffled_weights_are_the_same_function(digits):
    x, *_ = digits
    order = np.random.default_rng(0).permutation(64)
    model, moved = digits_mlp(), digits_mlp()
    moved.set_weights([model.get_weights()[0][order], *model.get_weights()[1:]])
    assert np.allclose(model(x), moved(x[:, order]), atol=1e-5)


def test_fashion_mnist_where_it_is():
    name = "fashion-mnist/train-images-idx3-ubyte.gz"
    if not any((folder / name).is_file() for folder in [*data._named_folders(None), Path(data._cache_folder())]):
        pytest.skip(f"{name} is in neither MLCHEAT_DATA nor the cache; it is not part of the repository")
    pictures, labels = data.load_fashion_mnist(return_X_y=True)
    pictures = pictures / np.float32(255)
    model = fashion_mlp()
    fit_classifier(model, pictures[:60_000], labels[:60_000], batch_size=1000, epochs=15)
    assert evaluate_classifier(model, pictures[60_000:], labels[60_000:])["accuracy"] >= 0.86
