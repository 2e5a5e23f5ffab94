"""Activation functions against Keras, TensorFlow, SciPy and central differences; edges, errors, properties."""
import inspect
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats

from mlcheat.nn import activations as A

ELEMENTWISE = [name for name, entry in A.ACTIVATIONS.items() if entry.prime is not None]
ROWWISE = ["softmax", "log_softmax", "sparsemax"]
WIDE = np.linspace(-20, 20, 401)
KINKS = {"relu": [0], "relu6": [0, 6], "leaky_relu": [0], "selu": [0], "hard_sigmoid": [-3, 3], "hard_tanh": [-1, 1]}
VARIANTS = [(name, {}) for name in ELEMENTWISE] + [
    ("scaled_linear", {"m": -1.7}), ("relu", {"negative_slope": 0.1, "max_value": 5.0, "threshold": 1.0}),
    ("relu", {"max_value": 2.0}), ("relu", {"threshold": 0.5}), ("leaky_relu", {"negative_slope": 0.01}),
    ("leaky_relu", {"negative_slope": 2.0}), ("elu", {"alpha": 2.0}), ("celu", {"alpha": 0.3}),
    ("gelu", {"approximate": True})]
KERAS = [  # our name, our options, Keras' name, Keras' options
    *[(n, {}, n, {}) for n in ("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish",
                               "softplus", "softsign", "sigmoid", "hard_sigmoid", "log_sigmoid", "tanh", "hard_tanh",
                               "exponential", "softmax", "log_softmax")],
    ("swish", {}, "silu", {}), ("leaky_relu", {"negative_slope": 0.3}, "leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 2.0}, "elu", {"alpha": 2.0}), ("celu", {"alpha": 0.5}, "celu", {"alpha": 0.5}),
    ("gelu", {"approximate": True}, "gelu", {"approximate": True}),
    *[("relu", o, "relu", o) for o in ({"max_value": 4.0}, {"threshold": 1.5}, {"negative_slope": 0.1, "max_value": 6.0},
                                       {"negative_slope": 0.1, "max_value": 3.0, "threshold": 1.0})]]
ids = [f"{c[0]}{c[1] or ''}" for c in KERAS]
# TensorFlow holds the slope of leaky_relu and the constants of gelu in float32, whatever the dtype of the input;
# `test_double_precision` shows that ours are exact.
ROUNDED = {"leaky_relu": 2e-7, "gelu": 1e-6}


def central(f, z, h=1e-5):
    return (f(z + h) - f(z - h)) / (2 * h)


def away_from_kinks(name, options, z):
    kinks = list(KINKS.get(name, []))
    if name == "relu":
        kinks = [0, options.get("threshold", 0), options.get("max_value", 0)]
    if name == "elu" and options:
        kinks = [0]
    return z[np.all([np.abs(z - k) > 0.02 for k in kinks], axis=0)] if kinks else z


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


# --- agreement ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "options", "theirs", "their_options"), KERAS, ids=ids)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_keras(keras, name, options, theirs, their_options, dtype, tolerance):
    z = np.concatenate([WIDE, [-1e4, 1e4, 0.0]]).astype(dtype)
    if name in ROWWISE:
        z = np.stack([z, np.roll(z, 7), 0.1 * z])
    reference = getattr(keras.activations, theirs)(keras.ops.convert_to_tensor(z), **their_options)
    reference = keras.ops.convert_to_numpy(reference)
    ours = getattr(A, name)(z, **options)
    assert ours.dtype == dtype
    tolerance = max(tolerance, ROUNDED.get(name, 0))
    np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options", "theirs", "their_options"),
                         [c for c in KERAS if c[0] not in ROWWISE], ids=[i for i, c in zip(ids, KERAS) if c[0] not in ROWWISE])
