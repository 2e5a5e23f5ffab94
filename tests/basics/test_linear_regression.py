"""Linear regression: agreement with scikit-learn, statsmodels and SciPy, edges, errors, published numbers."""
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import sklearn.preprocessing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError, UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import mlcheat.basics.linear_regression as lr
from mlcheat.data import make_advertising

ESTIMATORS = [lr.LinearRegression(), lr.LinearRegression(fit_intercept=False), lr.GradientDescentRegressor(),
              lr.StandardScaler(), lr.MeanNormalizer()]
REGRESSORS = [lr.LinearRegression, lr.GradientDescentRegressor]
SCALERS = [lr.StandardScaler, lr.MeanNormalizer]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def problem(rng):
    X = rng.normal(size=(60, 4)) * [1.0, 10.0, 0.1, 3.0] + [0.0, 5.0, -2.0, 100.0]
    return X, X @ [1.0, -2.0, 30.0, 0.5] + 7 + rng.normal(size=60)


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


# LinearRegression


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [None, 1, 3, 60])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_linear_regression_equals_scikit_learn(rng, fit_intercept, weighted, targets, dtype):
    X = (rng.normal(size=(50, 4)) * 100).astype(dtype)
    y = rng.normal(size=50) if targets is None else rng.normal(size=(50, targets))
    y = (y.T + X[:, 0]).T
    weight = rng.uniform(0.1, 2, size=50) if weighted else None
    mine = lr.LinearRegression(fit_intercept=fit_intercept).fit(X, y, sample_weight=weight)
    judge = sklearn.linear_model.LinearRegression(fit_intercept=fit_intercept).fit(X.astype(float), y, sample_weight=weight)
    tol = {"rtol": 1e-3, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-8, "atol": 1e-10}
    np.testing.assert_allclose(mine.coef_, judge.coef_, **tol)
    np.testing.assert_allclose(mine.intercept_, judge.intercept_, **tol)
    np.testing.assert_allclose(mine.singular_, judge.singular_, rtol=1e-6)
    assert mine.rank_ == judge.rank_ == 4
    assert mine.coef_.shape == judge.coef_.shape and np.shape(mine.intercept_) == np.shape(judge.intercept_)
    assert mine.predict(X).shape == judge.predict(X).shape == y.shape
    assert mine.score(X, y) == pytest.approx(sklearn.metrics.r2_score(y, judge.predict(X)), rel=1e-3)


def test_linear_regression_keeps_float32(rng):
    X = rng.normal(size=(30, 3)).astype(np.float32)
    model = lr.LinearRegression().fit(X, X[:, 0])
    assert model.coef_.dtype == np.float32 and model.predict(X).dtype == np.float32


@pytest.mark.parametrize("shape", [(200, 3), (12, 12), (5, 9), (1, 4), (1, 1), (2, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_minimum_norm_as_numpy(rng, shape, fit_intercept):
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    model = lr.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    centred = (X - X.mean(0), y - y.mean()) if fit_intercept else (X, y)
    coef, _, rank, singular = np.linalg.lstsq(*centred)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model.singular_, singular, atol=1e-12)
    assert model.rank_ == rank
    assert model.intercept_ == pytest.approx(y.mean() - X.mean(0) @ coef if fit_intercept else 0.0)


def test_fewer_rows_than_columns_fits_exactly(rng):
    X, y = rng.normal(size=(5, 9)), rng.normal(size=5)
    np.testing.assert_allclose(lr.LinearRegression().fit(X, y).predict(X), y)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8 + 0.1, -3e15])
@pytest.mark.parametrize("n", [37, 49, 1000])
def test_constant_column_gets_no_weight(rng, constant, n):
    X = np.column_stack([rng.normal(size=n), np.full(n, constant)])
    model = lr.LinearRegression().fit(X, 2 * X[:, 0] + 1)
    np.testing.assert_allclose(model.coef_, [2, 0], atol=1e-10)
    assert model.rank_ == 1 and model.intercept_ == pytest.approx(1)


def test_duplicate_column_shares_the_weight(rng):
    x = rng.normal(size=30)
    model = lr.LinearRegression().fit(np.column_stack([x, x, 2 * x]), 6 * x)
    np.testing.assert_allclose(model.coef_, [1, 1, 2])
    assert model.rank_ == 1


def test_huge_values_and_offsets(rng):
    x = rng.normal(size=(100, 2))
    y = x @ [3.0, -1.0] + 2
    np.testing.assert_allclose(lr.LinearRegression().fit(x * 1e8, y).coef_, np.array([3.0, -1.0]) / 1e8)
    shifted = lr.LinearRegression().fit(x + 1e8, y)
    np.testing.assert_allclose(shifted.coef_, [3, -1], rtol=1e-6)
    np.testing.assert_allclose(shifted.predict(x + 1e8), y, atol=1e-5)


