"""Gradient descent: agreement with SciPy, Keras and closed forms, properties, bad input, and the published numbers."""
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import OptimizeWarning, rosen, rosen_der

from mlcheat.basics.gradient_descent import (check_grad, constant, cosine_decay, exponential_decay, gradient_descent,
                                             inverse_time_decay, line_search_backtracking, lipschitz_constant,
                                             max_learning_rate, minibatches, sgd, step_decay)

ROOT = Path(__file__).resolve().parents[2]


def bowl(x):
    return (x[0] - 3) ** 2 + 2 * (x[1] + 1) ** 2 + 0.5 * x[0] * x[1]


def bowl_grad(x):
    return np.array([2 * (x[0] - 3) + 0.5 * x[1], 4 * (x[1] + 1) + 0.5 * x[0]])


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        return gradient_descent(*args, **kwargs)


def line_problem(X, y):
    """Cost, gradient and row gradient of a line's mean squared error, parameters (slope, bias)."""
    A = np.column_stack([X, np.ones(len(X))])
    cost = lambda t: float(np.mean((A @ t - y) ** 2))  # noqa: E731
    grad = lambda t: 2 / len(y) * A.T @ (A @ t - y)  # noqa: E731
    rows = lambda t, idx: 2 / len(idx) * (A[idx] @ t - y[idx]) @ A[idx]  # noqa: E731
    return A, cost, grad, rows


@pytest.fixture(scope="module")
def radio(advertising):
    X, y = advertising
    return X[:, 1], y


@pytest.fixture(scope="module")
def scaled_radio(radio):
    x, y = radio
    return (x - x.mean()) / x.std(), y


# ---------------------------------------------------------------- gradient_descent: results

@pytest.mark.parametrize("jac", [bowl_grad, None], ids=["gradient", "differences"])
@pytest.mark.parametrize("x0", [[0.0, 0.0], [10.0, -7.0]])
def test_finds_the_minimum_that_bfgs_finds(x0, jac):
    result = gradient_descent(bowl, x0, jac)
    judge = scipy.optimize.minimize(bowl, x0, method="BFGS")
    np.testing.assert_allclose(result.x, judge.x, atol=1e-5)
    assert result.success and result.status == 0 and np.linalg.norm(result.jac) <= 1e-6


def test_result_has_scipys_fields_and_the_path():
    result = gradient_descent(bowl, [0.0, 0.0], bowl_grad)
    assert isinstance(result, scipy.optimize.OptimizeResult)
    assert result.path.shape == (result.nit + 1, 2) and result.fun_history.shape == (result.nit + 1,)
    np.testing.assert_array_equal(result.path[-1], result.x)
    np.testing.assert_array_equal(result.fun_history, [bowl(p) for p in result.path])
    np.testing.assert_array_equal(result.path[1:], result.path[:-1] - 0.1 * np.array([bowl_grad(p) for p in result.path[:-1]]))
    assert isinstance(result.message, str) and isinstance(result.fun, float) and result.fun == result.fun_history[-1]
    np.testing.assert_array_equal(result.jac, bowl_grad(result.x))


def test_rosenbrock_takes_32076_steps():
    result = gradient_descent(rosen, [-1.2, 1.0], rosen_der, learning_rate=0.001, max_iter=40_000)
    assert result.success and result.nit == 32_076
    np.testing.assert_allclose(result.x, [1, 1], atol=3e-6)


def test_rosenbrock_diverges_at_step_6_and_says_so():
    with pytest.warns(OptimizeWarning, match="step 6.*learning rate"):
        result = gradient_descent(rosen, [-1.2, 1.0], rosen_der, learning_rate=0.01)
    assert not result.success and result.status == 2 and "step 6" in result.message and result.nit == 5
    for value in (result.x, result.fun, result.jac, result.path, result.fun_history):
        assert np.isfinite(value).all()


def test_divergence_raises_no_numpy_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", OptimizeWarning)
        result = gradient_descent(lambda x: x[0] ** 4, [10.0], lambda x: 4 * x**3)
        assert result.status == 2
        assert not sgd(lambda x, idx: 4 * x**3, [10.0], 5).success
        assert quietly(lambda x: 0.5 * x @ x * 1e300, [1.0], lambda x: 1e300 * x, max_iter=3).status == 2


def test_a_jac_that_turns_infinite_stops_the_run():
    jac = lambda x: 2 * x if x[0] > 0.7 else np.array([np.nan])  # noqa: E731
    result = quietly(lambda x: x[0] ** 2, [1.0], jac)
    assert result.status == 2 and result.nit == 1 and np.isfinite(result.jac).all()


