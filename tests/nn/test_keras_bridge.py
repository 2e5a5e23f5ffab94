"""The bridge to Keras: every layer alone, whole models, the way back, and everything it must refuse."""

import functools
import subprocess
import sys

import numpy as np
import pytest

from mlcheat.nn import activations
from mlcheat.nn.keras_bridge import from_keras, supported_keras_layers, to_keras_weights
from mlcheat.nn.layers import Dense, Dropout
from mlcheat.nn.network import Input, Network, Sequential, gradient_check, load
from mlcheat.nn.regularization import L1L2

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
L = keras.layers

# Absolute, because a bias before batch normalization has gradient 0 and Keras computes in float32.
OUTPUTS, GRADIENTS = 1e-5, 1e-4


# ---- helpers -----------------------------------------------------------------------------------


def fill(model, seed=0):
    """Random weights everywhere: zeros and ones, with which training starts, would hide mistakes."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        positive = "variance" in w.path
        w.assign(rng.uniform(0.5, 1.5, w.shape) if positive else rng.normal(0, 0.3, w.shape))
    return model


def listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def pairs(network, model):
    """Our layers and theirs, those inside models taken apart."""
    for layer in network.layers:
        theirs = model.get_layer(layer.name)
        if isinstance(layer, (Sequential, Network)):
            yield from pairs(layer, theirs)
        else:
            yield layer, theirs


def gap(a, b, keep=None):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    d = np.abs(a - b)
    return d[keep].max() if keep is not None else d.max(initial=0)


def agree(model, x, keep=None, training=True, dtype="float64", outputs=OUTPUTS, gradients=GRADIENTS):
    """Compare outputs, gradients of all weights and inputs, moving averages, and the way back.

    `keep` marks the positions that count.
    """
    fill(model)
    network, rng, x = from_keras(model, dtype), np.random.default_rng(1), listed(x)
    assert network.count_params() == model.count_params()
    tensors = [tf.constant(a) for a in x]
    single = (lambda a: a if len(a) > 1 else a[0])
    theirs = [y.numpy() for y in listed(model(single(tensors), training=False))]
    for a, b in zip(listed(network.predict(single(x))), theirs, strict=True):
        assert gap(a, b, keep) < outputs

    floats = [t for t in tensors if t.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        ys = listed(model(single(tensors), training=training))
        grads = [rng.normal(size=y.shape).astype(y.dtype.name) for y in ys]
        if keep is not None:
            grads = [g * keep.reshape(keep.shape + (1,) * (g.ndim - keep.ndim)) for g in grads]
        total = sum(tf.reduce_sum(y * g) for y, g in zip(ys, grads))
    weights = model.trainable_weights
    found = tape.gradient(total, weights + floats, unconnected_gradients="zero")
    found = [tf.convert_to_tensor(g).numpy() for g in found]          # embeddings come as slices
    by_weight = {id(w): g for w, g in zip(weights, found)}

    network.forward(single(x), training=training)
    ours = listed(network.backward(single(grads)))
    for g, a, t in zip(ours, x, tensors, strict=True):
        if t.dtype.is_floating:
            assert gap(g, found[len(weights) + [f is t for f in floats].index(True)]) < gradients
    count = 0
    for layer, keras_layer in pairs(network, model):
        assert layer.trainable == keras_layer.trainable
        for g, w in zip(layer.gradients, keras_layer.trainable_weights, strict=True):
            assert gap(g, by_weight[id(w)]) < gradients, (layer.name, w.path)
            count += 1
        for a, b in zip(layer.get_weights(), keras_layer.get_weights(), strict=True):
            assert gap(a, b) < outputs, layer.name                    # moving averages moved alike
    assert count == len(weights)

    before = [w.numpy() for w in fill(model).weights]                 # there and back, to the bit
    network = from_keras(model, dtype)
    fill(model, seed=2)
    to_keras_weights(network, model)
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights, strict=True))
    return network


def alone(layer, *shapes, batch=3):
    """A functional model of one layer."""
    inputs = [keras.Input(s) for s in shapes]
    outputs = layer(inputs if len(inputs) > 1 else inputs[0])
    x = [np.random.default_rng(3).normal(size=(batch, *s)).astype("f4") for s in shapes]
    return keras.Model(inputs, outputs), x if len(x) > 1 else x[0]


def refused(make, *words, **options):
    with pytest.raises(NotImplementedError) as info:
        from_keras(make() if callable(make) and not isinstance(make, keras.Model) else make, **options)
    for word in words:
        assert word in str(info.value)
    return str(info.value)


def sequential(*parts):
    return keras.Sequential([keras.Input((4,)), *parts])


# ---- every supported layer alone ----------------------------------------------------------------

IMAGE, SERIES, ROW = (7, 6, 4), (6, 4), (4,)
CASES = {
    "Activation": [(lambda: L.Activation("tanh"), ROW), (lambda: L.Activation("softmax"), SERIES)],
    "ReLU": [(lambda: L.ReLU(), ROW),
             (lambda: L.ReLU(max_value=0.6, negative_slope=0.2, threshold=0.1), SERIES)],
    "LeakyReLU": [(lambda: L.LeakyReLU(), ROW), (lambda: L.LeakyReLU(negative_slope=0.05), ROW)],
    "Softmax": [(lambda: L.Softmax(), ROW), (lambda: L.Softmax(axis=1), SERIES),
                (lambda: L.Softmax(axis=(1, 2)), IMAGE)],
    "Dense": [(lambda: L.Dense(3, "gelu"), ROW), (lambda: L.Dense(3, use_bias=False), SERIES)],
    "Embedding": [(lambda: L.Embedding(9, 3), "tokens"),
                  (lambda: L.Embedding(9, 3, mask_zero=True), "tokens")],
    "Flatten": [(lambda: L.Flatten(), IMAGE)],
    "Reshape": [(lambda: L.Reshape((3, -1)), SERIES)],
    "Permute": [(lambda: L.Permute((3, 1, 2)), IMAGE)],
    "RepeatVector": [(lambda: L.RepeatVector(3), ROW)],
    "Masking": [(lambda: L.Masking(), SERIES), (lambda: L.Masking(mask_value=-1.0), SERIES)],
    "Add": [(lambda: L.Add(), ROW, ROW, ROW), (lambda: L.Add(), IMAGE, (1, 6, 4))],
    "Subtract": [(lambda: L.Subtract(), ROW, ROW)],
    "Multiply": [(lambda: L.Multiply(), ROW, ROW, ROW)],
    "Average": [(lambda: L.Average(), ROW, ROW, ROW)],
    "Maximum": [(lambda: L.Maximum(), ROW, ROW, ROW)],
    "Minimum": [(lambda: L.Minimum(), ROW, ROW, ROW)],
    "Concatenate": [(lambda: L.Concatenate(), ROW, (2,)), (lambda: L.Concatenate(axis=1), SERIES, (3, 4))],
    "Conv1D": [(lambda: L.Conv1D(3, 2, activation="relu"), SERIES),
               (lambda: L.Conv1D(3, 3, padding="causal", dilation_rate=2), SERIES),
               (lambda: L.Conv1D(3, 3, strides=2, padding="same", use_bias=False), SERIES)],
    "Conv2D": [(lambda: L.Conv2D(3, (3, 2), activation="tanh"), IMAGE),
               (lambda: L.Conv2D(4, 3, strides=2, padding="same"), IMAGE),
               (lambda: L.Conv2D(4, 2, dilation_rate=2, use_bias=False), IMAGE)],
    "Conv2DTranspose": [(lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same"), IMAGE),
                        (lambda: L.Conv2DTranspose(2, (3, 2), strides=2, output_padding=1), IMAGE)],
    "DepthwiseConv2D": [(lambda: L.DepthwiseConv2D(3, depth_multiplier=2), IMAGE),
                        (lambda: L.DepthwiseConv2D(2, strides=2, padding="same", activation="relu"), IMAGE)],
    "SeparableConv2D": [(lambda: L.SeparableConv2D(3, 3, padding="same", activation="relu"), IMAGE),
                        (lambda: L.SeparableConv2D(5, 2, strides=2, depth_multiplier=2, use_bias=False), IMAGE)],
    "MaxPooling1D": [(lambda: L.MaxPooling1D(2), SERIES), (lambda: L.MaxPooling1D(3, 1, "same"), SERIES)],
    "MaxPooling2D": [(lambda: L.MaxPooling2D(), IMAGE), (lambda: L.MaxPooling2D(3, 2, "same"), IMAGE)],
    "AveragePooling1D": [(lambda: L.AveragePooling1D(2), SERIES),
                         (lambda: L.AveragePooling1D(3, 2, "same"), SERIES)],
    "AveragePooling2D": [(lambda: L.AveragePooling2D((3, 2)), IMAGE),
                         (lambda: L.AveragePooling2D(3, 2, "same"), IMAGE)],
    "GlobalAveragePooling1D": [(lambda: L.GlobalAveragePooling1D(), SERIES),
                               (lambda: L.GlobalAveragePooling1D(keepdims=True), SERIES)],
    "GlobalAveragePooling2D": [(lambda: L.GlobalAveragePooling2D(), IMAGE),
                               (lambda: L.GlobalAveragePooling2D(keepdims=True), IMAGE)],
    "GlobalMaxPooling1D": [(lambda: L.GlobalMaxPooling1D(), SERIES),
                           (lambda: L.GlobalMaxPooling1D(keepdims=True), SERIES)],
    "GlobalMaxPooling2D": [(lambda: L.GlobalMaxPooling2D(), IMAGE),
                           (lambda: L.GlobalMaxPooling2D(keepdims=True), IMAGE)],
    "ZeroPadding2D": [(lambda p=p: L.ZeroPadding2D(p), IMAGE) for p in (2, (1, 2), ((0, 1), (2, 3)))],
    "Cropping2D": [(lambda p=p: L.Cropping2D(p), IMAGE) for p in (1, (1, 2), ((0, 1), (2, 1)))],
    "UpSampling2D": [(lambda: L.UpSampling2D(), IMAGE), (lambda: L.UpSampling2D((3, 2)), IMAGE),
                     (lambda: L.UpSampling2D(2, interpolation="bilinear"), IMAGE)],
    "BatchNormalization": [(lambda: L.BatchNormalization(momentum=0.7, epsilon=1e-2), ROW),
                           (lambda: L.BatchNormalization(axis=1, scale=False), IMAGE),
                           (lambda: L.BatchNormalization(center=False), SERIES),
                           (lambda: L.BatchNormalization(trainable=False), ROW)],
    "LayerNormalization": [(lambda: L.LayerNormalization(), SERIES),
                           (lambda: L.LayerNormalization(axis=[1, 2], epsilon=1e-2, center=False), SERIES)],
    "GroupNormalization": [(lambda: L.GroupNormalization(groups=2), IMAGE),
                           (lambda: L.GroupNormalization(groups=-1, scale=False), IMAGE)],
    "RMSNormalization": [(lambda: L.RMSNormalization(), SERIES), (lambda: L.RMSNormalization(epsilon=1e-2), ROW)],
    "SimpleRNN": [(lambda: L.SimpleRNN(3), SERIES),
                  (lambda: L.SimpleRNN(3, activation="relu", return_sequences=True, go_backwards=True), SERIES)],
    "GRU": [(lambda: L.GRU(3), SERIES), (lambda: L.GRU(3, reset_after=False, return_sequences=True), SERIES),
            (lambda: L.GRU(3, use_bias=False, return_state=True), SERIES)],
    "LSTM": [(lambda: L.LSTM(3, return_sequences=True, return_state=True), SERIES),
             (lambda: L.LSTM(3, recurrent_activation="hard_sigmoid", go_backwards=True), SERIES)],
    "Bidirectional": [(lambda: L.Bidirectional(L.GRU(3)), SERIES),
                      (lambda: L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="mul"), SERIES),
                      (lambda: L.Bidirectional(L.SimpleRNN(2), merge_mode=None), SERIES),
                      (lambda: L.Bidirectional(
                          L.GRU(2, return_sequences=True), merge_mode="sum", backward_layer=L.LSTM(
                              2, return_sequences=True, go_backwards=True)), SERIES),
                      (lambda: L.Bidirectional(L.LSTM(2, return_state=True), merge_mode="ave"), SERIES)],
    "TimeDistributed": [(lambda: L.TimeDistributed(L.Dense(3, "relu")), SERIES),
                        (lambda: L.TimeDistributed(L.Conv2D(2, 2)), (2, *IMAGE)),
                        (lambda: L.TimeDistributed(keras.Sequential([
                            keras.Input((4,)), L.Dense(3), L.BatchNormalization(trainable=False),
                            L.Dense(2)])), SERIES)],
    "Attention": [(lambda: L.Attention(), SERIES, (5, 4)), (lambda: L.Attention(use_scale=True), SERIES, (5, 4)),
                  (lambda: L.Attention(), SERIES, (5, 3), (5, 4))],
    "AdditiveAttention": [(lambda: L.AdditiveAttention(), SERIES, (5, 4)),
                          (lambda: L.AdditiveAttention(use_scale=False), SERIES, (5, 4), (5, 4))],
    "MultiHeadAttention": [(lambda: lambda x: L.MultiHeadAttention(2, 3)(*x), SERIES, (5, 4)),
                           (lambda: lambda x: L.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(
                               x[0], x[1], key=x[2], use_causal_mask=True), SERIES, (5, 3), (5, 2))],
    "Dropout": [(lambda: L.Dropout(0.0), ROW)], "GaussianDropout": [(lambda: L.GaussianDropout(0.0), ROW)],
    "GaussianNoise": [(lambda: L.GaussianNoise(0.0), ROW)],
    "SpatialDropout1D": [(lambda: L.SpatialDropout1D(0.0), SERIES)],
    "SpatialDropout2D": [(lambda: L.SpatialDropout2D(0.0), IMAGE)],
}


def test_every_supported_layer_has_a_case():
    assert sorted(CASES) == supported_keras_layers()
    assert all(hasattr(L, name) for name in CASES)


@pytest.mark.parametrize(("name", "case"), [(name, i) for name, cases in CASES.items() for i in range(len(cases))])
def test_layer_alone(name, case):
    make, *shapes = CASES[name][case]
    if shapes == ["tokens"]:
        x = keras.Input((6,), dtype="int32")
        agree(keras.Model(x, make()(x)), np.random.default_rng(0).integers(1, 9, (3, 6)))
    else:
        agree(*alone(make(), *shapes))


@pytest.mark.parametrize(("layer", "shape", "settings"), [
    (lambda: L.Dropout(0.4, noise_shape=(None, 1, 4)), SERIES, {"rate": 0.4, "noise_shape": (None, 1, 4)}),
    (lambda: L.GaussianDropout(0.3), ROW, {"rate": 0.3}), (lambda: L.GaussianNoise(0.2), ROW, {"stddev": 0.2}),
    (lambda: L.SpatialDropout1D(0.3), SERIES, {"rate": 0.3}),
    (lambda: L.SpatialDropout2D(0.3), IMAGE, {"rate": 0.3}),
    (lambda: lambda x: L.MultiHeadAttention(2, 2, dropout=0.3)(x, x), SERIES, {"dropout": 0.3}),
])
def test_random_layers_keep_their_rates(layer, shape, settings):
    network = agree(*alone(layer(), shape), training=False)
    for name, value in settings.items():
        assert getattr(network.layers[0], name) == value


@pytest.mark.parametrize("name", [name for name in activations.names()
                                  if hasattr(keras.activations, name) and name != "sparsemax"])
def test_activation_by_name(name):
    agree(*alone(L.Dense(4, name), ROW))


# ---- whole models -------------------------------------------------------------------------------


def images(*shape, n=3):
    return np.random.default_rng(4).normal(size=(n, *shape)).astype("f4")


def tokens(n=4, length=7, vocabulary=20):
    found = np.random.default_rng(5).integers(1, vocabulary, (n, length))
    for i, real in enumerate((length, 3, 5, 4)[:n]):
        found[i, real:] = 0
    return found


def lenet():
    return keras.Sequential([
        keras.Input((12, 10, 2)), L.Conv2D(4, 3, padding="same", activation="tanh"), L.AveragePooling2D(2),
        L.Conv2D(6, 3, activation="tanh"), L.AveragePooling2D(2), L.Flatten(), L.Dense(8, activation="tanh"),
        L.Dense(5, activation="softmax")])


def residual():
    x = keras.Input((8, 8, 3))
    y = L.BatchNormalization()(L.SeparableConv2D(3, 3, padding="same", use_bias=False)(x))
    y = L.Add(name="sum")([L.Activation("relu")(y), x])
    y = L.GlobalAveragePooling2D()(L.MaxPooling2D()(L.Conv2D(4, 3)(y)))
    return keras.Model(x, L.Dense(2)(L.Dropout(0.0)(y)))


def test_lenet():
    assert isinstance(agree(lenet(), images(12, 10, 2)), Sequential)


def test_separable_and_residual():
    network = agree(residual(), images(8, 8, 3))
    assert isinstance(network, Network)
    assert [s.node.layer.name[:5] if s.node else "input" for n in network.nodes if n.layer.name == "sum"
            for s in n.inputs] == ["activ", "input"]


def test_float32_agrees_too():
    agree(residual(), images(8, 8, 3), dtype="float32")


def test_six_blocks_of_convolution_and_batch_normalization():
    parts = [part for _ in range(6) for part in (
        L.Conv2D(8, 3, padding="same"), L.BatchNormalization(), L.Activation("relu"))]
    model = keras.Sequential([keras.Input((16, 16, 3)), *parts, L.GlobalAveragePooling2D(), L.Dense(4)])
    agree(model, images(16, 16, 3, n=4))


def test_float64_model_of_keras_agrees_to_the_last_digits():
    for switch in (keras.config.set_floatx, keras.config.set_dtype_policy):     # inputs, layers
        switch("float64")
    try:
        model = residual()
    finally:
        for switch in (keras.config.set_floatx, keras.config.set_dtype_policy):
            switch("float32")
    agree(model, images(8, 8, 3).astype("f8"), outputs=1e-13, gradients=1e-11)


def test_shared_layer_and_two_inputs():
    a, b = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    shared = L.Dense(4, activation="gelu")
    model = keras.Model([a, b], L.Dense(2)(L.Concatenate()([shared(a), L.Dense(4)(b), shared(b)])))
    network = agree(model, [images(5), images(5) ** 2])
    assert len(network.layers) == 4 and [s.name for s in network.inputs] == ["left", "right"]


def test_several_outputs_by_name_come_in_the_order_of_model_outputs():
    x = keras.Input((4,))
    model = keras.Model(x, {"z": L.Dense(3)(x), "a": L.Dense(2)(x)})
    theirs = fill(model)(images(4))
    ours = from_keras(model).predict(images(4))
    assert gap(ours[0], theirs["a"]) < OUTPUTS and gap(ours[1], theirs["z"]) < OUTPUTS


def test_inputs_by_name_and_a_list_of_one_output():
    parts = {"b": keras.Input((4,), name="b"), "a": keras.Input((3,), name="a")}
    model = fill(keras.Model(parts, [L.Concatenate()([L.Dense(2)(parts["b"]), parts["a"]])]))
    x = {"a": images(3), "b": images(4)}
    ours = from_keras(model).predict([x[t.name] for t in model.inputs])
    assert gap(ours, listed(model(x))[0]) < OUTPUTS


def test_nested_models():
    inner = keras.Sequential([keras.Input((5,)), L.Dense(4, activation="relu"), L.BatchNormalization(), L.Dense(5)])
    a, b = keras.Input((5,)), keras.Input((5,))
    pair = keras.Model([a, b], [L.Add()([a, L.Dense(5)(b)]), L.Multiply()([a, b])], name="pair")
    x = keras.Input((5,))
    first, second = pair([inner(x), x])
    model = keras.Model(x, [L.Add()([inner(first), x]), L.Dense(2)(second)])
    agree(model, images(5, n=6))
    outer = keras.Sequential([keras.Input((5,)), inner, L.Dense(2)])
    agree(outer, images(5))


@pytest.mark.parametrize("functional", [False, True])
def test_recurrent_stack_with_mask(functional):
    parts = [L.Embedding(20, 5, mask_zero=True), L.LSTM(4, return_sequences=True), L.BatchNormalization(),
             L.Bidirectional(L.GRU(3, return_sequences=True)), L.GRU(4, reset_after=False), L.Dense(2)]
    model = keras.Sequential([keras.Input((7,)), *parts])
    if functional:
        x = keras.Input((7,), dtype="int32")
        y = functools.reduce(lambda y, part: part(y), parts, x)
        model = keras.Model(x, y)
    agree(model, tokens())


def test_masking_layer_before_recurrent_layers():
    x = images(6, 4)
    x[0, 4:], x[1, 2:4] = 0, 0
    y = inputs = keras.Input((6, 4))
    for part in (L.Masking(), L.GRU(3, return_sequences=True), L.SimpleRNN(3, return_sequences=True),
                 L.GlobalAveragePooling1D()):
        y = part(y)
    agree(keras.Model(inputs, y), x)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")   # Keras' own
def test_saved_and_loaded_model_with_a_mask(tmp_path):
    """Keras then holds the mask as an explicit argument, made by an operation of its own."""
    x = keras.Input((7,), dtype="int32")
    y = L.GRU(3)(L.LSTM(4, return_sequences=True)(L.Embedding(20, 5, mask_zero=True)(x)))
    keras.Model(x, y).save(tmp_path / "model.keras")
    agree(keras.models.load_model(tmp_path / "model.keras"), tokens())


def test_embedding_and_attention():
    """Only positions that are not masked: Keras' fused path has other numbers in rows without any key."""
    x, places = keras.Input((7,), dtype="int32"), keras.Input((7,), dtype="int32")
    y = L.Add()([L.Embedding(20, 8, mask_zero=True)(x), L.Embedding(7, 8)(places)])
    y = L.LayerNormalization()(L.Add()([y, L.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)]))
    y = L.LayerNormalization()(L.Add()([y, L.Dense(8)(L.Dense(16, activation="gelu")(y))]))
    model = keras.Model([x, places], L.Dense(3)(y))
    rows = tokens()
    agree(model, [rows, np.broadcast_to(np.arange(7), rows.shape).copy()], keep=rows != 0)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_encoder_decoder_with_initial_state(kind):
    layer = getattr(L, kind)
    source, target = keras.Input((6, 3)), keras.Input((5, 2))
    _, *states = layer(4, return_state=True)(source)
    y = layer(4, return_sequences=True)(target, initial_state=states)
    found = L.Attention()([y, L.Dense(4)(source)])
    agree(keras.Model([source, target], L.Dense(2)(L.Concatenate()([y, found]))), [images(6, 3), images(5, 2)])


