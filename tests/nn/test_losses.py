"""Losses against Keras, TensorFlow, scikit-learn, SciPy and central differences; edges, errors, properties."""
import inspect
import math
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics

from mlcheat.nn import losses as L

FUNCTIONS = list(L._FUNCTIONS)
RNG = np.random.default_rng(0)
N, K = 6, 4


def soft(shape):
    return special.softmax(RNG.normal(size=shape), axis=-1)


REAL, GUESS = RNG.normal(size=(2, N, K)) * 2
BITS, PROBS = RNG.integers(0, 2, size=(N, K)).astype(float), RNG.uniform(0.05, 0.95, size=(N, K))
LOGITS = RNG.normal(size=(N, K)) * 3
CLASSES = RNG.integers(0, K, size=N)
ONEHOT, ROWS, TEACHER = np.eye(K)[CLASSES], soft((N, K)), soft((N, K))
SIGNS = 2 * BITS - 1
POSITIVE, RATES, COUNTS = RNG.uniform(0.5, 9, (N, K)), RNG.uniform(0.5, 9, (N, K)), RNG.poisson(3, (N, K)).astype(float)

# our function, options, targets, predictions, the name in Keras (None: it has no such function)
CASES = [
    ("mean_squared_error", {}, REAL, GUESS, ""), ("mean_absolute_error", {}, REAL, GUESS, ""),
    ("root_mean_squared_error", {}, REAL, GUESS, None),
    ("mean_absolute_percentage_error", {}, REAL, GUESS, ""),
    ("mean_squared_logarithmic_error", {}, POSITIVE, RATES, ""),
    *[("huber", {"delta": d}, REAL, GUESS, "") for d in (0.5, 1.0, 3.0)],
    ("log_cosh", {}, REAL, GUESS, ""),
    *[("quantile_loss", {"q": q}, REAL, GUESS, None) for q in (0.1, 0.5, 0.8)],
    ("binary_crossentropy", {}, BITS, PROBS, ""), ("binary_crossentropy", {"label_smoothing": 0.2}, BITS, PROBS, ""),
    ("binary_crossentropy", {}, PROBS[::-1], PROBS, ""),
    ("binary_crossentropy", {"from_logits": True}, BITS, LOGITS, ""),
    ("binary_crossentropy", {"from_logits": True, "label_smoothing": 0.1}, BITS, LOGITS, ""),
    ("binary_crossentropy", {"axis": 0}, BITS, PROBS, ""),
    ("categorical_crossentropy", {}, ONEHOT, ROWS, ""), ("categorical_crossentropy", {}, TEACHER, ROWS, ""),
    ("categorical_crossentropy", {"label_smoothing": 0.1}, ONEHOT, ROWS, ""),
    ("categorical_crossentropy", {"from_logits": True}, TEACHER, LOGITS, ""),
    ("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.3}, ONEHOT, LOGITS, ""),
    ("categorical_crossentropy", {"from_logits": True, "axis": 0}, ONEHOT.T, LOGITS.T, ""),
    ("categorical_crossentropy", {"axis": 0}, ONEHOT.T, ROWS.T, ""),
    ("sparse_categorical_crossentropy", {}, CLASSES, ROWS, ""),
    ("sparse_categorical_crossentropy", {"from_logits": True}, CLASSES, LOGITS, ""),
    ("sparse_categorical_crossentropy", {"from_logits": True, "ignore_class": 1}, CLASSES, LOGITS, ""),
    ("sparse_categorical_crossentropy", {"ignore_class": 2}, CLASSES, ROWS, ""),
    ("sparse_categorical_crossentropy", {"from_logits": True, "axis": 0}, CLASSES, LOGITS.T, None),
    *[("binary_focal_crossentropy", {"gamma": g, "apply_class_balancing": b}, BITS, PROBS, "")
      for g in (0.0, 0.5, 1.0, 2.0, 3.0) for b in (False, True)],
    ("binary_focal_crossentropy", {"from_logits": True, "alpha": 0.6}, BITS, LOGITS, ""),
    ("binary_focal_crossentropy", {"label_smoothing": 0.2, "gamma": 1.5}, BITS, PROBS, ""),
    ("binary_focal_crossentropy", {"label_smoothing": 0.2, "from_logits": True}, BITS, LOGITS, ""),
    ("kl_divergence", {}, TEACHER, ROWS, ""), ("js_divergence", {}, TEACHER, ROWS, None),
    ("hinge", {}, BITS, LOGITS, ""), ("hinge", {}, SIGNS, LOGITS, ""), ("squared_hinge", {}, SIGNS, LOGITS, ""),
    ("categorical_hinge", {}, ONEHOT, LOGITS, ""), ("poisson", {}, COUNTS, RATES, ""),
    ("cosine_similarity", {}, REAL, GUESS, ""), ("cosine_similarity", {"axis": 0}, REAL, GUESS, ""),
    ("dice", {}, BITS, PROBS, ""), ("dice", {"axis": 1}, BITS, PROBS, ""), ("dice", {"axis": (0, 1)}, BITS, PROBS, ""),
]
IDS = [f"{c[0]}{i}" for i, c in enumerate(CASES)]
IN_KERAS = [c for c in CASES if c[4] is not None]
case = pytest.mark.parametrize(("name", "options", "y", "p", "theirs"), CASES, ids=IDS)
keras_case = pytest.mark.parametrize(("name", "options", "y", "p", "theirs"), IN_KERAS,
                                     ids=[f"{c[0]}{i}" for i, c in enumerate(IN_KERAS)])


def functions(name):
    return L._FUNCTIONS[name]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def central(f, p, g, h=1e-5):
    """Central differences of <g, f>, one entry of p after the other."""
    out = np.empty_like(p)
    for i in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[i] += h
        down[i] -= h
        out[i] = np.sum(g * (f(up) - f(down))) / (2 * h)
    return out


def cotangent(losses, gradient, g, options, name):
    """The gradient of <g, losses> from the gradients of the single losses."""
    axis = options.get("axis", None if name == "dice" else -1)
    axes = tuple(range(gradient.ndim)) if axis is None else axis
    return gradient * np.expand_dims(g, axes)


# --- values and gradients -------------------------------------------------------------------------------------------

@case
def test_gradient_is_the_central_difference(name, options, y, p, theirs):
    f, f_prime = functions(name)
    free = {"kl_divergence": lambda q: np.sum(y * np.log(y / q), axis=-1),
            "js_divergence": lambda q: 0.5 * np.sum(y * np.log(2 * y / (y + q)) + q * np.log(2 * q / (y + q)), axis=-1)}
    losses = f(y, p, **options)
    if name in free:
        np.testing.assert_allclose(losses, free[name](p), rtol=1e-12)
    g = np.random.default_rng(1).normal(size=np.shape(losses))
    numeric = central(free.get(name, lambda q: f(y, q, **options)), p, g)
    ours = cotangent(losses, f_prime(y, p, **options), g, options, name)
    assert np.linalg.norm(ours - numeric) <= 1e-6 * np.linalg.norm(numeric)
    np.testing.assert_allclose(ours, numeric, rtol=2e-6, atol=2e-8)


@keras_case
def test_values_are_those_of_keras(keras, name, options, y, p, theirs):
    f, reference = functions(name)[0], getattr(keras.losses, theirs or name)
    expected = keras.ops.convert_to_numpy(reference(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p), **options))
    np.testing.assert_allclose(f(y, p, **options), expected, rtol=1e-6, atol=1e-6)
    single = f(y, p.astype(np.float32), **options)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=2e-5, atol=2e-6)


