"""Regularization against scikit-learn, Keras, SciPy and brute force; edges, errors, properties."""
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn import __version__ as sklearn_version
from sklearn.linear_model import ElasticNet, Lasso, Ridge, lasso_path
from sklearn.utils.fixes import parse_version

from mlcheat.nn import regularization as R

OPTIONS = dict(max_examples=30, deadline=None)
PENALTIES = [R.L1(0.3), R.L2(0.2), R.L1L2(0.1, 0.4), R.L1(0.0), R.L1L2()]
# lasso_path takes the number of prices as n_alphas before scikit-learn 1.9.
PATH = {"alphas": 12} if parse_version(sklearn_version) >= parse_version("1.9") else {"n_alphas": 12}
FINITE = st.floats(-100, 100, allow_nan=False)


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    return X, X @ [2.0, -1.0, 0.0] + 0.1 * rng.normal(size=200)


def images(n=5, h=6, w=7, c=3, dtype=np.float64, seed=0):
    x = np.random.default_rng(seed).random((n, h, w, c))
    return (x * np.iinfo(dtype).max).astype(dtype) if np.dtype(dtype).kind in "iu" else x.astype(dtype)


# --- penalties ---

@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("shape", [(4,), (3, 2), (2, 3, 1, 2), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalties_as_keras(keras, penalty, shape, dtype):
    import tensorflow as tf

    w = np.random.default_rng(1).normal(size=shape).astype(dtype)
    if dtype == np.float64 and type(penalty) is R.L1 and parse_version(keras.__version__) < parse_version("3.14"):
        pytest.skip("L1 of Keras before 3.14 holds its price in float32 and cannot multiply float64 by it")
    judge = getattr(keras.regularizers, type(penalty).__name__)(**penalty.get_config())
    with tf.GradientTape() as tape:
        variable = tf.Variable(w)
        value = judge(variable)
    slope = tape.gradient(value, variable)
    assert isinstance(penalty(w), float) and np.isclose(penalty(w), float(value), rtol=1e-6, atol=1e-7)
    assert penalty.gradient(w).dtype == dtype and penalty.gradient(w).shape == shape
    np.testing.assert_allclose(penalty.gradient(w), np.zeros(shape) if slope is None else slope, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_gradients_by_central_differences_away_from_zero(penalty):
    w = np.random.default_rng(2).normal(size=(4, 3))
    w += 0.1 * np.sign(w)
    slope = np.empty_like(w)
    for i in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + 1e-6, w[i] - 1e-6
        slope[i] = (penalty(up) - penalty(down)) / 2e-6
    np.testing.assert_allclose(penalty.gradient(w), slope, atol=1e-7)


def test_defaults_and_configurations_are_those_of_keras(keras):
    for name in ("L1", "L2", "L1L2"):
        ours, theirs = getattr(R, name)(), getattr(keras.regularizers, name)()
        assert ours.get_config() == pytest.approx(theirs.get_config())
        assert type(ours).from_config(ours.get_config()) == ours
    assert R.l1 is R.L1 and R.l2 is R.L2 and R.l1_l2 is R.L1L2
    assert R.l1_l2(l1=0.1, l2=0.2).get_config() == {"l1": 0.1, "l2": 0.2}
    assert R.L1(np.float32(0.5)).get_config() == {"l1": 0.5}


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, "1", None, True, [0.1]])
@pytest.mark.parametrize("make", [R.L1, R.L2, lambda v: R.L1L2(l1=v), lambda v: R.L1L2(l2=v)])
def test_strengths_out_of_range(make, bad):
    with pytest.raises(ValueError, match="must be a number"):
        make(bad)


def test_penalties_refuse_what_is_no_number_and_leave_their_argument_alone():
    for penalty in PENALTIES:
        with pytest.raises(TypeError, match="real numbers"):
            penalty(["a"])
        with pytest.raises(TypeError, match="real numbers"):
            penalty.gradient(np.ones(2, complex))
        w = np.array([1.0, -2.0])
        g = penalty.gradient(w)
        g += 5
        assert w.tolist() == [1.0, -2.0]
    with pytest.raises(AttributeError):
        R.L1(0.1).l1 = 2.0
    assert R.L1(2)([3, -4]) == 14.0 and R.L2(2).gradient([1, 2]).tolist() == [4.0, 8.0]


def test_large_float32_sums_are_taken_in_double():
    w = np.full(2**20, 0.1, np.float32)
    assert R.L1(1.0)(w) == pytest.approx(float(np.float32(0.1)) * 2**20, rel=1e-9)


def test_finder(keras):
    assert R.get_regularizer(None) is None
    assert R.get_regularizer("l1") == R.L1(0.01) and R.get_regularizer("L2") == R.L2(0.01)
    assert R.get_regularizer("l1_l2") == R.get_regularizer("L1L2") == R.get_regularizer("l1l2") == R.L1L2()
    assert R.get_regularizer(R.L2) == R.L2()
    assert R.get_regularizer({"class_name": "L1", "config": {"l1": 0.3}}) == R.L1(0.3)
    mine = R.L2(0.5)
    assert R.get_regularizer(mine) is mine
    for name in ("l1", "l2", "L1", "L2", "L1L2"):
        assert R.get_regularizer(name).get_config() == pytest.approx(keras.regularizers.get(name).get_config())
    for bad in ("l3", "", {"class_name": "dropout", "config": {}}):
        with pytest.raises(ValueError, match="no penalty is called"):
            R.get_regularizer(bad)
    for bad in (3, lambda w: 0.0, object()):
        with pytest.raises(TypeError, match="__call__ and gradient"):
            R.get_regularizer(bad)


# --- soft threshold, lasso, ridge ---

@settings(**OPTIONS)
@given(st.lists(FINITE, min_size=1, max_size=8), st.floats(0, 50))
def test_soft_threshold_shrinks_towards_zero(values, t):
    w = np.array(values)
    new = R.soft_threshold(w, t)
    np.testing.assert_allclose(new, np.sign(w) * np.maximum(np.abs(w) - t, 0), atol=1e-12)
    assert np.all(new[np.abs(w) <= t] == 0) and np.all(np.abs(new) <= np.abs(w))


def test_soft_threshold_dtype_arrays_and_errors():
    assert R.soft_threshold(np.float32([1, -2]), 0.5).dtype == np.float32
    assert R.soft_threshold([3, -3], [1.0, 5.0]).tolist() == [2.0, 0.0]
    assert R.soft_threshold(3.0, 1.0) == 2.0
    for bad in (-1.0, np.nan, [1.0, -1.0]):
        with pytest.raises(ValueError, match="must not be negative"):
            R.soft_threshold([1.0, 2.0], bad)


@pytest.mark.parametrize("shape", [(50, 4), (30, 60), (200, 15)])
@pytest.mark.parametrize("share", [0.9, 0.3, 0.05])
def test_lasso_as_scikit_learn(shape, share):
    rng = np.random.default_rng(3)
    X = rng.normal(size=shape) * rng.uniform(0.5, 2, shape[1])
    y = X[:, :3] @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=shape[0])
    lam = share * R.lambda_max(X, y)
    judge = Lasso(lam, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y).coef_
    ours = R.fit_lasso(X, y, lam, max_iter=20_000)
    np.testing.assert_allclose(ours, judge, atol=1e-6)
    assert np.array_equal(ours != 0, np.abs(judge) > 1e-9)
    correlation = X.T @ (y - X @ ours) / len(y)
    assert np.all(np.abs(correlation) <= lam * (1 + 1e-6))
    np.testing.assert_allclose(correlation[ours != 0], lam * np.sign(ours[ours != 0]), rtol=1e-5)