def test_bidirectional_layer_with_initial_states():
    x, a, b = keras.Input((5, 3)), keras.Input((2,)), keras.Input((2,))
    y = L.Bidirectional(L.GRU(2, return_sequences=True))(x, initial_state=[a, b])
    agree(keras.Model([x, a, b], y), [images(5, 3), images(2), images(2) ** 2])


def test_deep_models_need_no_deep_recursion():
    x = y = keras.Input((2,))
    for _ in range(200):
        y = L.Add()([y, L.ReLU()(y)])
    assert len(from_keras(keras.Model(x, y)).nodes) == 400


def test_model_built_by_its_first_data():
    model = keras.Sequential([L.Dense(3, activation="relu"), L.Dense(2)])
    model(images(4))
    agree(model, images(4))


def test_tensors_given_by_name_or_position():
    x, s = keras.Input((5, 3)), keras.Input((2,))
    y = L.GRU(2, return_sequences=True)(x, s)
    model = keras.Model([x, s], L.MultiHeadAttention(1, 2)(query=y, value=L.Dense(2)(inputs=x)))
    agree(model, [images(5, 3), images(2)])


# ---- what is carried over -----------------------------------------------------------------------


def test_settings_are_carried_over():
    model = keras.Sequential([
        keras.Input((4,)),
        L.Dense(3, kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2), bias_regularizer="l2", name="first",
                kernel_initializer="he_normal", bias_initializer=keras.initializers.Constant(1.0)),
        L.Dropout(0.3, name="thin"), L.BatchNormalization(momentum=0.8, name="norm"),
        L.Dense(2, trainable=False, name="last")], name="all")
    network = from_keras(fill(model), "float32")
    first = network.get_layer("first")
    assert isinstance(first.kernel_regularizer, L1L2)
    assert np.isclose(network.regularization_loss(), sum(float(v) for v in model.losses), rtol=1e-6)
    assert first.kernel_initializer == "he_normal" and first.bias_initializer == "constant"
    assert isinstance(network.layers[1], Dropout) and network.layers[1].rate == 0.3
    assert network.get_layer("norm").momentum == 0.8 and not network.get_layer("last").trainable
    assert (network.name, network.dtype) == ("all", "float32") and network.weights[0].dtype == np.float32
    assert len(network.trainable_weights) == len(model.trainable_weights) == 4