def test_zero_weight_is_absence_and_two_is_twice(rng):
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    weight = np.repeat([0.0, 1.0, 2.0], 10)
    repeated = np.r_[10:20, 20:30, 20:30]
    mine, other = lr.LinearRegression().fit(X, y, weight), lr.LinearRegression().fit(X[repeated], y[repeated])
    np.testing.assert_allclose(mine.coef_, other.coef_)
    assert mine.intercept_ == pytest.approx(other.intercept_)


def test_columns_too_small_for_a_finite_coefficient_are_refused():
    X, y = np.full((12, 1), 2.2e-313), np.ones(12)
    X[0], y[0] = 0, 0
    with pytest.raises(ValueError, match="too large for float64.*scale X up"):
        lr.LinearRegression().fit(X, y)


COARSE = st.floats(-100, 100).map(lambda v: round(v, 3))


@settings(max_examples=40, deadline=None)
@given(arrays(float, (12, 3), elements=COARSE), arrays(float, 12, elements=COARSE))
def test_residual_is_orthogonal_to_every_column(X, y):
    model = lr.LinearRegression().fit(X, y)
    residual = y - model.predict(X)
    assert abs(residual.sum()) < 1e-8 * 1e2 * 12
    centred = X - X.mean(0)
    if model.rank_ == 0 or model.singular_[model.rank_ - 1] > 1e-6:           # else rounding decides the rank
        assert np.abs(centred.T @ residual).max() < 1e-6 * (1 + np.abs(X).max()) * (1 + np.abs(y).max())


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(-100, 100), st.integers(0, 1000))
def test_predictions_do_not_depend_on_units(scale, shift, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    here, there = lr.LinearRegression().fit(X, y), lr.LinearRegression().fit(X * scale + shift, y)
    np.testing.assert_allclose(here.predict(X), there.predict(X * scale + shift), atol=1e-7)


def test_works_inside_scikit_learn(problem):
    X, y = problem
    search = GridSearchCV(make_pipeline(lr.StandardScaler(), lr.GradientDescentRegressor()),
                          {"gradientdescentregressor__learning_rate": ["auto", 0.1]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


# GradientDescentRegressor


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_gradient_descent_arrives(rng, fit_intercept):
    X = rng.normal(size=(80, 3))
    y = X @ [1.0, 2.0, -1.0] + 4 + rng.normal(size=80)
    mine = lr.GradientDescentRegressor(fit_intercept=fit_intercept, tol=1e-12).fit(X, y)
    judge = sklearn.linear_model.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    np.testing.assert_allclose(mine.coef_, judge.coef_, rtol=1e-8)
    assert mine.intercept_ == pytest.approx(judge.intercept_, rel=1e-8)
    assert len(mine.loss_curve_) == mine.n_iter_ + 1
    assert mine.loss_curve_[0] == pytest.approx(np.mean(y**2) / 2)
    assert mine.loss_curve_[-1] == pytest.approx(np.mean((y - judge.predict(X)) ** 2) / 2)
    assert (np.diff(mine.loss_curve_) <= 1e-12).all()


@pytest.mark.parametrize("shape", [(50, 3), (4, 6), (1, 2)])
def test_gradient_descent_is_the_plain_loop(rng, shape):
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    A, w = np.column_stack([np.ones(len(X)), X]), np.zeros(shape[1] + 1)
    losses = [np.mean((y - A @ w) ** 2) / 2]
    for _ in range(25):
        w = w + 0.05 * A.T @ (y - A @ w) / len(y)
        losses.append(np.mean((y - A @ w) ** 2) / 2)
    with pytest.warns(ConvergenceWarning, match="max_iter=25"):
        mine = lr.GradientDescentRegressor(learning_rate=0.05, max_iter=25, tol=0).fit(X, y)
    np.testing.assert_allclose([mine.intercept_, *mine.coef_], w, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mine.loss_curve_, losses, rtol=1e-9)
    assert mine.n_iter_ == 25


def test_too_large_a_rate_is_refused_and_the_limit_named(problem):
    X, y = problem
    limit = 2 / np.linalg.eigvalsh(lr.add_intercept(X).T @ lr.add_intercept(X) / len(X))[-1]
    with pytest.raises(ValueError, match=f"largest stable value is {limit:.6g}"):
        lr.GradientDescentRegressor(learning_rate=10 * limit).fit(X, y)            # overflows
    with pytest.raises(ValueError, match="largest stable value"):
        lr.GradientDescentRegressor(learning_rate=1.05 * limit, max_iter=200).fit(X, y)   # only grows
    with pytest.warns(ConvergenceWarning):
        lr.GradientDescentRegressor(learning_rate=0.99 * limit, max_iter=200).fit(X, y)


@pytest.mark.parametrize("parameters, message", [
    ({"learning_rate": 0.0}, "learning_rate"), ({"learning_rate": -1}, "learning_rate"), ({"learning_rate": np.nan}, "learning_rate"),
    ({"learning_rate": "fast"}, "learning_rate"), ({"learning_rate": None}, "learning_rate"), ({"max_iter": 0}, "max_iter"),
    ({"max_iter": 1.5}, "max_iter"), ({"tol": -1.0}, "tol"), ({"tol": np.nan}, "tol")])
def test_gradient_descent_parameters(problem, parameters, message):
    with pytest.raises(ValueError, match=message):
        lr.GradientDescentRegressor(**parameters).fit(*problem)


def test_gradient_descent_with_nothing_to_learn(rng):
    flat = lr.GradientDescentRegressor().fit(np.zeros((5, 2)), np.zeros(5))
    assert flat.n_iter_ == 0 and not flat.coef_.any() and flat.intercept_ == 0
    empty = lr.GradientDescentRegressor(fit_intercept=False).fit(np.zeros((5, 2)), np.ones(5))
    assert not empty.coef_.any()


def test_gradient_descent_on_edges(rng):
    x = rng.normal(size=30)
    shared = lr.GradientDescentRegressor(tol=1e-12).fit(np.column_stack([x, x]), 3 * x + 1)
    np.testing.assert_allclose([*shared.coef_, shared.intercept_], [1.5, 1.5, 1])      # the shortest, as lstsq
    huge = lr.GradientDescentRegressor(fit_intercept=False).fit(x[:, None] * 1e8, x)
    np.testing.assert_allclose(huge.coef_, 1e-8)
    constant = lr.GradientDescentRegressor().fit(np.ones((6, 1)), np.full(6, 4.0))
    np.testing.assert_allclose(constant.predict(np.ones((6, 1))), 4)


def test_column_targets(problem):
    X, y = problem
    two = lr.LinearRegression().fit(X, y[:, None])
    assert two.coef_.shape == (1, 4) and two.intercept_.shape == (1,) and two.predict(X).shape == (60, 1)
    Z = lr.StandardScaler().fit_transform(X)
    with pytest.warns(DataConversionWarning):
        flat = lr.GradientDescentRegressor().fit(Z, y[:, None])
    assert flat.predict(Z).shape == (60,)


# bad input, both regressors


@pytest.mark.parametrize("cls", REGRESSORS)
@pytest.mark.parametrize("X, y", [
    (np.empty((0, 2)), np.empty(0)), (np.empty((3, 0)), np.zeros(3)), ([[1.0], [np.nan]], [1.0, 2.0]), ([[1.0], [np.inf]], [1.0, 2.0]),
    ([[1.0], [2.0]], [1.0, np.nan]), ([[1.0], [2.0]], [1.0, 2.0, 3.0]), ([1.0, 2.0], [1.0, 2.0])],
    ids=["no rows", "no columns", "nan", "inf", "nan target", "lengths", "one-dimensional"])
def test_bad_data_is_refused(cls, X, y):
    with pytest.raises(ValueError):
        cls().fit(X, y)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_use_before_fit_and_wrong_width(estimator, problem):
    X, y = problem
    estimator = sklearn.base.clone(estimator)
    use = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    with pytest.raises(NotFittedError):
        use(X)
    estimator.fit(lr.StandardScaler().fit_transform(X), y)
    with pytest.raises(ValueError, match="features"):
        use(X[:, :2])


@pytest.mark.parametrize("cls", REGRESSORS)
def test_integers_are_not_modified(cls):
    X, y = np.array([[1], [2], [4]]), np.array([1, 2, 3])
    kept = X.copy(), y.copy()
    cls().fit(X, y).predict(X)
    assert (X == kept[0]).all() and (y == kept[1]).all() and X.dtype == np.int64
    assert cls().fit(X, y).coef_[0] == pytest.approx(np.polyfit([1, 2, 4], [1, 2, 3], 1)[0], rel=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_inputs_stay_as_they_are(problem, order):
    X, y = np.array(problem[0], order=order), problem[1].copy()
    weight = np.linspace(0, 1, 60)
    for action in (lambda: lr.LinearRegression().fit(X, y, weight), lambda: lr.StandardScaler().fit_transform(X),
                   lambda: lr.MeanNormalizer().fit_transform(X), lambda: lr.ols_summary(X, y), lambda: lr.normal_equation(X, y),
                   lambda: lr.LinearRegression(fit_intercept=False).fit(X, y), lambda: lr.cooks_distance(X, y),
                   lambda: lr.variance_inflation_factor(X, 1)):
        action()
        assert (X == problem[0]).all() and (y == problem[1]).all() and (weight == np.linspace(0, 1, 60)).all()


@pytest.mark.parametrize("cls", REGRESSORS)
def test_one_row(cls):
    model = cls().fit([[2.0, 3.0]], [5.0])
    assert model.predict([[2.0, 3.0]])[0] == pytest.approx(5, rel=1e-6)


@pytest.mark.parametrize("weight", [np.ones(3), np.ones((60, 1)), np.full(60, -1.0), np.zeros(60), np.full(60, np.nan)])
def test_bad_weights(problem, weight):
    with pytest.raises(ValueError, match="sample_weight"):
        lr.LinearRegression().fit(*problem, sample_weight=weight)


# scalers


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cls", SCALERS)
def test_scalers_keep_dtype_and_invert(rng, cls, dtype):
    X = (rng.normal(size=(40, 3)) * [1, 100, 1e-3] + [0, 5, 2]).astype(dtype)
    scaler = cls().fit(X)
    Z = scaler.transform(X)
    assert Z.dtype == dtype and scaler.inverse_transform(Z).dtype == dtype
    np.testing.assert_allclose(scaler.inverse_transform(Z), X, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_standard_scaler_equals_scikit_learn(problem):
    X, _ = problem
    mine, judge = lr.StandardScaler().fit(X), sklearn.preprocessing.StandardScaler().fit(X)
    np.testing.assert_allclose(mine.mean_, judge.mean_, rtol=1e-12)
    np.testing.assert_allclose(mine.scale_, judge.scale_, rtol=1e-12)
    np.testing.assert_allclose(mine.transform(X), judge.transform(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"with_mean": False}, {"with_std": False}, {"with_mean": False, "with_std": False}])
def test_standard_scaler_options(problem, options):
    X, _ = problem
    mine, judge = lr.StandardScaler(**options).fit(X), sklearn.preprocessing.StandardScaler(**options).fit(X)
    np.testing.assert_allclose(mine.transform(X), judge.transform(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mine.inverse_transform(mine.transform(X)), X)


def test_mean_normalizer_stays_within_one(problem):
    Z = lr.MeanNormalizer().fit_transform(problem[0])
    assert np.abs(Z).max() <= 1
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.ptp(Z, axis=0), 1)


@pytest.mark.parametrize("cls", SCALERS)
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8 + 0.1, 5])
def test_constant_columns_have_scale_one(cls, constant):
    X = np.column_stack([np.full(7, constant), np.arange(7)])
    scaler = cls().fit(X)
    assert scaler.scale_[0] == 1 and np.isfinite(scaler.transform(X)).all()
    np.testing.assert_allclose(scaler.transform(X)[:, 0], 0, atol=1e-7)
    assert cls().fit([[3.0]]).transform([[4.0]]) == 1                              # one row


@pytest.mark.parametrize("cls", SCALERS)
@pytest.mark.parametrize("X", [np.empty((0, 2)), [[np.nan]], [[np.inf]], [1.0, 2.0]], ids=["empty", "nan", "inf", "flat"])
def test_scalers_refuse(cls, X):
    with pytest.raises(ValueError):
        cls().fit(X)


@settings(max_examples=40, deadline=None)
@given(arrays(float, (8, 2), elements=st.floats(-1e6, 1e6)))
def test_scalers_round_trip(X):
    for cls in SCALERS:
        scaler = cls().fit(X)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(X)), X, atol=1e-6)


