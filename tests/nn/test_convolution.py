"""Convolution and pooling: Keras, central differences, automatic differentiation, SciPy, bad input."""

import json
import tracemalloc

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.nn import autodiff, convolution
from mlcheat.nn.backpropagation import gradient_check
from mlcheat.nn.convolution import (
    AveragePooling1D,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Cropping2D,
    DepthwiseConv2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
    SeparableConv2D,
    UpSampling2D,
    ZeroPadding2D,
    conv2d,
    conv2d_bias_grad,
    conv2d_input_grad,
    conv2d_kernel_grad,
    conv_filter_output,
    conv_output_length,
    im2col,
    max_pooling,
    same_padding,
)
from mlcheat.nn.layers import deserialize_layer, serialize_layer
from mlcheat.nn.regularization import L2

IMAGE = np.array([[260.745, 261.332, 112.270, 262.351], [260.302, 208.802, 139.050, 230.709],
                  [261.775, 93.730, 166.118, 122.847], [259.560, 232.038, 262.351, 228.937]])
PICTURE = np.array([[1, 2, 3, 4], [5, 1, 3, 8], [5, 1, 4, 7], [9, 5, 8, 2]], float)


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def keras(tf):
    return pytest.importorskip("keras")


def data(*shape, seed=0, dtype=float):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def one(image):
    """A matrix as a batch of one image with one channel."""
    return np.asarray(image, float)[None, :, :, None]


# ---- against Keras --------------------------------------------------------------------------------

CONV2D = [{"kernel_size": k, "strides": s, "padding": p, "dilation_rate": d, "groups": g}
          for k, s, d in [(3, 1, 1), (3, 2, 1), (3, 3, 1), (3, 1, 2), (2, 1, 1), (2, 2, 1), (4, 3, 1), (2, 1, 2),
                          ((2, 3), (2, 1), 1), ((3, 1), 1, (2, 3)), (1, 2, 1), (1, 1, 1), ((5, 4), (3, 2), 1)]
          for p in ("valid", "same") for g in (1, 2)]
CONV1D = [{"kernel_size": k, "strides": s, "padding": p, "dilation_rate": d}
          for k, s, d in [(3, 1, 1), (3, 2, 1), (2, 3, 1), (3, 1, 2), (4, 1, 3)] for p in ("valid", "same", "causal")]
DEPTHWISE = [{"kernel_size": k, "strides": s, "padding": p, "dilation_rate": d, "depth_multiplier": m}
             for k, s, d in [(3, 1, 1), (3, 2, 1), (2, 3, 1), (3, 1, 2), ((2, 4), 1, 1)]
             for p in ("valid", "same") for m in (1, 2)]
TRANSPOSE = [{"kernel_size": k, "strides": s, "padding": p, "output_padding": o}
             for k, s, o in [(3, 1, None), (3, 2, None), (2, 2, None), (2, 3, None), (4, 2, None), (5, 3, None), (3, 2, 1),
                             (3, 3, 2), ((3, 2), (1, 2), None), ((2, 3), (3, 2), None), (5, 2, 0), (1, 2, None)]
             for p in ("valid", "same")]
POOLING = [{"pool_size": k, "strides": s, "padding": p}
           for k, s in [(2, None), (2, 1), (3, 2), (3, None), ((2, 3), (1, 2)), (2, 3), ((1, 4), None)]
           for p in ("valid", "same")]
CASES = ([("Conv2D", {"filters": 4, **o}, (2, 7, 10, 6)) for o in CONV2D]
         + [("Conv1D", {"filters": 4, **o}, (2, 11, 3)) for o in CONV1D]
         + [("Conv1D", {"filters": 4, "kernel_size": 3, "groups": 2}, (2, 11, 6))]
         + [("DepthwiseConv2D", o, (2, 7, 10, 3)) for o in DEPTHWISE]
         + [("SeparableConv2D", {"filters": 5, **o}, (2, 7, 10, 3)) for o in DEPTHWISE[::3]]
         + [("Conv2DTranspose", {"filters": 3, **o}, (2, 4, 6, 5)) for o in TRANSPOSE]
         + [("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": p}, (2, 4, 6, 5))
            for p in ("valid", "same")]
         + [(n, o, (2, 7, 10, 3)) for n in ("MaxPooling2D", "AveragePooling2D") for o in POOLING]
         + [(n, {"pool_size": k, "strides": s, "padding": p}, (2, 11, 3)) for n in ("MaxPooling1D", "AveragePooling1D")
            for k, s in ((2, None), (3, 1), (3, 2), (2, 3)) for p in ("valid", "same")]
         + [(f"Global{n}Pooling2D", {"keepdims": k}, (2, 5, 4, 3)) for n in ("Max", "Average") for k in (False, True)]
         + [(f"Global{n}Pooling1D", {"keepdims": k}, (2, 5, 3)) for n in ("Max", "Average") for k in (False, True)]
         + [("ZeroPadding2D", {"padding": p}, (2, 3, 4, 2)) for p in (1, (2, 1), ((1, 0), (0, 2)))]
         + [("Cropping2D", {"cropping": c}, (2, 6, 7, 2)) for c in (1, (2, 1), ((1, 0), (0, 2)), 0)]
         + [("UpSampling2D", {"size": s, "interpolation": i}, (2, 3, 4, 2)) for s in (2, 3, (1, 4)) for i in ("nearest", "bilinear")]
         + [("Conv2D", {"filters": 4, "kernel_size": 3, "activation": a, "use_bias": b}, (2, 5, 6, 2))
            for a, b in (("relu", True), ("tanh", False), ("softmax", True), ("gelu", True), ("sigmoid", True))]
         + [("SeparableConv2D", {"filters": 4, "kernel_size": 3, "activation": "relu", "use_bias": False}, (2, 5, 6, 2)),
            ("DepthwiseConv2D", {"kernel_size": 3, "activation": "tanh", "use_bias": False}, (2, 5, 6, 2)),
            ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "activation": "relu", "use_bias": False}, (2, 5, 6, 2))])