@keras_case
def test_gradients_are_those_of_gradient_tape(keras, tf, name, options, y, p, theirs):
    f, f_prime = functions(name)
    x = tf.Variable(p)
    with tf.GradientTape() as tape:
        losses = getattr(keras.losses, theirs or name)(tf.constant(y), x, **options)
        g = np.random.default_rng(2).normal(size=losses.shape)
        total = tf.reduce_sum(losses * g)
    expected = tape.gradient(total, x).numpy()
    ours = cotangent(losses, f_prime(y, p, **options), g, options, name)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", None, "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_reductions_and_weights_are_those_of_keras(keras, tf, reduction, weighted):
    seen = set()
    for name, options, y, p, theirs in IN_KERAS:
        cls = next(c for c in L._CLASSES if L._CLASSES[c]().fn.__name__ == name)
        if options.get("axis", -1) != -1 or (cls, str(options)) in seen:
            continue
        seen.add((cls, str(options)))
        ours = L._CLASSES[cls](reduction=reduction, **options)
        reference = getattr(keras.losses, cls)(reduction=reduction, dtype="float64", **options)
        w = np.array([0.5, 2, 0, 1, 3, 1.5]) if weighted else None
        if name == "dice":
            w = None
        x = tf.Variable(p)
        with tf.GradientTape() as tape:
            value = tf.convert_to_tensor(reference(tf.constant(y), x, sample_weight=w))
            total = tf.reduce_sum(value)
        np.testing.assert_allclose(ours(y, p, w), value.numpy(), rtol=1e-6, atol=1e-6, err_msg=cls)
        np.testing.assert_allclose(ours.gradient(y, p, w), tape.gradient(total, x).numpy(), rtol=1e-5, atol=1e-6, err_msg=cls)
        both = ours.value_and_gradient(y, p, w)
        np.testing.assert_allclose(both[0], ours(y, p, w), rtol=1e-13)
        np.testing.assert_allclose(both[1], ours.gradient(y, p, w), rtol=1e-13)
    assert {c for c, _ in seen} == set(L._CLASSES)


def test_signatures_are_those_of_keras(keras):
    for name, (f, f_prime) in L._FUNCTIONS.items():
        assert str(inspect.signature(f)) == str(inspect.signature(f_prime))
        if hasattr(keras.losses, name):
            theirs = [(p.name, p.default) for p in inspect.signature(getattr(keras.losses, name)).parameters.values()]
            ours = [(p.name, p.default) for p in inspect.signature(f).parameters.values() if p.kind != p.KEYWORD_ONLY]
            assert ours == theirs, name
    for name, cls in L._CLASSES.items():
        theirs = [(p.name, p.default) for p in inspect.signature(getattr(keras.losses, name)).parameters.values()
                  if p.name != "dtype"]
        ours = [(p.name, p.default) for p in inspect.signature(cls).parameters.values()]
        assert ours == theirs, name