def test_lasso_path_as_scikit_learn():
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(60, 8)), rng.normal(size=60)
    alphas, coefs, _ = lasso_path(X, y, **PATH, eps=1e-2, tol=1e-12)
    assert R.lambda_max(X, y) == pytest.approx(alphas[0])
    for alpha, coef in zip(alphas, coefs.T):
        np.testing.assert_allclose(R.fit_lasso(X, y, alpha), coef, atol=1e-6)


@pytest.mark.parametrize("shape", [(50, 4), (30, 60), (5, 5)])
@pytest.mark.parametrize("lam", [0.01, 1.0, 100.0])
def test_ridge_as_scikit_learn(shape, lam):
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    judge = Ridge(2 * len(y) * lam, fit_intercept=False, solver="svd").fit(X, y).coef_
    np.testing.assert_allclose(R.fit_ridge(X, y, lam), judge, rtol=1e-7, atol=1e-10)


def test_ridge_without_penalty_is_least_squares_also_with_equal_columns():
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    np.testing.assert_allclose(R.fit_ridge(X, y, 0.0), np.linalg.lstsq(X, y)[0], atol=1e-12)
    twins = np.column_stack([X, X[:, 0]])
    np.testing.assert_allclose(R.fit_ridge(twins, y, 0.0), np.linalg.pinv(twins) @ y, atol=1e-10)
    tiny = R.fit_ridge(twins, y, 1e-18)                          # a penalty lost in rounding
    np.testing.assert_allclose(tiny, np.linalg.pinv(twins) @ y, atol=1e-3)
    assert R.fit_ridge(twins, y, 0.1)[0] == pytest.approx(R.fit_ridge(twins, y, 0.1)[3])


def test_elastic_net_through_extra_rows():
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(40, 5)), rng.normal(size=40)
    l1, l2 = 0.05, 0.1
    rows = np.vstack([X, np.sqrt(2 * 40 * l2) * np.eye(5)])
    judge = ElasticNet(l1 + 2 * l2, l1_ratio=l1 / (l1 + 2 * l2), fit_intercept=False, tol=1e-12).fit(X, y).coef_
    np.testing.assert_allclose(R.fit_lasso(rows, np.r_[y, np.zeros(5)], l1 * 40 / 45), judge, atol=1e-6)


@pytest.mark.parametrize("fit", [R.fit_lasso, R.fit_ridge])
def test_fits_keep_dtype_and_take_column_targets(fit, problem):
    X, y = problem
    w = fit(X.astype(np.float32), y.astype(np.float32), 0.1)
    assert w.dtype == np.float32 and w.shape == (3,)
    np.testing.assert_allclose(w, fit(X, y[:, None], 0.1), rtol=1e-5, atol=1e-6)
    assert fit(np.round(X * 10).astype(int), np.round(y * 10).astype(int), 0.1).dtype == np.float64
    kept = X.copy(), y.copy()
    fit(X, y, 0.1)
    assert np.array_equal(X, kept[0]) and np.array_equal(y, kept[1])


def test_lasso_edges(problem):
    X, y = problem
    top = R.lambda_max(X, y)
    assert top == pytest.approx(2.067811500766036)
    assert not R.fit_lasso(X, y, top).any() and not R.fit_lasso(X, y, 1e6).any()
    assert np.count_nonzero(R.fit_lasso(X, y, 0.99 * top)) == 1
    np.testing.assert_allclose(R.fit_lasso(X, y, 0.0), np.linalg.lstsq(X, y)[0], atol=1e-7)
    with_empty = np.column_stack([X, np.zeros(200)])
    assert R.fit_lasso(with_empty, y, 0.01)[3] == 0
    assert not R.fit_lasso(X, np.zeros(200), 0.1).any()
    with pytest.warns(RuntimeWarning, match="sweeps were not enough"):
        R.fit_lasso(X + X[:, :1], y, 0.001, max_iter=1, tol=1e-14)


@pytest.mark.parametrize("call", [
    lambda X, y: R.fit_lasso(X, y, 0.1), lambda X, y: R.fit_ridge(X, y, 0.1), R.lambda_max,
    lambda X, y: R.linear_l1_step(X, y, np.zeros(3), 0.1, 0.1), lambda X, y: R.linear_l2_step(X, y, np.zeros(3), 0.1, 0.1)])