def test_frozen_parts_inside_wrappers_and_models_stay_frozen():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4, trainable=False), L.Dense(3)])
    both = L.Bidirectional(L.GRU(2, return_sequences=True))
    model = keras.Sequential([keras.Input((5, 4)), L.TimeDistributed(inner), both])
    both.forward_layer.trainable = False
    agree(model, images(5, 4))
    assert len(from_keras(model).trainable_weights) == len(model.trainable_weights) == 5
    model.trainable = False
    assert from_keras(model).trainable_weights == []


def test_frozen_batch_normalization_uses_its_averages_in_training():
    base = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization()])
    base.trainable = False
    agree(keras.Sequential([keras.Input((4,)), base, L.Dense(2)]), images(4, n=8))


def test_states_of_stateful_layers():
    model = fill(keras.Sequential([
        keras.Input((4, 3), batch_size=2), L.LSTM(2, stateful=True, return_sequences=True),
        L.Bidirectional(L.GRU(2, stateful=True))]))
    x = images(4, 3, n=2)
    model(x)
    network = from_keras(model)
    assert gap(network.predict(x), model(x)) < OUTPUTS                # the second batch
    assert gap(network.predict(x), model(x)) < OUTPUTS                # the third


def test_compiled_alike_it_trains_alike():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)).astype("f4"), rng.integers(0, 3, 40)
    model = fill(keras.Sequential([keras.Input((4,)), L.Dense(6, "relu", kernel_regularizer="l2"),
                                   L.BatchNormalization(), L.Dense(3, "softmax")]))
    network, histories = from_keras(model), []
    for one in (network, model):
        one.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        histories.append(one.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0).history)
    assert histories[0].keys() == histories[1].keys()
    for name in histories[0]:
        np.testing.assert_allclose(*(h[name] for h in histories), atol=1e-5)
    for a, b in zip(network.get_weights(), model.get_weights(), strict=True):
        assert gap(a, b) < 1e-5