def test_gradient_tape(keras, name, options, theirs, their_options):
    tf = pytest.importorskip("tensorflow")
    z = away_from_kinks(name, options, WIDE)
    z = z[z != 0] if name == "celu" else z                   # Keras passes the gradient of both its terms at 0: 2
    x = tf.Variable(z)
    with tf.GradientTape() as tape:
        y = getattr(keras.activations, theirs)(x, **their_options)
    slope = tf.convert_to_tensor(tape.gradient(y, x)).numpy()
    np.testing.assert_allclose(A.get_prime(name)(z, **options), slope, rtol=1e-10, atol=max(1e-10, ROUNDED.get(name, 0)))


@pytest.mark.parametrize(("name", "slope"), [("relu", 0), ("leaky_relu", 0.2), ("elu", 1), ("relu6", 0),
                                             ("selu", 1.0507009873554805)])
def test_slope_at_zero_as_tensorflow(keras, name, slope):
    tf = pytest.importorskip("tensorflow")
    x = tf.Variable(np.zeros(1))
    with tf.GradientTape() as tape:
        y = getattr(keras.activations, name)(x)
    theirs = tf.convert_to_tensor(tape.gradient(y, x)).numpy()[0]
    assert np.isclose(theirs, slope) and np.isclose(A.get_prime(name)(0.0), slope)


def test_elu_slope_at_zero_is_alpha(keras):
    tf = pytest.importorskip("tensorflow")
    x = tf.Variable(np.zeros(1))
    with tf.GradientTape() as tape:
        y = keras.activations.elu(x, alpha=2.0)
    assert A.elu_prime(0.0, alpha=2.0) == tf.convert_to_tensor(tape.gradient(y, x)).numpy()[0] == 2.0


def test_signatures_are_those_of_keras(keras):
    for name in ("relu", "leaky_relu", "elu", "celu", "gelu", "softmax", "log_softmax", "sparsemax"):
        theirs = [(p.name, p.default) for p in inspect.signature(getattr(keras.activations, name)).parameters.values()]
        ours = [(p.name, p.default) for p in inspect.signature(getattr(A, name)).parameters.values()]
        assert ours[:len(theirs)] == theirs, name


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_derivative_is_the_central_difference(name, options):
    z = away_from_kinks(name, options, np.linspace(-8, 8, 321) + 0.003)
    slope = A.get_prime(name)(z, **options)
    np.testing.assert_allclose(slope, central(lambda v: A.get(name)(v, **options), z), rtol=1e-7, atol=1e-8)


def test_scipy():
    z = np.concatenate([WIDE, [-800.0, -700.0, 700.0, 1e4, -1e4]])
    np.testing.assert_allclose(A.sigmoid(z), special.expit(z), rtol=1e-14)
    np.testing.assert_allclose(A.log_sigmoid(z), special.log_expit(z), rtol=1e-14)
    erf = 0.5 * WIDE * (1 + special.erf(WIDE / np.sqrt(2)))
    np.testing.assert_allclose(A.gelu(WIDE), erf, atol=1e-14)
    X = np.random.default_rng(0).normal(size=(300, 40)) * 5
    for axis in (0, 1):
        np.testing.assert_allclose(A.softmax(X, axis), special.softmax(X, axis), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(A.log_softmax(X, axis), special.log_softmax(X, axis), rtol=1e-13, atol=1e-14)


def test_double_precision():
    z = WIDE
    np.testing.assert_array_equal(A.leaky_relu(z), [v if v > 0 else 0.2 * v for v in z.tolist()])
    np.testing.assert_allclose(A.gelu(z), z * special.ndtr(z), rtol=1e-13)
    by_hand = [0.5 * v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3))) for v in z.tolist()]
    np.testing.assert_allclose(A.gelu(z, approximate=True), by_hand, rtol=1e-12, atol=1e-14)