def test_linear_functions_refuse_what_does_not_fit(call, problem):
    X, y = problem
    call(X, y[:, None])
    for bad_X, bad_y in ((X, y[:-1]), (X, y[None]), (X, np.column_stack([y, y])), (X[:, 0], y), (X[:0], y[:0])):
        with pytest.raises(ValueError, match="shape"):
            call(bad_X, bad_y)
    broken = X.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        call(broken, y)
    with pytest.raises(TypeError, match="real numbers"):
        call(X.astype(complex), y)


def test_numbers_of_linear_functions_out_of_range(problem):
    X, y = problem
    for call in (R.fit_lasso, R.fit_ridge):
        with pytest.raises(ValueError, match="lam"):
            call(X, y, -0.1)
    for step in (R.linear_l1_step, R.linear_l2_step):
        with pytest.raises(ValueError, match="lam"):
            step(X, y, np.zeros(3), 0.1, -0.1)
        with pytest.raises(ValueError, match="lr"):
            step(X, y, np.zeros(3), 0.0, 0.1)
        with pytest.raises(ValueError, match="b must"):
            step(X, y, np.zeros(3), 0.1, 0.1, b=np.nan)
        for w in (np.zeros(2), np.zeros((1, 3)), np.zeros((3, 3)), 0.0):
            with pytest.raises(ValueError, match="w must have shape"):
                step(X, y, w, 0.1, 0.1)
    for bad in (dict(max_iter=0), dict(tol=0.0)):
        with pytest.raises(ValueError):
            R.fit_lasso(X, y, 0.1, **bad)


@pytest.mark.parametrize("w_shape", [(3,), (3, 1)])
@pytest.mark.parametrize("column", [False, True])
def test_steps_converge_to_scikit_learn_with_a_bias(problem, w_shape, column):
    X, y = problem
    y = y + 4.0
    judges = Lasso(0.05, tol=1e-12).fit(X, y), Ridge(2 * 200 * 0.05).fit(X, y)
    for step, judge in zip((R.linear_l1_step, R.linear_l2_step), judges):
        w, b = np.zeros(w_shape), 0.0
        for _ in range(600):
            w, b = step(X, y[:, None] if column else y, w, 0.1, 0.05, b=b)
        assert w.shape == w_shape and isinstance(b, float)
        np.testing.assert_allclose(w.ravel(), judge.coef_, atol=1e-8)
        assert b == pytest.approx(judge.intercept_, abs=1e-8)


def test_one_step_is_the_gradient_step_and_changes_nothing_given(problem):
    X, y = problem
    w = np.array([0.5, -0.2, 0.1])
    loss = lambda w, extra: np.sum((y - X @ w - 0.3) ** 2) / 400 + extra(w)
    for step, penalty in ((lambda *a, **k: R.linear_l1_step(*a, proximal=False, **k), R.L1(0.2)), (R.linear_l2_step, R.L2(0.2))):
        slope = [(loss(w + e, penalty) - loss(w - e, penalty)) / 2e-6 for e in 1e-6 * np.eye(3)]
        kept = w.copy()
        new, b = step(X, y, w, 0.1, 0.2, b=0.3)
        np.testing.assert_allclose(new, w - 0.1 * np.array(slope), atol=1e-8)
        assert b == pytest.approx(0.3 + 0.1 * np.mean(y - X @ w - 0.3)) and np.array_equal(w, kept)
    assert R.linear_l1_step(X, y, w.astype(np.float32), 0.1, 0.2)[0].dtype == np.float32


# --- dropout, max-norm ---

@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_dropout_values_mask_and_dtype(dtype, rate):
    x = np.arange(1, 1001, dtype=dtype).reshape(10, 100)
    kept = x.copy()
    out, mask = R.dropout(x, rate, rng=0, return_mask=True)
    assert out.dtype == mask.dtype == dtype and out.shape == mask.shape == x.shape and out is not x
    scale = 0 if rate == 1 else 1 / (1 - rate)
    assert np.all((out == 0) | np.isclose(out, x * dtype(scale), rtol=1e-3 if dtype is np.float16 else 1e-6))
    np.testing.assert_array_equal(out, x * mask)
    assert abs(np.mean(mask == 0) - rate) < 0.06 and np.array_equal(x, kept)


def test_dropout_mean_of_a_million_ones_as_keras(keras):
    ones = np.ones(1_000_000, np.float32)
    ours = R.dropout(ones, 0.3, rng=1)
    theirs = np.asarray(keras.layers.Dropout(0.3, seed=1)(ones, training=True))
    for out in (ours, theirs):
        assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.7)} and abs(out.mean() - 1) < 0.01
    np.testing.assert_array_equal(R.dropout(ones, 0.3, training=False), ones)


@pytest.mark.parametrize("rate, factor", [(0.2, 0.25), (0.5, 1.0)])
def test_dropout_variance(rate, factor):
    thin = R.dropout(np.full(400_000, 3.0), rate, rng=2)
    assert thin.var() == pytest.approx(9 * factor, rel=0.01)


def test_dropout_edges():
    x = np.array([1.0, np.inf, 3.0, np.nan])
    assert np.all(R.dropout(x, 1.0) == 0)
    copy = R.dropout(x, 0.0)
    np.testing.assert_array_equal(copy, x)
    copy[0] = 9
    assert x[0] == 1
    assert R.dropout([], 0.5).shape == (0,) and R.dropout([1, 2], 0.5, 0).dtype == np.float64
    np.testing.assert_array_equal(R.dropout(np.ones(50), 0.5, 7), R.dropout(np.ones(50), 0.5, np.random.default_rng(7)))
    rng = np.random.default_rng(0)
    assert not np.array_equal(R.dropout(np.ones(50), 0.5, rng), R.dropout(np.ones(50), 0.5, rng))
    with np.errstate(all="raise"):                                 # a dropped infinity is 0, not nan
        assert set(R.dropout(np.full(20, np.inf), 0.5, 0)) == {0.0, np.inf}