def test_start_at_the_optimum_makes_no_step():
    result = gradient_descent(lambda x: x @ x, [0.0, 0.0, 0.0], lambda x: 2 * x)
    assert result.nit == 0 and result.success and result.path.shape == (1, 3)


def test_the_budget_is_no_success_and_warns():
    with pytest.warns(OptimizeWarning, match="max_iter = 7"):
        result = gradient_descent(bowl, [0.0, 0.0], bowl_grad, max_iter=7)
    assert not result.success and result.status == 1 and result.nit == 7


def test_the_last_step_of_the_budget_may_still_succeed():
    result = gradient_descent(lambda x: x @ x, [1.0], lambda x: 2 * x, learning_rate=0.5, max_iter=1)
    assert result.success and result.nit == 1


def test_a_rising_cost_is_named():
    assert "risen" in quietly(lambda x: x @ x, [1.0], lambda x: 2 * x, learning_rate=1.1, max_iter=9).message
    assert "risen" not in quietly(bowl, [0.0, 0.0], max_iter=3).message


def test_input_is_not_modified_and_integers_are_not_truncated():
    x0 = np.array([5, 5])
    result = gradient_descent(bowl, x0, bowl_grad)
    assert x0.tolist() == [5, 5] and result.x.dtype == np.float64 and result.path[0].tolist() == [5.0, 5.0]
    np.testing.assert_allclose(bowl_grad(result.x), 0, atol=1e-6)
    result.x[0] = 99
    assert result.path[-1, 0] != 99


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_floating_dtype_is_kept(dtype):
    result = gradient_descent(lambda x: float(x @ x), np.array([1, 2], dtype=dtype), lambda x: 2 * x, tol=1e-3)
    assert result.x.dtype == result.path.dtype == dtype and result.success
    assert sgd(lambda x, idx: 2 * x, np.array([1, 2], dtype=dtype), 4).path.dtype == dtype


def test_a_scalar_start_is_one_parameter():
    result = gradient_descent(lambda x: (x - 3) ** 2, 0.0, lambda x: 2 * (x - 3))
    np.testing.assert_allclose(result.x, [3.0], atol=1e-6)


# ---------------------------------------------------------------- gradient_descent: callbacks and rates

def test_callback_with_a_point_gets_a_copy_after_each_step():
    seen = []

    def callback(xk):
        seen.append(xk.copy())
        xk[:] = 1e9
    result = gradient_descent(bowl, [0.0, 0.0], bowl_grad, callback=callback)
    np.testing.assert_array_equal(np.array(seen), result.path[1:])


def test_callback_in_scipys_newer_form():
    seen = []

    def callback(intermediate_result):
        seen.append((intermediate_result.x, intermediate_result.fun))
    result = gradient_descent(bowl, [0.0, 0.0], bowl_grad, callback=callback)
    np.testing.assert_array_equal([f for _, f in seen], result.fun_history[1:])


@pytest.mark.parametrize("stop_after", [1, 4])
def test_callback_may_stop_the_run(stop_after):
    count = []

    def callback(xk):
        count.append(1)
        if len(count) == stop_after:
            raise StopIteration
    result = gradient_descent(bowl, [0.0, 0.0], bowl_grad, callback=callback)
    assert result.nit == stop_after and result.status == 99 and not result.success


def test_a_builtin_can_be_the_callback():
    seen = []
    result = gradient_descent(bowl, [0.0, 0.0], bowl_grad, callback=seen.append)
    assert len(seen) == result.nit


def test_a_schedule_gives_the_rate_of_each_step():
    rate = inverse_time_decay(0.2, 0.1)
    result = quietly(bowl, [0.0, 0.0], bowl_grad, learning_rate=rate, max_iter=10)
    x = np.zeros(2)
    for k in range(10):
        x = x - 0.2 / (1 + 0.1 * k) * bowl_grad(x)
    np.testing.assert_allclose(result.x, x, rtol=1e-13)


# ---------------------------------------------------------------- gradient_descent: bad input