def test_scikit_learn_and_scipy():
    flat, p = BITS.ravel().astype(int), PROBS.ravel()
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12)  # noqa: E731
    close(L.binary_crossentropy(flat, p), metrics.log_loss(flat, p))
    close(L.sparse_categorical_crossentropy(CLASSES, ROWS).mean(), metrics.log_loss(CLASSES, ROWS, labels=range(K)))
    close(L.categorical_crossentropy(ONEHOT, ROWS).mean(), metrics.log_loss(CLASSES, ROWS, labels=range(K)))
    close(L.hinge(flat, LOGITS.ravel()), metrics.hinge_loss(flat, LOGITS.ravel()))
    close(L.mean_squared_error(REAL, GUESS).mean(), metrics.mean_squared_error(REAL, GUESS))
    close(L.mean_absolute_error(REAL, GUESS).mean(), metrics.mean_absolute_error(REAL, GUESS))
    close(L.root_mean_squared_error(REAL[0], GUESS[0]), metrics.root_mean_squared_error(REAL[0], GUESS[0]))
    close(L.mean_absolute_percentage_error(REAL, GUESS).mean(), 100 * metrics.mean_absolute_percentage_error(REAL, GUESS))
    close(L.mean_squared_logarithmic_error(POSITIVE, RATES).mean(), metrics.mean_squared_log_error(POSITIVE, RATES))
    close(L.quantile_loss(REAL, GUESS, 0.3).mean(), metrics.mean_pinball_loss(REAL, GUESS, alpha=0.3))
    close(L.huber(REAL, GUESS, 1.7), special.huber(1.7, GUESS - REAL).mean(axis=-1))
    close(L.kl_divergence(TEACHER, ROWS), stats.entropy(TEACHER, ROWS, axis=-1))
    close(L.kl_divergence(TEACHER, ROWS), special.kl_div(TEACHER, ROWS).sum(axis=-1))
    close(L.kl_divergence(TEACHER, ROWS), special.rel_entr(TEACHER, ROWS).sum(axis=-1))
    m = (TEACHER + ROWS) / 2
    close(L.js_divergence(TEACHER, ROWS), (special.rel_entr(TEACHER, m) + special.rel_entr(ROWS, m)).sum(axis=-1) / 2)
    close(L.binary_crossentropy(BITS, PROBS), -(special.xlogy(BITS, PROBS) + special.xlog1py(1 - BITS, -PROBS)).mean(axis=-1))
    close(L.sparse_categorical_crossentropy(CLASSES, LOGITS, True),
          special.logsumexp(LOGITS, axis=-1) - LOGITS[np.arange(N), CLASSES])


# --- the numbers of the chapter -------------------------------------------------------------------------------------

ROW2 = [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]


@pytest.mark.parametrize(("value", "expected"), [
    (L.binary_crossentropy([1], [0.012]), 4.422849), (L.binary_crossentropy([1], [1e-4]), 9.210340),
    (L.binary_crossentropy_prime([1], [0.99])[0], -1.010101), (L.binary_crossentropy_prime([1], [0.01])[0], -100),
    (L.sparse_categorical_crossentropy([1, 2], ROW2).mean(), 1.176939),
    (L.binary_crossentropy([0, 1], [0.012, 0.012]), 2.217461),
    (L.binary_crossentropy([0, 1], [1000.0, 1000.0], True), 500),
    (L.sparse_categorical_crossentropy([0], [[0.0, 1.0]])[0], 16.118096),
    (L.binary_crossentropy([1], [0.0]), 16.118096), (L.binary_crossentropy([0], [1.0]), 16.118096),
    (L.binary_crossentropy([1], [0.9], label_smoothing=0.1), 0.215222),
    (L.categorical_crossentropy([[0, 1, 0]], [[0.2, 0.7, 0.1]], label_smoothing=0.1)[0], 0.463297),
    (L.hinge([0, 1], [-2, 0.5]), 0.25), (L.categorical_hinge([0, 1], [0.6, 0.8]), 0.8),
    (L.huber([[0], [0]], [[0.5], [3]])[0], 0.125), (L.huber([[0], [0]], [[0.5], [3]])[1], 2.5),
    (L.huber([0, 0], [0.5, 3]), 1.3125), (L.kl_divergence([1, 0], [0.5, 0.5]), 0.693147),
    (L.kl_divergence([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]), 0.085123),
    (L.kl_divergence([0.5, 0.3, 0.2], [0.7, 0.2, 0.1]), 0.092033),
    (L.log_cosh([0], [1000.0]), 999.306853), (L.dice([1, 0, 1], [0.8, 0.2, 0.6]), 0.222222),
    (L.poisson([1, 2], [2, 3], eps=0), 1.054814), (L.best_constant("mse", [1, 2, 3, 4, 100]), 22),
    (L.best_constant("mae", [1, 2, 3, 4, 100]), 3), (L.root_mean_squared_error([0] * 4, [1, 1, 5, 5]), 3.605551),
    (L.binary_crossentropy_prime([1], [-8.0], True)[0], -0.999665), (L.hinge([-1], [0.5]), 1.5)])
def test_numbers(value, expected):
    assert abs(float(value) - expected) < 1e-6


def test_focal_number():
    assert abs(L.binary_focal_crossentropy([1], [0.9]) - 0.00105361) < 1e-8