def test_dropout_drops_whole_channels_with_a_noise_shape():
    out, mask = R.dropout(np.ones((8, 3, 3, 16)), 0.5, 0, noise_shape=(None, 1, 1, None), return_mask=True)
    assert mask.shape == out.shape and np.all(np.ptp(out, axis=(1, 2)) == 0) and 0.3 < np.mean(out == 0) < 0.7
    for bad in ((1, 1), (8, 2, 1, 16), (3,)):
        with pytest.raises(ValueError, match="noise_shape"):
            R.dropout(np.ones((8, 3, 3, 16)), 0.5, noise_shape=bad)


@pytest.mark.parametrize("rate", [-0.5, 1.5, np.nan, "0.5", None])
def test_dropout_refuses_rates(rate):
    with pytest.raises(ValueError, match="rate"):
        R.dropout(np.ones(3), rate)
    with pytest.raises(ValueError, match="rate"):
        R.dropout(np.ones(3), rate, training=False)


def test_random_sources_that_are_none():
    with pytest.raises(TypeError, match="rng"):
        R.dropout(np.ones(3), 0.5, rng="seed")
    with pytest.raises(TypeError, match="rng"):
        R.noisy_inputs(np.ones(3), 0.5, rng=-1)


def test_monte_carlo_dropout():
    rng = np.random.default_rng(0)
    model = lambda x, training: R.dropout(x, 0.5, rng, training=training) @ np.ones((4, 2))
    mean, std = R.mc_dropout_predict(model, np.ones((3, 4)), n=4000)
    assert mean.shape == std.shape == (3, 2)
    np.testing.assert_allclose(mean, 4, atol=5 * 2 / np.sqrt(4000))
    np.testing.assert_allclose(std, 2, rtol=0.05)                # variance 4 * 1 of four units
    mean, std = R.mc_dropout_predict(lambda x, training: x, np.ones(2), n=1)
    assert mean.tolist() == [1, 1] and std.tolist() == [0, 0]
    with pytest.raises(ValueError, match="n must be"):
        R.mc_dropout_predict(model, np.ones((3, 4)), n=0)
    shapes = iter([np.ones(2), np.ones(3)])
    with pytest.raises(ValueError, match="one shape"):
        R.mc_dropout_predict(lambda x, training: next(shapes), None, n=2)


@pytest.mark.parametrize("axis, shape", [(0, (6, 4)), ((0, 1, 2), (3, 3, 2, 5)), (None, (4, 3)), ([0], (3, 2))])
def test_max_norm_as_keras(keras, axis, shape):
    w = np.random.default_rng(0).normal(size=shape)
    ours = R.max_norm(w, 1.2, axis)
    if axis is not None:
        theirs = keras.constraints.MaxNorm(1.2, axis=axis)(keras.ops.convert_to_tensor(w))
        np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-6)
    length = np.sqrt(np.sum(ours**2, axis=tuple(axis) if isinstance(axis, list) else axis))
    assert np.all(length <= 1.2 + 1e-12) and ours.shape == shape


def test_max_norm_edges():
    assert R.max_norm(np.zeros((2, 2)), 0.0).tolist() == [[0, 0], [0, 0]]
    assert R.max_norm(np.ones((2, 2), np.float32), 1.0).dtype == np.float32
    w = np.ones((2, 2))
    R.max_norm(w, 0.1)
    assert w.tolist() == [[1, 1], [1, 1]]
    for bad in (-1.0, np.nan):
        with pytest.raises(ValueError, match="limit"):
            R.max_norm(w, bad)


# --- early stopping ---

def replay(errors, **options):
    return R.early_stopping(lambda t: t + 1, lambda t: errors[t - 1], 0, max_steps=len(errors), **options)


def brute_force(errors, patience):
    """(evaluations made, best) counted from 1, straight from the definition."""
    for k in range(1, len(errors) + 1):
        best = int(np.argmin(errors[:k])) + 1
        if k - best >= patience:
            return k, best
    return len(errors), int(np.argmin(errors)) + 1


@settings(**OPTIONS)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 6))
def test_early_stopping_as_brute_force(errors, patience):
    result = replay(errors, patience=patience)
    evaluations, best = brute_force(errors, patience)
    assert (len(result.history), result.n_steps, result.params) == (evaluations, best, best)
    assert result.error == min(errors[:evaluations])


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("min_delta", [0.0, 0.15])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_early_stopping_as_keras(keras, patience, min_delta, seed):
    rng = np.random.default_rng(seed)
    errors = (2.0 / np.arange(1, 31) + 0.3 * rng.random(30) + 0.02 * np.arange(30)).round(3).tolist()
    judge = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, min_delta=min_delta, mode="min")

    class Model:
        stop_training = False

    judge.set_model(Model())
    judge.on_train_begin()
    for epoch, error in enumerate(errors):
        judge.on_epoch_end(epoch, {"val_loss": error})
        if judge.model.stop_training:
            break
    result = replay(errors, patience=patience, min_delta=min_delta)
    assert len(result.history) == epoch + 1 and result.stopped == judge.model.stop_training
    assert result.n_steps == judge.best_epoch + 1 and result.error == judge.best


def test_early_stopping_example_and_interval():
    result = replay([5, 4, 3, 3.5, 3.2, 2.9], patience=2)
    assert (result.params, result.n_steps, result.error, result.stopped) == (3, 3, 3.0, True)
    assert result.history.tolist() == [5, 4, 3, 3.5, 3.2]
    every_third = R.early_stopping(lambda t: t + 1, lambda t: abs(t - 10), 0, n=3, patience=2)
    assert every_third.history.tolist() == [7, 4, 1, 2, 5] and every_third.n_steps == every_third.params == 9