def words(case):
    return f"{case[0]}-" + ",".join(f"{v}" for v in case[1].values()).replace(" ", "")


@pytest.mark.parametrize("case", CASES, ids=words)
def test_keras(keras, tf, case):
    name, options, shape = case
    x = data(*shape, dtype="float32")
    theirs, ours = getattr(keras.layers, name)(**options), getattr(convolution, name)(**options)
    theirs.build(shape)
    ours.build(shape)
    # biases that are not zero, and weights that make the gradients visible
    weights = [data(*w.shape, seed=i, dtype="float32") for i, w in enumerate(theirs.get_weights())]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    y = ours(x)
    dilation = np.max(options.get("dilation_rate", 1))
    plain = options.get("groups", 1) == 1 and dilation == 1   # TensorFlow on a CPU has no gradient of the others
    up = data(*y.shape, seed=9, dtype="float32")
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        expected = theirs(inputs) if plain else in_parts(tf, theirs, inputs)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    assert y.shape == tuple(theirs.compute_output_shape(shape)) == ours.compute_output_shape(shape)
    assert y.dtype == np.float32
    wanted = tape.gradient(expected, [inputs, *theirs.trainable_variables], output_gradients=up)
    found = [ours.backward(up), *ours.gradients]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    theirs.set_weights(ours.get_weights())                                                 # and copied back
    if options.get("groups", 1) == 1 and not (dilation > 1 and name == "Conv2DTranspose"):
        np.testing.assert_allclose(theirs(x), y, rtol=1e-5, atol=1e-5)


def in_parts(tf, layer, x):
    """A grouped or dilated layer of Keras out of plain operations of TensorFlow, which have gradients on a CPU."""
    name, rank = type(layer).__name__, len(layer.kernel_size)
    one, padding = (1,) * (2 - rank), layer.padding.upper()
    dilation = one + tuple(layer.dilation_rate)
    strides = one + tuple(layer.strides)
    if rank == 1:
        x = x[:, None]
    if padding == "CAUSAL":
        x, padding = tf.pad(x, [(0, 0), (0, 0), (dilation[1] * (layer.kernel_size[0] - 1), 0), (0, 0)]), "VALID"

    def gaps(kernel):                                                                      # zeros between the weights
        kernel = tf.convert_to_tensor(kernel)
        kernel = kernel if rank == 2 else kernel[None]
        spread = [np.eye((n - 1) * d + 1, dtype="float32")[:, ::d] for n, d in zip(kernel.shape, dilation)]
        return tf.einsum("ai,bj,ijqf->abqf", *spread, kernel)

    if name == "Conv2DTranspose":
        kernel = gaps(layer.kernel)
        y = tf.nn.conv2d_transpose(x, kernel, layer.compute_output_shape(x.shape), strides, padding) + layer.bias
    elif name in ("DepthwiseConv2D", "SeparableConv2D"):
        kernel = gaps(layer.kernel if name == "DepthwiseConv2D" else layer.depthwise_kernel)
        y = tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), padding)
        y = y + layer.bias if name == "DepthwiseConv2D" else tf.nn.conv2d(y, layer.pointwise_kernel, 1, "VALID") + layer.bias
    else:
        parts = zip(tf.split(x, layer.groups, -1), tf.split(gaps(layer.kernel), layer.groups, -1))
        y = tf.concat([tf.nn.conv2d(a, w, strides, padding) for a, w in parts], -1) + layer.bias
    return y[:, 0] if rank == 1 else y


@pytest.mark.parametrize("options", CONV2D[1::4], ids=str)
def test_grouped_forward_is_that_of_keras(keras, options):
    x = data(2, 7, 10, 6, dtype="float32")
    theirs = keras.layers.Conv2D(4, **options)
    theirs.build(x.shape)
    ours = Conv2D(4, **options)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    try:
        expected = np.asarray(theirs(x))
    except Exception as error:                                       # not every build of TensorFlow can on a CPU
        pytest.skip(f"TensorFlow does not do this on a CPU: {type(error).__name__}")
    np.testing.assert_allclose(ours(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling1D",
                                  "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
                                  "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "ZeroPadding2D",
                                  "Cropping2D", "UpSampling2D"])
def test_arguments_are_those_of_keras(keras, name):
    import inspect

    def arguments(cls):
        found = []
        for c in cls.__mro__:
            if "__init__" in vars(c):
                return [p for p in inspect.signature(c.__init__).parameters if p not in ("self", "args", "kwargs")]
        return found

    ours, theirs = arguments(getattr(convolution, name)), arguments(getattr(keras.layers, name))
    left_out = {"activity_regularizer", "kernel_constraint", "bias_constraint", "depthwise_constraint", "pointwise_constraint",
                "name"}
    theirs = [a for a in theirs if a not in left_out]
    if theirs:
        assert ours == theirs