# metrics


METRICS = ["mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2_score"]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_equal_scikit_learn(rng, name, shape, weighted):
    y, p = rng.normal(size=shape), rng.normal(size=shape)
    weight = rng.uniform(size=30) if weighted else None
    mine = getattr(lr, name)(y, p, sample_weight=weight)
    assert type(mine) is float
    assert mine == pytest.approx(getattr(sklearn.metrics, name)(y, p, sample_weight=weight), rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("y, p, words", [
    (np.zeros(3), np.zeros((3, 1)), r"\(3,\) and \(3, 1\)"), (np.zeros(3), np.zeros(4), "shape"), (np.empty(0), np.empty(0), "empty"),
    ([np.nan, 1], [0, 1], "finite"), ([0, 1], [np.inf, 1], "finite"), (1.0, 1.0, "shape"), (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), "shape")])
def test_metrics_refuse(name, y, p, words):
    with pytest.raises(ValueError, match=words):
        getattr(lr, name)(y, p)


@pytest.mark.parametrize("constant", [3.0, 0.1, 0.0, 0.7, 1e8 + 0.1])
@pytest.mark.parametrize("n", [3, 7, 10, 37, 49])
def test_r2_of_a_constant_target(constant, n):
    y = np.full(n, constant)
    assert lr.r2_score(y, y) == 1.0
    assert lr.r2_score(y, y + 0.1) == 0.0
    both = np.column_stack([y, np.arange(n)])
    assert lr.r2_score(both, both + [[0.1, 0]] * n) == pytest.approx(0.5)