def test_early_stopping_edges():
    reached = replay([5, 4, 3], patience=10)
    assert not reached.stopped and reached.n_steps == 3
    none = R.early_stopping(lambda t: t + 1, lambda t: 0.0, 7, n=5, max_steps=4)
    assert none.params == 7 and none.n_steps == 0 and none.error == np.inf and none.history.shape == (0,) and not none.stopped
    assert R.early_stopping(lambda t: t, lambda t: 0.0, 7, max_steps=0).history.size == 0
    assert len(replay([3, 4, 5], patience=0).history) == len(replay([3, 4, 5], patience=1).history) == 2
    with pytest.warns(RuntimeWarning, match="nan after 2 steps"):
        result = replay([3, np.nan, 4, 1], patience=2)
    assert result.n_steps == 1 and len(result.history) == 3
    with pytest.warns(RuntimeWarning, match="nan"):
        result = replay([np.nan] * 4, patience=3)
    assert result.params == 0 and result.error == np.inf and result.stopped


def test_early_stopping_copies_parameters_changed_in_place():
    start = [np.zeros(2)]

    def step(params):
        params[0] += 1

    result = R.early_stopping(step, lambda p: abs(p[0][0] - 4), start, patience=3)
    assert start[0].tolist() == [0, 0] and result.params[0].tolist() == [4, 4] and result.n_steps == 4


@pytest.mark.parametrize("bad", [dict(n=0), dict(n=1.5), dict(patience=-1), dict(patience=True), dict(min_delta=-0.1),
                                 dict(max_steps=-1), dict(min_delta=np.nan)])
def test_early_stopping_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        R.early_stopping(lambda t: t, lambda t: 0.0, 0, **bad)


def test_early_stopping_needs_one_number():
    with pytest.raises(ValueError, match="one number"):
        R.early_stopping(lambda t: t, lambda t: np.ones(2), 0)


def test_published_run():
    rng = np.random.default_rng(0)
    X, Xv, w = rng.normal(size=(30, 25)), rng.normal(size=(200, 25)), 0.3 * rng.normal(size=25)
    y, yv = X @ w + rng.normal(size=30), Xv @ w + rng.normal(size=200)
    step = lambda w: w - 0.1 * X.T @ (X @ w - y) / 30
    error = lambda w: np.mean((Xv @ w - yv) ** 2)
    result = R.early_stopping(step, error, np.zeros(25), patience=50)
    assert result.n_steps == 14 and result.error == pytest.approx(1.4639, abs=5e-5)
    w, gaps = np.zeros(25), []
    for _ in range(300):
        gaps.append(error(w) - np.mean((X @ w - y) ** 2))
        last = np.mean((X @ w - y) ** 2), error(w)
        w = step(w)
    assert last == pytest.approx((0.1455, 4.6730), abs=5e-5)
    assert (gaps[0], gaps[14]) == pytest.approx((-0.246, 0.925), abs=5e-4)


# --- ensembles ---

@pytest.mark.parametrize("rho, n", [(0.5, 10), (0.0, 3), (-0.25, 5), (1.0, 4), (-0.5, 1)])
def test_ensemble_variance_by_simulation(rho, n):
    covariance = 2.0 * (np.full((n, n), rho) + (1 - rho) * np.eye(n))
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(n), covariance, 40_000, method="eigh").mean(1)
    error = 3 * draws.var() * np.sqrt(2 / 40_000) + 1e-12
    assert abs(R.ensemble_variance(2.0, rho, n) - draws.var()) < error


def test_ensemble_variance_numbers_and_errors():
    assert R.ensemble_variance(1.0, 0.5, 10) == pytest.approx(0.55)
    assert R.ensemble_variance(3.0, 0.2, 1) == pytest.approx(3.0)
    assert R.ensemble_variance(1.0, -1 / 9, 10) == pytest.approx(0, abs=1e-15)
    for bad in ((-1, 0.5, 10), (1, 1.1, 10), (1, -0.2, 10), (1, 0.5, 0), (1, 0.5, 2.5), (1, np.nan, 3)):
        with pytest.raises(ValueError):
            R.ensemble_variance(*bad)


def test_bagging():
    class Model:
        def predict(self, x):
            return 5 * x

    x = np.array([[1.0, 2.0]])
    assert R.bagging_predict([lambda x: x, Model()], x).tolist() == [[3, 6]]
    assert R.bagging_predict([lambda x: x.astype(np.float32)], x).dtype == np.float32
    with pytest.raises(ValueError, match="at least one model"):
        R.bagging_predict([], x)
    with pytest.raises(ValueError, match="one shape"):
        R.bagging_predict([lambda x: x, lambda x: x[0]], x)


# --- noise ---

def test_input_noise_equals_an_l2_penalty():
    rng = np.random.default_rng(1)
    X, y, w = rng.normal(size=(100, 3)), rng.normal(size=100), rng.normal(size=3)
    draws = [np.mean((y - R.noisy_inputs(X, 0.5, rng) @ w) ** 2) for _ in range(5000)]
    formula = np.mean((y - X @ w) ** 2) + R.L2(0.25)(w)
    assert abs(np.mean(draws) - formula) < 3 * np.std(draws) / np.sqrt(5000)


def test_noise_keeps_dtype_and_input():
    x = np.ones((2, 3), np.float32)
    noisy = R.noisy_inputs(x, 0.5, 0)
    assert noisy.dtype == np.float32 and noisy.shape == (2, 3) and np.all(x == 1)
    np.testing.assert_array_equal(R.noisy_inputs(x, 0.0, 0), x)
    assert R.noisy_inputs([1, 2], 1.0, 0).dtype == np.float64
    weights = [np.zeros((500, 40)), np.zeros(40, np.float32)]
    new = R.noisy_weights(weights, 0.3, 0)
    assert [w.dtype for w in new] == [np.float64, np.float32] and abs(new[0].std() - 0.3) < 0.01
    assert not weights[0].any() and new[0] is not weights[0]
    for call in (lambda s: R.noisy_inputs(x, s), lambda s: R.noisy_weights(weights, s)):
        for bad in (-0.1, np.inf):
            with pytest.raises(ValueError, match="sigma"):
                call(bad)