@pytest.mark.parametrize("kwargs, words", [
    ({"learning_rate": 0.0}, "learning_rate"), ({"learning_rate": -1.0}, "learning_rate"),
    ({"learning_rate": np.nan}, "learning_rate"), ({"learning_rate": np.inf}, "learning_rate"),
    ({"learning_rate": lambda k: -1.0}, r"learning_rate\(0\)"), ({"learning_rate": lambda k: np.nan}, r"learning_rate\(0\)"),
    ({"max_iter": 0}, "max_iter"), ({"max_iter": 2.5}, "max_iter"), ({"max_iter": True}, "max_iter"),
    ({"tol": -1e-9}, "tol"), ({"tol": np.nan}, "tol"),
    ({"x0": []}, "x0"), ({"x0": [np.nan, 0.0]}, "x0"), ({"x0": [np.inf, 0.0]}, "x0"), ({"x0": [[1.0, 2.0]]}, r"x0.*\(1, 2\)"),
    ({"x0": ["a", "b"]}, "x0"), ({"x0": [1j, 0]}, "x0"),
    ({"jac": lambda x: bowl_grad(x)[:, None]}, r"jac.*\(2,\).*\(2, 1\)"), ({"jac": lambda x: 1.0}, "jac"),
    ({"jac": lambda x: np.zeros(3)}, r"jac.*\(3,\)"),
    ({"fun": lambda x: x}, r"fun.*\(2,\)"), ({"fun": lambda x: x, "jac": None}, r"fun.*\(2,\)"),
    ({"fun": lambda x: np.nan}, "finite at x0"), ({"jac": lambda x: np.array([np.inf, 0])}, "finite at x0"),
])
def test_bad_input_is_refused_by_name(kwargs, words):
    arguments = {"fun": bowl, "x0": [0.0, 0.0], "jac": bowl_grad} | kwargs
    with pytest.raises(ValueError, match=words):
        gradient_descent(arguments.pop("fun"), arguments.pop("x0"), arguments.pop("jac"), **arguments)


# ---------------------------------------------------------------- properties

@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(1.0, 30.0))
def test_quadratics_fall_monotonically_at_rate_one_over_l_and_reach_the_solution(seed, d, kappa):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    H = Q @ np.diag(np.linspace(1, kappa, d)) @ Q.T
    H, c = (H + H.T) / 2, rng.normal(size=d)
    result = gradient_descent(lambda t: 0.5 * t @ H @ t - c @ t, rng.normal(size=d), lambda t: H @ t - c,
                              learning_rate=max_learning_rate(H) / 2, max_iter=5000)
    assert result.success and (np.diff(result.fun_history) <= 1e-12).all()
    np.testing.assert_allclose(result.x, np.linalg.solve(H, c), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1.2), st.floats(-50, 50), st.integers(1, 40))
def test_the_parabola_follows_its_closed_form(rate, x0, steps):
    result = quietly(lambda x: x[0] ** 2, [x0], lambda x: 2 * x, learning_rate=rate, max_iter=steps, tol=0)
    np.testing.assert_allclose(result.path[:, 0], (1 - 2 * rate) ** np.arange(result.nit + 1) * x0, rtol=1e-9, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.data())