def test_r2_of_one_row_is_undefined():
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(lr.r2_score([1.0], [2.0]))


def test_metrics_weights():
    with pytest.raises(ValueError, match="sample_weight"):
        lr.mean_squared_error([1.0, 2.0], [1.0, 2.0], sample_weight=[1.0])
    assert lr.mean_squared_error([0.0, 0.0], [1.0, 3.0], sample_weight=[1.0, 0.0]) == 1.0


# gradient, ones, normal equations


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(0, 10**6))
def test_mse_gradient_equals_differences(n, d, seed):
    rng = np.random.default_rng(seed)
    X, y, w = rng.normal(size=(n, d)), rng.normal(size=n), rng.normal(size=d + 1)
    f = lambda v: np.mean((y - X @ v[:-1] - v[-1]) ** 2)  # noqa: E731
    h = 1e-4
    numeric = np.array([(f(w + h * e) - f(w - h * e)) / (2 * h) for e in np.eye(d + 1)])
    coef, intercept = lr.mse_gradient(X, y, w[:-1], w[-1])
    assert type(intercept) is float and coef.shape == (d,)
    np.testing.assert_allclose([*coef, intercept], numeric, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose([*coef, intercept], approx_fprime(w, f), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("X, y, coef, words", [
    (np.ones((3, 2)), np.ones((3, 1)), np.ones(2), r"y must have shape \(3,\)"), (np.ones((3, 2)), np.ones(4), np.ones(2), "y must"),
    (np.ones((3, 2)), np.ones(3), np.ones((2, 1)), r"coef must have shape \(2,\)"), (np.ones(3), np.ones(3), np.ones(1), "X must"),
    (np.ones((0, 2)), np.ones(0), np.ones(2), "at least one row"), (np.full((3, 2), np.nan), np.ones(3), np.ones(2), "finite"),
    (np.ones((3, 2)), [1, np.inf, 1], np.ones(2), "finite")])
def test_mse_gradient_refuses(X, y, coef, words):
    with pytest.raises(ValueError, match=words):
        lr.mse_gradient(X, y, coef)


def test_add_intercept():
    X = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(lr.add_intercept(X), [[1, 1, 2], [1, 3, 4]])
    assert X.shape == (2, 2) and lr.add_intercept(X).dtype == float
    with pytest.raises(ValueError):
        lr.add_intercept([1.0, 2.0])


def test_normal_equation(problem):
    X, y = problem
    A = lr.add_intercept(X)
    np.testing.assert_allclose(lr.normal_equation(A, y), np.linalg.lstsq(A, y)[0], rtol=1e-8)
    np.testing.assert_allclose(lr.normal_equation(A * [1, 1e8, 1, 1e-6, 1], y) * [1, 1e8, 1, 1e-6, 1], lr.normal_equation(A, y), rtol=1e-8)


@pytest.mark.parametrize("columns", [[0, 0, 1], [0, 1, 2, 3, 0], []])
def test_normal_equation_refuses_dependent_columns(problem, columns):
    X, y = problem
    dependent = X[:, columns] if columns else np.column_stack([X, np.zeros(60)])
    with pytest.raises(ValueError, match="depend on each other"):
        lr.normal_equation(dependent, y)
    with pytest.raises(ValueError, match="depend on each other"):
        lr.normal_equation(X[:2], y[:2])


# statistics


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.05, 0.32])
def test_summary_equals_statsmodels(problem, fit_intercept, alpha):
    sm = pytest.importorskip("statsmodels.api")
    X, y = problem
    mine = lr.ols_summary(X, y, fit_intercept=fit_intercept, alpha=alpha)
    judge = sm.OLS(y, sm.add_constant(X) if fit_intercept else X).fit()
    for name in ("params", "bse", "tvalues", "pvalues", "rsquared", "rsquared_adj", "scale", "fittedvalues", "resid"):
        np.testing.assert_allclose(getattr(mine, name), getattr(judge, name), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(mine.conf_int, judge.conf_int(alpha), rtol=1e-6)
    np.testing.assert_allclose(mine.cov_params, judge.cov_params(), rtol=1e-6)
    assert mine.df_resid == judge.df_resid
    frame = judge.get_prediction(sm.add_constant(X[:7], has_constant="add") if fit_intercept else X[:7]).summary_frame(alpha)
    np.testing.assert_allclose(mine.interval(X[:7]), frame[["mean_ci_lower", "mean_ci_upper"]], rtol=1e-6)
    np.testing.assert_allclose(mine.interval(X[:7], obs=True), frame[["obs_ci_lower", "obs_ci_upper"]], rtol=1e-6)


def test_influence_equals_statsmodels(problem):
    sm = pytest.importorskip("statsmodels.api")
    X, y = problem
    judge = sm.OLS(y, sm.add_constant(X)).fit().get_influence()
    np.testing.assert_allclose(lr.leverage(X), judge.hat_matrix_diag, rtol=1e-6)
    np.testing.assert_allclose(lr.cooks_distance(X, y), judge.cooks_distance[0], rtol=1e-6)
    judge = sm.OLS(y, X).fit().get_influence()
    np.testing.assert_allclose(lr.cooks_distance(X, y, fit_intercept=False), judge.cooks_distance[0], rtol=1e-6)


def test_vif_equals_statsmodels(rng):
    sm = pytest.importorskip("statsmodels.api")
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    X = rng.normal(size=(60, 4)) + [0, 10, 0, 0]
    X[:, 3] = X[:, 0] + X[:, 1] + 0.1 * rng.normal(size=60)
    for j in range(4):
        assert lr.variance_inflation_factor(X, j) == pytest.approx(variance_inflation_factor(sm.add_constant(X), j + 1), rel=1e-6)


def test_vif_edges(rng):
    x = rng.normal(size=20)
    assert lr.variance_inflation_factor(np.column_stack([x, 2 * x + 3]), 0) == np.inf
    assert lr.variance_inflation_factor(x[:, None], 0) == 1.0
    assert lr.variance_inflation_factor(np.column_stack([x, x**2]), -1) == lr.variance_inflation_factor(np.column_stack([x, x**2]), 1)
    with pytest.raises(ValueError, match="constant"):
        lr.variance_inflation_factor(np.column_stack([x, np.ones(20)]), 1)
    with pytest.raises(ValueError, match="j must"):
        lr.variance_inflation_factor(x[:, None], 1)


def test_one_feature_equals_linregress(rng):
    x, y = rng.normal(size=20), rng.normal(size=20)
    mine, judge = lr.ols_summary(x[:, None], y), scipy.stats.linregress(x, y)
    np.testing.assert_allclose([*mine.params[::-1], *mine.bse[::-1], mine.pvalues[1], mine.rsquared],
                               [judge.slope, judge.intercept, judge.stderr, judge.intercept_stderr, judge.pvalue, judge.rvalue**2])


@pytest.mark.parametrize("function", [lr.ols_summary, lr.cooks_distance])
def test_statistics_refuse(rng, function):
    X, y = rng.normal(size=(10, 2)), rng.normal(size=10)
    with pytest.raises(ValueError, match="at least 4 rows"):
        function(X[:3], y[:3])
    with pytest.raises(ValueError, match="depend on each other"):
        function(X[:, [0, 0]], y)
    with pytest.raises(ValueError, match="depend on each other"):
        function(np.column_stack([X, np.full(10, 3.0)]), y)
    with pytest.raises(ValueError, match="y must have shape"):
        function(X, y[:, None])
    with pytest.raises(ValueError, match="finite"):
        function(np.where(X > 0, np.nan, X), y)


def test_summary_details(rng):
    X, y = rng.normal(size=(10, 2)), rng.normal(size=10)
    for alpha in (0, 1, -0.1, 2):
        with pytest.raises(ValueError, match="alpha"):
            lr.ols_summary(X, y, alpha=alpha)
    with pytest.raises(ValueError, match="2 columns"):
        lr.ols_summary(X, y).interval(X[:, :1])
    assert np.isnan(lr.ols_summary(X, np.full(10, 0.1)).rsquared)
    with pytest.raises(ValueError, match="depend"):
        lr.leverage(np.ones((4, 1)))


def test_leverage_one_has_no_distance():
    X = np.array([[0.0], [0.0], [0.0], [1.0]])
    assert lr.leverage(X)[3] == pytest.approx(1)
    assert np.isnan(lr.cooks_distance(X, [1.0, 2.0, 4.0, 9.0])[3])


def test_likelihood_is_largest_at_least_squares(rng):
    X, y = make_advertising(random_state=0)
    A = lr.add_intercept(X)
    w = lr.normal_equation(A, y)
    at = scipy.stats.norm(A @ w, 1.7).logpdf(y).sum()
    assert all(scipy.stats.norm(A @ (w + rng.normal(size=4) * 0.01), 1.7).logpdf(y).sum() < at for _ in range(50))


# numbers published for the real data


def published(advertising):
    X, y = advertising
    return X, y, X[:, 1]


def half_mse(A, y, w):
    return np.mean((y - A @ w) ** 2) / 2


def test_printed_rows_are_not_in_the_data(advertising):
    X, y, _ = published(advertising)
    np.testing.assert_array_equal(np.column_stack([X, y])[:4, [1, 2, 3]],
                                  [[37.8, 69.2, 22.1], [39.3, 45.1, 10.4], [45.9, 69.3, 9.3], [41.3, 58.5, 18.5]])
    pairs = {(a, b) for a, b in zip(X[:, 2].tolist(), y.tolist())}
    assert not pairs & {(69.1, 22.1), (23.1, 10.4), (34.7, 18.3), (13.2, 18.5)}


def test_sums_in_the_chapter_are_those_of_the_data(advertising):
    import ast
    from pathlib import Path

    import nbformat

    X, y, radio = published(advertising)
    path = Path(__file__).parents[2] / "nbs/basics/linear_regression.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    source = next(c.source for c in cells if c.cell_type == "code" and "\nS = np.array(" in c.source)
    statement = next(s for s in ast.parse(source).body if isinstance(s, ast.Assign) and s.targets[0].id == "S")
    columns = np.column_stack([np.ones(200), X, X[:, 0] * radio, y])
    np.testing.assert_allclose(ast.literal_eval(statement.value.args[0]), columns.T @ columns, rtol=1e-12)
    np.testing.assert_array_equal(X.min(0), [0.7, 0, 0.3])
    np.testing.assert_array_equal(X.max(0), [296.4, 49.6, 114.0])


def test_published_radio_training(advertising):
    _, y, radio = published(advertising)
    with pytest.warns(ConvergenceWarning):                    # the 1/N cost at rate r is the half cost at rate 2r
        model = lr.GradientDescentRegressor(learning_rate=0.0001, max_iter=40).fit(radio[:, None], y)
    costs = 2 * model.loss_curve_
    np.testing.assert_allclose(costs[[0, 1, 11, 21, 31, 40]], [223.716, 197.2505, 74.6565, 49.4838, 44.3060, 43.2803], atol=5e-4)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [0.4661, 0.02498], atol=5e-5)


def test_published_line_is_worse_than_the_mean(advertising):
    _, y, radio = published(advertising)
    best = lr.LinearRegression().fit(radio[:, None], y)
    np.testing.assert_allclose([best.coef_[0], best.intercept_], [0.20250, 9.31164], atol=1e-5)
    assert lr.mean_squared_error(y, best.predict(radio[:, None])) == pytest.approx(18.09, abs=5e-3)
    assert lr.mean_squared_error(y, 0.46 * radio + 0.25) == pytest.approx(42.07, abs=5e-3)
    assert lr.mean_squared_error(y, 0.46 * radio + 0.025) == pytest.approx(43.50, abs=5e-3)
    assert lr.r2_score(y, 0.46 * radio + 0.25) == pytest.approx(-0.55, abs=5e-3)
    assert lr.r2_score(y, 0.46 * radio + 0.025) == pytest.approx(-0.61, abs=5e-3)


def test_published_radio_steps_and_rates(advertising):
    _, y, radio = published(advertising)
    A = np.column_stack([radio, np.ones(200)])
    H, c = 2 * A.T @ A / 200, 2 * A.T @ y / 200
    assert np.linalg.cond(H) == pytest.approx(2642.2, abs=0.05)
    assert 2 / np.linalg.eigvalsh(H)[-1] == pytest.approx(0.00131363, rel=1e-5)
    best = np.linalg.solve(H, c)
    floor, w, k = np.mean((y - A @ best) ** 2), np.zeros(2), 0
    excess = lambda w: (w - best) @ H @ (w - best) / 2  # noqa: E731
    while excess(w) > 0.01 * floor:
        w, k = w - 0.00005 * (H @ w - c), k + 1
    assert k == 85479
    for rate, converges in ((0.0013, True), (0.00132, False)):
        w = np.zeros(2)
        for _ in range(5000):
            w = w - rate * (H @ w - c)
        assert (excess(w) < 1) == converges


def test_published_training_with_three_features(advertising):
    X, y, _ = published(advertising)
    Z = lr.MeanNormalizer().fit_transform(X)
    np.testing.assert_allclose(Z.min(0), [-0.495, -0.469, -0.266], atol=5e-4)
    np.testing.assert_allclose(Z.max(0), [0.505, 0.531, 0.734], atol=5e-4)
    with pytest.warns(ConvergenceWarning):
        model = lr.GradientDescentRegressor(learning_rate=0.005, max_iter=1000).fit(Z, y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], [13.92919, 4.77043, 3.52101, 0.81910], atol=1e-5)
    np.testing.assert_allclose(model.loss_curve_[[0, 1, 1000]], [111.8581, 110.8662, 6.25344], atol=5e-5)
    with pytest.warns(ConvergenceWarning):
        slow = lr.GradientDescentRegressor(learning_rate=0.0005, max_iter=1000).fit(Z, y)
    np.testing.assert_allclose([slow.loss_curve_[-1], slow.intercept_], [48.63, 5.52], atol=5e-3)
    exact = lr.LinearRegression().fit(Z, y)
    np.testing.assert_allclose(exact.coef_, [13.533, 9.351, -0.118], atol=5e-4)
    assert half_mse(Z, y - exact.intercept_, exact.coef_) == pytest.approx(1.3921, abs=5e-5)
    assert half_mse(Z, y, np.linalg.lstsq(Z, y)[0]) == pytest.approx(99.71, abs=5e-3)
    w = lr.GradientDescentRegressor(tol=1e-12).fit(Z, y)
    np.testing.assert_allclose(w.coef_, exact.coef_, atol=1e-6)