def test_label_smoothing_as_keras(keras):
    y, p = np.eye(4)[[0, 2, 3]], np.random.default_rng(0).dirichlet(np.ones(4), 3)
    theirs = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)(y, p)
    ours = np.mean(-np.sum(R.label_smoothing(y, 0.2) * np.log(p), -1))
    assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_label_smoothing_is_the_expectation_over_random_relabelling():
    p, eps = np.array([0.7, 0.2, 0.1]), 0.1
    smooth = -R.label_smoothing([1, 0, 0], eps) @ np.log(p)
    assert smooth == pytest.approx(0.463297, abs=5e-7)
    assert smooth == pytest.approx((1 - eps) * -np.log(0.7) + eps * np.mean(-np.log(p)))


@settings(**OPTIONS)
@given(st.integers(2, 12), st.floats(0, 0.99))
def test_smoothed_labels_are_probabilities(k, eps):
    smooth = R.label_smoothing(np.eye(k), eps)
    assert np.allclose(smooth.sum(1), 1) and (smooth >= 0).all() and np.all(smooth.argmax(1) == np.arange(k))


def test_label_smoothing_edges():
    assert R.label_smoothing(np.eye(3, dtype=np.float32), 0.1).dtype == np.float32
    assert R.label_smoothing([1, 0, 0], 0.1) == pytest.approx([0.9333, 0.0333, 0.0333], abs=5e-5)
    for eps in (-0.1, 1.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="eps"):
            R.label_smoothing(np.eye(3), eps)
    for y in ([0, 2, 1], [[1], [0]], [[0.5, 0.2]], [[2, -1]], 1.0):
        with pytest.raises(ValueError, match="one-hot"):
            R.label_smoothing(y, 0.1)


# --- images ---

IMAGE_CALLS = {
    "flip": lambda x, rng: R.random_flip(x, "horizontal_and_vertical", rng), "crop": lambda x, rng: R.random_crop(x, 3, 4, rng),
    "shift": lambda x, rng: R.random_shift(x, 0.4, 0.3, rng), "rotation": lambda x, rng: R.random_rotation(x, 0.2, rng),
    "jitter": lambda x, rng: R.jitter(x, 0.3, 0.3, rng), "pca": lambda x, rng: R.pca_color_noise(x, 0.5, rng),
    "cutout": lambda x, rng: R.cutout(x, 3, rng)}


@pytest.mark.parametrize("name", IMAGE_CALLS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_image_functions_keep_dtype_shape_range_and_input(name, dtype):
    x, call = images(dtype=dtype), IMAGE_CALLS[name]
    kept = x.copy()
    new = call(x, 3)
    shape = (5, 3, 4, 3) if name == "crop" else x.shape
    assert new.dtype == dtype and new.shape == shape and np.array_equal(x, kept)
    assert not np.shares_memory(new, x) and not np.array_equal(new, x)
    np.testing.assert_array_equal(new, call(x, np.random.default_rng(3)))
    one = call(x[0], 3)
    assert one.shape == shape[1:] and one.dtype == dtype
    top = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
    assert new.min() >= 0 and new.max() <= top
    assert call(x[:0], 3).shape == (0, *shape[1:])


@pytest.mark.parametrize("name", IMAGE_CALLS)
def test_image_functions_refuse_other_ranks(name):
    for bad in (np.ones((4, 4)), np.ones(4), np.ones((1, 2, 4, 4, 3)), np.ones((4, 4, 3), bool), np.ones((0, 4, 1))):
        with pytest.raises(ValueError, match="images must be"):
            IMAGE_CALLS[name](bad, 0)


def test_flips_against_reversed_rows():
    x = images(40)
    for mode, axis in (("horizontal", 2), ("vertical", 1)):
        new = R.random_flip(x, mode, 0)
        same, turned = (np.all(new == y, axis=(1, 2, 3)) for y in (x, np.flip(x, axis)))
        assert np.all(same ^ turned) and 8 < turned.sum() < 32
    assert len({tuple(map(float, img[0, 0])) for img in R.random_flip(np.repeat(x[:1], 60, 0), "horizontal_and_vertical", 0)}) == 4
    with pytest.raises(ValueError, match="mode"):
        R.random_flip(x, "diagonal")


def test_crops_are_windows_and_reach_every_place():
    x = np.arange(30.0).reshape(1, 5, 6, 1).repeat(300, 0)
    corners = set()
    for crop in R.random_crop(x, 4, 3, 0)[..., 0]:
        i, j = divmod(int(crop[0, 0]), 6)
        np.testing.assert_array_equal(crop, x[0, i:i + 4, j:j + 3, 0])
        corners.add((i, j))
    assert corners == {(i, j) for i in range(2) for j in range(4)}
    np.testing.assert_array_equal(R.random_crop(x, 5, 6, 0), x)
    for size in ((6, 3), (3, 7), (0, 3)):
        with pytest.raises(ValueError):
            R.random_crop(x, *size)


def test_shift_as_scipy():
    x = images(200, 5, 6, 1)
    seen = set()
    for before, after in zip(x, R.random_shift(x, 0.2, 0.34, 0, fill_value=-1.0)):
        fits = [(a, b) for a in (-1, 0, 1) for b in (-2, -1, 0, 1, 2)
                if np.array_equal(after, ndimage.shift(before, (a, b, 0), order=0, cval=-1.0))]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) == 15
    np.testing.assert_array_equal(R.random_shift(x, 0, 0), x)
    for bad in ((-0.1, 0), (0, 1.1)):
        with pytest.raises(ValueError, match="factor"):
            R.random_shift(x, *bad)