def test_ties_go_to_the_first_maximum_as_in_tensorflow(tf):
    x = np.random.default_rng(0).integers(0, 3, (2, 6, 7, 3)).astype("float32")
    for k, s, p in ((2, 2, "valid"), (3, 2, "same"), (3, 1, "valid")):
        layer = MaxPooling2D(k, s, p)
        up = data(*layer(x).shape, dtype="float32")
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            y = tf.nn.max_pool2d(inputs, k, s, p.upper())
        np.testing.assert_allclose(layer.backward(up), tape.gradient(y, inputs, output_gradients=up), atol=1e-5)


def test_im2col_is_tensorflows_patches(tf):
    x = data(2, 7, 8, 3, dtype="float32")
    for k, s, d, p in ((3, 1, 1, "valid"), (2, 2, 1, "same"), (3, 1, 2, "valid")):
        theirs = tf.image.extract_patches(x, [1, k, k, 1], [1, s, s, 1], [1, d, d, 1], p.upper())
        np.testing.assert_array_equal(im2col(x, k, strides=s, padding=p, dilation_rate=d), theirs)


def test_masked_mean_is_that_of_keras(keras):
    x, mask = data(3, 5, 2, dtype="float32"), np.array([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]], bool)
    ours = GlobalAveragePooling1D()
    np.testing.assert_allclose(ours(x, mask=mask), keras.layers.GlobalAveragePooling1D()(x, mask=mask), atol=1e-6)
    grad = ours.backward(np.ones((3, 2)))
    np.testing.assert_allclose(grad[..., 0], mask / mask.sum(axis=1, keepdims=True), atol=1e-7)
    assert ours.compute_mask(x, mask) is None
    x[0] = np.nan                                              # left out, so it does not matter
    assert np.isfinite(ours(x, mask=np.array([[0] * 5, [1] * 5, [1] * 5]))).all()
    with pytest.raises(ValueError, match=r"mask of shape \(3, 5\), got \(3, 4\)"):
        ours(x, mask=mask[:, :4])


# ---- against central differences -----------------------------------------------------------------