def test_minibatches_cover_every_row_once(n, data):
    size, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 1000))
    batches = list(minibatches(n, size, random_state=seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert len(batches) == -(-n // size) and all(len(b) == size for b in batches[:-1])
    dropped = list(minibatches(n, size, drop_last=True, random_state=seed))
    assert len(dropped) == n // size and all(len(b) == size for b in dropped)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(0.01, 0.9), st.floats(0.1, 0.9))
def test_line_search_keeps_the_rule_and_the_step_before_breaks_it(seed, step, c1, shrink):
    x = np.random.default_rng(seed).uniform(-2, 2, size=3)
    g = rosen_der(x)
    t = line_search_backtracking(rosen, x, -g, g, step=step, c1=c1, shrink=shrink, max_iter=500)
    allowed = lambda t: rosen(x) - c1 * t * g @ g  # noqa: E731
    assert rosen(x - t * g) <= allowed(t) * (1 + 1e-12)
    assert t == step or rosen(x - t / shrink * g) > allowed(t / shrink) * (1 - 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_check_grad_accepts_right_and_refuses_wrong_gradients(seed, d):
    rng = np.random.default_rng(seed)
    A, c, x = rng.normal(size=(d, d)), rng.normal(size=d), rng.normal(size=d)
    fun = lambda x: float(np.log(np.cosh(A @ x)).sum() + c @ x)  # noqa: E731
    jac = lambda x: A.T @ np.tanh(A @ x) + c  # noqa: E731
    np.testing.assert_allclose(jac(x), scipy.optimize.approx_fprime(x, fun), rtol=1e-4, atol=1e-5)
    assert check_grad(fun, jac, x) < 1e-6
    assert abs(check_grad(fun, lambda x: 2 * jac(x), x) - 0.5) < 1e-5
    assert check_grad(fun, lambda x: -jac(x), x) == pytest.approx(2, rel=1e-5)


# ---------------------------------------------------------------- minibatches and sgd

def test_minibatches_without_shuffling_are_in_order():
    assert [b.tolist() for b in minibatches(7, 3, shuffle=False)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in minibatches(7, 3, shuffle=False, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]


def test_the_order_comes_from_random_state_alone():
    order = lambda state: np.concatenate(list(minibatches(50, 8, random_state=state))).tolist()  # noqa: E731
    assert order(0) == order(0) != order(1)
    source = np.random.default_rng(0)
    assert order(source) != order(source)
    assert order(np.random.RandomState(0)) == order(np.random.RandomState(0))
    before = np.random.get_state()[1].copy()
    order(None)
    order(0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("n, size", [(0, 1), (5, 6), (5, 0), (5, -1), (5, 2.0), (2.5, 1), (True, 1)])
def test_bad_batches_are_refused_before_the_first_one_is_drawn(n, size):
    with pytest.raises(ValueError, match="n_samples|batch_size"):
        minibatches(n, size)
    with pytest.raises(ValueError, match="n_samples|batch_size"):
        sgd(lambda x, idx: x, [1.0], n, batch_size=size)


@pytest.mark.parametrize("kwargs, words", [
    ({"learning_rate": 0}, "learning_rate"), ({"learning_rate": np.nan}, "learning_rate"), ({"epochs": 0}, "epochs"),
    ({"x0": []}, "x0"), ({"x0": [np.nan]}, "x0"), ({"schedule": lambda k: -0.1}, r"schedule\(0\)"),
    ({"schedule": 0.0}, "schedule"), ({"jac": lambda x, idx: np.zeros(2)}, "jac"),
])
def test_sgd_refuses_bad_input(kwargs, words):
    arguments = {"jac": lambda x, idx: x, "x0": [1.0], "n_samples": 4} | kwargs
    with pytest.raises(ValueError, match=words):
        sgd(arguments.pop("jac"), arguments.pop("x0"), arguments.pop("n_samples"), **arguments)


@pytest.fixture(scope="module")
def simulated():
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    return x, 2 * x + 1 + rng.normal(size=60)


def test_sgd_with_all_rows_is_gradient_descent(simulated):
    _, cost, grad, rows = line_problem(*simulated)
    run = sgd(rows, [0, 0], 60, batch_size=60, learning_rate=0.1, epochs=40, shuffle=False)
    plain = quietly(cost, [0, 0], grad, learning_rate=0.1, max_iter=40, tol=0)
    np.testing.assert_allclose(run.path, plain.path, atol=1e-12)
    np.testing.assert_allclose(run.jac, plain.jac, atol=1e-12)
    assert run.nit == 40 and run.success


def test_the_mean_of_single_gradients_is_the_full_gradient(simulated):
    _, _, grad, rows = line_problem(*simulated)
    at = np.array([0.3, -2.0])
    np.testing.assert_allclose(np.mean([rows(at, [i]) for i in range(60)], axis=0), grad(at), atol=1e-12)


@pytest.mark.parametrize("size, updates", [(1, 180), (7, 27), (60, 3)])
def test_sgd_counts_updates_and_keeps_one_point_an_epoch(simulated, size, updates):
    *_, rows = line_problem(*simulated)
    x0 = np.array([1, 1])
    run = sgd(rows, x0, 60, batch_size=size, epochs=3, random_state=0)
    assert run.nit == updates and run.path.shape == (4, 2) and x0.tolist() == [1, 1]
    np.testing.assert_array_equal(run.path, sgd(rows, x0, 60, batch_size=size, epochs=3, random_state=0).path)


def test_sgd_shuffles_anew_each_epoch():
    seen = []

    def jac(x, idx):
        seen.extend(np.asarray(idx).tolist())
        return 0 * x
    sgd(jac, [0.0], 20, epochs=2, random_state=0)
    first, second = seen[:20], seen[20:40]
    assert sorted(first) == sorted(second) == list(range(20)) and first != second


def test_the_schedule_counts_updates_and_replaces_the_rate(simulated):
    *_, rows = line_problem(*simulated)
    run = sgd(rows, [0, 0], 60, batch_size=20, schedule=step_decay(0.2, 0.5, 2), learning_rate=99, epochs=2, shuffle=False)
    x = np.zeros(2)
    for k in range(6):
        x = x - 0.2 * 0.5 ** (k // 2) * rows(x, np.arange(60)[20 * (k % 3):20 * (k % 3) + 20])
    np.testing.assert_allclose(run.x, x, rtol=1e-12)


def test_sgd_that_diverges_says_so_and_stays_finite():
    with pytest.warns(OptimizeWarning, match="update.*learning rate"):
        run = sgd(lambda x, idx: 4 * x**3, [10.0], 5, learning_rate=1.0)
    assert not run.success and run.status == 2 and np.isfinite(run.x).all() and np.isfinite(run.path).all()
    assert f"update {run.nit + 1} " in run.message


def test_one_epoch_agrees_with_keras(simulated):
    keras = pytest.importorskip("keras")
    *_, rows = line_problem(*simulated)
    ours = sgd(rows, [0.5, -0.5], 60, batch_size=8, learning_rate=0.05, epochs=1, shuffle=False)
    weights, optimizer = keras.Variable(np.array([0.5, -0.5]), dtype="float64"), keras.optimizers.SGD(0.05)
    for idx in minibatches(60, 8, shuffle=False):
        optimizer.apply([keras.ops.convert_to_tensor(rows(keras.ops.convert_to_numpy(weights), idx))], [weights])
    np.testing.assert_allclose(ours.x, keras.ops.convert_to_numpy(weights), atol=1e-6)


# ---------------------------------------------------------------- schedules

def test_schedules_agree_with_keras():
    schedules = pytest.importorskip("keras").optimizers.schedules
    pairs = [(exponential_decay(0.1, 0.05), schedules.ExponentialDecay(0.1, 10, np.exp(-0.5))),
             (inverse_time_decay(0.1, 0.05), schedules.InverseTimeDecay(0.1, 10, 0.5)),
             (cosine_decay(0.1, 30), schedules.CosineDecay(0.1, 30)),
             (step_decay(0.1, 0.5, 10), schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True))]
    for ours, theirs in pairs:
        for k in (0, 1, 9, 10, 29, 30, 45):
            assert float(ours(k)) == pytest.approx(float(theirs(k)), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("rate", [constant(0.1), step_decay(0.1, 0.5, 7), exponential_decay(0.1, 0.02),
                                  inverse_time_decay(0.1, 0.02), cosine_decay(0.1, 50)])
def test_schedules_start_at_the_rate_never_rise_and_take_arrays(rate):
    k = np.arange(80)
    assert float(rate(0)) == pytest.approx(0.1) and (np.diff(rate(k)) <= 1e-17).all() and (rate(k) >= 0).all()
    np.testing.assert_allclose(rate(k), [rate(int(i)) for i in k], rtol=1e-14)


@pytest.mark.parametrize("make, arguments", [
    (constant, (0,)), (constant, (np.nan,)), (step_decay, (0.1, 0.0, 5)), (step_decay, (0.1, 1.5, 5)),
    (step_decay, (0.1, 0.5, 0)), (exponential_decay, (0.1, -1)), (exponential_decay, (-0.1, 1)),
    (inverse_time_decay, (0.1, 0)), (cosine_decay, (0.1, 0)), (cosine_decay, (np.inf, 5)),
])
def test_schedules_refuse_bad_numbers(make, arguments):
    with pytest.raises(ValueError, match="lr|drop|every|rate|total"):
        make(*arguments)


# ---------------------------------------------------------------- line search, curvature, gradient check

def test_line_search_descends_like_a_minimiser():
    x = np.array([-1.2, 1.0])
    for _ in range(200):
        g = rosen_der(x)
        new = x - line_search_backtracking(rosen, x, -g, g) * g
        assert rosen(new) < rosen(x)
        x = new
    assert rosen(x) < 4


def test_line_search_shortens_over_values_that_are_not_finite():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t = line_search_backtracking(lambda x: -np.log(x[0]) + 10 * x[0], [1.0], [-9.0], [9.0])
    assert 0 < t <= 0.0625


@pytest.mark.parametrize("kwargs, words", [
    ({"direction": [1.0, 1.0]}, "downhill"), ({"direction": [0.0, 0.0]}, "downhill"), ({"direction": [1.0]}, "one shape"),
    ({"step": 0.0}, "step"), ({"c1": 0.0}, "c1"), ({"c1": 1.0}, "c1"), ({"shrink": 1.0}, "shrink"), ({"max_iter": 0}, "max_iter"),
    ({"x": [np.nan, 1.0]}, "x must be finite"),
    ({"direction": [1.0, 1.0], "grad": [-1.0, -1.0]}, "gradient of fun"),
])
def test_line_search_refuses_bad_input(kwargs, words):
    arguments = {"x": [1.0, 1.0], "direction": [-1.0, -1.0], "grad": [2.0, 2.0]} | kwargs
    with pytest.raises(ValueError, match=words):
        line_search_backtracking(lambda x: float(x @ x), **arguments)


@pytest.mark.parametrize("hessian, words", [
    ([[1.0, 2.0]], r"\(1, 2\)"), (np.zeros((2, 2, 2)), "shape"), ([[1.0, 2.0], [0.0, 1.0]], "symmetric"),
    ([[np.nan]], "finite"), ([[-1.0]], "positive eigenvalue"), (np.zeros((2, 2)), "positive eigenvalue"), (np.zeros((0, 0)), "shape"),
])
def test_max_learning_rate_refuses(hessian, words):
    with pytest.raises(ValueError, match=words):
        max_learning_rate(hessian)


def test_max_learning_rate_takes_a_number():
    assert max_learning_rate(4.0) == 0.5


@pytest.mark.parametrize("shape", [(30, 4), (4, 30), (5, 1)])
def test_lipschitz_constant_is_the_largest_eigenvalue_of_the_hessian(shape):
    X = np.random.default_rng(0).normal(size=shape)
    largest = np.linalg.svd(X, compute_uv=False)[0] ** 2 / shape[0]
    for scale in (1, 2, 0.25):
        assert lipschitz_constant(X, scale=scale) == pytest.approx(scale * largest)
    p = 1 / (1 + np.exp(-X @ np.zeros(shape[1])))
    log_loss_hessian = X.T @ (X * (p * (1 - p))[:, None]) / shape[0]
    assert 2 / max_learning_rate(log_loss_hessian) == pytest.approx(lipschitz_constant(X, scale=0.25))


@pytest.mark.parametrize("X, scale", [(np.zeros(3), 1), (np.zeros((0, 2)), 1), ([[np.nan]], 1), ([[1.0]], 0)])
def test_lipschitz_constant_refuses(X, scale):
    with pytest.raises(ValueError, match="X|scale"):
        lipschitz_constant(X, scale=scale)


def test_check_grad_edges():
    assert check_grad(lambda x: 1.0, lambda x: np.zeros(2), [1.0, 2.0]) == 0.0
    assert check_grad(lambda x: 1.0, lambda x: np.ones(2), [1.0, 2.0]) == 1.0
    assert check_grad(lambda x: x[0] ** 2, lambda x: 2 * x, [1e6]) < 1e-6
    for arguments in ([[]], [[np.nan]]):
        with pytest.raises(ValueError, match="x must"):
            check_grad(lambda x: 0.0, lambda x: x, *arguments)
    with pytest.raises(ValueError, match="eps"):
        check_grad(lambda x: 0.0, lambda x: x, [1.0], eps=0)
    with pytest.raises(ValueError, match="jac"):
        check_grad(lambda x: 0.0, lambda x: np.zeros(3), [1.0])
    with pytest.raises(ValueError, match="fun"):
        check_grad(lambda x: x, lambda x: x, [1.0, 2.0])


def test_partial_derivatives_of_the_example_by_sympy():
    sp = pytest.importorskip("sympy")
    x, y = sp.symbols("x y")
    f = x**2 * sp.sin(y)
    assert sp.simplify(sp.diff(f, x) - 2 * x * sp.sin(y)) == 0 and sp.simplify(sp.diff(f, y) - x**2 * sp.cos(y)) == 0
    at = {x: 1.5, y: 0.7}
    assert float(sp.diff(f, x).subs(at)) == pytest.approx(1.932653, abs=1e-6)
    assert float(sp.diff(f, y).subs(at)) == pytest.approx(1.720895, abs=1e-6)


# ---------------------------------------------------------------- published numbers

def test_the_six_numbers_in_the_notebook_are_those_of_the_real_data(radio):
    x, y = radio
    notebook = nbformat.read(ROOT / "nbs" / "basics" / "gradient_descent.ipynb", as_version=4)
    source, = [c.source for c in notebook.cells if c.cell_type == "code" and "s_xx, s_xy, s_yy =" in c.source]
    names = {"np": np}
    exec(source, names)
    dx, dy = x - x.mean(), y - y.mean()
    typed = [names[k] for k in ("n", "mean_x", "mean_y", "s_xx", "s_xy", "s_yy")]
    np.testing.assert_allclose(typed, [len(x), x.mean(), y.mean(), dx @ dx, dx @ dy, dy @ dy], rtol=1e-12)
    A, cost, grad, _ = line_problem(x, y)
    for t in np.random.default_rng(0).normal(size=(20, 2)):
        assert names["radio_cost"](t) == pytest.approx(cost(t), rel=1e-11)
        np.testing.assert_allclose(names["radio_grad"](t), grad(t), rtol=1e-9)
    np.testing.assert_allclose(names["radio_hessian"], 2 * A.T @ A / len(x), rtol=1e-12)


def test_radio_costs_and_bound(radio):
    A, cost, grad, _ = line_problem(*radio)
    first = quietly(cost, [0, 0], grad, learning_rate=5e-5, max_iter=1)
    np.testing.assert_allclose(first.fun_history, [223.716, 197.2505], atol=5e-4)
    np.testing.assert_allclose(np.linalg.eigvalsh(2 * A.T @ A / 200), [0.5762, 1522.50], rtol=1e-4)
    assert max_learning_rate(2 * A.T @ A / 200) == pytest.approx(0.00131363, abs=5e-9)
    assert lipschitz_constant(A, scale=2) == pytest.approx(2 / 0.0013136268, rel=1e-7)
    assert np.linalg.cond(A.T @ A) == pytest.approx(2642.2, abs=0.1)


def test_radio_without_a_learning_rate_explodes(radio):
    _, cost, grad, _ = line_problem(*radio)
    run = quietly(cost, [0, 0], grad, learning_rate=1.0, max_iter=5)
    np.testing.assert_allclose(run.fun_history[1:], [4.18e8, 9.68e14, 2.24e21, 5.19e27, 1.20e34], rtol=2e-3)


@pytest.mark.parametrize("rate, steps", [(0.001, 4273), (0.0013, 3287)])
def test_radio_steps_to_within_one_percent(radio, rate, steps):
    A, cost, grad, _ = line_problem(*radio)
    least = cost(np.linalg.lstsq(A, radio[1], rcond=None)[0])
    run = quietly(cost, [0, 0], grad, learning_rate=rate, max_iter=steps)
    assert run.fun_history[-1] <= 1.01 * least < run.fun_history[-2]


def test_radio_long_runs_in_closed_form(radio):
    A, cost, _, _ = line_problem(*radio)
    best = np.linalg.lstsq(A, radio[1], rcond=None)[0]
    curvature, axes = np.linalg.eigh(2 * A.T @ A / 200)
    c = axes.T @ best
    for rate, steps in [(5e-5, 85_479), (1e-4, 42_739)]:
        left = [0.5 * np.sum(curvature * c**2 * (1 - rate * curvature) ** (2 * k)) for k in (steps - 1, steps)]
        assert left[1] <= 0.01 * cost(best) < left[0]
    np.testing.assert_allclose(best, [0.202496, 9.311638], atol=1e-6)
    np.testing.assert_allclose(np.linalg.solve(2 * A.T @ A, 2 * A.T @ radio[1]), best, rtol=1e-9)      # Newton's step


def test_above_the_bound_radio_diverges(radio):
    _, cost, grad, _ = line_problem(*radio)
    assert quietly(cost, [0, 0], grad, learning_rate=0.00132, max_iter=3000).fun > 1e10
    assert quietly(cost, [0, 0], grad, learning_rate=0.00131, max_iter=3000).fun < 30


def test_full_batch_rates_end_at_the_same_point(scaled_radio):
    A, cost, grad, _ = line_problem(*scaled_radio)
    best = np.linalg.lstsq(A, scaled_radio[1], rcond=None)[0]
    for rate in (0.1, 0.4, 0.5, 0.9):
        np.testing.assert_allclose(quietly(cost, [0, 0], grad, learning_rate=rate, tol=0).x, best, atol=2e-14)
    slow = quietly(cost, [0, 0], grad, learning_rate=0.001, tol=0)
    assert np.abs(slow.x - best).max() == pytest.approx(1.89, abs=0.005)
    assert slow.fun - cost(best) == pytest.approx(3.75, abs=0.005)


def test_minibatch_variance_on_the_radio_data(scaled_radio):
    A, _, _, rows = line_problem(*scaled_radio)
    at = np.array([2.0, 1.0])                                       # bias 1, slope 2
    single = np.array([rows(at, [i]) for i in range(200)])
    s2, rng = np.sum(single.var(axis=0, ddof=1)), np.random.default_rng(0)
    for B, published in [(1, 858.9), (10, 82.0), (50, 12.9)]:
        formula = s2 / B * (1 - B / 200)
        assert formula == pytest.approx(published, abs=0.06)
        drawn = single[np.argsort(rng.random((20_000, 200)), axis=1)[:, :B]].mean(axis=1)
        assert np.mean(np.sum((drawn - single.mean(axis=0)) ** 2, axis=1)) == pytest.approx(formula, rel=0.02)


def test_noise_floor_falls_with_the_rate_on_the_radio_data(scaled_radio):
    A, cost, _, rows = line_problem(*scaled_radio)
    least = cost(np.linalg.lstsq(A, scaled_radio[1], rcond=None)[0])
    floor = {}
    for rate in (0.1, 0.01, 0.001):
        run = sgd(rows, [0, 0], 200, learning_rate=rate, epochs=200, random_state=0)
        floor[rate] = np.mean([cost(t) - least for t in run.path[-50:]])
    assert 10 < floor[0.1] / floor[0.01] < 100 and 50 < floor[0.01] / floor[0.001] < 1500
    np.testing.assert_allclose(list(floor.values()), [6, 0.2, 0.0005], rtol=0.4)                # other orders of the rows differ


def test_the_four_row_table():
    x, y = np.array([37.8, 39.3, 45.9, 41.3]), np.array([22.1, 10.4, 9.3, 18.5])
    _, cost, grad, _ = line_problem(x, y)
    run = quietly(cost, [0, 0], grad, learning_rate=1e-4, max_iter=3)
    slopes = np.array([grad(t) for t in run.path[:3]])
    np.testing.assert_allclose(slopes, [(-1217.51, -30.15), (-804.1715, -20.1421), (-531.1575, -13.5318)], atol=6e-5)
    np.testing.assert_allclose([*run.x, run.fun], [0.255284, 0.0063824, 56.0162], rtol=2e-6)


def test_the_first_rows_are_those_of_the_real_data(radio):
    assert radio[0][:4].tolist() == [37.8, 39.3, 45.9, 41.3] and radio[1][:4].tolist() == [22.1, 10.4, 9.3, 18.5]


@pytest.mark.parametrize("rate, end", [(0.1, 1.4272e-5), (0.01, 0.364170), (0.9, 1.4272e-5), (1.1, 9100.44)])
def test_fifty_steps_on_the_parabola(rate, end):
    run = quietly(lambda x: x[0] ** 2, [1.0], lambda x: 2 * x, learning_rate=rate, max_iter=50, tol=0)
    assert run.x[0] == pytest.approx(end, rel=1e-4)
    assert (np.sign(run.path[1:]) == -np.sign(run.path[:-1])).all() == (rate > 0.5)


@pytest.mark.parametrize("x0, end, value", [(-2, -1.035579, -1.305428), (-0.1, -1.035579, -1.305428),
                                            (0.05, -1.035579, -1.305428), (0.5, 0.960150, -0.705854),
                                            (2, 0.960150, -0.705854)])
@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_two_minima(x0, end, value, rate):
    run = gradient_descent(lambda x: x[0] ** 4 - 2 * x[0] ** 2 + 0.3 * x[0], [x0], lambda x: 4 * x**3 - 4 * x + 0.3,
                           learning_rate=rate)
    assert run.x[0] == pytest.approx(end, abs=1e-6) and run.fun == pytest.approx(value, abs=1e-6)


def test_too_long_steps_jump_over_the_hill():
    run = gradient_descent(lambda x: x[0] ** 4 - 2 * x[0] ** 2 + 0.3 * x[0], [-2], lambda x: 4 * x**3 - 4 * x + 0.3)
    assert run.x[0] == pytest.approx(0.960150, abs=1e-6)             # rate 0.1: the other valley


@pytest.mark.parametrize("kappa, steps", [(1, 1), (10, 35), (100, 346), (1000, 3454)])
def test_steps_on_a_quadratic(kappa, steps):
    h = np.array([1.0, kappa])
    run = quietly(lambda t: 0.5 * float(h @ t**2), [1.0, 1.0], lambda t: h * t, learning_rate=2 / (1 + kappa),
                  max_iter=steps, tol=0)
    least = 1e-6 * run.fun_history[0]
    assert run.fun_history[-1] <= least < run.fun_history[-2]


def test_saddle_and_inflection():
    saddle, grad = lambda p: p[0] ** 2 - p[1] ** 2, lambda p: np.array([2 * p[0], -2 * p[1]])
    np.testing.assert_allclose(quietly(saddle, [1.0, 0.0], grad, max_iter=200, tol=0).x, [4e-20, 0], atol=2e-21)
    assert abs(quietly(saddle, [1.0, 1e-6], grad, max_iter=200, tol=0).x[1]) == pytest.approx(6.9e9, rel=0.01)
    stuck = gradient_descent(lambda x: x[0] ** 3, [1.0], lambda x: 3 * x**2, max_iter=10_000, tol=1e-6)
    assert stuck.success and stuck.x[0] > 0                          # a small gradient, and no minimum
