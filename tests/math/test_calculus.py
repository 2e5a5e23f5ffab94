"""Calculus: agreement with SymPy, SciPy and NumPy, the rules as properties, bad input, and the published numbers."""
import math
import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.optimize
import scipy.special
import scipy.stats
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import IntegrationWarning

from mlcheat import check
from mlcheat.math.calculus import (RULES, Rule, approx_fprime, check_rules, derivative, directional_derivative, gradient,
                                   hessian, integral_function, jacobian, monte_carlo, quad, riemann_sum,
                                   second_derivative, simpson, taylor, trapezoid)

T = sympy.Symbol("t")
ONE_VARIABLE = [sympy.exp(T), sympy.sin(T) * T**2, sympy.log(T + 4), sympy.tanh(3 * T), T**5 - 2 * T, 1 / (1 + sympy.exp(-T)),
                sympy.sqrt(T**2 + 1), sympy.sin((4 * T) ** 2), sympy.sin(5 * (5 * T) ** 2), sympy.cos(sympy.exp(T))]
POINTS = np.array([-1.3, -0.2, 0.0, 0.7, 1.1])

X, Z = sympy.symbols("x z")
TWO_VARIABLES = [(2 * Z**3 * X**2, (1.3, 0.8)), (X**2 * sympy.sin(Z), (1.5, 0.7)), (sympy.exp(X * Z) + X / Z, (-0.4, 1.2)),
                 (sympy.log(X**2 + Z**2 + 1), (0.0, 0.0)), (100 * (Z - X**2) ** 2 + (1 - X) ** 2, (-1.2, 1.0))]


def on_arrays(expression, *symbols):
    """A SymPy expression as a function of NumPy arrays, and of one vector when there are several symbols."""
    f = sympy.lambdify(symbols, expression, "numpy")
    return f if len(symbols) == 1 else lambda p: f(*p)


def exact(matrix, symbols, point):
    return np.array(matrix.subs(dict(zip(symbols, point))).evalf()).astype(float)


def smooth(c):
    """A smooth function with four coefficients, and its exact derivative."""
    a, b, w, k = c
    return (lambda x: a * np.sin(w * x) + b * x**2 + k * np.tanh(x),
            lambda x: a * w * np.cos(w * x) + 2 * b * x + k / np.cosh(x) ** 2)


coefficients = st.tuples(*[st.floats(-3, 3) for _ in range(4)])
places = st.floats(-2, 2)
quickly = settings(max_examples=40, deadline=None)


# ---------------------------------------------------------------- derivatives of one variable