LAYERS = [
    (Conv2D, {"filters": 3, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"}, (2, 5, 6, 2)),
    (Conv2D, {"filters": 4, "kernel_size": 2, "dilation_rate": 2, "groups": 2, "activation": "tanh"}, (2, 5, 6, 4)),
    (Conv2D, {"filters": 2, "kernel_size": 3, "strides": 3, "activation": "softmax"}, (2, 7, 8, 2)),
    (Conv2D, {"filters": 2, "kernel_size": 1, "strides": 2, "use_bias": False}, (1, 5, 4, 2)),
    (Conv1D, {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2, "activation": "gelu"}, (2, 7, 2)),
    (Conv1D, {"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "groups": 2}, (2, 7, 4)),
    (DepthwiseConv2D, {"kernel_size": (2, 3), "strides": (1, 2), "padding": "same", "depth_multiplier": 2}, (2, 5, 6, 2)),
    (DepthwiseConv2D, {"kernel_size": 3, "dilation_rate": (1, 2), "activation": "sigmoid"}, (2, 4, 7, 3)),
    (SeparableConv2D, {"filters": 3, "kernel_size": 3, "strides": 2, "depth_multiplier": 2, "activation": "tanh"}, (2, 6, 7, 2)),
    (Conv2DTranspose, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "tanh"}, (2, 3, 4, 3)),
    (Conv2DTranspose, {"filters": 2, "kernel_size": (2, 4), "strides": (3, 1)}, (2, 3, 2, 3)),
    (Conv2DTranspose, {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}, (1, 3, 4, 2)),
    (Conv2DTranspose, {"filters": 2, "kernel_size": 2, "dilation_rate": 3}, (1, 3, 4, 2)),
    (MaxPooling2D, {"pool_size": (2, 3), "strides": (1, 2), "padding": "same"}, (2, 5, 6, 2)),
    (AveragePooling2D, {"pool_size": 3, "strides": 2, "padding": "same"}, (2, 5, 6, 2)),
    (MaxPooling1D, {"pool_size": 3, "strides": 2}, (2, 8, 2)),
    (AveragePooling1D, {"pool_size": 2, "padding": "same"}, (2, 7, 2)),
    (GlobalAveragePooling2D, {}, (2, 3, 4, 2)), (GlobalMaxPooling2D, {"keepdims": True}, (2, 3, 4, 2)),
    (GlobalAveragePooling1D, {"keepdims": True}, (2, 5, 2)), (GlobalMaxPooling1D, {}, (2, 5, 2)),
    (ZeroPadding2D, {"padding": ((1, 0), (2, 1))}, (2, 3, 4, 2)), (Cropping2D, {"cropping": ((1, 0), (0, 2))}, (2, 4, 5, 2)),
    (UpSampling2D, {"size": (2, 3)}, (2, 3, 4, 2)), (UpSampling2D, {"size": (2, 3), "interpolation": "bilinear"}, (2, 3, 4, 2)),
    (UpSampling2D, {"size": 2, "interpolation": "bilinear"}, (1, 1, 4, 1)),
]
IDS = [f"{c.__name__}-{i}" for i, (c, _, _) in enumerate(LAYERS)]


def make(cls, options, shape):
    layer = cls(dtype="float64", seed=0, **options)
    layer.build(shape)
    layer.set_weights([data(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    return layer


@pytest.mark.parametrize("cls, options, shape", LAYERS, ids=IDS)
def test_central_differences(cls, options, shape):
    layer, x = make(cls, options, shape), data(*shape, seed=5)
    up = data(*layer(x).shape, seed=6)
    claims = [(x, layer.backward(up)), *zip(layer.weights, [g.copy() for g in layer.gradients])]
    for place, claim in claims:
        def loss(value, place=place):
            if place is x:
                return np.sum(up * layer(value))
            old = place.copy()
            place[...] = value
            result = np.sum(up * layer(x))
            place[...] = old
            return result

        assert gradient_check(loss, claim, place) < 1e-6


# ---- against automatic differentiation -----------------------------------------------------------

def unrolled(x, w, b, strides, dilation):
    """A convolution without padding, out of slices and sums of tensors."""
    (batch, height, width, _), (kh, kw, _, filters) = x.shape, w.shape
    (sr, sc), (dr, dc) = strides, dilation
    rows, columns = (height - dr * (kh - 1) - 1) // sr + 1, (width - dc * (kw - 1) - 1) // sc + 1
    y = b
    for i in range(kh):
        for j in range(kw):
            part = x[:, i * dr:i * dr + (rows - 1) * sr + 1:sr, j * dc:j * dc + (columns - 1) * sc + 1:sc]
            y = y + autodiff.einsum("nrcq,qf->nrcf", part, w[i, j])
    return y


@pytest.mark.parametrize("strides, dilation", [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 1))])
def test_autodiff(strides, dilation):
    x, w, b = data(2, 6, 7, 2), data(3, 2, 2, 3, seed=1), data(3, seed=2)
    y, back = autodiff.vjp(lambda x, w, b: unrolled(x, w, b, strides, dilation), x, w, b)
    options = {"strides": strides, "dilation_rate": dilation}
    np.testing.assert_allclose(conv2d(x, w, b, **options), y, atol=1e-10)
    up = data(*y.shape, seed=3)
    found = (conv2d_input_grad(up, w, x.shape, **options), conv2d_kernel_grad(x, up, (3, 2), **options), conv2d_bias_grad(up))
    for a, g in zip(found, back(up)):
        np.testing.assert_allclose(a, g, atol=1e-10)


# ---- against SciPy -------------------------------------------------------------------------------

@pytest.mark.parametrize("k", [(1, 1), (2, 2), (3, 3), (2, 5), (4, 3)])
@pytest.mark.parametrize("mode", ["valid", "same"])
def test_scipy_correlation_and_convolution(k, mode):
    x, w = data(8, 9), data(*k, seed=1)
    if mode == "valid":
        expected = scipy.signal.correlate2d(x, w, mode="valid")
        flipped = scipy.signal.convolve2d(x, w, mode="valid")
    else:                               # SciPy's "same" shifts even kernels the other way; scipy.ndimage can be told
        origin = [-((n + 1) % 2) for n in k]
        expected = scipy.ndimage.correlate(x, w, mode="constant", origin=origin)
        flipped = scipy.ndimage.correlate(x, w[::-1, ::-1], mode="constant", origin=origin)
    np.testing.assert_allclose(conv2d(one(x), w[:, :, None, None], padding=mode)[0, :, :, 0], expected, atol=1e-10)
    np.testing.assert_allclose(conv2d(one(x), w[::-1, ::-1, None, None], padding=mode)[0, :, :, 0], flipped, atol=1e-10)


def test_input_gradient_is_a_full_convolution():
    up, w = data(5, 6), data(3, 2, seed=1)
    found = conv2d_input_grad(one(up), w[:, :, None, None], (1, 7, 7, 1))[0, :, :, 0]
    np.testing.assert_allclose(found, scipy.signal.convolve2d(up, w), atol=1e-12)


def test_average_pooling_is_a_uniform_filter():
    x = data(9, 10)
    smooth = scipy.ndimage.uniform_filter(x, 3)[1:-1, 1:-1]
    np.testing.assert_allclose(AveragePooling2D(3, 1, dtype="float64")(one(x))[0, :, :, 0], smooth, atol=1e-12)


def test_bilinear_is_scipys_zoom():
    x = data(5, 4)
    for f in (2, 3):
        theirs = scipy.ndimage.zoom(x, f, order=1, mode="nearest", grid_mode=True)
        ours = UpSampling2D(f, interpolation="bilinear", dtype="float64")(one(x))[0, :, :, 0]
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


# ---- numbers -------------------------------------------------------------------------------------

def test_the_4x4_image():
    identity = np.eye(2)[:, :, None, None]
    expected = [[469.547, 400.382, 342.979], [354.032, 374.920, 261.897], [493.813, 356.081, 395.055]]
    np.testing.assert_allclose(conv2d(one(IMAGE), identity)[0, :, :, 0], expected, atol=1e-9)
    assert conv_filter_output(IMAGE[:2, :2], np.eye(2)) == pytest.approx(469.547)
    kernel = np.array([[1.0, 2], [3, 4]])
    np.testing.assert_allclose(conv2d(one(IMAGE), kernel[:, :, None, None])[0, 0, :, 0], [2399.523, 1668.478, 1976.958])
    np.testing.assert_allclose(conv2d(one(IMAGE), kernel[::-1, ::-1, None, None])[0, 0, :, 0], [2556.382, 1938.792, 1744.942])


def test_max_pooling_function():
    assert max_pooling(PICTURE[..., None])[..., 0].tolist() == [[5, 8], [9, 8]]
    for shape, out in (((4, 6, 2), (2, 3, 2)), ((6, 4, 2), (3, 2, 2)), ((5, 5, 1), (2, 2, 1))):
        assert max_pooling(np.ones(shape)).shape == out
    assert max_pooling(PICTURE[..., None], 3, 2).shape == (1, 1, 1) and max_pooling(PICTURE[..., None], 2, 1).shape == (3, 3, 1)


def test_pooling_minus_1_to_minus_25():
    x = one(-np.arange(1.0, 26).reshape(5, 5))
    assert MaxPooling2D()(x)[0, :, :, 0].tolist() == [[-1, -3], [-11, -13]]
    assert MaxPooling2D(padding="same")(x)[0, :, :, 0].tolist() == [[-1, -3, -5], [-11, -13, -15], [-21, -23, -25]]
    assert AveragePooling2D(2, padding="same")(x)[0, :, 2, 0].tolist() == [-7.5, -17.5, -25]


def test_parameter_counts():
    full, thin = Conv2D(256, 3), SeparableConv2D(256, 3)
    for layer in (full, thin):
        layer.build((None, None, None, 128))
    assert full.count_params() == 295_168 and thin.count_params() == 34_176
    assert round((thin.count_params() - 256) / (full.count_params() - 256), 5) == 0.11502
    for size in (28, 56):
        layer = Conv2D(8, 3)
        layer.build((None, size, size, 3))
        assert layer.count_params() == 224


def test_exercise_numbers():
    layer = Conv2D(16, 5, strides=2, padding="same")
    assert layer.compute_output_shape((None, 27, 40, 3)) == (None, 14, 20, 16)
    assert same_padding(27, 5, 2) == (2, 2) and same_padding(40, 5, 2) == (1, 2)
    layer.build((None, 27, 40, 3))
    assert layer.count_params() == 1216


def test_transposed_sizes():
    for n in (1, 4, 7):
        for k in range(1, 6):
            for s in range(1, 5):
                valid, same = (Conv2DTranspose(1, k, s, p).compute_output_shape((1, n, n, 1))[1] for p in ("valid", "same"))
                assert valid == (n - 1) * s + max(k, s) and same == n * s


# ---- sizes ---------------------------------------------------------------------------------------

@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_output_length_counts_stops(n, k, s, d, p):
    span = d * (k - 1) + 1
    before, after = same_padding(n, k, s, d)
    assert after - before in (0, 1) and conv_output_length(n, k, "same", s, d) == -(-n // s)
    for padding, low, high in ((p, p, p), ("causal", span - 1, 0), ("valid", 0, 0), ((p, 0), p, 0)):
        stops = len(range(0, n + low + high - span + 1, s))
        if stops:
            assert conv_output_length(n, k, padding, s, d) == stops
        else:
            with pytest.raises(ValueError, match=f"spans {span} pixels"):
                conv_output_length(n, k, padding, s, d)
    assert conv_output_length(None, k, "valid", s, d) is None


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.booleans(),
       st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_input_gradient_is_the_transpose(channels, kh, kw, sr, sc, same, seed):
    rng = np.random.default_rng(seed)
    options = {"strides": (sr, sc), "padding": "same" if same else "valid"}
    x, w = rng.normal(size=(2, 6, 5, channels)), rng.normal(size=(kh, kw, channels, 2))
    y = conv2d(x, w, **options)
    up = rng.normal(size=y.shape)
    assert np.sum(up * y) == pytest.approx(np.sum(conv2d_input_grad(up, w, x.shape, **options) * x), abs=1e-9)
    assert np.sum(up * y) == pytest.approx(np.sum(conv2d_kernel_grad(x, up, (kh, kw), **options) * w), abs=1e-9)


@pytest.mark.parametrize("block", [1, 50, 300, 2000])
def test_blocks_of_windows_do_not_matter(monkeypatch, block):
    x, w = data(5, 8, 9, 3), data(3, 2, 3, 4, seed=1)
    y = conv2d(x, w, strides=(2, 1), padding="same")
    up = data(*y.shape, seed=2)
    expected = [y, conv2d_kernel_grad(x, up, (3, 2), strides=(2, 1), padding="same"),
                conv2d_input_grad(up, w, x.shape, strides=(2, 1), padding="same")]
    monkeypatch.setattr(convolution, "_BLOCK", block)
    found = [conv2d(x, w, strides=(2, 1), padding="same"),
             conv2d_kernel_grad(x, up, (3, 2), strides=(2, 1), padding="same"),
             conv2d_input_grad(up, w, x.shape, strides=(2, 1), padding="same")]
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_windows_are_never_all_in_memory():
    x, w = np.ones((16, 48, 48, 16), np.float32), np.ones((5, 5, 16, 16), np.float32)
    tracemalloc.start()
    conv2d(x, w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * x.nbytes < 25 * x.nbytes / 4                      # im2col would take about 25 times x


def test_explicit_padding():
    x, w = data(2, 5, 6, 2), data(3, 2, 2, 3, seed=1)
    framed = np.zeros((2, 8, 9, 2))
    framed[:, 1:6, :6] = x
    np.testing.assert_allclose(conv2d(x, w, padding=((1, 2), (0, 3))), conv2d(framed, w), atol=1e-12)
    np.testing.assert_allclose(conv2d(x, w, padding=(1, 2)), conv2d(x, w, padding=((1, 1), (2, 2))), atol=1e-12)
    np.testing.assert_allclose(conv2d(x, w, padding=1), conv2d(x, w, padding=((1, 1), (1, 1))), atol=1e-12)


# ---- manners -------------------------------------------------------------------------------------

def test_dtype_and_inputs_are_kept():
    x, w = data(2, 5, 6, 2, dtype="float32"), data(3, 3, 2, 4, seed=1, dtype="float32")
    before = x.copy(), w.copy()
    y = conv2d(x, w, np.ones(4))
    up = np.ones_like(y)
    assert y.dtype == conv2d_input_grad(up, w, x.shape).dtype == conv2d_kernel_grad(x, up, 3).dtype == np.float32
    assert conv2d_bias_grad(up).dtype == im2col(x, 2).dtype == np.float32
    assert np.array_equal(x, before[0]) and np.array_equal(w, before[1])
    assert conv2d(x.astype(int), w.astype(float)).dtype == np.float64
    assert conv2d(np.ones((1, 3, 3, 1), int), np.ones((2, 2, 1, 1), int)).dtype == np.float64


@pytest.mark.parametrize("cls, options, shape", LAYERS, ids=IDS)
def test_layers_leave_their_input_alone(cls, options, shape):
    layer, x = make(cls, options, shape), data(*shape)
    before = x.copy()
    y = layer(x)
    y[...] = 7                                                        # nor is the output a view of it
    assert np.array_equal(x, before)
    up = data(*layer(x).shape, seed=1)
    kept = up.copy()
    layer.backward(up)[...] = 7
    assert np.array_equal(up, kept) and np.array_equal(x, before)
    other = np.asfortranarray(x)
    np.testing.assert_allclose(layer(other), layer(x), atol=1e-12)
    np.testing.assert_allclose(layer.backward(up), layer.backward(np.asfortranarray(up)), atol=1e-12)


@pytest.mark.parametrize("cls, options, shape", LAYERS, ids=IDS)
def test_empty_batch_and_open_shapes(cls, options, shape):
    layer = make(cls, options, shape)
    x = np.empty((0, *shape[1:]))
    y = layer(x)
    assert y.shape == layer.compute_output_shape(x.shape) == (0, *layer(np.ones(shape)).shape[1:])
    layer(x)
    assert layer.backward(np.empty(y.shape)).shape == x.shape
    assert all(np.all(g == 0) for g in layer.gradients)
    if layer.output_shape and not cls.__name__.startswith("Global"):
        some = layer.compute_output_shape((None, *(None for _ in shape[1:-1]), shape[-1]))
        assert some[0] is None and some[1] is None and some[-1] == y.shape[-1]


@pytest.mark.parametrize("cls, options, shape", LAYERS, ids=IDS)
def test_settings_survive_json(cls, options, shape):
    layer, x = make(cls, options, shape), data(*shape)
    config = json.loads(json.dumps(layer.get_config()))
    again = cls.from_config(config)
    again.build(shape)
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x), layer(x)) and again.get_config() == layer.get_config()


def test_settings_of_a_regularized_layer():
    layer = Conv2D(2, 3, kernel_regularizer=L2(0.1), bias_regularizer="l2", activation="relu")
    again = deserialize_layer(json.loads(json.dumps(serialize_layer(layer))))
    assert again.kernel_regularizer == layer.kernel_regularizer and again.activation == "relu"


def test_penalties_reach_loss_and_gradients():
    layer = make(Conv2D, {"filters": 2, "kernel_size": 3, "kernel_regularizer": L2(0.1)}, (1, 4, 4, 2))
    assert layer.regularization_loss() == pytest.approx(0.1 * np.sum(layer.kernel**2))
    up = np.ones(layer(data(1, 4, 4, 2)).shape)
    layer.backward(up)
    plain = layer.grad_of("kernel").copy()
    layer.add_regularization_gradients()
    np.testing.assert_allclose(layer.grad_of("kernel"), plain + 0.2 * layer.kernel)
    layer.backward(up)                                                # overwrites, does not add up
    np.testing.assert_allclose(layer.grad_of("kernel"), plain)


@pytest.mark.parametrize("cls, options, shape", [c for c in LAYERS if c[0].__name__ in ("Conv2D", "Conv1D", "SeparableConv2D",
                                                                                       "DepthwiseConv2D", "Conv2DTranspose")])
def test_frozen_layers_and_first_layers(cls, options, shape):
    layer, x = make(cls, options, shape), data(*shape)
    up = data(*layer(x).shape, seed=1)
    grad_x, gradients = layer.backward(up), [g.copy() for g in layer.gradients]
    layer.input_gradient = False                                      # the first layer of a network
    layer(x)
    layer.backward(up)
    for a, b in zip(layer.gradients, gradients):
        np.testing.assert_allclose(a, b)
    layer.input_gradient, layer.trainable = True, False
    layer(x)
    np.testing.assert_allclose(layer.backward(up), grad_x)
    assert layer.gradients == layer.trainable_weights == []


def test_weights_in_a_shared_buffer():
    layer, x = make(Conv2D, {"filters": 2, "kernel_size": 3}, (1, 4, 4, 2)), data(1, 4, 4, 2)
    y, buffers = layer(x), [[np.empty_like(w) for w in layer.weights] for _ in range(2)]
    layer.bind(*buffers)
    assert np.array_equal(layer(x), y)
    layer.backward(np.ones(y.shape))
    assert np.allclose(buffers[1][1], y[..., 0].size)


def test_repr_names_and_masks():
    assert Conv2D(1, 1).name == "conv2d" and GlobalAveragePooling1D().name.startswith("global_average")
    assert Conv1D(1, 1).compute_mask(None, np.ones((1, 3), bool)) is None


def test_seed_makes_the_weights():
    a, b, c = (Conv2D(2, 3, seed=s) for s in (0, 0, 1))
    for layer in (a, b, c):
        layer.build((None, 5, 5, 2))
    assert np.array_equal(a.kernel, b.kernel) and not np.array_equal(a.kernel, c.kernel)
    assert np.abs(a.kernel).max() <= np.sqrt(6 / (9 * 2 + 9 * 2))          # Glorot, uniform


def test_nan_and_infinity_in_pooling():
    x = one([[1.0, np.nan], [2.0, 3.0]])
    assert np.isnan(MaxPooling2D()(x)).all() and np.isnan(GlobalMaxPooling2D()(x)).all()
    assert MaxPooling2D()(one([[-np.inf, -np.inf], [-np.inf, 1.0]])).item() == 1
    layer = MaxPooling2D()
    layer(one(np.full((2, 2), -np.inf)))
    assert layer.backward(np.ones((1, 1, 1, 1)))[0, :, :, 0].tolist() == [[1, 0], [0, 0]]


def test_ties_in_global_pooling_go_to_the_first():
    layer = GlobalMaxPooling2D()
    layer(one([[1.0, 3], [3, 2]]))
    assert layer.backward([[5.0]])[0, :, :, 0].tolist() == [[0, 5], [0, 0]]


def test_everything_masked_gives_zero():
    layer = GlobalAveragePooling1D()
    assert layer(np.ones((1, 3, 2)), mask=np.zeros((1, 3), bool)).tolist() == [[0, 0]]
    assert not layer.backward(np.ones((1, 2))).any()


# ---- bad input -----------------------------------------------------------------------------------

@pytest.mark.parametrize("layer, shape, message", [
    (Conv2D(2, 3), (5, 5, 2), r"conv2d: expected 4 axes \(batch, height, width, channels\), got shape \(5, 5, 2\)"),
    (Conv1D(2, 3), (2, 5, 5, 2), r"expected 3 axes \(batch, steps, channels\), got shape \(2, 5, 5, 2\)"),
    (MaxPooling2D(), (5, 5), "expected 4 axes"), (GlobalMaxPooling1D(), (5, 5), "expected 3 axes"),
    (ZeroPadding2D(), (5, 5), "expected 4 axes"), (UpSampling2D(), (5, 5), "expected 4 axes"),
    (DepthwiseConv2D(3), (5, 5, 2), "expected 4 axes"), (SeparableConv2D(2, 3), (5, 5, 2), "expected 4 axes"),
    (Conv2DTranspose(2, 3), (5, 5, 2), "expected 4 axes"),
    (Conv2D(2, 3), (1, 5, 5, 0), "at least 1"), (Conv2D(2, 3), (1, 5, 2, 1), "spans 3 pixels, but the input has 2"),
    (Conv2D(2, 3, dilation_rate=2), (1, 4, 9, 1), "spans 5 pixels, but the input has 4"),
    (Conv2D(4, 3, groups=2), (1, 5, 5, 3), "groups must divide channels, got 2 and 3"),
    (DepthwiseConv2D(3), (1, 2, 5, 1), "spans 3 pixels"), (SeparableConv2D(1, 3), (1, 2, 5, 1), "spans 3 pixels"),
    (MaxPooling2D(3), (1, 2, 5, 1), "spans 3 pixels"), (AveragePooling1D(6), (1, 5, 1), "spans 6 pixels"),
    (Cropping2D(2), (1, 4, 9, 1), "nothing is left"), (GlobalAveragePooling2D(), (1, 0, 3, 2), "at least one pixel"),
    (GlobalMaxPooling1D(), (1, 0, 2), "at least one pixel"),
])
def test_wrong_inputs(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape))


@pytest.mark.parametrize("layer", [Conv2D(2, 3), DepthwiseConv2D(3), SeparableConv2D(2, 3), Conv2DTranspose(2, 3)])
def test_channels_may_not_change(layer):
    layer(np.ones((1, 5, 5, 3)))
    with pytest.raises(ValueError, match=r"expected 3 channels, got shape \(1, 5, 5, 2\)"):
        layer(np.ones((1, 5, 5, 2)))
    assert layer(np.ones((1, 6, 7, 3))).shape[0] == 1                  # the size may
    with pytest.raises(ValueError, match="known number of channels"):
        type(layer).from_config(layer.get_config()).build((None, 5, 5, None))


@pytest.mark.parametrize("make_layer, error, message", [
    (lambda: Conv2D(0, 3), ValueError, "filters must be at least 1, got 0"),
    (lambda: Conv2D(2.5, 3), TypeError, "filters must be a whole number, got 2.5"),
    (lambda: Conv2D(True, 3), TypeError, "whole number"), (lambda: Conv2D(2, 0), ValueError, "kernel_size must be at least 1"),
    (lambda: Conv2D(2, (3, 3, 3)), ValueError, "kernel_size must be a whole number or 2 of them"),
    (lambda: Conv1D(2, (3, 3)), ValueError, "kernel_size must be a whole number or 1 of them"),
    (lambda: Conv2D(2, 3, strides=0), ValueError, "strides must be at least 1"),
    (lambda: Conv2D(2, 3, strides=2, dilation_rate=2), ValueError, "strides > 1 and dilation_rate > 1 exclude each other"),
    (lambda: Conv2D(2, 3, strides=(2, 1), dilation_rate=(1, 2)), ValueError, "exclude each other"),
    (lambda: DepthwiseConv2D(3, 2, dilation_rate=2), ValueError, "exclude each other"),
    (lambda: Conv2DTranspose(1, 3, 2, dilation_rate=2), ValueError, "exclude each other"),
    (lambda: Conv2D(3, 3, groups=2), ValueError, "groups must divide filters, got 2 and 3"),
    (lambda: Conv2D(2, 3, groups=0), ValueError, "groups must be at least 1"),
    (lambda: Conv2D(2, 3, padding="full"), ValueError, "padding must be one of valid, same, got 'full'"),
    (lambda: Conv2D(2, 3, padding="causal"), ValueError, "padding must be one of valid, same"),
    (lambda: MaxPooling2D(padding=1), ValueError, "padding must be one of"),
    (lambda: Conv2D(2, 3, activation="rleu"), ValueError, "rleu"), (lambda: Conv2D(2, 3, activation=len), ValueError, "prime"),
    (lambda: DepthwiseConv2D(3, activation="rleu"), ValueError, "rleu"),
    (lambda: Conv2D(2, 3, kernel_initializer="zero"), ValueError, "no initialiser 'zero'"),
    (lambda: Conv2D(2, 3, data_format="channels_first"), ValueError, r"channels_last.*moveaxis"),
    (lambda: GlobalAveragePooling2D("channels_first"), ValueError, "channels_last"),
    (lambda: DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must be at least 1"),
    (lambda: Conv2DTranspose(1, 3, 2, output_padding=2), ValueError, "output_padding must be less than strides"),
    (lambda: MaxPooling2D(0), ValueError, "pool_size must be at least 1"),
    (lambda: ZeroPadding2D(-1), ValueError, "padding must be at least 0"),
    (lambda: Cropping2D(((1, -1), (0, 0))), ValueError, "cropping must be at least 0|padding must be at least 0"),
    (lambda: UpSampling2D(0), ValueError, "size must be at least 1"),
    (lambda: UpSampling2D(interpolation="cubic"), ValueError, "'nearest' or 'bilinear', got 'cubic'"),
    (lambda: Conv2D(2, 3, bias=True), TypeError, "bias"),
])
def test_wrong_settings(make_layer, error, message):
    with pytest.raises(error, match=message):
        make_layer()


@pytest.mark.parametrize("call, error, message", [
    (lambda: conv2d(np.ones((3, 3, 1)), np.ones((2, 2, 1, 1))), ValueError, r"x: expected 4 axes .* got shape \(3, 3, 1\)"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2))), ValueError, "kernel: expected 4 axes"),
    (lambda: conv2d(np.ones((1, 3, 3, 2)), np.ones((2, 2, 3, 1))), ValueError, r"expected 3 channels .* got 2"),
    (lambda: conv2d(np.ones((1, 3, 3, 3)), np.ones((2, 2, 1, 4)), groups=3), ValueError, "groups must divide"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 3)), np.ones((3, 1))), ValueError, r"bias must have shape \(3,\)"),
    (lambda: conv2d([[["a"]]], np.ones((2, 2, 1, 3))), TypeError, "x must hold real numbers"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((4, 4, 1, 1))), ValueError, "spans 4 pixels, but the input has 3"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), padding="tight"), ValueError, "padding must be 'valid'"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), padding=(1, 2, 3)), ValueError, "padding must be a name"),
    (lambda: conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), padding=-1), ValueError, "padding must be at least 0"),
    (lambda: conv2d(np.ones((1, 9, 9, 1)), np.ones((2, 2, 1, 1)), strides=2, dilation_rate=2), ValueError, "exclude"),
    (lambda: conv2d_kernel_grad(np.ones((1, 3, 3, 1)), np.ones((1, 3, 3, 1)), 2), ValueError, r"shape \(1, 2, 2, 1\), got"),
    (lambda: conv2d_input_grad(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), (1, 3, 3, 1)), ValueError, r"\(1, 2, 2, 1\)"),
    (lambda: conv2d_input_grad(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), (3, 3, 1)), ValueError, "4 axes"),
    (lambda: conv2d_bias_grad(np.ones((2, 2))), ValueError, "4 axes"),
    (lambda: im2col(np.ones((3, 3)), 2), ValueError, "4 axes"),
    (lambda: max_pooling(np.ones((3, 3))), ValueError, r"feature_map: expected 3 axes"),
    (lambda: max_pooling(np.ones((1, 3, 1))), ValueError, "spans 2 pixels, but the input has 1"),
    (lambda: conv_filter_output(np.ones((2, 2)), np.ones((2, 3))), ValueError, r"\(2, 2\) and \(2, 3\)"),
    (lambda: same_padding(0, 3), ValueError, "n must be at least 1"),
    (lambda: conv_output_length(5, 3.0, "valid", 1), TypeError, "k must be a whole number"),
    (lambda: Conv2DTranspose(1, 2, 2, "same", output_padding=0)(np.ones((1, 3, 3, 1))), ValueError, "does not go with"),
])
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_backward_needs_forward_and_the_right_shape():
    layer = Conv2D(2, 3)
    with pytest.raises(RuntimeError, match="forward pass first"):
        layer.backward(np.ones((1, 3, 3, 2)))
    layer(np.ones((1, 5, 5, 1)))
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(1, 3, 3, 2\), got \(1, 3, 3, 1\)"):
        layer.backward(np.ones((1, 3, 3, 1)))
    with pytest.raises(ValueError, match="expected weights of shapes"):
        layer.set_weights([np.ones((3, 3, 1, 2))])


def test_5x5_on_4x4_works_with_same_padding():
    assert conv2d(one(IMAGE), np.ones((5, 5, 1, 1)), padding="same").shape == (1, 4, 4, 1)
    assert conv2d(one(IMAGE), np.ones((4, 4, 1, 1))).item() == pytest.approx(IMAGE.sum())