def test_tails_keep_their_digits():
    """Far out, where 1 - S(z) and 1 - tanh(z)**2 round to 0."""
    z = np.array([40.0, 100.0, 600.0])
    np.testing.assert_allclose(A.sigmoid_prime(z), np.exp(-z), rtol=1e-12)
    np.testing.assert_allclose(A.sigmoid_prime(-z), np.exp(-z), rtol=1e-12)
    np.testing.assert_allclose(A.tanh_prime(z / 2), 4 * np.exp(-z), rtol=1e-12)
    np.testing.assert_allclose(A.softplus(-z), np.exp(-z), rtol=1e-12)
    np.testing.assert_allclose(A.gelu(-10.0), -10 * special.ndtr(-10.0), rtol=1e-12)
    assert A.sigmoid(-745.0) > 0


# --- the numbers of the chapter ------------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "expected"), [
    (A.leaky_relu(-1), -0.2), (A.leaky_relu(-1, 0.3), -0.3), (A.elu(-1), -0.632121), (A.gelu(1), 0.841345),
    (A.gelu(1, approximate=True), 0.841192), (A.hard_sigmoid(1), 2 / 3), (A.selu(1), 1.050701), (A.selu(-50), -1.758099),
    (A.sigmoid(1.7), 0.845535), (A.softmax([0, 1.7])[1], 0.845535), (A.sigmoid_prime(0), 0.25), (A.tanh_prime(0), 1.0),
    (A.elu(-6), -0.997521), (A.elu_prime(-1e-9, alpha=2), 2.0), (A.tanh(-1), -0.761594)])
def test_numbers(value, expected):
    assert round(float(value), 6) == round(expected, 6)


def test_rounding_thresholds():
    assert A.sigmoid(36.74) == 1 > A.sigmoid(36.73) and A.sigmoid(np.float32(16.64)) == 1 > A.sigmoid(np.float32(16.63))
    assert A.tanh(19.1) == 1 > A.tanh(18.9) and A.elu(-37.44) == -1 < A.elu(-37.42)
    assert np.isclose(A.tanh_prime(1.6628858910586208), A.sigmoid_prime(1.6628858910586208), rtol=1e-14)