def test_largest_stable_rate_on_normalised_data(advertising):
    X, y, _ = published(advertising)
    Z = lr.MeanNormalizer().fit_transform(X)
    with pytest.raises(ValueError, match="largest stable value is 2$"):
        lr.GradientDescentRegressor(learning_rate=2.1, max_iter=1000).fit(Z, y)
    with pytest.warns(ConvergenceWarning):
        stuck = lr.GradientDescentRegressor(learning_rate=2.0, max_iter=1000).fit(Z, y)
    assert abs(stuck.intercept_) < 1e-6


def test_steps_by_scaling(advertising):
    X, y, _ = published(advertising)
    for B, condition, expected in ((X, 206457, None), (lr.MeanNormalizer().fit_transform(X), 33.8, 87),
                                   (lr.StandardScaler().fit_transform(X), 2.12, 6)):
        assert np.linalg.cond(lr.add_intercept(B).T @ lr.add_intercept(B)) == pytest.approx(condition, rel=2e-3)
        if expected:
            curve = lr.GradientDescentRegressor(tol=1e-12).fit(B, y).loss_curve_
            assert np.argmax(curve <= curve[-1] + 1e-3) == expected
    A = lr.add_intercept(X)                                   # 665,272 steps, by repeated squaring of one step
    G, c, = A.T @ A / 200, A.T @ y / 200
    best = np.linalg.solve(G, c)
    step = np.eye(4) - G / np.linalg.eigvalsh(G)[-1]
    for k, within in ((665271, False), (665272, True)):
        error = np.linalg.matrix_power(step, k) @ best
        assert (error @ G @ error / 2 <= 1e-3) == within