@pytest.mark.parametrize("shape", [(6, 7), (5, 5)])
def test_rotation_as_scipy(shape):
    x = images(8, *shape, 2)
    angles = 2 * np.pi * 0.3 * np.random.default_rng(5).uniform(-1, 1, (8, 1, 1))
    centre = (np.array(shape) - 1) / 2
    for image, turned, angle in zip(x, R.random_rotation(x, 0.3, 5, fill_value=0.7), angles.ravel()):
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s], [s, c]])
        for k in range(2):
            judge = ndimage.affine_transform(image[..., k], matrix, centre - matrix @ centre, order=1, mode="grid-constant", cval=0.7)
            np.testing.assert_allclose(turned[..., k], judge, atol=1e-12)
    np.testing.assert_allclose(R.random_rotation(x, 0.0, 0), x)
    with pytest.raises(ValueError, match="factor"):
        R.random_rotation(x, 1.5)


def test_jitter_formula_and_range():
    x = 0.3 + 0.4 * images(6)
    new = R.jitter(x, 0.05, 0.1, 0)
    for before, after in zip(x, new):
        slope, shift = np.polyfit(before.ravel(), after.ravel(), 1)
        np.testing.assert_allclose(after, slope * before + shift, atol=1e-10)
        assert 0.9 <= slope <= 1.1 and abs(after.mean() - before.mean()) <= 0.05
    np.testing.assert_allclose(R.jitter(x, 0.0, 0.0, 0), x)
    for bad in (dict(brightness=-0.1), dict(contrast=1.1)):
        with pytest.raises(ValueError, match=next(iter(bad))):
            R.jitter(x, **bad)


def test_pca_colour_noise_moves_along_the_components():
    rng = np.random.default_rng(0)
    x = np.clip(0.5 + 0.1 * rng.normal(size=(4000, 2, 2, 1)) * np.array([1.0, 1.0, -1.0]) + 0.01 * rng.normal(size=(4000, 2, 2, 3)), 0, 1)
    shift = (R.pca_color_noise(x, 0.5, 1) - x)
    assert np.allclose(shift, shift[:, :1, :1], atol=1e-12)
    covariance = np.cov(x.reshape(-1, 3).T, bias=True)
    expected = 0.25 * covariance @ covariance                       # sum of p_k (sigma lambda_k)^2 p_k^T
    np.testing.assert_allclose(np.cov(shift[:, 0, 0].T), expected, atol=0.1 * expected.max())
    with pytest.raises(ValueError, match="sigma"):
        R.pca_color_noise(x[:2], -1.0)


def test_cutout_covers_at_most_one_square():
    x = np.ones((200, 6, 7, 2))
    holes = 1 - R.cutout(x, 3, 0)
    area = holes[..., 0].sum(axis=(1, 2))
    assert np.array_equal(holes[..., 0], holes[..., 1]) and area.max() == 9 and area.min() >= 4
    assert np.all(R.cutout(x, 50, 0, fill_value=5.0) == 5.0)
    for bad in (0, -1, 1.5):
        with pytest.raises(ValueError, match="size"):
            R.cutout(x, bad)


@pytest.mark.parametrize("call", [R.mixup, R.cutmix])
def test_mixtures_blend_labels_like_images(call):
    n = 12
    x = np.zeros((n, 8, 9, n))
    x[np.arange(n), :, :, np.arange(n)] = 1                        # each image is its own channel
    y = np.eye(n)
    kept = x.copy(), y.copy()
    new, labels = call(x, y, 1.0, 0)
    np.testing.assert_allclose(new.mean(axis=(1, 2)), labels, atol=1e-12)
    assert np.allclose(labels.sum(1), 1) and (labels > 0).sum(1).max() == 2
    assert np.array_equal(x, kept[0]) and np.array_equal(y, kept[1])
    np.testing.assert_array_equal(call(x, y, 1.0, np.random.default_rng(0))[0], new)


def test_mixup_keeps_types_and_takes_any_inputs():
    x, y = R.mixup(np.array([[0], [200]], np.uint8), np.eye(2, dtype=np.float32), 0.5, 1)
    assert x.dtype == np.uint8 and y.dtype == np.float32
    x, _ = R.mixup(np.random.default_rng(0).random((4, 3)).astype(np.float32), np.eye(4), 0.5, 1)
    assert x.dtype == np.float32 and x.shape == (4, 3)
    x, _ = R.cutmix(images(4, dtype=np.uint8), np.eye(4), 1.0, 1)
    assert x.dtype == np.uint8


@pytest.mark.parametrize("call", [R.mixup, R.cutmix])
def test_mixtures_refuse(call):
    x = images(3)
    for alpha in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="alpha"):
            call(x, np.eye(3), alpha)
    for y in ([0, 1, 2], np.ones((3, 3)), [[1], [1], [1]], np.eye(3) * 2):
        with pytest.raises(ValueError, match="one-hot"):
            call(x, y)
    with pytest.raises(ValueError, match="n inputs"):
        call(x, np.eye(4))


def test_cutmix_needs_a_batch_of_images():
    with pytest.raises(ValueError, match="images must be"):
        R.cutmix(np.ones((3, 3)), np.eye(3))
    with pytest.raises(ValueError, match="batch"):
        R.cutmix(np.ones((3, 4, 4)), np.eye(3))


def test_mixup_of_float_means_follows_the_beta_distribution():
    _, y = R.mixup(np.zeros((20_000, 1)), np.eye(2)[np.arange(20_000) % 2], 0.4, 0)
    mixed = y[(y > 0).all(1)].max(1)
    assert 0.5 <= mixed.min() and mixed.mean() > 0.75              # Beta(0.4, 0.4) sits near its ends


# --- text ---