# --- finite, or rightly infinite ------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_huge_logits(dtype):
    z = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f, f_prime, y in ((L.binary_crossentropy, L.binary_crossentropy_prime, [[1, 0], [1, 0]]),
                              (L.binary_focal_crossentropy, L.binary_focal_crossentropy_prime, [[1, 0], [1, 0]]),
                              (L.categorical_crossentropy, L.categorical_crossentropy_prime, [[1, 0], [1, 0]]),
                              (L.sparse_categorical_crossentropy, L.sparse_categorical_crossentropy_prime, [0, 0])):
            values, slopes = f(y, z, from_logits=True), f_prime(y, z, from_logits=True)
            assert values.dtype == slopes.dtype == dtype
            assert values[0] == 0 and np.isclose(values[1], 1e4 if y[0] != 0 and f in (
                L.binary_crossentropy, L.binary_focal_crossentropy) else 2e4, rtol=1e-3)
            assert np.isfinite(slopes).all() and np.all(slopes[0] == 0) and np.all(np.abs(slopes[1]) > 0.4)
        for f, f_prime in ((L.hinge, L.hinge_prime), (L.log_cosh, L.log_cosh_prime), (L.huber, L.huber_prime)):
            assert np.isfinite(f([[1, 0], [1, 0]], z)).all() and np.isfinite(f_prime([[1, 0], [1, 0]], z)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_probabilities_of_zero_and_one(dtype):
    sure = np.array([[0.0, 1.0], [1.0, 0.0]], dtype)
    wrong, right = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "kl_divergence",
                     "js_divergence", "dice"):
            f, f_prime = functions(name)
            for y in (wrong, right):
                assert np.isfinite(f(y, sure)).all() and np.isfinite(f_prime(y, sure)).all(), name
            assert np.all(f(wrong, sure) > f(right, sure)), name
            assert np.allclose(f(right, sure), 0, atol=2e-3 if dtype == np.float16 else 1e-6), name
            if name in ("binary_crossentropy", "categorical_crossentropy", "kl_divergence"):
                assert np.all(f(wrong, sure, eps=0) == np.inf) and np.all(f(right, sure, eps=0) == 0), name
        assert np.isfinite(L.sparse_categorical_crossentropy([0, 1], sure)).all()
        assert np.all(L.sparse_categorical_crossentropy([0, 1], sure, eps=0) == np.inf)


def test_infinite_logits():
    masked = np.array([[0.0, 0.0, -np.inf]])
    assert np.isclose(L.sparse_categorical_crossentropy([0], masked, True)[0], math.log(2))
    assert L.sparse_categorical_crossentropy([2], masked, True)[0] == np.inf
    assert np.isclose(L.categorical_crossentropy([[1, 0, 0]], masked, True)[0], math.log(2))
    assert L.categorical_crossentropy([[0, 0, 1]], masked, True)[0] == np.inf
    assert L.sparse_categorical_crossentropy_prime([0], masked, True).tolist() == [[-0.5, 0.5, 0]]
    for f, y in ((L.sparse_categorical_crossentropy, [0]), (L.categorical_crossentropy, [[1, 0]]),
                 (L.binary_crossentropy, [[1, 0]])):
        with pytest.raises(ValueError, match="finite logits, got inf"):
            f(y, [[np.inf, 0.0]], from_logits=True)
    with pytest.raises(ValueError, match="logit above -inf in every row"):
        L.sparse_categorical_crossentropy([0], [[-np.inf, -np.inf]], from_logits=True)


def test_overflow_is_infinite_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert L.mean_squared_error([0.0], [1e200]) == np.inf == L.squared_hinge([1], [-1e200])
        assert np.isclose(L.root_mean_squared_error([0.0, 0.0], [3e200, 4e200]), 5e200 / math.sqrt(2))
        assert np.allclose(L.root_mean_squared_error_prime([0.0, 0.0], [3e200, 4e200]), np.array([3, 4]) / 5 / math.sqrt(2))
        assert np.isclose(L.cosine_similarity([1e-200, 0], [3e200, 4e200]), -0.6)
        assert L.mean_squared_error([0.0], [np.inf]) == L.mean_absolute_error([0.0], [np.inf]) == np.inf
        assert L.huber([0.0], [np.inf]) == L.log_cosh([0.0], [np.inf]) == np.inf == L.root_mean_squared_error([0.0], [np.inf])
        assert L.log_cosh([0.0], [1e-9]) == 0.5e-18


def test_at_the_kinks():
    zero = np.zeros((1, 3))
    for name in ("mean_absolute_error", "root_mean_squared_error", "huber", "quantile_loss", "log_cosh"):
        f, f_prime = functions(name)
        assert np.all(f(zero, zero) == 0) and np.all(f_prime(zero, zero) == 0)
    assert L.hinge_prime([1, -1], [1.0, -1.0]).tolist() == [0, 0] and L.hinge([1, -1], [1.0, -1.0]) == 0
    assert L.huber([0.0], [2.0], 2.0) == 2 and L.huber_prime([0.0], [2.0], 2.0) == 2
    assert L.cosine_similarity([1.0, 0.0], [0.0, 0.0]) == 0
    assert L.cosine_similarity_prime([1.0, 0.0], [0.0, 0.0]).tolist() == [0, 0]
    assert L.dice([0, 0], [0.0, 0.0]) == 0 and L.mean_squared_logarithmic_error_prime([3.0], [-0.5]) == 0


