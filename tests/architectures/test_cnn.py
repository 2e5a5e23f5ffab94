"""Convolutional networks: shapes, parameters, receptive fields, gradients, and what they reach on the digits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from mlcheat.architectures.cnn import (
    all_conv,
    augment,
    cnn,
    conv_output,
    feature_maps,
    measured_receptive_field,
    occlusion,
    receptive_field,
    residual_cnn,
    saliency,
    shift,
)
from mlcheat.architectures.mlp import evaluate_classifier, fit_classifier
from mlcheat.architectures.runtime import layer_table, max_difference, parameter_count, to_numpy
from mlcheat.data import load_digits
from mlcheat.nn.convolution import conv2d

layers = keras.layers


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype("float32").reshape(-1, 8, 8, 1)
    return train_test_split(X, y, test_size=360, random_state=0, stratify=y)


@pytest.fixture(scope="module")
def trained(digits):
    """The default network after three quick epochs: not good, but no longer random."""
    model = cnn((8, 8, 1), 10)
    fit_classifier(model, digits[0], digits[2], epochs=3, learning_rate=3e-3)
    return model


# ---- shapes and parameters


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("n", [5, 8, 9, 28])
def test_conv_output_is_that_of_keras(n, k, s, padding):
    keras_says = layers.Conv2D(2, k, strides=s, padding=padding).compute_output_shape((None, n, n, 1))[1]
    if padding == "valid":
        assert conv_output(n, k, s) == keras_says
        assert layers.MaxPooling2D(k, s).compute_output_shape((None, n, n, 1))[1] == keras_says
    elif s == 1:
        assert conv_output(n, k, 1, (k - 1) // 2) == n == keras_says


@given(n=st.integers(1, 60), k=st.integers(1, 9), s=st.integers(1, 5), p=st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_conv_output_counts_the_places(n, k, s, p):
    places = sum(1 for a in range(-p, n + p, s) if a + k <= n + p)
    if places:
        assert conv_output(n, k, s, p) == places
    else:
        with pytest.raises(ValueError, match="does not fit"):
            conv_output(n, k, s, p)


@pytest.mark.parametrize("bad", [(0, 3), (8, 0), (8, 3, 0), (8, 3, 1, -1), (8.0, 3), (8, True)])
def test_conv_output_refuses(bad):
    with pytest.raises(ValueError, match="whole number"):
        conv_output(*bad)


@pytest.mark.parametrize(
    "shape, first, trainable",
    [((28, 28, 1), 1, 426_234), ((28, 28, 1), 3, 426_362), ((8, 8, 1), 1, 57_594), ((8, 8, 1), 3, 57_722), ((32, 32, 3), 1, 549_146)],
)
def test_parameters(shape, first, trainable):
    model = cnn(shape, 10, first_kernel=first)
    assert parameter_count(model) == (trainable, 480)
    assert model.output_shape == (None, 10) and model.count_params() == trainable + 480


def test_parameters_layer_by_layer():
    rows = layer_table(cnn((28, 28, 1), 10, first_kernel=1))
    assert [r["trainable"] for r in rows if r["trainable"]] == [16, 32, 4608, 64, 18432, 128, 401408, 256, 1290]
    assert [r["output"] for r in rows if "pool" in r["layer"]] == [(14, 14, 32), (7, 7, 64)]
    assert 0.94 < 401_408 / 426_234 < 0.95


def test_all_conv_has_no_dense_layer():
    model = all_conv((8, 8, 1), 10)
    assert parameter_count(model) == (24_058, 224) and sum(parameter_count(model)) == 24_282
    assert not any(isinstance(layer, layers.Dense) for layer in model.layers)


@pytest.mark.parametrize("build", [cnn, all_conv, residual_cnn])
def test_logits_seeds_and_types(build):
    a, b, c = build((8, 8, 3), 4), build((8, 8, 3), 4), build((8, 8, 3), 4, seed=1)
    x = np.random.default_rng(0).random((5, 8, 8, 3))
    out = [np.asarray(model(x)) for model in (a, b, c)]
    assert out[0].shape == (5, 4) and out[0].dtype == np.float32
    assert np.array_equal(out[0], out[1]) and not np.allclose(out[0], out[2])
    kernels = [w.numpy() for w in a.trainable_weights if len(w.shape) == 4]
    for i, first in enumerate(kernels):
        assert not any(first.shape == other.shape and np.array_equal(first, other) for other in kernels[:i])


def test_one_filter_and_other_sizes():
    assert cnn((5, 7, 2), 3, filters=(4,), dense=6, dropout=0.0)(np.zeros((1, 5, 7, 2))).shape == (1, 3)
    assert cnn((4, 4, 1), 2)(np.zeros((1, 4, 4, 1))).shape == (1, 2)


def test_momentum_of_the_moving_statistics():
    for model in (cnn((8, 8, 1), 10), all_conv((8, 8, 1), 10), residual_cnn((8, 8, 1), 10)):
        assert {layer.momentum for layer in model.layers if isinstance(layer, layers.BatchNormalization)} == {0.9}


# ---- bad input of the builders


@pytest.mark.parametrize("build", [cnn, all_conv, residual_cnn])
@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((8, 8), {}, r"add a channel axis: x\[\.\.\., None\]"),
        ((64,), {}, r"\(height, width, channels\), got \(64,\)"),
        ((None, 8, 8, 1), {}, r"\(height, width, channels\)"),
        ((1, 8, 8), {}, "channels come last"),
        ((8, 0, 1), {}, "whole number of at least 1"),
        ((8, 8, 1), {"classes": 1}, "classes must be a whole number of at least 2"),
        ((8, 8, 1), {"classes": 2.0}, "classes"),
    ],
)
def test_builders_refuse(build, shape, options, message):
    with pytest.raises(ValueError, match=message):
        build(shape, **({"classes": 10} | options))


@pytest.mark.parametrize("build", [cnn, all_conv])
def test_too_small_says_where_it_vanished(build):
    with pytest.raises(ValueError, match=r"at least 4 x 4 .* \(3, 3, 1\): after pooling 2 times nothing is left, \(0, 0\)"):
        build((3, 3, 1), 10)
    with pytest.raises(ValueError, match="filters must name at least one"):
        build((8, 8, 1), 10, filters=())
    with pytest.raises(ValueError, match="every number of filters"):
        build((8, 8, 1), 10, filters=(8, 0))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, np.nan])
def test_dropout_outside_its_range(dropout):
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        cnn((8, 8, 1), 10, dropout=dropout)


def test_other_bad_numbers():
    with pytest.raises(ValueError, match="first_kernel must be odd"):
        cnn((8, 8, 1), 10, first_kernel=2)
    with pytest.raises(ValueError, match="dense"):
        cnn((8, 8, 1), 10, dense=0)
    with pytest.raises(ValueError, match="blocks"):
        residual_cnn((8, 8, 1), 10, blocks=0)
    with pytest.raises(ValueError, match="every number of filters"):
        residual_cnn((8, 8, 1), 10, filters=0)


# ---- receptive fields


@pytest.mark.parametrize("first, sizes", [(1, [1, 3, 4, 8, 10]), (3, [3, 5, 6, 10, 12])])
def test_receptive_field_of_the_network(first, sizes):
    fields = receptive_field(cnn((28, 28, 1), 10, first_kernel=first))
    assert [f[0] for f in fields] == sizes and [f[1] for f in fields] == [1, 1, 2, 2, 4]


def test_one_unit_before_the_flattening_sees_ten_rows():
    model = cnn((28, 28, 1), 10, first_kernel=1)
    assert measured_receptive_field(model, "pool_3", (3, 3)) == ((9, 18), (9, 18))
    assert measured_receptive_field(model, "pool_3", (0, 6)) == ((0, 6), (21, 27))        # cut off at the border


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.sampled_from(["conv", "max", "mean"])), min_size=1, max_size=4)
)
@settings(max_examples=25, deadline=None)
def test_receptive_field_equals_the_gradient(rows):
    kinds = {"max": layers.MaxPooling2D, "mean": layers.AveragePooling2D}
    stack = [keras.Input((60, 60, 1))]
    for i, (k, s, same, kind) in enumerate(rows):
        k, options = max(k, s), {"strides": s, "padding": "same" if same else "valid", "name": f"w{i}"}      # no gaps between windows
        stack.append(layers.Conv2D(2, k, **options) if kind == "conv" else kinds[kind](k, **options))
    model = keras.Sequential(stack)
    (size, jump, start), n = receptive_field(model)[-1], model.output_shape[1]
    i = n // 2
    first, last = start + i * jump, start + i * jump + size - 1
    measured = measured_receptive_field(model, -1, (i, 0))
    assert measured[0] == (max(first, 0), min(last, 59))
    assert measured[1] == (max(start, 0), min(start + size - 1, 59))


def test_receptive_field_of_pairs_and_triples():
    assert [receptive_field([(3, s), (3, 1), (3, 1)])[-1][0] for s in (1, 2)] == [7, 11]
    assert receptive_field([(3, 1, 1), (2, 2), (3, 1, 1)]) == [(3, 1, -1), (4, 2, -1), (8, 2, -3)]
    assert receptive_field([]) == []


def test_receptive_field_with_dilation():
    model = keras.Sequential([keras.Input((32, 32, 1)), layers.Conv2D(1, 3), layers.Conv2D(1, 3, dilation_rate=4, name="gaps")])
    assert receptive_field(model)[-1] == (11, 1, 0)
    assert measured_receptive_field(model, "gaps", (5, 5)) == ((5, 15), (5, 15))


def test_measured_receptive_field_of_branches():
    model = residual_cnn((16, 16, 1), 10, blocks=2, filters=3)
    assert measured_receptive_field(model, "add_1", (8, 8)) == ((5, 11), (5, 11))         # three windows of 3: 7 pixels
    assert measured_receptive_field(model, "add_2", (8, 8)) == ((3, 13), (3, 13))


@pytest.mark.parametrize("layer, position, message", [
    ("nothing", (0, 0), "no layer 'nothing'; there are conv_1"),
    (99, (0, 0), "no layer 99"),
    ("dense", (0, 0), "has no maps"),
    ("pool_3", (2, 0), "2 x 2 units"),
    ("pool_3", (-1, 0), "position"),
])
def test_measured_receptive_field_refuses(layer, position, message):
    with pytest.raises(ValueError, match=message):
        measured_receptive_field(cnn((8, 8, 1), 10), layer, position)


def test_receptive_field_refuses():
    with pytest.raises(ValueError, match=r"\(kernel, stride\)"):
        receptive_field([(3,)])
    with pytest.raises(ValueError, match="stride"):
        receptive_field([(3, 0)])
    with pytest.raises(ValueError, match="keras.Sequential, got Functional"):
        receptive_field(residual_cnn((8, 8, 1), 10))
    with pytest.raises(ValueError, match="square"):
        receptive_field(keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, (3, 1))]))


# ---- shifts and augmentation


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("dy, dx", [(0, 0), (1, 0), (-2, 1), (0, -3), (5, 5), (9, 0), (0, -9)])
def test_shift_pixel_by_pixel(dy, dx, dtype):
    x = np.random.default_rng(0).random((2, 5, 6, 3)).astype(dtype)
    kept = x.copy()
    out = shift(x, dy, dx, fill=-1.0)
    for a in range(5):
        for b in range(6):
            inside = 0 <= a - dy < 5 and 0 <= b - dx < 6
            assert np.array_equal(out[:, a, b], x[:, a - dy, b - dx] if inside else np.full((2, 3), -1.0))
    assert out.dtype == dtype and np.array_equal(x, kept) and not np.shares_memory(out, x)


@given(dy=st.integers(0, 3), dx=st.integers(0, 3))
@settings(max_examples=16, deadline=None)
def test_an_unpadded_convolution_follows_the_shift_exactly(dy, dx):
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((2, 9, 9, 2)), rng.standard_normal((3, 3, 2, 4))
    before, after = conv2d(x, kernel), conv2d(shift(x, dy, dx), kernel)
    assert np.array_equal(after[:, dy:, dx:], before[:, : 7 - dy, : 7 - dx])


@pytest.mark.parametrize("m", [0, 1, 3])
def test_augment_is_a_shift_of_each_picture(m):
    x = np.random.default_rng(0).random((80, 6, 5, 2))
    out = augment(x, max_shift=m, random_state=0)
    choices = {(dy, dx): shift(x, dy, dx) for dy in range(-m, m + 1) for dx in range(-m, m + 1)}
    seen = [next(d for d, moved in choices.items() if np.array_equal(moved[i], out[i])) for i in range(len(x))]
    assert len(set(seen)) > 0.7 * min(len(choices), 40) and np.array_equal(out, augment(x, max_shift=m, random_state=0))
    assert m == 0 or not np.array_equal(out, augment(x, max_shift=m, random_state=1))


@pytest.mark.parametrize("move", [lambda x: shift(x, 1, 0), augment])
def test_pictures_without_channels_are_refused(move):
    with pytest.raises(ValueError, match=r"add a channel axis: x\[\.\.\., None\]"):
        move(np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match=r"\(n, height, width, channels\)"):
        move(np.zeros((3, 64)))
    with pytest.raises(ValueError, match="numbers"):
        move(np.array([[[["a"]]]]))


def test_shift_and_augment_refuse_fractions():
    with pytest.raises(ValueError, match="dy"):
        shift(np.zeros((1, 4, 4, 1)), 0.5, 0)
    with pytest.raises(ValueError, match="max_shift"):
        augment(np.zeros((1, 4, 4, 1)), max_shift=-1)


def test_whole_numbers_become_floats():
    assert shift(np.ones((1, 2, 2, 1), int), 1, 0).dtype == np.float32


# ---- looking inside


def test_feature_maps_are_the_network(trained, digits):
    x = digits[1][:6]
    maps = feature_maps(trained, x)
    assert list(maps) == [layer.name for layer in trained.layers]
    assert np.allclose(maps["logits"], trained(x), atol=1e-5)
    assert np.allclose(maps["conv_1"], conv2d(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), trained.get_layer("conv_1").get_weights()[0]),
                       atol=1e-5)
    assert np.array_equal(maps["flatten"], maps["pool_3"].reshape(6, -1)) and np.array_equal(maps["dropout"], maps["relu_dense"])


def test_the_source_networks_first_maps_have_rank_one(digits):
    model = cnn((8, 8, 1), 10, first_kernel=1)
    maps = feature_maps(model, digits[1])["conv_1"].reshape(-1, 16).astype(float)
    assert np.linalg.matrix_rank(maps, tol=1e-3) == 1
    wide = feature_maps(cnn((8, 8, 1), 10), digits[1])["conv_1"].reshape(-1, 16).astype(float)
    assert np.linalg.matrix_rank(wide, tol=1e-3) == 9


def test_saliency_against_central_differences(trained, digits):
    x, y = digits[1][:3], digits[3][:3]
    network, step = to_numpy(trained), 1e-6
    g = saliency(trained, x, y)
    assert g.shape == x.shape
    for a, b in np.random.default_rng(0).integers(0, 8, (10, 2)):
        pixel = np.zeros((8, 8, 1))
        pixel[a, b] = step
        up, down = (network.predict(x.astype(float) + s * pixel)[np.arange(3), y] for s in (1, -1))
        assert np.allclose(g[:, a, b, 0], (up - down) / (2 * step), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size, stride", [(1, 1), (2, 1), (3, 2), (8, 1)])
def test_occlusion_covers_every_place(trained, digits, size, stride):
    x, y = digits[1][:2], digits[3][:2]
    kept = x.copy()
    drops = occlusion(trained, x, y, size=size, stride=stride)
    n = conv_output(8, size, stride)
    assert drops.shape == (2, n, n) and np.array_equal(x, kept)
    for a, b in {(0, 0), (n - 1, 0), (n // 2, n - 1)}:
        covered = x.copy()
        covered[:, a * stride : a * stride + size, b * stride : b * stride + size] = 0
        full, rest = (np.asarray(trained(v))[np.arange(2), y] for v in (x, covered))
        assert np.allclose(drops[:, a, b], full - rest, atol=1e-5)


@pytest.mark.parametrize("ask", [saliency, occlusion])
def test_maps_of_importance_refuse(ask, trained):
    x = np.zeros((2, 8, 8, 1))
    with pytest.raises(ValueError, match="one class number for each of the 2 pictures"):
        ask(trained, x, [1])
    with pytest.raises(ValueError, match="one class number"):
        ask(trained, x, [1.0, 2.0])
    with pytest.raises(ValueError, match="between 0 and 9"):
        ask(trained, x, [1, 10])
    with pytest.raises(ValueError, match="add a channel axis"):
        ask(trained, x[..., 0], [1, 2])
    with pytest.raises(ValueError, match="channels come last"):
        ask(trained, np.zeros((2, 1, 8, 8)), [1, 2])
    with pytest.raises(ValueError, match=r"reads pictures of shape \(8, 8, 1\), got \(6, 8, 1\)"):
        ask(trained, x[:, :6], [1, 2])


def test_occlusion_larger_than_the_picture(trained):
    for bad, message in (({"size": 9}, "size must be at most 8"), ({"size": 0}, "size"), ({"stride": 0}, "stride")):
        with pytest.raises(ValueError, match=message):
            occlusion(trained, np.zeros((1, 8, 8, 1)), [0], **bad)


# ---- agreement, training, and the mistakes of the source


def test_numpy_gives_the_same_logits(trained, digits):
    assert max_difference(trained, to_numpy(trained), digits[1][:100]) < 1e-5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_network_learns_the_digits(digits, seed):
    X_train, X_test, y_train, y_test = digits
    model = cnn((8, 8, 1), 10, seed=seed, first_kernel=1 if seed == 1 else 3)
    fit_classifier(model, X_train, y_train, epochs=15 if seed == 0 else 8, learning_rate=1e-3 if seed == 0 else 2e-3, seed=seed)
    assert evaluate_classifier(model, X_test, y_test)["accuracy"] >= 0.98


def test_residual_keeps_gradients_at_one_scale(digits):
    x, y = tf.constant(digits[0][:64]), tf.constant(digits[2][:64])

    def spread(skip):
        model = residual_cnn((8, 8, 1), 10, blocks=9, filters=8, skip=skip)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True))
        found = tape.gradient(loss, model.trainable_variables)
        norms = [float(tf.norm(g)) for g, w in zip(found, model.trainable_variables, strict=True) if len(w.shape) == 4]
        assert len(norms) == 19
        return max(norms) / min(norms)

    assert spread(True) < 8 < 15 < spread(False)


def test_plain_and_residual_start_from_the_same_weights():
    plain, residual = (residual_cnn((8, 8, 1), 10, skip=skip) for skip in (False, True))
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), residual.get_weights(), strict=True))
    x = np.random.default_rng(0).random((2, 8, 8, 1))
    assert not np.allclose(plain(x), residual(x))


@pytest.mark.parametrize("classes", [2, 10])
def test_the_floor_of_a_double_softmax(classes):
    perfect = tf.constant(200 * np.eye(classes, dtype="float32"))
    twice = tf.identity(keras.activations.softmax(perfect))
    loss = float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.arange(classes), twice))
    assert np.isclose(loss, np.log(1 + (classes - 1) / np.e), atol=1e-5)
    assert np.isclose(loss, {2: 0.3133, 10: 1.46115}[classes], atol=5e-5)


def test_a_convolution_refuses_a_vector():
    with pytest.raises(ValueError, match="expected min_ndim=4, found ndim=2"):
        layers.Conv2D(16, 3)(np.zeros((2, 784), "float32"))
    with pytest.raises(ValueError, match="add a channel axis"):
        feature_maps(cnn((28, 28, 1), 10), np.zeros((2, 28, 28)))


def test_without_padding_nothing_is_left():
    assert [conv_output(8, 3), conv_output(6, 2, 2), conv_output(3, 3)] == [6, 3, 1]
    with pytest.raises(ValueError):
        keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Conv2D(4, 3), layers.MaxPooling2D()])


def test_a_batch_of_one_is_normalised_to_beta():
    norm = layers.BatchNormalization(beta_initializer=keras.initializers.Constant(0.7))
    out = [np.asarray(norm(np.random.default_rng(s).normal(size=(1, 5)).astype("float32"), training=True)) for s in (0, 1)]
    assert np.allclose(out, 0.7, atol=1e-5)


def test_the_network_without_a_dense_layer_learns_too(digits):
    X_train, X_test, y_train, y_test = digits
    model = all_conv((8, 8, 1), 10)
    fit_classifier(model, X_train, y_train, epochs=10, learning_rate=5e-3)
    assert evaluate_classifier(model, X_test, y_test)["accuracy"] >= 0.98