TEXT = "the staff was friendly and the soup tasty".split()
TEXT_CALLS = {
    "deletion": lambda w, rng=0: R.random_deletion(w, 0.3, rng), "swap": lambda w, rng=0: R.random_swap(w, 2, rng),
    "insertion": lambda w, rng=0: R.random_insertion(w, 2, R.SYNONYMS, rng),
    "synonyms": lambda w, rng=0: R.synonym_replacement(w, 2, R.SYNONYMS, rng), "all": lambda w, rng=0: R.augment_text(w, rng=rng)}


@pytest.mark.parametrize("name", TEXT_CALLS)
def test_text_functions_on_odd_texts(name):
    call = TEXT_CALLS[name]
    assert call([]) == ([[]] * 4 if name == "all" else [])
    one = ["soup"]
    assert call(one) is not one and one == ["soup"]
    with pytest.raises(TypeError, match="split"):
        call("the soup")
    with pytest.raises(TypeError, match="strings"):
        call([1, 2])
    kept = list(TEXT)
    assert call(tuple(TEXT)) == call(TEXT) == call(TEXT, np.random.default_rng(0)) and TEXT == kept


@settings(**OPTIONS)
@given(st.lists(st.sampled_from(TEXT), max_size=10), st.floats(0, 1), st.integers(0, 1000))
def test_deletion_keeps_order_and_at_least_one_word(words, p, seed):
    new = R.random_deletion(words, p, seed)
    rest = iter(words)
    assert all(word in rest for word in new) and bool(new) == bool(words)


def test_deletion_rate():
    left = [len(R.random_deletion(["w"] * 100, 0.25, seed)) for seed in range(200)]
    assert abs(np.mean(left) - 75) < 1
    assert R.random_deletion(TEXT, 0.0) == TEXT and len(R.random_deletion(TEXT, 1.0, 0)) == 1
    for bad in (-0.1, 2, np.nan):
        with pytest.raises(ValueError, match="p must"):
            R.random_deletion(TEXT, bad)


@settings(**OPTIONS)
@given(st.lists(st.sampled_from(TEXT), max_size=10), st.integers(0, 30), st.integers(0, 1000))
def test_swaps_and_replacements_keep_what_they_must(words, n, seed):
    assert sorted(R.random_swap(words, n, seed)) == sorted(words)
    new = R.synonym_replacement(words, n, R.SYNONYMS, seed)
    changed = [i for i, (a, b) in enumerate(zip(words, new)) if a != b]
    assert len(new) == len(words) and len(changed) == min(n, sum(w in R.SYNONYMS for w in words))
    assert all(new[i] in R.SYNONYMS[words[i]] for i in changed)
    known = any(w in R.SYNONYMS for w in words)
    assert len(R.random_insertion(words, n, R.SYNONYMS, seed)) == len(words) + (n if known else 0)


def test_one_swap_exchanges_two_places():
    words = list("abcdef")
    new = R.random_swap(words, 1, 0)
    assert sum(a != b for a, b in zip(words, new)) == 2
    assert R.random_swap(["a"], 5) == ["a"]


def test_sources_of_new_words():
    assert R.random_insertion(["x"], 2, ["hot"], 0).count("hot") == 2
    assert R.random_insertion(["x"], 1, lambda w: [w.upper()], 0) in (["X", "x"], ["x", "X"])
    assert R.random_insertion(["x"], 3, [], 0) == ["x"] and R.random_insertion(["x"], 3, {}, 0) == ["x"]
    assert R.synonym_replacement(["x", "y"], 5, {"x": ("z",)}, 0) == ["z", "y"]
    assert R.synonym_replacement(["x"], 5, {}, 0) == ["x"]
    assert R.synonym_replacement(["x"], 1, lambda w: [w * 2], 0) == ["xx"]
    with pytest.raises(TypeError, match="split"):
        R.random_insertion(["x"], 1, "hot cold")
    for call in (R.random_swap, R.random_insertion, R.synonym_replacement):
        for bad in (-1, 1.5):
            with pytest.raises(ValueError, match="n must"):
                call(["x"], bad)


def test_augment_text():
    variants = R.augment_text(TEXT, 8, alpha=0.3, rng=0)
    assert len(variants) == 8 and R.augment_text(TEXT, 0) == []
    for i, variant in enumerate(variants):
        expected = (len(TEXT), len(TEXT) + 2, len(TEXT), None)[i % 4]
        assert expected is None or len(variant) == expected
    for bad in (dict(n=-1), dict(alpha=1.5)):
        with pytest.raises(ValueError):
            R.augment_text(TEXT, **bad)


def test_the_word_list_is_symmetric():
    assert all(word in R.SYNONYMS[other] and word != other for word, others in R.SYNONYMS.items() for other in others)
    assert len(R.SYNONYMS) > 60 and all(others for others in R.SYNONYMS.values())


# --- the corrected document ---

def test_image_data_generator_is_gone_and_the_layers_work(keras):
    with pytest.raises(ImportError):
        from keras.preprocessing.image import ImageDataGenerator  # noqa: F401
    tf = pytest.importorskip("tensorflow")
    assert "DEPRECATED" in tf.keras.preprocessing.image.ImageDataGenerator.__doc__
    augment = keras.Sequential([keras.layers.RandomTranslation(0.13, 0.13, fill_mode="constant", seed=0),
                                keras.layers.RandomRotation(0.03, fill_mode="constant", seed=0)])
    x = images(4, 8, 8, 1).astype(np.float32)
    assert not np.allclose(augment(x, training=True), x)
    np.testing.assert_allclose(augment(x, training=False), x)


def test_the_listed_dropout_accepts_anything():
    def listed(x, rate):
        keep = 1 - rate
        return (np.random.default_rng(0).uniform(0, 1, x.shape) < keep) * x * (1 / keep if keep > 0 else 0)

    assert np.allclose(listed(np.ones(5), -0.5), 2 / 3) and not listed(np.ones(5), 1.5).any()


def test_the_listed_random_deletion_fails_on_an_empty_text():
    with pytest.raises(ValueError):
        random.Random(0).randint(0, len([]) - 1)