def test_converted_network_passes_the_gradient_check():
    network = from_keras(fill(residual()))
    network.compile("sgd", "mse")
    assert max(gradient_check(network, images(8, 8, 3), np.zeros((3, 2)), max_entries=20).values()) < 1e-5


def test_inputs_stay_as_they_are_and_networks_are_independent():
    model, x = fill(sequential(L.Dense(3))), images(4)
    kept, network = x.copy(), from_keras(model)
    network.predict(x)
    network.layers[0].kernel[...] = 0
    assert np.array_equal(x, kept) and np.abs(model.get_weights()[0]).min() > 0


# ---- there is no TensorFlow ---------------------------------------------------------------------

WITHOUT = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None        # importing them fails
import numpy as np
from mlcheat.nn.network import load
network = load(sys.argv[1])
np.save(sys.argv[3], network.predict(np.load(sys.argv[2])))
assert not any(name.startswith(("keras.", "tensorflow.")) for name in sys.modules)
"""


@pytest.mark.parametrize("make", [
    lambda: (residual(), images(8, 8, 3)),
    lambda: (keras.Sequential([keras.Input((7,)), L.Embedding(20, 5, mask_zero=True),
                               L.Bidirectional(L.LSTM(3))]), tokens()),
    lambda: (keras.Sequential([keras.Input((5, 4)), L.TimeDistributed(keras.Sequential(
        [keras.Input((4,)), L.Dense(3, "gelu")]))]), images(5, 4)),
])
def test_saved_network_runs_where_tensorflow_cannot_be_imported(make, tmp_path):
    model, x = make()
    network = from_keras(fill(model))
    files = [tmp_path / name for name in ("network.npz", "x.npy", "y.npy")]
    network.save(files[0])
    np.save(files[1], x)
    subprocess.run([sys.executable, "-c", WITHOUT, *map(str, files)], check=True)
    assert np.array_equal(np.load(files[2]), network.predict(x))
    assert gap(np.load(files[2]), model(x, training=False)) < OUTPUTS
    assert np.array_equal(load(files[0]).predict(x), network.predict(x))


def test_importing_the_module_does_not_import_keras():
    code = "import sys, mlcheat.nn.keras_bridge; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ---- custom activations -------------------------------------------------------------------------


def quick(x):
    return x * keras.ops.sigmoid(1.702 * x)


def quick_numpy(x):
    return x * activations.sigmoid(1.702 * x)


def quick_prime(x):
    s = activations.sigmoid(1.702 * x)
    return s + 1.702 * x * s * (1 - s)


quick_numpy.prime = quick_prime


def test_custom_activation_is_refused_without_a_numpy_version_and_converted_with_it():
    model = fill(keras.Sequential([keras.Input((4,)), L.Dense(3, quick), L.Activation(quick)]))
    message = refused(model, "dense", "the activation quick", "custom_activations={'quick'", "prime")
    assert "Dense, " not in message
    network = from_keras(model, custom_activations={"quick": quick_numpy})
    x = images(4)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(x) ** 2)
    theirs = tape.gradient(total, model.trainable_weights)
    network.backward(2 * network.forward(x))
    for a, b in zip(network.gradients, theirs, strict=True):
        assert gap(a, b) < GRADIENTS


def test_own_function_with_a_known_name_is_not_taken_for_the_known_one():
    def gelu(x):
        return keras.activations.gelu(x, approximate=True)

    refused(sequential(L.Dense(2, gelu)), "the activation gelu")
    refused(sequential(L.Dense(2, tf.nn.relu)), "the activation relu")
    agree_with = from_keras(sequential(L.Dense(2, tf.nn.relu)), custom_activations={"relu": activations.relu})
    assert agree_with.layers[0].activation in ("relu", activations.relu)


def test_activation_that_is_an_object_or_a_lambda():
    refused(sequential(L.Dense(2, activation=L.LeakyReLU())), "LeakyReLU", "put it behind the layer")
    refused(sequential(L.Dense(2, activation=functools.partial(keras.activations.elu, alpha=2.0))), "partial")
    refused(sequential(L.Dense(2, activation=lambda x: x)), "<lambda>")
    refused(sequential(L.Dense(2, "hard_shrink")), "hard_shrink", "custom_activations")


def test_numpy_version_without_derivative():
    with pytest.raises(ValueError, match="prime"):
        from_keras(sequential(L.Dense(2, quick)), custom_activations={"quick": np.tanh})
    with pytest.raises(TypeError, match="activation"):
        from_keras(sequential(L.Dense(2, quick)), custom_activations={"quick": 3})


# ---- refused ------------------------------------------------------------------------------------


class Own(L.Dense):
    pass


class OwnModel(keras.Model):
    def call(self, x):
        return x


class OwnSequential(keras.Sequential):
    def call(self, x, training=None, mask=None):
        return 2 * super().call(x)


def operations():
    x = keras.Input((4,))
    return keras.Model(x, x + L.Dense(4)(x))


def scaled():
    x = keras.Input((4,))
    return keras.Model(x, L.Dense(4)(x * 2.0))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: sequential(L.Lambda(lambda x: x, name="mine")),
     ("the layer Lambda", "mine: ", "Dense, ", "supported are Activation, ")),
    (lambda: sequential(L.PReLU()), ("the layer PReLU",)),
    (lambda: sequential(Own(2)), ("the layer Own",)),
    (lambda: sequential(L.Reshape((2, 2)), L.TimeDistributed(Own(2))), ("the layer Own",)),
    (operations, ("the operation Add", "take keras.layers.Add", "supported are Activation, ")),
    (scaled, ("the operation Multiply",)),
    (lambda: alone(lambda x: L.Add()([x, np.ones((1, 4), "f4")]), ROW)[0], ("as input of a layer",)),
    (OwnModel, ("the class OwnModel", "call")),
    (lambda: OwnSequential([keras.Input((4,)), L.Dense(2)]), ("OwnSequential",)),
    (lambda: sequential(OwnSequential([keras.Input((4,)), L.Dense(2)])), ("OwnSequential",)),
    (lambda: sequential(L.Dense(2, kernel_constraint="max_norm")), ("dense", "kernel_constraint", "MaxNorm")),
    (lambda: sequential(L.Dense(2, activity_regularizer="l2")), ("activity_regularizer", "L2")),
    (lambda: sequential(L.Dense(2, kernel_regularizer=keras.regularizers.OrthogonalRegularizer())),
     ("OrthogonalRegularizer",)),
    (lambda: sequential(L.Dense(2, dtype="mixed_float16")), ("mixed_float16", "mixed precision")),
    (lambda: sequential(L.Dense(2, dtype="float16")), ("float16", "half precision")),
    (lambda: sequential(L.Dense(4, lora_rank=2)), ("lora_rank=2",)),
    (lambda: alone(L.Conv2D(2, 2, data_format="channels_first"), IMAGE)[0], ("conv2d", "channels_first")),
    (lambda: alone(L.Flatten(data_format="channels_first"), IMAGE)[0], ("flatten", "channels_first")),
    (lambda: alone(L.LSTM(2, dropout=0.2), SERIES)[0], ("lstm", "dropout=0.2")),
    (lambda: alone(L.Bidirectional(L.GRU(2, recurrent_dropout=0.2)), SERIES)[0], ("gru", "recurrent_dropout=0.2")),
    (lambda: alone(L.Attention(score_mode="concat"), SERIES, SERIES)[0], ("score_mode='concat'",)),
    (lambda: alone(lambda x: L.MultiHeadAttention(2, 2, output_shape=3)(x, x), SERIES)[0], ("output_shape",)),
    (lambda: alone(lambda x: L.MultiHeadAttention(2, 2, attention_axes=(2,))(x, x), IMAGE)[0], ("attention_axes",)),
    (lambda: alone(lambda x: L.MultiHeadAttention(2, 2)(x, x), IMAGE)[0], ("multi_head_attention",)),
    (lambda: alone(L.UpSampling2D(2, interpolation="bicubic"), IMAGE)[0], ("bicubic",)),
    (lambda: alone(L.SimpleRNN(2, activation="softmax"), SERIES)[0], ("softmax",)),
    (lambda: alone(lambda x: L.Dropout(0.5)(x, training=True), ROW)[0], ("dropout", "training=True")),
    (lambda: alone(lambda x: L.MultiHeadAttention(2, 2)(x, x, attention_mask=np.ones((6, 6), bool)), SERIES)[0],
     ("attention_mask",)),
    (lambda: alone(lambda x: L.MultiHeadAttention(2, 2)(x, x, return_attention_scores=True)[0], SERIES)[0],
     ("return_attention_scores",)),
])
@pytest.mark.filterwarnings("ignore")
def test_refused(make, words):
    refused(make, *words)


def test_mixed_precision_set_for_all():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = sequential(L.Dense(2))
    finally:
        keras.config.set_dtype_policy("float32")
    refused(model, "mixed_bfloat16")


def test_sparsemax_of_keras_is_refused_because_its_rows_do_not_sum_to_1():
    model = sequential(L.Activation("sparsemax"))
    assert np.abs(model(images(4)).numpy().sum(axis=1) - 1).max() > 0.1
    refused(model, "sparsemax")
    right = from_keras(model, custom_activations={"sparsemax": activations.sparsemax})
    np.testing.assert_allclose(right.predict(images(4)).sum(axis=1), 1)


def test_batch_normalization_at_every_step_warns_and_agrees_in_inference():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3), L.BatchNormalization()])
    model = fill(keras.Sequential([keras.Input((5, 4)), L.TimeDistributed(inner)]))
    with pytest.warns(UserWarning, match="over each step alone in Keras; inference is the same"):
        network = from_keras(model)
    assert gap(network.predict(images(5, 4)), model(images(5, 4))) < OUTPUTS


def test_masks_that_keras_handles_in_another_way():
    x, own, state = keras.Input((7,), dtype="int32"), keras.Input((7,), dtype="bool"), keras.Input((3,))
    e = L.Embedding(20, 5, mask_zero=True)(x)
    refused(keras.Model([x, state], L.GRU(3)(e, initial_state=state)), "gru", "drops the mask")
    refused(keras.Model([x, own], L.GRU(3)(e, mask=own)), "a mask of its own")
    given = keras.Model([x, state], L.GRU(3)(e, initial_state=state, mask=e._keras_mask))
    agree(given, [tokens(), images(3, n=4)])


def test_fixed_inference_mode_is_overruled_by_the_mode_of_the_model_as_in_keras():
    x = keras.Input((4,))
    agree(keras.Model(x, L.BatchNormalization()(L.Dense(3)(x), training=False)), images(4, n=8))


@pytest.mark.parametrize("model", [3, None, Sequential([Input((2,)), Dense(1)]), L.Dense(2), keras.Sequential])
def test_no_keras_model(model):
    with pytest.raises(TypeError, match="expected a Keras model"):
        from_keras(model)


@pytest.mark.parametrize("make", [lambda: keras.Sequential([L.Dense(2)]), lambda: keras.Sequential([])])
def test_unbuilt(make):
    with pytest.raises(ValueError, match="not built: give it an Input"):
        from_keras(make())


@pytest.mark.parametrize("dtype", ["float16", "int32", np.complex64])
def test_other_dtypes(dtype):
    with pytest.raises(ValueError, match="float32 or float64"):
        from_keras(sequential(L.Dense(2)), dtype)


# ---- the way back -------------------------------------------------------------------------------


def test_weights_trained_here_go_back():
    model = fill(keras.Sequential([keras.Input((4,)), keras.Sequential([keras.Input((4,)), L.Dense(5, "relu")]),
                                   L.BatchNormalization(), L.Dense(2)]))
    network = from_keras(model)
    network.compile("adam", "mse")
    rng = np.random.default_rng(0)
    network.fit(rng.normal(size=(32, 4)), rng.normal(size=(32, 2)), epochs=2, verbose=0)
    to_keras_weights(network, model)
    for a, b in zip(network.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(a.astype("f4"), b)                      # float64 rounded to float32, no more
    assert gap(network.predict(images(4)), model(images(4))) < OUTPUTS


def test_layers_without_weights_may_differ():
    layer = {"name": "same"}
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, **layer), L.ReLU(), L.Dropout(0.1)])
    to_keras_weights(Sequential([Input((4,)), Dense(3, **layer)]), model)


def test_names_or_shapes_that_do_not_fit_leave_the_model_as_it_was():
    model = fill(keras.Sequential([keras.Input((4,)), L.Dense(3, name="a"), L.Dense(2, name="b")]))
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"only the network has \['c'\], only the Keras model has \['b'\]"):
        to_keras_weights(Sequential([Input((4,)), Dense(3, name="a"), Dense(2, name="c")]), model)
    with pytest.raises(ValueError, match=r"b: the weights have the shapes .*\(3, 5\)"):
        to_keras_weights(Sequential([Input((4,)), Dense(3, name="a"), Dense(5, name="b")]), model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_way_back_needs_a_network_and_a_model():
    network, model = Sequential([Input((4,)), Dense(1)]), sequential(L.Dense(1))
    for pair in ((model, model), (network, network), (network, None)):
        with pytest.raises(TypeError, match="expected a Sequential or Network and a Keras model"):
            to_keras_weights(*pair)


def test_supported_layers_are_sorted_and_new_every_time():
    names = supported_keras_layers()
    assert names == sorted(names) and "Residual" not in names and "Layer" not in names
    names.clear()
    assert supported_keras_layers()