@pytest.mark.parametrize("expression", ONE_VARIABLE, ids=str)
def test_derivative_agrees_with_sympy(expression):
    f, prime = on_arrays(expression, T), on_arrays(sympy.diff(expression, T), T)
    steep = np.abs(prime(POINTS)).max()                          # sin(125 t^2) swings 275 times as fast as sin t
    np.testing.assert_allclose(derivative(f, POINTS), prime(POINTS), rtol=1e-6, atol=1e-7 * max(1, steep**2))
    np.testing.assert_allclose(derivative(f, POINTS, method="forward"), prime(POINTS), rtol=1e-4, atol=2e-5 * max(1, steep))
    np.testing.assert_allclose(derivative(f, POINTS, method="complex"), prime(POINTS), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("expression", ONE_VARIABLE, ids=str)
def test_derivative_agrees_with_scipy(expression):
    differentiate = pytest.importorskip("scipy.differentiate", reason="scipy.differentiate came with SciPy 1.15")
    f = on_arrays(expression, T)
    judge = differentiate.derivative(f, POINTS)
    atol = 1e-7 * max(1, np.abs(judge.df).max() ** 2)
    np.testing.assert_allclose(derivative(f, POINTS), judge.df, rtol=1e-6, atol=atol)


@pytest.mark.parametrize("expression", ONE_VARIABLE[:7], ids=str)
def test_second_derivative_agrees_with_sympy(expression):
    bend = on_arrays(sympy.diff(expression, T, 2), T)
    np.testing.assert_allclose(second_derivative(on_arrays(expression, T), POINTS), bend(POINTS), rtol=1e-6, atol=3e-6)


def test_derivative_agrees_with_numpy_gradient():
    x = np.linspace(0, 3, 2001)
    np.testing.assert_allclose(derivative(np.sin, x)[1:-1], np.gradient(np.sin(x), x)[1:-1], atol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("method", ["central", "forward", "complex"])
def test_derivative_keeps_the_shape(shape, method):
    x = np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape)
    slope = derivative(np.sin, x, method=method)
    assert np.shape(slope) == shape == np.shape(second_derivative(np.sin, x))
    assert isinstance(slope, float) == (shape == ())
    np.testing.assert_allclose(slope, np.cos(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_derivative_computes_in_float64(dtype):
    x = np.array([1, 2, 3], dtype)
    before = x.copy()
    slope = derivative(lambda t: t**3, x)
    assert slope.dtype == np.float64 and np.array_equal(x, before)
    np.testing.assert_allclose(slope, 3 * x.astype(float) ** 2, rtol=1e-9)


def test_functions_of_plain_numbers_will_do():
    assert derivative(math.sin, 0.3) == pytest.approx(math.cos(0.3), rel=1e-9)
    assert second_derivative(math.exp, 0) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("x", [1e-12, 1.0, 1e6, 1e12, 1e14, -1e100])
def test_the_increment_grows_with_x(x):
    for method, rtol in (("central", 1e-9), ("forward", 1e-6), ("complex", 1e-15)):
        assert derivative(lambda t: t * t + t, x, method=method) == pytest.approx(2 * x + 1, rel=rtol)
    assert second_derivative(lambda t: t * t, x) == pytest.approx(2, rel=1e-5)


def test_a_given_increment_is_used():
    assert derivative(lambda x: x**3, 2.0, h=0.1) == pytest.approx(12.01, rel=1e-12)
    assert derivative(lambda x: x**3, 2.0, h=0.1, method="forward") == pytest.approx(12.61, rel=1e-12)
    assert derivative(lambda x: x**3, 2.0, h=0.1, method="complex") == pytest.approx(11.99, rel=1e-12)
    assert second_derivative(lambda x: x**4, 1.0, h=0.1) == pytest.approx(12.02, rel=1e-9)


def test_a_corner_shows_in_the_one_sided_values():
    right, left = derivative(np.abs, 0.0, method="forward"), -derivative(lambda t: np.abs(-t), 0.0, method="forward")
    assert (right, left, derivative(np.abs, 0.0)) == (1.0, -1.0, 0.0)


def test_nan_where_the_function_is_nan():
    with np.errstate(invalid="ignore"):
        slope = derivative(np.log, [-1.0, 2.0])
    assert np.isnan(slope[0]) and slope[1] == pytest.approx(0.5, rel=1e-8)


def test_published_derivatives():
    assert ((3 + 0.0001) ** 2 - 3**2) / 0.0001 == pytest.approx(6.000100000012, abs=1e-11)
    assert derivative(np.square, 3.0, h=0.0001, method="forward") == pytest.approx(6.0001, abs=1e-9)
    assert derivative(lambda x: (x**2) ** 3, 0.7) == pytest.approx(1.00842, rel=1e-8)
    assert derivative(lambda x: np.sin((4 * x) ** 2), 0.7) == pytest.approx(0.313178, abs=1e-6)
    assert derivative(lambda x: np.sin(5 * (5 * x) ** 2), 0.7, method="complex") == pytest.approx(-1.934891, abs=5e-7)
    assert derivative(lambda z: 1 / (1 + np.exp(-z)), 0.3, method="complex") == pytest.approx(0.244458, abs=5e-7)


def test_a_fixed_increment_of_the_old_code_fails_for_large_x():
    quotient = lambda x: ((x + 0.0001) ** 2 - x**2) / 0.0001  # noqa: E731
    assert quotient(1e14) == 0 and quotient(1e12) == pytest.approx(2.68e12, rel=2e-3)


# ---------------------------------------------------------------- the rules, as properties

@quickly
@given(coefficients, coefficients, st.floats(-3, 3), st.floats(-3, 3), places)
def test_linearity(c, d, alpha, beta, x):
    (f, _), (g, _) = smooth(c), smooth(d)
    both = derivative(lambda t: alpha * f(t) + beta * g(t), x)
    assert both == pytest.approx(alpha * derivative(f, x) + beta * derivative(g, x), rel=1e-6, abs=1e-6)


@quickly
@given(coefficients, coefficients, places)
def test_product_rule(c, d, x):
    (f, f_prime), (g, g_prime) = smooth(c), smooth(d)
    assert derivative(lambda t: f(t) * g(t), x) == pytest.approx(f_prime(x) * g(x) + f(x) * g_prime(x), rel=1e-6, abs=1e-5)


@quickly
@given(coefficients, coefficients, places)
def test_chain_rule(c, d, x):
    (f, f_prime), (g, g_prime) = smooth(c), smooth([v / 2 for v in d])
    assert derivative(lambda t: f(g(t)), x) == pytest.approx(f_prime(g(x)) * g_prime(x), rel=1e-6, abs=1e-4)


@quickly
@given(coefficients, coefficients, places)
def test_quotient_rule(c, d, x):
    (f, f_prime), (g, g_prime) = smooth(c), smooth(d)
    bottom, bottom_prime = (lambda t: 1 + g(t) ** 2), (lambda t: 2 * g(t) * g_prime(t))
    by_rule = (f_prime(x) * bottom(x) - f(x) * bottom_prime(x)) / bottom(x) ** 2
    assert derivative(lambda t: f(t) / bottom(t), x) == pytest.approx(by_rule, rel=1e-5, abs=1e-5)


@quickly
@given(coefficients, st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_integrals_add_up_and_change_sign(c, a, b, m):
    f, _ = smooth(c)
    assert quad(f, a, b)[0] == pytest.approx(quad(f, a, m)[0] + quad(f, m, b)[0], abs=1e-6)
    assert quad(f, a, b)[0] == -quad(f, b, a)[0]
    assert riemann_sum(f, a, b, 7, "left") == -riemann_sum(f, b, a, 7, "left")


@quickly
@given(coefficients, places)
def test_fundamental_theorem(c, x):
    f, f_prime = smooth(c)
    assert quad(f_prime, 0, x)[0] == pytest.approx(f(x) - f(0), abs=1e-7)
    assert derivative(integral_function(f, 0), x) == pytest.approx(f(x), rel=1e-6, abs=1e-6)


# ---------------------------------------------------------------- the table of derivatives

TABLE = {
    "constant": sympy.Integer(4), "power": T ** sympy.Rational(5, 2), "reciprocal": 1 / T, "square root": sympy.sqrt(T),
    "exponential": sympy.exp(T), "exponential, base a": 3**T, "logarithm": sympy.log(T),
    "logarithm, base a": sympy.log(T) / sympy.log(10), "sine": sympy.sin(T), "cosine": sympy.cos(T), "tangent": sympy.tan(T),
    "arcsine": sympy.asin(T), "arccosine": sympy.acos(T), "arctangent": sympy.atan(T), "hyperbolic sine": sympy.sinh(T),
    "hyperbolic cosine": sympy.cosh(T), "tanh": sympy.tanh(T), "sigmoid": 1 / (1 + sympy.exp(-T)),
    "softplus": sympy.log(1 + sympy.exp(T)), "ReLU": sympy.Piecewise((T, T > 0), (0, True)),
    "absolute value": sympy.Piecewise((T, T > 0), (-T, True)), "constant factor": 4 * sympy.sin(T),
    "sum": sympy.sin(T) + T**2 + 1, "product": sympy.sin(T) * (T**2 + 1), "quotient": sympy.sin(T) / (T**2 + 1),
    "chain": sympy.sin(T**2 + 1), "inverse": sympy.asinh(T),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_every_row_agrees_with_sympy(rule):
    f = TABLE[rule.name]
    for point in rule.points:
        assert float(rule.function(np.float64(point))) == pytest.approx(float(f.subs(T, point)), rel=1e-12)
        assert float(rule.slope(np.float64(point))) == pytest.approx(float(sympy.diff(f, T).subs(T, point)), rel=1e-12)


def test_check_rules_finds_nothing_and_finds_what_is_wrong():
    assert check_rules() == [] and len({r.name for r in RULES}) == len(RULES) == len(TABLE)
    for rule in RULES:
        off = rule._replace(slope=lambda x, s=rule.slope: s(x) + 1e-3)
        assert check_rules([off]) == [rule.name]
    with pytest.raises(TypeError, match="Rule"):
        check_rules([("a", "b")])


# ---------------------------------------------------------------- several variables

@pytest.mark.parametrize("expression, point", TWO_VARIABLES, ids=lambda v: str(v))
def test_gradient_and_hessian_agree_with_sympy(expression, point):
    f = on_arrays(expression, X, Z)
    grad = exact(sympy.Matrix([expression]).jacobian([X, Z]), (X, Z), point)[0]
    curve = exact(sympy.hessian(expression, (X, Z)), (X, Z), point)
    np.testing.assert_allclose(gradient(f, point), grad, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(approx_fprime(point, f), grad, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(approx_fprime(point, f), scipy.optimize.approx_fprime(point, f), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hessian(f, point), curve, rtol=1e-6, atol=2e-6)
    np.testing.assert_array_equal(hessian(f, point), hessian(f, point).T)
    v = np.array([0.6, -0.8])
    assert directional_derivative(f, point, v) == pytest.approx(grad @ v, rel=1e-6, abs=1e-7)


def test_jacobian_and_hessian_agree_with_scipy_differentiate():
    differentiate = pytest.importorskip("scipy.differentiate", reason="scipy.differentiate came with SciPy 1.15")
    x = np.array([0.4, -1.1, 2.0])
    f = lambda p: np.stack([p[0] * p[1], np.sin(p[2]) * p[0], np.exp(p[1]), p[0] + p[1] * p[2]])  # noqa: E731
    np.testing.assert_allclose(jacobian(f, x), differentiate.jacobian(f, x).df, rtol=1e-6, atol=1e-8)
    g = lambda p: p[0] * np.sin(p[1]) + p[2] ** 2 * p[0]  # noqa: E731
    np.testing.assert_allclose(hessian(g, x), differentiate.hessian(g, x).ddf, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rosenbrock(n):
    x = np.linspace(-1.1, 1.4, n + 1)
    np.testing.assert_allclose(gradient(scipy.optimize.rosen, x), scipy.optimize.rosen_der(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(hessian(scipy.optimize.rosen, x), scipy.optimize.rosen_hess(x), rtol=1e-6, atol=3e-4)


def test_gradient_of_a_matrix_argument():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(3, 2)), rng.normal(size=(2, 3))
    np.testing.assert_allclose(gradient(lambda X: np.trace(X @ B), A), B.T, atol=1e-8)
    S = B.T @ B + np.eye(3)
    np.testing.assert_allclose(gradient(lambda X: np.linalg.slogdet(X)[1], S), np.linalg.inv(S).T, atol=1e-8)


@pytest.mark.parametrize("m, n", [(1, 1), (1, 3), (4, 1), (3, 5)])
def test_jacobian_of_a_linear_map(m, n):
    A = np.random.default_rng(m).normal(size=(m, n))
    J = jacobian(lambda x: A @ x, np.ones(n))
    assert J.shape == (m, n)
    np.testing.assert_allclose(J, A, atol=1e-8)
    np.testing.assert_allclose(approx_fprime(np.ones(n), lambda x: A @ x), A, atol=1e-6)


def test_softmax_and_logsumexp():
    z = np.array([0.3, -1.0, 2.0])
    p = scipy.special.softmax(z)
    np.testing.assert_allclose(jacobian(scipy.special.softmax, z), np.diag(p) - np.outer(p, p), atol=1e-9)
    np.testing.assert_allclose(gradient(scipy.special.logsumexp, z), p, atol=1e-9)
    assert jacobian(scipy.special.logsumexp, z).shape == (1, 3)


def test_approx_fprime_takes_scipys_arguments():
    f = lambda x, a, b: a * x[0] ** 2 + b * x[1]  # noqa: E731
    for eps in (1e-7, [1e-7, 1e-6]):
        ours, theirs = (fun([1.0, 2.0], f, eps, 3.0, 5.0) for fun in (approx_fprime, scipy.optimize.approx_fprime))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_directional_derivative_published():
    f = lambda p: p[0] ** 2 + p[0] * p[1] + np.sin(p[2])  # noqa: E731
    assert directional_derivative(f, [1, 2, 0.5], [2, 3, -1]) == pytest.approx(2.7053, abs=5e-5)
    assert directional_derivative(f, [1, 2, 0.5], [2, 3, -1], normalize=False) == pytest.approx(10.1224, abs=5e-5)
    g = lambda p: 2 * p[1] ** 3 * p[0] ** 2  # noqa: E731
    assert directional_derivative(g, [1.3, 0.8], [3, 4]) == pytest.approx(6.78912, abs=5e-6)
    np.testing.assert_allclose(gradient(g, [1.3, 0.8]), [2.6624, 6.4896], atol=1e-8)
    np.testing.assert_allclose(gradient(lambda p: p[0] ** 2 * np.sin(p[1]), [1.5, 0.7]), [1.932653, 1.720895], atol=5e-7)


@quickly
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_no_direction_is_steeper_than_the_gradient(x, v):
    f = lambda p: p[0] ** 2 * p[1] + np.sin(p[2])  # noqa: E731
    if np.linalg.norm(v) > 1e-6:
        assert abs(directional_derivative(f, x, v)) <= np.linalg.norm(gradient(f, x)) + 1e-6


def test_huge_and_tiny_directions():
    f = lambda p: p[0] + 2 * p[1]  # noqa: E731
    for size in (1e-300, 1e-10, 1e200):
        assert directional_derivative(f, [0, 0], [size, size]) == pytest.approx(3 / math.sqrt(2), rel=1e-8)


def test_the_second_derivative_test():
    sign = lambda f: np.sign(np.linalg.eigvalsh(hessian(f, [0.0, 0.0])).round(5)).tolist()  # noqa: E731
    assert sign(lambda p: p @ p) == [1, 1] and sign(lambda p: -p @ p) == [-1, -1]
    assert sign(lambda p: p[0] ** 2 - p[1] ** 2) == [-1, 1] and sign(lambda p: p[0] ** 4 - p[1] ** 4) == [0, 0]


def test_gradient_tape_agrees():
    tf = pytest.importorskip("tensorflow", reason="optional: the gradients are judged by SymPy and SciPy as well")
    cases = [(lambda p: 2 * p[1] ** 3 * p[0] ** 2, [1.3, 0.8]), (lambda p: p[0] * p[1] + p[0] / p[1], [0.4, 1.7])]
    for f, point in cases:
        x = tf.Variable(point, dtype=tf.float64)
        with tf.GradientTape() as tape:
            y = f(x)
        np.testing.assert_allclose(gradient(f, point), tape.gradient(y, x).numpy(), rtol=1e-5)
    x = tf.Variable([0.3, -1.0, 2.0], dtype=tf.float64)
    with tf.GradientTape() as tape:
        y = tf.reduce_logsumexp(tf.sin(x))
    np.testing.assert_allclose(gradient(lambda p: scipy.special.logsumexp(np.sin(p)), x.numpy()),
                               tape.gradient(y, x).numpy(), rtol=1e-5)


def test_inputs_are_not_modified():
    x = np.array([1.0, 2.0])
    def rude(p):
        value = float(p @ p)
        p[:] = 0
        return value
    np.testing.assert_allclose(gradient(rude, x), [2, 4], rtol=1e-8)
    np.testing.assert_allclose(approx_fprime(x, rude), [2, 4], rtol=1e-6)
    np.testing.assert_allclose(hessian(rude, x), 2 * np.eye(2), atol=1e-6)
    np.testing.assert_array_equal(x, [1, 2])


# ---------------------------------------------------------------- integrals: sums and samples

@pytest.mark.parametrize("rule, value", [("left", 6.75), ("right", 10.75), ("midpoint", 8.625)])
def test_four_strips(rule, value):
    assert riemann_sum(np.square, 1, 3, 4, rule) == value


def test_four_strips_trapezoid_and_simpson():
    x = np.linspace(1, 3, 5)
    assert trapezoid(x**2, x) == 8.75 and simpson(x**2, x) == pytest.approx(26 / 3, rel=1e-14)


@pytest.mark.parametrize("rule, order", [("left", 2), ("right", 2), ("midpoint", 4)])
def test_orders_of_the_strips(rule, order):
    miss = [abs(riemann_sum(np.exp, 0, 1, n, rule) - (math.e - 1)) for n in (200, 400)]
    assert miss[0] / miss[1] == pytest.approx(order, rel=0.01)


def test_midpoint_strips_for_a_millionth():
    miss = {n: 26 / 3 - riemann_sum(np.square, 1, 3, n) for n in (816, 817)}
    assert miss[816] > 1e-6 > miss[817] and miss[817] == pytest.approx(2 / (3 * 817**2), rel=1e-6)


def test_the_old_integration_code():
    def adding_up(f, a, b, h=0.0001):
        total, count = 0.0, 0
        while a <= b:
            total, a, count = total + f(a) * h, a + h, count + 1
        return total, count
    assert adding_up(lambda x: x * x, 1, 3)[0] == pytest.approx(8.666266670005, abs=1e-11)
    assert adding_up(lambda x: 1.0, 0, 1) == (pytest.approx(1.0001), 10_001)
    assert adding_up(lambda x: 1.0, 1, 3) == (pytest.approx(2.0), 20_000)
    assert adding_up(lambda x: x * x, 1, 3, 0.5) == (11.25, 5)
    assert adding_up(lambda x: x * x, 3, 3)[0] == pytest.approx(0.0009) and adding_up(lambda x: x * x, 3, 1)[0] == 0


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 20, 21])
@pytest.mark.parametrize("spacing", ["dx", "even", "uneven", "falling"])
def test_trapezoid_and_simpson_agree_with_scipy(n, spacing):
    rng = np.random.default_rng(n)
    y = rng.normal(size=(2, n, 3)) + 3
    x = {"dx": None, "even": np.linspace(0, 2, n), "uneven": np.cumsum(rng.uniform(0.5, 1.5, n)),
         "falling": -np.cumsum(rng.uniform(0.5, 1.5, n))}[spacing]
    for axis in (1, -2):
        np.testing.assert_allclose(trapezoid(y, x, 0.3, axis), scipy.integrate.trapezoid(y, x, 0.3, axis), rtol=1e-12)
        np.testing.assert_allclose(simpson(y, x, 0.3, axis), scipy.integrate.simpson(y, x=x, dx=0.3, axis=axis), rtol=1e-12)
    flat = simpson(y[0, :, 0], x, 0.3)
    assert isinstance(flat, float) and flat == pytest.approx(scipy.integrate.simpson(y[0, :, 0], x=x, dx=0.3), rel=1e-12)


def test_simpson_with_an_odd_number_of_intervals_is_exact_for_parabolas():
    x = np.array([0.0, 0.7, 1.1, 2.0])
    assert simpson(3 * x**2 - x, x) == pytest.approx(8 - 2, rel=1e-13)


def test_trapezoid_allows_ties_as_roc_curves_have():
    assert trapezoid([0, 0.5, 1.0, 1.0], [0, 0, 0.5, 1.0]) == pytest.approx(0.875)


# ---------------------------------------------------------------- integrals: quad

FINITE = [(sympy.exp(T), 0, 2), (sympy.sin(T) ** 2, 0, 5), (1 / (1 + T**2), -3, 4), (T**3 - T, -1, 2), (sympy.Abs(T), -1, 2),
          (sympy.sqrt(T), 0, 1), (1 / sympy.sqrt(T), 0, 1), (sympy.log(T), 0, 1)]
INFINITE = [(sympy.exp(-T), 0, sympy.oo), (sympy.exp(-(T**2)), -sympy.oo, sympy.oo), (1 / T**2, 1, sympy.oo),
            (sympy.exp(T), -sympy.oo, 1), (1 / (1 + T**2), -sympy.oo, sympy.oo), (T**2 * sympy.exp(-T), 0, sympy.oo)]


@pytest.mark.parametrize("expression, a, b", FINITE + INFINITE, ids=str)
def test_quad_agrees_with_sympy_and_scipy(expression, a, b):
    f, truth, a, b = on_arrays(expression, T), float(sympy.integrate(expression, (T, a, b))), float(a), float(b)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, error = quad(f, a, b)
    assert value == pytest.approx(truth, rel=1e-8, abs=1e-8) and abs(value - truth) <= error + 1e-13
    assert value == pytest.approx(scipy.integrate.quad(f, a, b)[0], rel=1e-8, abs=1e-8)
    assert quad(f, b, a)[0] == -value


def test_quad_tolerance():
    wiggly = lambda x: np.sin(30 * x) * np.exp(x)  # noqa: E731
    judge = float(sympy.integrate(sympy.sin(30 * T) * sympy.exp(T), (T, 0, 3)))
    for tol in (1e-3, 1e-11):
        value, error = quad(wiggly, 0, 3, tol=tol)
        assert error <= tol and abs(value - judge) <= tol
    with pytest.raises(ValueError, match="tol"):
        quad(wiggly, 0, 3, tol=0)


@pytest.mark.parametrize("f, a, b", [
    (lambda x: 1 / x, 0, 1), (lambda x: 1 / x, -1, 1), (lambda x: 1 / x**2, -1, 1), (lambda x: 1 / (1 - x), 0, 1),
    (lambda x: 1 / x, 1, np.inf), (np.cos, 0, np.inf), (lambda x: x, -np.inf, np.inf), (lambda x: 1.0, 0, np.inf),
    (lambda x: x * scipy.stats.cauchy.pdf(x), -np.inf, np.inf), (lambda x: float("nan"), 0, 1)])
def test_quad_warns_when_the_integral_diverges(f, a, b):
    with pytest.warns(IntegrationWarning, match="do not trust"):
        _, error = quad(f, a, b)
    assert error > 1e-8


def test_quad_at_a_point():
    assert quad(np.exp, 2, 2) == (0.0, 0.0) and quad(np.exp, np.inf, np.inf) == (0.0, 0.0)


def test_quad_takes_functions_of_plain_numbers():
    assert quad(math.exp, 0, 1)[0] == pytest.approx(math.e - 1, rel=1e-10)


def test_integral_function_keeps_the_shape():
    F = integral_function(np.cos, 0)
    c = np.array([[0.0, 0.5], [2.0, -1.0]])
    np.testing.assert_allclose(F(c), np.sin(c), atol=1e-9)
    assert isinstance(F(1.0), float) and F(0.0) == 0
    np.testing.assert_allclose(integral_function(scipy.stats.norm.pdf, -np.inf)([-1, 0, 2]), scipy.stats.norm.cdf([-1, 0, 2]),
                               atol=1e-8)


def test_probabilities_of_the_normal_density():
    inside = [quad(scipy.stats.norm.pdf, -k, k)[0] for k in (1, 2, 3)]
    np.testing.assert_allclose(inside, [0.682689, 0.954500, 0.997300], atol=5e-7)


def test_mean_and_variance_of_the_triangular_density():
    mean = quad(lambda x: 2 * x * x, 0, 1)[0]
    assert mean == pytest.approx(2 / 3) and quad(lambda x: (x - mean) ** 2 * 2 * x, 0, 1)[0] == pytest.approx(1 / 18)


# ---------------------------------------------------------------- Monte Carlo and Taylor

@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_monte_carlo_is_as_good_as_it_says(d):
    f = lambda p: np.prod(1 + p / d, axis=1)  # noqa: E731
    truth = (1 + 0.5 / d) ** d
    runs = np.array([monte_carlo(f, [0] * d, [1] * d, 500, random_state=k) for k in range(200)])
    score = (runs[:, 0] - truth) / runs[:, 1]
    assert abs(score.mean()) < 0.3 and score.std() == pytest.approx(1, abs=0.15)


def test_monte_carlo_error_falls_with_the_root():
    errors = [monte_carlo(np.exp, 0, 1, n, random_state=0)[1] for n in (1000, 100_000)]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_monte_carlo_seeds_and_signs():
    assert monte_carlo(np.exp, 0, 1, 50, random_state=3) == monte_carlo(np.exp, 0, 1, 50, random_state=3)
    rng = np.random.default_rng(3)
    assert monte_carlo(np.exp, 0, 1, 50, random_state=rng) != monte_carlo(np.exp, 0, 1, 50, random_state=rng)
    value, stderr = monte_carlo(np.exp, 1, 0, 50, random_state=0)
    assert value < 0 < stderr and monte_carlo(np.exp, 1, 1, 50) == (0.0, 0.0)


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_taylor_agrees_with_sympy(n):
    f = sympy.exp(T) * sympy.cos(T)
    series = on_arrays(sympy.series(f, T, sympy.Rational(1, 2), n + 1).removeO(), T)
    polynomial = taylor([float(sympy.diff(f, T, k).subs(T, 0.5)) for k in range(n + 1)], 0.5)
    x = np.linspace(-1, 2, 7)
    np.testing.assert_allclose(polynomial(x), series(x) + 0 * x, rtol=1e-10, atol=1e-12)
    assert isinstance(polynomial(0.1), float) and polynomial(x.reshape(7, 1)).shape == (7, 1)


def test_taylor_with_many_terms():
    assert taylor([1.0] * 300, 0.0)(5.0) == pytest.approx(math.exp(5), rel=1e-13)


def test_taylor_agrees_with_numpy_polynomials():
    d = np.array([2.0, -1.0, 0.5, 3.0])
    polynomial = np.polynomial.Polynomial(d / [1, 1, 2, 6])
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(taylor(d, 1.0)(x), polynomial(x - 1.0), rtol=1e-13)


# ---------------------------------------------------------------- four laws with one mean and variance

def test_mean_and_variance_do_not_fix_the_tails():
    laws = [scipy.stats.norm(), scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
            scipy.stats.laplace(scale=math.sqrt(0.5)), scipy.stats.expon(-1)]
    for law, tail in zip(laws, [0.0455, 0, 0.0591, 0.0498]):
        low, high = law.support()
        mean = quad(lambda x: x * law.pdf(x), low, high)[0]
        assert mean == pytest.approx(0, abs=1e-7)
        assert quad(lambda x: x**2 * law.pdf(x), low, high)[0] == pytest.approx(1, abs=1e-6)
        assert 1 - quad(law.pdf, max(-2, low), min(2, high))[0] == pytest.approx(tail, abs=5e-5)


# ---------------------------------------------------------------- bad input

@pytest.mark.parametrize("h", [0, -1e-3, np.nan, np.inf, [1e-3, 1e-3]])
@pytest.mark.parametrize("method", ["central", "forward", "complex"])
def test_bad_increments(h, method):
    with pytest.raises(ValueError, match="h must be a positive, finite number"):
        derivative(np.sin, 1.0, h=h, method=method)
    with pytest.raises(ValueError, match="h must be a positive, finite number"):
        second_derivative(np.sin, 1.0, h=h)


@pytest.mark.parametrize("call", [lambda: derivative(np.square, 1e14, h=1e-4), lambda: second_derivative(np.square, 1e14, h=1e-4),
                                  lambda: approx_fprime([1e14], lambda x: x[0], 1e-4)])
def test_an_increment_that_is_lost(call):
    with pytest.raises(ValueError, match="lost"):
        call()


FUNCTIONS_OF_X = [lambda x: derivative(np.sin, x), lambda x: derivative(np.sin, x, method="complex"),
                  lambda x: second_derivative(np.sin, x), lambda x: gradient(np.sum, x), lambda x: jacobian(np.sin, x),
                  lambda x: hessian(np.sum, x), lambda x: approx_fprime(x, np.sum),
                  lambda x: directional_derivative(np.sum, x, np.ones(np.shape(x)))]


@pytest.mark.parametrize("call", FUNCTIONS_OF_X)
@pytest.mark.parametrize("x", [[], [np.inf, 1.0], [np.nan, 1.0], ["a", "b"], [1 + 1j, 2.0], [True, False]],
                         ids=["empty", "infinite", "nan", "text", "complex", "boolean"])
def test_bad_points(call, x):
    with pytest.raises(ValueError, match="x must"):
        call(x)


@pytest.mark.parametrize("name", ["", "Central", "backward", None])
def test_unknown_method(name):
    with pytest.raises(ValueError, match="central, complex, forward"):
        derivative(np.sin, 1.0, method=name)


@pytest.mark.parametrize("name", ["", "middle", None])
def test_unknown_rule(name):
    with pytest.raises(ValueError, match="left, midpoint, right"):
        riemann_sum(np.sin, 0, 1, 4, name)


@pytest.mark.parametrize("f", [np.abs, lambda z: z * np.conj(z), lambda z: np.real(z) ** 2, lambda z: np.abs(z) * z,
                               lambda z: z.real + 0j])
def test_complex_step_refuses_what_is_not_analytic(f):
    with pytest.raises(ValueError, match="analytic"):
        derivative(f, 0.7, method="complex")
    with pytest.raises(ValueError, match="analytic"):
        derivative(f, [0.3, 0.7], method="complex")


@pytest.mark.parametrize("f", [lambda z: np.exp(z) / np.sqrt(np.sin(z) ** 3 + np.cos(z) ** 3), lambda z: np.sin(1000 * z),
                               lambda z: 1e8 + z, lambda z: z * 0 + 1])
def test_complex_step_accepts_what_is(f):
    x = np.array([0.1, 0.4])
    np.testing.assert_allclose(derivative(f, x, method="complex"), derivative(f, x), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("call, message", [
    (lambda: derivative(np.sum, [1.0, 2.0]), "entry by entry"),
    (lambda: derivative(lambda x: 1.0, [1.0, 2.0]), "entry by entry"),
    (lambda: derivative(lambda x: np.array([x, x]), 1.0), "entry by entry"),
    (lambda: second_derivative(np.sum, [1.0, 2.0]), "entry by entry"),
    (lambda: gradient(np.sin, [1.0, 2.0]), "one real number"),
    (lambda: gradient(lambda x: "a", [1.0]), "one real number"),
    (lambda: hessian(np.sin, [1.0, 2.0]), "one real number"),
    (lambda: directional_derivative(np.sin, [1.0, 2.0], [1, 0]), "one real number"),
    (lambda: jacobian(lambda x: np.outer(x, x), [1.0, 2.0]), "one shape"),
    (lambda: approx_fprime([1.0, 2.0], lambda x: np.outer(x, x)), "shape"),
    (lambda: riemann_sum(lambda x: 1.0, 0, 1, 4), "entry by entry"),
    (lambda: quad(lambda x: np.array([x, x]), 0, 1), "one real number"),
    (lambda: quad(lambda x: 1j * x, 0, 1), "one real number"),
    (lambda: monte_carlo(np.sum, 0, 1, 4), "must return shape"),
    (lambda: monte_carlo(np.exp, [0, 0], [1, 1], 4), "must return shape"),
])
def test_functions_that_return_the_wrong_shape(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_jacobian_of_a_map_that_changes_its_mind():
    with pytest.raises(ValueError, match="shape|same number"):
        jacobian(lambda x: np.ones(2 if x[0] > 1 else 3), [1.0, 2.0])
    with pytest.raises(ValueError, match="same shape"):
        approx_fprime([1.0, 2.0], lambda x: np.ones(2 if x[0] > 1 else 3))


@pytest.mark.parametrize("call", [lambda x: jacobian(np.sin, x), lambda x: hessian(np.sum, x), lambda x: approx_fprime(x, np.sum)])
def test_vectors_are_vectors(call):
    with pytest.raises(ValueError, match=r"shape \(n,\)"):
        call(np.ones((2, 2)))


def test_gradient_of_a_single_number_points_to_derivative():
    with pytest.raises(ValueError, match="derivative"):
        gradient(np.sin, 1.0)


def test_zero_direction_and_mismatched_shapes():
    with pytest.raises(ValueError, match="no direction"):
        directional_derivative(np.sum, [1.0, 2.0], [0, 0])
    assert directional_derivative(np.sum, [1.0, 2.0], [0, 0], normalize=False) == 0
    with pytest.raises(ValueError, match="shape"):
        directional_derivative(np.sum, [1.0, 2.0], [1, 0, 0])
    with pytest.raises(ValueError, match="v must be finite"):
        directional_derivative(np.sum, [1.0, 2.0], [np.nan, 1])


@pytest.mark.parametrize("epsilon", [0, -1e-6, np.nan, [1e-6], [1e-6, 0]])
def test_bad_epsilon(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        approx_fprime([1.0, 2.0], np.sum, epsilon)


@pytest.mark.parametrize("n", [0, -3, 2.0, "4", True, None])
def test_bad_numbers_of_strips(n):
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        riemann_sum(np.sin, 0, 1, n)
    with pytest.raises(ValueError, match="n must be an integer of at least 2"):
        monte_carlo(np.sin, 0, 1, n)


@pytest.mark.parametrize("a, b", [(0, np.inf), (np.nan, 1), (0, [1, 2])])
def test_bad_limits(a, b):
    with pytest.raises(ValueError, match="[ab]"):
        riemann_sum(np.sin, a, b, 4)
    with pytest.raises(ValueError, match="[ab]"):
        monte_carlo(np.sin, a, b, 4)


def test_quad_refuses_nan_limits():
    for a, b in ((np.nan, 1), (0, np.nan)):
        with pytest.raises(ValueError, match="limits"):
            quad(np.sin, a, b)
    with pytest.raises(ValueError, match="a must be a number"):
        integral_function(np.sin, np.nan)
    with pytest.raises(ValueError, match="limits"):
        integral_function(np.sin, 0)(np.nan)


def test_swapped_and_equal_limits():
    for rule in ("left", "right", "midpoint"):
        assert riemann_sum(np.exp, 1, 0, 9, rule) == -riemann_sum(np.exp, 0, 1, 9, rule)
        assert riemann_sum(np.exp, 2, 2, 9, rule) == 0


@pytest.mark.parametrize("x", [[0, 2, 1], [0, 1, np.nan], [0, 1], [[0, 1, 2]]], ids=["unsorted", "nan", "short", "matrix"])
def test_bad_positions(x):
    for rule in (trapezoid, simpson):
        with pytest.raises(ValueError, match="x must"):
            rule([1.0, 2.0, 3.0], x)


def test_bad_samples():
    for rule in (trapezoid, simpson):
        assert rule([4.0]) == 0
        with pytest.raises(ValueError, match="y must"):
            rule([])
        with pytest.raises(ValueError, match="y must"):
            rule([1.0, np.inf])
        with pytest.raises(ValueError, match="axis"):
            rule([1.0, 2.0], axis=1)
        with pytest.raises(ValueError, match="dx"):
            rule([1.0, 2.0], dx=np.nan)
    with pytest.raises(ValueError, match="repeated"):
        simpson([1.0, 2.0, 3.0], [0, 0, 1])
    with pytest.raises(ValueError, match="dx"):
        simpson([1.0, 2.0, 3.0], dx=0)


@pytest.mark.parametrize("derivatives, x0", [([], 0.0), ([1, np.nan], 0.0), ([[1, 2]], 0.0), ([1], np.inf), ([1], [0, 1])])
def test_bad_taylor(derivatives, x0):
    with pytest.raises(ValueError, match="derivatives|x0"):
        taylor(derivatives, x0)


def test_the_notebooks_rule_type_is_a_plain_tuple():
    rule = Rule("square", "x^2", "2x", np.square, lambda x: 2 * x)
    assert rule.points and check_rules([rule]) == [] and tuple(rule)[:3] == ("square", "x^2", "2x")


# ---------------------------------------------------------------- exercises

@pytest.mark.parametrize("exercise, answer", [
    ("calculus-1", lambda x: 250 * x * np.cos(125 * x**2)), ("calculus-2", (3 * 2.6624 + 4 * 6.4896) / 5),
    ("calculus-3", [0, 2, -2, 2]), ("calculus-4", 817), ("calculus-5", [2 / 3, 1 / 18]), ("calculus-6", 0.244458)])
def test_the_answers_to_the_exercises(exercise, answer):
    assert check(exercise, answer)