def test_the_textbook_line_under_each_formula_says_the_same():
    notebook = Path(__file__).parents[2] / "nbs" / "nn" / "activations.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    items = re.findall(r":::\{grid-item\}\n\$\$.*?\$\$ \(eq-activation-([\w-]+)\)\n\n`([^`]+)`\n:::", text, flags=re.S)
    lines = {label.replace("-", "_"): line for label, line in items}
    assert len(lines) == 2 * 20
    z, row, g = np.linspace(-8, 8, 161), np.array([1.0, 2.0, 3.0]), np.array([0.3, -1.2, 0.5])
    space = {"np": np, "norm": stats.norm, "S": special.expit(z), "s": np.log1p(np.exp(z)), "m": 1.0, "lam": 1.0507009873554805}
    alphas = {"leaky_relu": 0.2, "selu": 1.6732632423543772}
    for label, line in lines.items():
        name = label.removesuffix("_prime")
        if name in ELEMENTWISE:
            value = eval(line, {**space, "z": z, "alpha": alphas.get(name, 1.0)})
            np.testing.assert_allclose(getattr(A, label)(z), value, rtol=1e-10, atol=1e-12, err_msg=label)
    assert np.allclose(eval(lines["softmax"], {"np": np, "z": row}), A.softmax(row))
    p, q = A.softmax(row), A.sparsemax(row / 2)
    assert np.allclose(eval(lines["softmax_jacobian"], {"np": np, "p": p}), A.softmax_jacobian(p))
    assert np.allclose(eval(lines["sparsemax"], {"np": np, "z": row / 2, "tau": 1.5 - q[2]}), q)
    assert np.allclose(eval(lines["sparsemax_vjp"], {"p": q, "g": g}), A.sparsemax_vjp(q, g))


# --- shapes, dtypes, purity ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", A.names())
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int32, np.int8, np.uint8, bool])
@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4), (0, 3), (600, 7)])
def test_shape_dtype_and_a_new_array(name, dtype, shape):
    x = (np.random.default_rng(0).normal(size=shape) * 3).astype(dtype)
    x.flags.writeable = False
    before = x.copy()
    wanted = dtype if np.dtype(dtype).kind == "f" else np.float64
    functions = [A.ACTIVATIONS[name].function] + ([A.ACTIVATIONS[name].prime] if name in ELEMENTWISE else [])
    for f in functions:
        y = f(x)
        assert isinstance(y, np.ndarray) and y.shape == shape and y.dtype == wanted and y.flags.writeable
        assert not np.shares_memory(x, y) and np.array_equal(x, before)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_number_gives_a_number_and_lists_are_welcome(name, options):
    for f in (A.get(name), A.get_prime(name)):
        assert isinstance(f(0.5, **options), np.floating)
        assert isinstance(f(np.float32(0.5), **options), np.float32)
        np.testing.assert_array_equal(f([[0.5, -0.5]], **options), f(np.array([[0.5, -0.5]]), **options))


def test_options_do_not_change_the_dtype():
    x = np.ones(3, np.float32)
    assert A.elu(x, np.float64(0.5)).dtype == A.leaky_relu(x, np.float64(0.5)).dtype == np.float32
    assert A.softmax(x, temperature=np.float64(2)).dtype == A.relu(x, max_value=np.float64(2)).dtype == np.float32


@pytest.mark.parametrize("f", [A.softmax, A.log_softmax, A.sparsemax])
def test_every_axis_and_layout(f):
    x = np.random.default_rng(1).normal(size=(4, 50, 33))
    for axis in (-3, -2, -1, 0, 1, 2):
        expected = np.apply_along_axis(f, axis, x)
        np.testing.assert_allclose(f(x, axis), expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(f(np.asfortranarray(x), axis), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(f(x[:, ::-2]), f(x)[:, ::-2], rtol=1e-12, atol=1e-15)


# --- bad input -----------------------------------------------------------------------------------------------------

HUGE = np.array([1e4, -1e4, 1e150, -1e150, 1.7e308, -1.7e308, 5e-324, -5e-324, 0.0, -0.0, 750.0, -750.0])


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_warnings_and_no_nan_for_finite_input(name, options, dtype):
    z = HUGE if dtype is np.float64 else np.array([1e4, -1e4, 3.4e38, -3.4e38, 1e-45, 0.0, 100.0, -100.0], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f in (A.get(name), A.get_prime(name)):
            assert not np.isnan(f(z, **options)).any()
            assert not np.isnan([f(v, **options) for v in z]).any()


@pytest.mark.parametrize("f", [A.softmax, A.log_softmax, A.sparsemax])
def test_no_warnings_rowwise(f):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in (HUGE, HUGE[::-1], HUGE[:1], np.tile(HUGE, (300, 1))):
            p = f(row)
            assert not np.isnan(p).any()
            if f is not A.log_softmax:
                np.testing.assert_allclose(p.sum(-1), 1)
    assert np.isfinite(f(np.array([1e4, -1e4, 0]))).all()


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_infinities_and_nan(name):
    entry = A.ACTIVATIONS[name]
    f, (low, high) = entry.function, entry.range
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_inf = f(np.array([-np.inf, np.inf, np.nan]))
        slopes = entry.prime(np.array([-np.inf, np.inf, np.nan]))
    left = 0.0 if name in ("gelu", "silu", "swish", "mish") else low
    assert np.allclose(at_inf[:2], (left, high)) and np.isnan(at_inf[2])
    assert np.isnan(slopes[2]) and not np.isnan(slopes[:2]).any()
    assert np.isnan(f(np.nan)) and np.isnan(entry.prime(np.nan))


def test_sigmoid_tanh_softmax_at_infinity():
    assert A.sigmoid(np.inf) == 1 and A.sigmoid(-np.inf) == 0 and A.tanh(-np.inf) == -1
    for f in (A.softmax, A.sparsemax):
        assert f([1.0, np.inf, -np.inf]).tolist() == [0, 1, 0]
        assert f([np.inf, 1.0, np.inf]).tolist() == [0.5, 0, 0.5]
        assert np.isnan(f([1.0, np.nan, 2.0])).all() and np.isnan(f([np.inf, np.nan])).all()
        assert f([-np.inf, 1.0, 1.0]).tolist() == [0, 0.5, 0.5]
    assert A.log_softmax([1.0, np.inf]).tolist() == [-np.inf, 0]


def test_all_minus_infinity():
    rows = np.array([[-np.inf, -np.inf], [0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(A.softmax(rows)[0]).all() and np.isnan(A.log_softmax(rows)[0]).all()
        assert A.softmax(rows, mask=np.ones((2, 2), bool)).tolist() == [[0, 0], [0.5, 0.5]]


@pytest.mark.parametrize("alpha", [0, -1, np.nan, np.inf, [1.0], "1", None])
def test_alpha_must_be_positive(alpha):
    for f in (A.elu, A.elu_prime, A.celu, A.celu_prime):
        with pytest.raises(ValueError, match="alpha must be"):
            f(1.0, alpha)


def test_options_are_checked():
    with pytest.raises(ValueError, match="threshold and max_value must not be negative"):
        A.relu(1.0, threshold=-1)
    with pytest.raises(ValueError, match="threshold and max_value must not be negative"):
        A.relu_prime(1.0, max_value=-1)
    for call in (lambda: A.leaky_relu(1.0, np.nan), lambda: A.scaled_linear(1.0, m=[1, 2]), lambda: A.relu(1.0, "a")):
        with pytest.raises(ValueError, match="must be"):
            call()


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        A.softmax([1.0, 2.0], temperature=temperature)


@pytest.mark.parametrize("f", [A.softmax, A.log_softmax, A.sparsemax])
def test_axis_errors(f):
    with pytest.raises(ValueError, match="at least one axis"):
        f(3.0)
    for axis in (1, -2, 1.0, None, True):
        with pytest.raises(ValueError, match=r"axis .* does not exist in an array of shape \(3,\)"):
            f([1.0, 2.0, 3.0], axis)
    with pytest.raises(ValueError, match="is empty"):
        f(np.zeros((3, 0)))
    assert f(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("name", A.names())
@pytest.mark.parametrize("bad", [["a", "b"], [1j, 2j], [None, 1], np.array(["2020"], "datetime64")])
def test_only_real_numbers(name, bad):
    with pytest.raises(TypeError, match="expected real numbers"):
        A.get(name)(bad)


def test_mask():
    x = np.random.default_rng(2).normal(size=(4, 5))
    mask = np.array([True, False, True, True, False])
    p = A.softmax(x, mask=mask)
    assert np.all(p[:, ~mask] == 0)
    np.testing.assert_allclose(p[:, mask], special.softmax(x[:, mask], axis=1), rtol=1e-13)
    np.testing.assert_allclose(A.softmax(x, 0, mask=mask[:4, None], temperature=2.0)[:, 0][mask[:4]],
                               special.softmax(x[mask[:4], 0] / 2), rtol=1e-13)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.all(A.softmax(x, mask=False) == 0)
        assert A.softmax([np.nan, 1.0], mask=[False, True]).tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"mask of shape \(3,\) does not broadcast to the scores' shape \(4, 5\)"):
        A.softmax(x, mask=mask[:3])
    with pytest.raises(ValueError, match="does not broadcast"):
        A.softmax(x[0], mask=np.ones((4, 5), bool))
    with pytest.raises(TypeError, match="mask must hold booleans"):
        A.softmax(x, mask=np.ones(5))


def test_get():
    assert A.get("relu") is A.relu and A.get(None) is A.linear and A.get(np.sin) is np.sin
    assert A.get_prime("swish") is A.silu_prime and A.get_prime(A.tanh) is A.tanh_prime and A.get_prime(None) is A.linear_prime
    for f in (A.get, A.get_prime, A.plot_activation):
        with pytest.raises(ValueError, match="no activation function 'rellu'; there are linear, .*sparsemax"):
            f("rellu")
        with pytest.raises(TypeError, match="name of an activation function, got int"):
            f(3)
    for name in ROWWISE:
        with pytest.raises(ValueError, match=f"{name} has no elementwise derivative; use {name}_vjp"):
            A.get_prime(name)
    with pytest.raises(ValueError, match="is not known"):
        A.get_prime(np.sin)


def test_every_function_has_its_derivative_and_its_entry():
    for name in ELEMENTWISE:
        f, prime = getattr(A, name), getattr(A, f"{name}_prime")
        assert A.ACTIVATIONS[name].function is f and A.ACTIVATIONS[name].prime is prime
        assert str(inspect.signature(f)) == str(inspect.signature(prime))
    assert A.names() == list(A.ACTIVATIONS)


# --- softmax and its gradients -------------------------------------------------------------------------------------

ROWS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6),
                  elements=st.floats(-50, 50))


@settings(max_examples=50, deadline=None)
@given(ROWS, st.floats(-1e3, 1e3), st.floats(0.1, 10))
def test_softmax_properties(x, shift, temperature):
    p = A.softmax(x, temperature=temperature)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(A.softmax(x + shift, temperature=temperature), p, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(A.softmax_jacobian(p).sum(-1), 0, atol=1e-12)
    np.testing.assert_allclose(np.exp(A.log_softmax(x)), A.softmax(x), rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_vector_jacobian_products(x):
    g = np.cos(np.arange(x.size).reshape(x.shape))
    p, q = A.softmax(x), A.sparsemax(x)
    np.testing.assert_allclose(A.softmax_vjp(p, g), (g[..., None, :] @ A.softmax_jacobian(p))[..., 0, :], atol=1e-13)
    np.testing.assert_allclose(A.log_softmax_vjp(p, g), g - p * g.sum(-1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(q.sum(-1), 1, atol=1e-12)
    assert np.all(q >= 0)
    for axis in range(x.ndim):
        p = A.softmax(x, axis)
        np.testing.assert_allclose(A.softmax_vjp(p, g, axis),
                                   np.moveaxis(A.softmax_vjp(np.moveaxis(p, axis, -1), np.moveaxis(g, axis, -1)), -1, axis),
                                   atol=1e-13)


@pytest.mark.parametrize(("f", "vjp"), [(A.softmax, A.softmax_vjp), (A.log_softmax, A.log_softmax_vjp),
                                        (A.sparsemax, A.sparsemax_vjp)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vjp_is_the_central_difference(f, vjp, axis):
    rng = np.random.default_rng(3)
    x, g = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5))
    numeric = np.empty_like(x)
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        numeric[i] = np.sum(g * (f(x + step, axis) - f(x - step, axis))) / 2e-6
    p = f(x, axis) if f is A.sparsemax else A.softmax(x, axis)
    np.testing.assert_allclose(vjp(p, g, axis), numeric, rtol=1e-6, atol=1e-8)


def test_jacobian_of_the_chapter():
    expected = [[0.081925, -0.022033, -0.059892], [-0.022033, 0.184836, -0.162803], [-0.059892, -0.162803, 0.222695]]
    assert A.softmax_jacobian(A.softmax([1, 2, 3])).round(6).tolist() == expected


@pytest.mark.parametrize("vjp", [A.softmax_vjp, A.log_softmax_vjp, A.sparsemax_vjp])
def test_vjp_errors(vjp):
    with pytest.raises(ValueError, match=r"one shape, got \(3,\) and \(3, 1\)"):
        vjp(np.ones(3) / 3, np.ones((3, 1)))
    with pytest.raises(ValueError, match="axis"):
        vjp(np.ones(3) / 3, np.ones(3), axis=1)
    assert vjp(np.ones(3, np.float32) / 3, np.ones(3, np.float32)).dtype == np.float32


def test_sparsemax_is_the_nearest_point_of_the_simplex(keras):
    """The conditions that characterise the projection: one tau for all that survive, none of the others above it."""
    x = np.random.default_rng(4).normal(size=(500, 9)) * 2
    p = A.sparsemax(x)
    assert np.all(p >= 0) and set((p > 0).sum(1)) >= {1, 2, 3, 4}
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    for row, q in zip(x, p):
        tau = (row - q)[q > 0]
        assert np.ptp(tau) < 1e-12 and np.all(row[q == 0] <= tau[0] + 1e-12)
    alone = (p > 0).sum(1) == 1                               # where Keras is right as well
    theirs = keras.ops.convert_to_numpy(keras.activations.sparsemax(keras.ops.convert_to_tensor(x[alone])))
    np.testing.assert_allclose(p[alone], theirs, atol=1e-12)
    if keras.__version__.startswith("3.15") and keras.backend.backend() == "tensorflow":      # what the chapter's note says
        theirs = keras.ops.convert_to_numpy(keras.activations.sparsemax(keras.ops.convert_to_tensor(x[~alone])))
        assert not np.isclose(theirs.sum(1), 1).any()
    for scale in (1e-3, 1e3, 1e300):
        np.testing.assert_allclose(A.sparsemax(x * scale).sum(1), 1, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_identities(z):
    assert np.isclose(A.sigmoid(z) + A.sigmoid(-z), 1, rtol=1e-15)
    assert np.isclose(A.tanh(z / 4), 2 * A.sigmoid(z / 2) - 1, atol=1e-15)
    assert np.isclose(A.softmax([0.0, z])[1], A.sigmoid(z), rtol=1e-12, atol=1e-300)
    assert np.isclose(A.softplus(z / 2) - A.softplus(-z / 2), z / 2, rtol=1e-12)
    assert A.sigmoid_prime(z) == A.sigmoid_prime(-z) >= 0


# --- the plot, the price of an import, the documentation -------------------------------------------------------------

def test_plot_activation():
    import matplotlib.pyplot as plt

    for name in ELEMENTWISE:
        ax = A.plot_activation(name)
        assert [line.get_label() for line in ax.lines] == [name, "derivative"] and ax.get_xlabel() == "z"
        plt.close(ax.figure)
    fig, ax = plt.subplots()
    assert A.plot_activation("elu", ax, span=6, alpha=2.0) is ax
    assert ax.lines[0].get_xdata()[0] == -6 and np.isclose(ax.lines[0].get_ydata()[0], A.elu(-6, alpha=2))
    assert np.isnan(ax.lines[1].get_ydata()).sum() == 1                      # the jump from 2 to 1
    plt.close(fig)
    with pytest.raises(ValueError, match="softmax has no elementwise derivative"):
        A.plot_activation("softmax")
    with pytest.raises(ValueError, match="span must be positive"):
        A.plot_activation("relu", span=0)


def test_import_is_light():
    code = ("import sys; from mlcheat.nn.activations import sigmoid; sigmoid(0); "
            "print([m for m in ('scipy', 'matplotlib', 'sklearn', 'keras') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", [n for n in A.__all__ if callable(getattr(A, n))])
def test_docstrings_are_cards(name):
    doc = inspect.getdoc(getattr(A, name))
    assert "Use when " in doc and "Avoid when " in doc and ">>> " in doc
    if name not in ("names", "get", "get_prime", "plot_activation", "ActivationInfo"):
        assert ".. math::" in doc and "References\n-" in doc and "Raises\n-" in doc