def test_published_least_squares(advertising):
    X, y, radio = published(advertising)
    fit = lr.ols_summary(X, y)
    np.testing.assert_allclose(fit.params, [2.93889, 0.0457646, 0.188530, -0.00103749], rtol=5e-6)
    np.testing.assert_allclose(fit.bse, [0.31191, 0.0013949, 0.0086112, 0.0058710], rtol=5e-5)
    np.testing.assert_allclose(fit.tvalues, [9.42, 32.81, 21.89, -0.18], atol=5e-3)
    assert fit.rsquared == pytest.approx(0.897211, abs=5e-7)
    assert lr.mean_squared_error(y, fit.fittedvalues) == pytest.approx(2.78413, abs=5e-6)
    np.testing.assert_allclose([lr.variance_inflation_factor(X, j) for j in range(3)], [1.0046, 1.1450, 1.1452], atol=5e-5)
    assert scipy.stats.skew(fit.resid) == pytest.approx(-1.33, abs=5e-3)
    bend = lr.ols_summary(np.column_stack([fit.fittedvalues, fit.fittedvalues**2]), fit.resid)
    assert bend.tvalues[2] > 5                                # the residuals bend
    synergy = lr.ols_summary(np.column_stack([X[:, :2], X[:, 0] * radio]), y)
    np.testing.assert_allclose(synergy.params, [6.7502, 0.019101, 0.028860, 0.0010865], rtol=5e-5)
    assert synergy.rsquared == pytest.approx(0.9678, abs=5e-5)
    alone = lr.ols_summary(X[:, 2:], y)
    np.testing.assert_allclose([alone.params[1], alone.rsquared], [0.0547, 0.0521], atol=5e-5)
    assert np.corrcoef(radio, X[:, 2])[0, 1] == pytest.approx(0.3541, abs=5e-5)


def test_published_final_equation_and_first_row(advertising):
    X, y, _ = published(advertising)
    assert X[0] @ [4.7, 3.5, 0.81] + 13.9 == pytest.approx(1283.7, abs=0.05) and y[0] == 22.1
    w = np.array([0.01, 0.02, 0.03])
    assert -X[0, 0] * (y[0] - X[0] @ w) == pytest.approx(-3904.1, abs=0.05)
    assert lr.mse_gradient(X, y, w)[0][0] / 2 == pytest.approx(-1913.2, abs=0.05)
    Z = lr.MeanNormalizer().fit_transform(X)
    table = y - (Z @ np.ones(3))[:, None]
    assert np.sum(table**2) / 400 == pytest.approx(22398.2, abs=0.05)
    assert half_mse(Z, y, np.ones(3)) == pytest.approx(109.69, abs=5e-3)
    flat = y - np.zeros((200, 1))
    assert np.abs(np.mean(-Z.T @ flat, axis=1)).max() < 1e-10