# --- bad input ------------------------------------------------------------------------------------------------------

DEFAULT = {c[0]: c for c in reversed(CASES)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_are_never_broadcast(name):
    _, _, y, p, _ = DEFAULT[name]
    for f in functions(name):
        for bad_y, bad_p in ((y[:2], p), (y, p[:2]), (y[0], p), (y[..., None], p), (y.ravel(), p.reshape(-1, 1))):
            if name.startswith("sparse") and bad_y.shape == bad_p.shape[:-1]:
                continue
            with pytest.raises(ValueError) as caught:
                f(bad_y, bad_p)
            assert str(bad_p.shape) in str(caught.value) and str(bad_y.shape) in str(caught.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_empty_nan_and_wrong_types(name):
    _, _, y, p, _ = DEFAULT[name]
    for f in functions(name):
        with pytest.raises(ValueError, match=r"y_pred is empty: its shape is \(0, 4\)"):
            f(y[:0], p[:0])
        spoiled = p.copy()
        spoiled[1, 2] = np.nan
        with pytest.raises(ValueError, match="y_pred holds nan"):
            f(y, spoiled)
        spoiled = y.astype(float)
        spoiled.flat[3] = np.nan
        with pytest.raises(ValueError, match="y_true holds nan"):
            f(spoiled, p)
        for bad in (np.full(y.shape, "a"), y.astype(complex), np.full(y.shape, None)):
            with pytest.raises(TypeError, match="y_true must hold"):
                f(bad, p)
        with pytest.raises(TypeError, match="y_pred must hold real numbers"):
            f(y, p.astype(complex))
        with pytest.raises(ValueError, match="at least one axis"):
            f(0, 1.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_inputs_are_not_changed_and_lists_are_welcome(name):
    _, _, y, p, _ = DEFAULT[name]
    y, p = y.copy(), p.copy()
    y.flags.writeable = p.flags.writeable = False
    for f in functions(name):
        out = f(y, p)
        np.testing.assert_array_equal(out, f(y.tolist(), p.tolist()))
        assert out.dtype == np.float64 and not np.shares_memory(out, p)
        assert f(y, p.astype(np.float16)).dtype == np.float16
    assert functions(name)[1](y, p).shape == p.shape


@pytest.mark.parametrize("f", [L.sparse_categorical_crossentropy, L.sparse_categorical_crossentropy_prime])
def test_class_numbers(f):
    rows = np.full((2, 3), 1 / 3)
    with pytest.raises(ValueError, match=r"from 0 to 2 for 3 classes, got values from 0 to 3"):
        f([0, 3], rows)
    with pytest.raises(ValueError, match=r"from 0 to 2 for 3 classes, got values from -1 to 1"):
        f([-1, 1], rows)
    with pytest.raises(ValueError, match="whole class numbers, got 0.5"):
        f([0.5, 1], rows)
    with pytest.raises(ValueError, match="for one-hot rows use categorical_crossentropy"):
        f(np.eye(3)[:2], rows)
    with pytest.raises(ValueError, match=r"y_true must have shape \(2,\).* got \(2, 1\)"):
        f([[0], [1]], rows)
    np.testing.assert_array_equal(f([0.0, 2.0], rows), f([0, 2], rows))
    np.testing.assert_array_equal(f(np.array([0, 2], np.uint8), rows), f([0, 2], rows))


def test_rows_of_targets():
    for f in (L.categorical_crossentropy, L.categorical_crossentropy_prime, L.kl_divergence, L.js_divergence):
        with pytest.raises(ValueError, match="each row of y_true must sum to 1 along axis 1, got a row of sum 2"):
            f([[1, 0], [1, 1]], [[0.5, 0.5]] * 2)
        with pytest.raises(ValueError, match="y_true must lie between 0 and 1"):
            f([[1, 0], [2, -1]], [[0.5, 0.5]] * 2)
    with pytest.raises(ValueError, match="for class numbers use sparse_categorical_crossentropy"):
        L.categorical_crossentropy([0, 1], [[0.5, 0.5]] * 2)
    with pytest.raises(ValueError, match="a single 1 and else 0"):
        L.categorical_hinge([[0.5, 0.5]], [[1.0, 2.0]])


@pytest.mark.parametrize(("f", "y"), [(L.binary_crossentropy, [[0, 1]]), (L.categorical_crossentropy, [[0, 1]]),
                                      (L.sparse_categorical_crossentropy, [1]), (L.binary_focal_crossentropy, [[0, 1]])])
def test_logits_passed_as_probabilities(f, y):
    for bad in ([[-0.5, 1.5]], [[2.0, 3.0]], [[0.5, 1.01]]):
        with pytest.raises(ValueError, match="between 0 and 1, got values from .*pass from_logits=True"):
            f(y, bad)


@pytest.mark.parametrize(("name", "y"), [("categorical_crossentropy", [[0, 1], [0, 1]]), ("kl_divergence", [[0.3, 0.7]] * 2),
                                         ("sparse_categorical_crossentropy", [1, 1]), ("js_divergence", [[0.3, 0.7]] * 2)])
def test_rows_that_do_not_sum_to_one_are_divided_by_their_sum(name, y):
    f, f_prime = functions(name)
    with pytest.warns(UserWarning, match=r"do not sum to 1 along axis 1 \(one sums to 1\.4\)") as caught:
        value = f(y, [[0.5, 0.5], [0.8, 0.6]])
    assert caught[0].filename.endswith(("test_losses.py", "losses.py"))
    np.testing.assert_allclose(value, f(y, [[0.5, 0.5], [0.8 / 1.4, 0.6 / 1.4]]), rtol=1e-6)
    p = np.array([[0.5, 0.5], [0.8, 0.6]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numeric = central(lambda q: f(y, q), p, np.ones(2))
        np.testing.assert_allclose(f_prime(y, p)[1], numeric[1], rtol=1e-6)
    with pytest.raises(ValueError, match="all zeros"):
        f(y, [[0.5, 0.5], [0.0, 0.0]])


def test_labels_of_binary_losses_and_hinge():
    for f in (L.binary_crossentropy, L.binary_focal_crossentropy, L.binary_crossentropy_prime):
        with pytest.raises(ValueError, match="y_true must lie between 0 and 1.*belong to the hinge losses"):
            f([-1, 1], [0.5, 0.5])
    for f in (L.hinge, L.squared_hinge, L.hinge_prime, L.squared_hinge_prime):
        for bad in ([-1, 0], [0, 2], [0.5, 1], [1, 2]):
            with pytest.raises(ValueError, match="labels -1 and 1, or 0 and 1, got"):
                f(bad, [0.5, 0.5])
    for f in (L.dice, L.dice_prime):
        with pytest.raises(ValueError, match="y_pred must lie between 0 and 1"):
            f([0, 1], [-1.0, 4.0])
    for f in (L.poisson, L.poisson_prime):
        with pytest.raises(ValueError, match="y_true must be at least 0"):
            f([-1], [1.0])
        with pytest.raises(ValueError, match="y_pred must be at least 0"):
            f([1], [-1.0])
    with pytest.raises(ValueError, match="y_true must be at least 0 for a logarithmic error"):
        L.mean_squared_logarithmic_error([-1.0], [1.0])
    with pytest.raises(ValueError, match="y_true must be finite"):
        L.mean_squared_error([np.inf], [1.0])


@pytest.mark.parametrize("value", [0, -1, np.nan, "1", [1.0], None])
def test_delta(value):
    for f in (L.huber, L.huber_prime, lambda y, p, delta: L.Huber(delta)(y, p)):
        with pytest.raises(ValueError, match="delta must be a number in"):
            f([0.0], [1.0], delta=value)


def test_options():
    for q in (0, 1, -0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match=r"q must be a number in \(0, 1\)"):
            L.quantile_loss([0.0], [1.0], q)
    for s in (-0.1, 1, 2, np.nan):
        for f, y in ((L.binary_crossentropy, [1]), (L.categorical_crossentropy, [1])):
            with pytest.raises(ValueError, match=r"label_smoothing must be a number in \[0, 1\)"):
                f(y, [1.0], label_smoothing=s)
    with pytest.raises(ValueError, match="gamma must be"):
        L.binary_focal_crossentropy([1], [0.5], gamma=-1)
    with pytest.raises(ValueError, match="alpha must be"):
        L.binary_focal_crossentropy([1], [0.5], alpha=1.5)
    with pytest.raises(ValueError, match="eps must be"):
        L.binary_crossentropy([1], [0.5], eps=0.7)
    for f, y in ((L.binary_crossentropy, [1]), (L.cosine_similarity, [1]), (L.dice, [1]), (L.sparse_categorical_crossentropy, [0])):
        with pytest.raises(ValueError, match=r"axis 3 does not exist in an array of shape \(1,\)"):
            f(y, [1.0], axis=3)
    with pytest.raises(ValueError, match="kind must be one of regression"):
        L.check_targets([1], [1], "regresion")


def test_check_targets_returns_arrays_of_one_dtype():
    y, p = L.check_targets([0, 1], np.array([0.2, 0.3], np.float32), "binary")
    assert y.dtype == p.dtype == np.float32
    y, p = L.check_targets([3, 0], [[0.1, 0.9], [0.5, 0.5]], "sparse", ignore_class=3)
    assert y.tolist() == [-1, 0]


# --- classes --------------------------------------------------------------------------------------------------------

def test_weights_of_the_chapter():
    y, p = [[0.0], [0.0]], [[1.0], [9.0]]
    assert L.MeanAbsoluteError()(y, p, [1, 0]) == 0.5
    assert L.MeanAbsoluteError("mean_with_sample_weight")(y, p, [1, 0]) == 1.0
    assert L.MeanAbsoluteError()(y, p, 2.0) == 10
    assert isinstance(L.MeanAbsoluteError()(y, p), float)


def test_bad_weights():
    y, p = np.zeros((3, 1)), np.ones((3, 1))
    for w, match in (([1, 2], r"shape \(2,\) does not fit the losses of shape \(3,\)"), (np.ones((3, 1)), "does not fit"),
                     ([1, 1, -1], "finite and at least 0"), ([1, 1, np.nan], "finite and at least 0")):
        with pytest.raises(ValueError, match=match):
            L.MeanSquaredError()(y, p, w)
        with pytest.raises(ValueError, match=match):
            L.MeanSquaredError().gradient(y, p, w)
    with pytest.raises(ValueError, match="a vector is one example"):
        L.MeanSquaredError()(y[:, 0], p[:, 0], [1, 1, 1])
    with pytest.raises(TypeError, match="sample_weight must hold real numbers"):
        L.MeanSquaredError()(y, p, ["a", "b", "c"])
    with pytest.raises(ValueError, match="0 everywhere"):
        L.MeanSquaredError("mean_with_sample_weight")(y, p, [0, 0, 0])
    assert L.MeanSquaredError()(y, p, [0, 0, 0]) == 0
    with pytest.raises(ValueError, match="reduction must be one of .*got 'average'"):
        L.MeanSquaredError("average")
    with pytest.raises(TypeError, match="which is a Loss already"):
        L.Loss(L.Huber())
    with pytest.raises(ValueError, match="mean_squared_error has no option 'delta'"):
        L.Loss("mse", delta=1)


@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", None])
def test_ignore_class(from_logits, reduction):
    loss = L.SparseCategoricalCrossentropy(from_logits, ignore_class=-1, reduction=reduction)
    p = special.softmax(LOGITS, axis=-1) if not from_logits else LOGITS
    assert np.all(np.array(loss(np.full(N, -1), p)) == 0) and np.all(loss.gradient(np.full(N, -1), p) == 0)
    some = np.where(np.arange(N) < 2, -1, CLASSES)
    rest = L.SparseCategoricalCrossentropy(from_logits, reduction=reduction)
    value, expected = loss(some, p), rest(CLASSES[2:], p[2:])
    np.testing.assert_allclose(value[2:] if reduction is None else value, expected, rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(some, p)[2:], rest.gradient(CLASSES[2:], p[2:]), rtol=1e-13)
    assert np.all(loss.gradient(some, p)[:2] == 0)


def test_weights_reach_sequences():
    z, y = RNG.normal(size=(2, 3, 4)), np.array([[0, 1, 2], [3, 0, 1]])
    loss = L.SparseCategoricalCrossentropy(True, reduction="mean_with_sample_weight")
    each = L.sparse_categorical_crossentropy(y, z, True)
    assert np.isclose(loss(y, z, [1, 3]), np.average(each, weights=[[1] * 3, [3] * 3]))
    w = np.arange(6.0).reshape(2, 3)
    assert np.isclose(loss(y, z, w), np.average(each, weights=w))
    numeric = central(lambda q: loss(y, q, w), z, 1.0)
    np.testing.assert_allclose(loss.gradient(y, z, w), numeric, atol=1e-9)
    infinite = np.array([[0.0, -np.inf], [0.0, 0.0]])
    assert np.isclose(L.SparseCategoricalCrossentropy(True)([1, 0], infinite, [0, 1]), math.log(2) / 2)
    assert np.isclose(L.SparseCategoricalCrossentropy(True).value_and_gradient([1, 0], infinite, [0, 1])[0], math.log(2) / 2)


def test_get_and_repr():
    assert L.get("mse") is L.get("MSE") is L.mean_squared_error and L.get(None) is None and L.get(np.sin) is np.sin
    assert isinstance(L.get("BinaryCrossentropy"), L.BinaryCrossentropy) and L.get("bce") is L.binary_crossentropy
    assert L.get_prime("huber") is L.huber_prime and L.get_prime(L.hinge) is L.hinge_prime
    for f in (L.get, L.get_prime, L.Loss):
        with pytest.raises(ValueError, match="no loss 'mqe'; there are mean_squared_error, .*Dice"):
            f("mqe")
        with pytest.raises(TypeError, match="name of a loss, got int"):
            f(3)
    with pytest.raises(ValueError, match="gradient of 'sin' is not known"):
        L.get_prime(np.sin)
    assert repr(L.Loss("mse")) == "Loss('mean_squared_error', reduction='sum_over_batch_size')"
    for name, cls in L._CLASSES.items():
        loss = cls()
        again = cls(**loss.get_config())
        assert repr(again) == repr(loss) and repr(loss).startswith(name) and again.name == loss.name


def test_keras_short_names(keras):
    for short in ("mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "kld", "KLD"):
        assert L.get(short).__name__ == keras.losses.get(short).__name__


# --- the best constant ----------------------------------------------------------------------------------------------

@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12), st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_best_constant(values, q):
    y = np.array(values, float)
    assert np.isclose(L.best_constant("mse", y), y.mean(), atol=1e-9)
    assert np.isclose(L.best_constant("mae", y), np.median(y), atol=1e-9)
    expected = np.quantile(y, q, method="averaged_inverted_cdf")
    assert np.isclose(L.best_constant("quantile_loss", y, q=q), expected, atol=1e-9)
    assert np.isclose(L.best_constant("huber", y, delta=1e6), y.mean(), atol=1e-9)


def test_best_constant_of_other_losses():
    y = np.array([0, 0, 1, 1, 1.0])
    assert np.isclose(L.best_constant("binary_crossentropy", y), 0.6)
    assert np.isclose(L.best_constant(L.BinaryCrossentropy(from_logits=True), y), special.logit(0.6))
    assert np.isclose(L.best_constant("poisson", [1, 2, 6]), 3, atol=1e-6)
    assert np.isclose(L.best_constant("msle", [0.5, 3, 9]), np.expm1(np.log1p([0.5, 3, 9]).mean()))
    assert L.best_constant("hinge", y) == 1 and L.best_constant("hinge", -(2 * y - 1)) == -1
    assert L.best_constant(L.Huber(delta=1e9), [1.0, 2.0, 6.0]) == 3
    assert L.best_constant("mse", [7.0, 7.0]) == 7
    for bad in ([[1.0]], [], [np.nan]):
        with pytest.raises(ValueError, match="y "):
            L.best_constant("mse", bad)
    with pytest.raises(ValueError, match="compares rows"):
        L.best_constant("kl_divergence", [1.0])


# --- properties -----------------------------------------------------------------------------------------------------

POSITIVES = st.lists(st.floats(0.01, 10), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None)
@given(POSITIVES, POSITIVES)
def test_divergences(a, b):
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    kl, js = L.kl_divergence(p, q), L.js_divergence(p, q)
    far = np.abs(p - q).sum()
    assert kl >= 0.5 * far**2 - 1e-12                                    # Pinsker: 0 only for equal distributions
    assert L.kl_divergence(p, p) == 0 and L.js_divergence(p, p) == 0
    assert -1e-12 <= js <= math.log(2) and np.isclose(js, L.js_divergence(q, p), atol=1e-12)
    assert np.isclose(L.categorical_crossentropy(p, q), stats.entropy(p) + kl, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_huber_properties(r, delta):
    value = L.huber([0.0], [r], delta)
    assert np.isclose(L.huber([0.0], [r], np.inf), 0.5 * L.mean_squared_error([0.0], [r]))
    assert value <= 0.5 * r * r * (1 + 1e-12) and value <= delta * abs(r) and np.isclose(value, L.huber([0.0], [-r], delta))
    assert abs(L.huber_prime([0.0], [r], delta)[0]) <= delta


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-700, 700), min_size=2, max_size=5), st.integers(0, 1), st.floats(-1e3, 1e3))
def test_cross_entropy_properties(z, label, shift):
    z = np.array(z)
    value = L.sparse_categorical_crossentropy([label], z[None], True)[0]
    assert value >= 0 and np.isclose(value, special.logsumexp(z) - z[label], atol=1e-9)
    assert np.isclose(L.sparse_categorical_crossentropy([label], z[None] + shift, True)[0], value, atol=1e-9)
    assert np.isclose(L.sparse_categorical_crossentropy_prime([label], z[None], True).sum(), 0, atol=1e-12)
    two = np.array([0.0, z[0]])
    assert np.isclose(L.binary_crossentropy([label], z[:1], True), L.sparse_categorical_crossentropy([label], two[None], True)[0])
    hot = np.eye(z.size)[[label]]
    assert np.isclose(L.categorical_crossentropy(hot, z[None], True)[0], value, atol=1e-12)


# --- speed, the price of an import, the documentation ----------------------------------------------------------------

def test_softmax_cross_entropy_is_not_slower_than_the_plain_form():
    z = RNG.normal(size=(10_000, 100)).astype(np.float32)
    y = RNG.integers(0, 100, 10_000)
    loss, rows = L.SparseCategoricalCrossentropy(from_logits=True), np.arange(len(y))

    def plain():
        top = z.max(axis=1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(axis=1, keepdims=True)
        value = np.mean(np.log(total[:, 0]) + top[:, 0] - z[rows, y])
        e /= total
        e[rows, y] -= 1
        e /= len(y)
        return value, e

    def seconds(f):
        start = time.perf_counter()
        f()
        return time.perf_counter() - start

    value, gradient = loss.value_and_gradient(y, z)
    assert gradient.dtype == np.float32 and np.isclose(value, plain()[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, plain()[1], atol=1e-9)
    pairs = [(seconds(lambda: loss.value_and_gradient(y, z)), seconds(plain)) for _ in range(9)]
    assert min(a for a, _ in pairs) < 1.5 * min(b for _, b in pairs)      # measured 0.9; the rest is for busy machines


def test_import_is_light():
    code = ("import sys; from mlcheat.nn.losses import hinge; hinge([1], [0.5]); "
            "print([m for m in ('scipy', 'matplotlib', 'sklearn', 'keras') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", [n for n in L.__all__ if callable(getattr(L, n))])
def test_docstrings_are_cards(name):
    doc = inspect.getdoc(getattr(L, name))
    assert "Use when " in doc and "Avoid when " in doc and ">>> " in doc
    if name in FUNCTIONS or name.endswith("_prime") and name != "get_prime":
        assert ".. math::" in doc and "References\n-" in doc and "Raises\n-" in doc


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1.0, 29.0, 31.0, 1e4])
def test_sparse_crossentropy_is_exact_for_small_and_for_huge_logits(size, dtype):
    """Logits up to 30 are not shifted, larger ones are: both agree with 80-bit numbers, value and gradient."""
    rng = np.random.default_rng(3)
    z, y = (size * rng.uniform(-1, 1, (40, 7))).astype(dtype), rng.integers(0, 7, 40)
    z[0] = size * np.array([-1, 1, 1, -1, 1, -1, 1])
    wide = z.astype(np.longdouble)
    wide -= wide.max(axis=1, keepdims=True)
    log_p = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    value, gradient = L.SparseCategoricalCrossentropy(from_logits=True, reduction="none").value_and_gradient(y, z)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(value, -log_p[np.arange(40), y], rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(gradient, np.exp(log_p) - np.eye(7)[y], rtol=40 * eps, atol=8 * eps)
