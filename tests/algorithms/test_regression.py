"""Regression against scikit-learn, statsmodels, SciPy and brute force; optimality, edges, errors."""
import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import sklearn
import sklearn.isotonic
import sklearn.kernel_ridge
import sklearn.linear_model as theirs
import sklearn.preprocessing as prep
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline, CubicSpline
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from mlcheat.algorithms import regression as ours

X, y = load_diabetes(return_X_y=True)
yc = y - y.mean()
WEIGHT = np.random.default_rng(0).uniform(0.2, 3, len(y))
NAMES = list(load_diabetes().feature_names)

ESTIMATORS = {
    "LinearRegression": ours.LinearRegression(), "Ridge": ours.Ridge(), "Ridge svd": ours.Ridge(solver="svd"),
    "RidgeCV": ours.RidgeCV(), "RidgeCV folds": ours.RidgeCV(cv=3), "Lasso": ours.Lasso(),
    "Lasso random": ours.Lasso(selection="random", random_state=0), "ElasticNet": ours.ElasticNet(positive=True),
    "LassoCV": ours.LassoCV(), "PolynomialFeatures": ours.PolynomialFeatures(), "SplineTransformer": ours.SplineTransformer(),
    "Stepwise": ours.StepwiseSelector(), "Stepwise both": ours.StepwiseSelector(direction="both", criterion="f"),
    "Huber": ours.HuberRegressor(), "Quantile": ours.QuantileRegressor(), "Poisson": ours.PoissonRegressor(),
    "Isotonic": ours.IsotonicRegression(), "KernelRidge": ours.KernelRidge(), "BayesianRidge": ours.BayesianRidge()}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(name):
    check_estimator(ESTIMATORS[name], on_skip=None)


# ---- least squares --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("weights", [None, WEIGHT], ids=["plain", "weighted"])
def test_ols_equals_statsmodels(weights):
    A = sm.add_constant(X)
    judge = (sm.OLS(y, A) if weights is None else sm.WLS(y, A, weights=weights)).fit()
    fit = ours.ols(X, y, weights=weights)
    for name in ("params", "bse", "tvalues", "pvalues", "rsquared", "rsquared_adj", "aic", "bic", "mse_resid", "llf",
                 "fittedvalues", "resid", "df_resid", "nobs", "ssr"):
        np.testing.assert_allclose(getattr(fit, name), getattr(judge, name), rtol=1e-8, atol=1e-10, err_msg=name)
    np.testing.assert_allclose(fit.conf_int(0.1), judge.conf_int(0.1), rtol=1e-8)
    new = X[:7] + 0.01
    bands, theirs_ = fit.get_prediction(new), judge.get_prediction(sm.add_constant(new, has_constant="add"))
    np.testing.assert_allclose(bands.predicted_mean, theirs_.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(bands.se_mean, theirs_.se_mean, rtol=1e-8)
    np.testing.assert_allclose(bands.conf_int(), theirs_.conf_int(), rtol=1e-8)
    if weights is None:
        np.testing.assert_allclose(bands.conf_int(obs=True, alpha=0.2), theirs_.conf_int(obs=True, alpha=0.2), rtol=1e-8)
        influence = judge.get_influence()
        np.testing.assert_allclose(fit.leverage, influence.hat_matrix_diag, rtol=1e-8)
        np.testing.assert_allclose(fit.cooks_distance, influence.cooks_distance[0], rtol=1e-7)
    assert "152.1" in ours.ols(X, y).summary() and fit.summary().count("\n") == 12


def test_weights_are_repetitions():
    times = np.random.default_rng(1).integers(0, 4, len(y))
    a, b = ours.ols(X, y, weights=times), ours.ols(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(a.params, b.params)
    assert a.nobs == (times > 0).sum()


def test_dependent_columns_give_the_shortest_weights_and_infinite_errors():
    Z = np.column_stack([X[:, :3], X[:, 0] + X[:, 1]])
    fit = ours.ols(Z, y)
    np.testing.assert_allclose(fit.params, scipy.linalg.lstsq(np.column_stack([np.ones(len(Z)), Z]), y)[0], rtol=1e-8)
    assert fit.rank == 4 and np.isfinite(fit.mse_resid)
    with pytest.warns(UserWarning, match="rank 4"):
        assert np.isinf(fit.bse).all()


def test_inference_needs_rows_left_over():
    fit = ours.ols(X[:8], y[:8])
    np.testing.assert_allclose(fit.fittedvalues, y[:8])
    for name in ("mse_resid", "bse", "pvalues", "rsquared_adj", "cooks_distance"):
        with pytest.raises(ValueError, match="no row to tell the noise"):
            getattr(fit, name)
    with pytest.raises(ValueError, match="no row"):
        fit.get_prediction(X[:2])


@pytest.mark.parametrize("call, message", [
    (lambda: ours.ols(X, y[:-1]), r"shape \(442,\)"), (lambda: ours.ols(X, y[:, None]), "shape"), (lambda: ours.ols(X[:, 0], y), "2D"),
    (lambda: ours.ols(X * np.nan, y), "NaN"), (lambda: ours.ols(X * 1j, y), "Complex"), (lambda: ours.ols(X, y * np.inf), "finite"),
    (lambda: ours.ols(X, y, weights=-WEIGHT), "Negative"), (lambda: ours.ols(X, y, weights=0 * WEIGHT), "zero"),
    (lambda: ours.ols(X, y).conf_int(0), "alpha"), (lambda: ours.ols(X, y).get_prediction(X[:, :3]), "10 columns"),
    (lambda: ours.variance_inflation(np.ones((4, 2))), "constant"), (lambda: ours.degrees_of_freedom(X, -1), "alpha"),
    (lambda: ours.ridge_path(X, y, [-1.0]), "negative"), (lambda: ours.ridge_path(X, y, []), "alphas"), (lambda: ours.ridge_path(X, y[1:], [1.0]), "shape"),
    (lambda: ours.lasso_path(X, y, alphas=[-1.0]), "negative"), (lambda: ours.lasso_path(X, y, eps=2.0), "eps"), (lambda: ours.soft_threshold(1, -1), "t must"),
    (lambda: ours.to_sklearn_alpha(-1, 10, "lasso"), "alpha"), (lambda: ours.to_sklearn_alpha(1, 0, "lasso"), "n must"),
    (lambda: ours.to_sklearn_alpha(1, 10, "huber"), "model"), (lambda: ours.to_sklearn_alpha(1, 10, "elasticnet"), "2 price"),
    (lambda: ours.best_subset(np.ones((50, 16)), np.ones(50)), "15 columns"), (lambda: ours.best_subset(X[:10], y[:10]), "rows"),
    (lambda: ours.best_subset(X, y, criterion="cp"), "criterion")])
def test_functions_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_inflation_is_infinite_for_dependent_columns_only():
    Z = np.column_stack([X[:, 0], X[:, 1], X[:, 0] - 2 * X[:, 1], X[:, 2]])
    assert np.isinf(ours.variance_inflation(Z)).tolist() == [True, True, True, False]


# ---- ridge ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("solver", ["auto", "cholesky", "svd"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("shift", [0.0, 5.0, 1e4])
def test_ridge_equals_scikit_learn(solver, intercept, weight, shift):
    for Z, Y, alpha in ((X + shift, y, 0.7), (X + shift, np.column_stack([y, y**2, X[:, 0]]), [0.1, 1.0, 5.0])):
        a = ours.Ridge(alpha, solver=solver, fit_intercept=intercept).fit(Z, Y, weight)
        given_ = np.array(alpha) if isinstance(alpha, list) else alpha       # scikit-learn before 1.9 takes no list
        b = theirs.Ridge(given_, solver="svd", fit_intercept=intercept).fit(Z, Y, weight)
        np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-5 if shift == 1e4 else 1e-7, atol=1e-6 * np.abs(b.coef_).max())
        np.testing.assert_allclose(a.predict(Z), b.predict(Z), rtol=1e-6)
        assert np.shape(a.intercept_) == np.shape(b.intercept_) if intercept else a.predict(Z).shape == Y.shape


def test_ridge_with_more_columns_than_rows_and_with_none_of_the_price():
    rng = np.random.default_rng(0)
    wide, t = rng.normal(size=(8, 20)), rng.normal(size=8)
    for solver in ("auto", "cholesky", "svd"):
        np.testing.assert_allclose(ours.Ridge(0.5, solver=solver).fit(wide, t).coef_, theirs.Ridge(0.5).fit(wide, t).coef_, rtol=1e-8)
    np.testing.assert_allclose(ours.Ridge(0.0).fit(wide, t).coef_, ours.LinearRegression().fit(wide, t).coef_, rtol=1e-8)
    twice = ours.Ridge(0.0).fit(np.column_stack([X[:, 2], X[:, 2]]), y)
    assert twice.solver_ == "svd" and twice.coef_[0] == pytest.approx(twice.coef_[1])


@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_ridge_is_least_squares_with_more_rows(seed, alpha):
    rng = np.random.default_rng(seed)
    Z, t = rng.normal(size=(15, 4)), rng.normal(size=15)
    longer = np.vstack([Z, np.sqrt(alpha) * np.eye(4)])
    np.testing.assert_allclose(ours.Ridge(alpha, fit_intercept=False).fit(Z, t).coef_,
                               np.linalg.lstsq(longer, np.r_[t, np.zeros(4)])[0], rtol=1e-6, atol=1e-10)
    hat = Z @ np.linalg.solve(Z.T @ Z + alpha * np.eye(4), Z.T)
    Zc = Z - Z.mean(axis=0)
    hat = Zc @ np.linalg.solve(Zc.T @ Zc + alpha * np.eye(4), Zc.T)
    assert ours.degrees_of_freedom(Z, alpha) == pytest.approx(np.trace(hat))


def test_ridge_path_equals_single_fits():
    alphas = [0.0, 0.1, 3.0]
    path = ours.ridge_path(X, yc, alphas)
    for k, alpha in enumerate(alphas):
        np.testing.assert_allclose(path[:, k], theirs.Ridge(alpha, solver="svd").fit(X, y).coef_, rtol=1e-7)


def test_ridge_cv_chooses_as_scikit_learn():
    alphas = np.geomspace(1e-3, 10, 25)
    a, b = ours.RidgeCV(alphas).fit(X, y), theirs.RidgeCV(alphas).fit(X, y)
    assert a.alpha_ == b.alpha_ and a.best_score_ == pytest.approx(b.best_score_)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)
    folds = KFold(4, shuffle=True, random_state=1)
    a, b = ours.RidgeCV(alphas, cv=folds).fit(X, y), theirs.RidgeCV(alphas, cv=folds).fit(X, y)
    assert a.alpha_ == b.alpha_ and a.best_score_ == pytest.approx(b.best_score_)
    two = np.column_stack([y, y[::-1]])
    assert ours.RidgeCV(alphas).fit(X, two).alpha_ == theirs.RidgeCV(alphas).fit(X, two).alpha_


# ---- lasso ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("alpha", [0.003, 0.1, 1.0, 3.0])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.05])
@pytest.mark.parametrize("given_", [{}, {"positive": True}, {"fit_intercept": False}], ids=["plain", "positive", "no intercept"])
def test_elastic_net_equals_scikit_learn(alpha, ratio, given_):
    for weight in (None, WEIGHT):
        a = ours.ElasticNet(alpha, l1_ratio=ratio, tol=1e-12, **given_).fit(X, y, weight)
        b = theirs.ElasticNet(alpha, l1_ratio=ratio, tol=1e-13, max_iter=10**6, **given_).fit(X, y, weight)
        np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-5, atol=1e-5)
        assert a.intercept_ == pytest.approx(b.intercept_, abs=1e-7)


@pytest.mark.parametrize("selection", ["cyclic", "random"])
@given(seed=st.integers(0, 10**6), factor=st.floats(0.01, 1.2))
@settings(max_examples=25, deadline=None)
def test_lasso_meets_its_conditions(selection, seed, factor):
    rng = np.random.default_rng(seed)
    n, p = rng.integers(3, 30), rng.integers(1, 40)
    Z, t = rng.normal(size=(n, p)), rng.normal(size=n)
    top = np.abs((Z - Z.mean(axis=0)).T @ t).max() / n
    m = ours.Lasso(factor * top, tol=1e-12, max_iter=20_000, selection=selection, random_state=seed).fit(Z, t)
    pull = (Z - Z.mean(axis=0)).T @ (t - m.predict(Z)) / n
    on = m.coef_ != 0
    np.testing.assert_allclose(pull[on], factor * top * np.sign(m.coef_[on]), atol=1e-5 * top)
    assert (np.abs(pull) <= factor * top * (1 + 1e-5)).all() and m.dual_gap_ < 1e-8
    assert on.any() == (factor < 1)


def test_source_numbers_of_the_lasso():
    top = 2 * np.abs(X.T @ yc).max()
    assert top == pytest.approx(1898.87, abs=5e-3) and ours.to_sklearn_alpha(top, 442, "lasso") == pytest.approx(2.148044, abs=5e-7)
    assert not ours.Lasso(2.1481).fit(X, y).coef_.any() and ours.Lasso(2.1479).fit(X, y).coef_.any()


def test_lasso_path_equals_scikit_learn():
    a, c, g = ours.lasso_path(X, yc, tol=1e-12)
    b, d, _ = theirs.lasso_path(X, yc, tol=1e-12, max_iter=10**5)
    np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(c, d, atol=1e-4)
    assert c.shape == (10, 100) and (g < 1e-6).all() and (np.diff(a) < 0).all()
    np.testing.assert_allclose(ours.lasso_path(X, yc, alphas=[0.1, 1.0])[0], [1.0, 0.1])


def test_lasso_cv_chooses_as_scikit_learn():
    given_ = dict(cv=KFold(5, shuffle=True, random_state=0), tol=1e-8, alphas=40)
    a, b = ours.LassoCV(n_jobs=1, **given_).fit(X, y), theirs.LassoCV(**given_).fit(X, y)
    assert a.alpha_ == pytest.approx(b.alpha_)
    np.testing.assert_allclose(a.mse_path_, b.mse_path_, rtol=1e-5)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-2)
    assert a.mse_path_.shape == (40, 5)


def test_warm_start_and_doubled_rows():
    m = ours.Lasso(0.5, warm_start=True, tol=1e-10).fit(X, y)
    first = m.coef_
    assert m.fit(X, y).n_iter_ == 1
    np.testing.assert_allclose(m.coef_, first)
    same = ours.Lasso(0.5, tol=1e-10).fit(np.vstack([X, X]), np.r_[y, y])
    np.testing.assert_allclose(same.coef_, first, atol=1e-6)


@pytest.mark.parametrize("model", [ours.Ridge(1.0), ours.Ridge(1.0, solver="svd"), ours.Lasso(0.1), ours.ElasticNet(0.1), ours.RidgeCV(), ours.LassoCV()],
                         ids=["ridge", "svd", "lasso", "net", "ridge cv", "lasso cv"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e6 + 0.1])
def test_constant_column_gets_zero(model, value):
    Z = np.column_stack([X[:, :2], np.full(len(X), value)])
    assert model.fit(Z, y).coef_[2] == 0


@pytest.mark.parametrize("model", [ours.Ridge(), ours.Lasso(0.1), ours.ElasticNet(0.1), ours.BayesianRidge()], ids=["ridge", "lasso", "net", "bayes"])
def test_dtype_is_kept_and_inputs_are_not_touched(model):
    Z, t = X.astype(np.float32), y.astype(np.float32)
    before = Z.copy(), t.copy()
    assert model.fit(Z, t).coef_.dtype == np.float32
    np.testing.assert_array_equal(Z, before[0])
    np.testing.assert_array_equal(t, before[1])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(Z), model.predict(Z))


@pytest.mark.parametrize("model, message", [
    (ours.Ridge(-1.0), "negative"), (ours.Ridge(np.nan), "alpha"), (ours.Ridge([1.0, 2.0]), "one a target"), (ours.Ridge(solver="sag"), "solver"),
    (ours.RidgeCV([]), "alphas"), (ours.RidgeCV([0.0, 1.0]), "above 0"), (ours.Lasso(-1.0), "alpha"), (ours.Lasso(max_iter=0), "max_iter"),
    (ours.Lasso(tol=-1.0), "tol"), (ours.Lasso(selection="all"), "selection"), (ours.ElasticNet(l1_ratio=1.5), "l1_ratio"),
    (ours.LassoCV(alphas=0), "alphas"), (ours.LassoCV(alphas=[-1.0]), "negative"), (ours.LassoCV(eps=0), "eps"),
    (ours.StepwiseSelector(direction="up"), "direction"), (ours.StepwiseSelector(criterion="r2"), "criterion"),
    (ours.StepwiseSelector(max_features=0), "max_features"), (ours.StepwiseSelector(threshold=2.0), "threshold"),
    (ours.HuberRegressor(epsilon=1.0), "epsilon"), (ours.HuberRegressor(alpha=-1), "alpha"), (ours.QuantileRegressor(quantile=1.0), "quantile"),
    (ours.QuantileRegressor(alpha=-1.0), "alpha"), (ours.PoissonRegressor(alpha=-1), "alpha"), (ours.PoissonRegressor(tol=0), "tol"),
    (ours.KernelRidge(alpha=0), "alpha"), (ours.BayesianRidge(alpha_init=0), "alpha_init"), (ours.BayesianRidge(lambda_1=-1), "lambda_1")],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else v)
def test_estimators_refuse_parameters(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("name", [k for k in ESTIMATORS if k not in ("Isotonic", "PolynomialFeatures", "SplineTransformer")])
def test_estimators_refuse_data(name):
    model = ESTIMATORS[name]
    for bad, message in ((X[:, 0], "2D"), (X * np.nan, "NaN"), (X * 1j, "Complex")):
        with pytest.raises(ValueError, match=message):
            model.fit(bad, y)


@pytest.mark.parametrize("model", [ours.Ridge(), ours.Lasso(), ours.HuberRegressor(), ours.QuantileRegressor(), ours.PoissonRegressor(),
                                   ours.KernelRidge(), ours.BayesianRidge()], ids=lambda m: type(m).__name__)
def test_weights_must_not_be_negative_nor_all_zero(model):
    for weight in (-WEIGHT, 0 * WEIGHT):
        with pytest.raises(ValueError, match="Negative|zero"):
            model.fit(X, y, weight)


def test_warnings_of_the_lasso():
    with pytest.warns(UserWarning, match="least squares"):
        m = ours.Lasso(0.0, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(m.coef_, ours.LinearRegression().fit(X, y).coef_, rtol=1e-6)
    ridge = ours.ElasticNet(2 / 442, l1_ratio=0.0).fit(X, y)
    np.testing.assert_allclose(ridge.coef_, ours.Ridge(2.0).fit(X, y).coef_, rtol=1e-6)
    with pytest.warns(UserWarning, match="least squares"):
        m = ours.Lasso(0.0, tol=1e-10, positive=True, max_iter=5000).fit(X, y)
    np.testing.assert_allclose(m.coef_, scipy.optimize.nnls(X, yc)[0], atol=1e-3)
    with pytest.warns(ConvergenceWarning, match="duality gap"):
        ours.Lasso(0.001, tol=1e-12, max_iter=1).fit(X, y)


# ---- bases ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("degree", [0, 1, 2, 4])
@pytest.mark.parametrize("only", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_polynomials_equal_scikit_learn(degree, only, bias):
    given_ = dict(interaction_only=only, include_bias=bias)
    if degree == 0 and not bias:
        with pytest.raises(ValueError, match="gives 0 columns"):
            ours.PolynomialFeatures(degree, **given_).fit(X[:9, :3])
        return
    a, b = (m.PolynomialFeatures(degree, **given_).fit(X[:9, :3]) for m in (ours, prep))
    np.testing.assert_allclose(a.transform(X[:9, :3]), b.transform(X[:9, :3]), rtol=1e-12)
    np.testing.assert_array_equal(a.powers_, b.powers_)
    assert a.get_feature_names_out().tolist() == b.get_feature_names_out().tolist()
    assert a.transform(X[:9, :3].astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("degree, message", [(-1, "degree"), (1.5, "degree"), (60, "columns")])
def test_polynomials_refuse(degree, message):
    with pytest.raises(ValueError, match=message):
        ours.PolynomialFeatures(degree).fit(X)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("knots", ["uniform", "quantile", "given"])
@pytest.mark.parametrize("beyond", ["constant", "linear", "continue", "error"])
def test_splines_equal_scikit_learn(degree, knots, beyond):
    if degree == 0 and beyond in ("linear", "constant"):
        beyond = "continue"                                # scikit-learn 1.9 fails there
    where = np.array([[-0.1, -0.04], [0.0, 0.0], [0.03, 0.05], [0.1, 0.05001]]) if knots == "given" else knots
    given_ = dict(n_knots=4, degree=degree, knots=where, extrapolation=beyond)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        a, b = (m.SplineTransformer(**given_).fit(X[:, [0, 2]]) for m in (ours, prep))
    low, high = (b.bsplines_[0].t[b.bsplines_[0].k], b.bsplines_[0].t[-b.bsplines_[0].k - 1])
    inside = np.column_stack([np.linspace(low, high, 30)[1:-1], np.linspace(0, 0.05, 30)[1:-1]])
    np.testing.assert_allclose(a.transform(inside), b.transform(inside), atol=1e-12)
    assert a.get_feature_names_out().tolist() == b.get_feature_names_out().tolist()
    new = inside + [[0.3, 0.3]]
    if beyond == "error":
        with pytest.raises(ValueError, match="outside"):
            a.transform(new)
    else:
        np.testing.assert_allclose(a.transform(new), b.transform(new), rtol=1e-8, atol=1e-8)
    flat = ours.SplineTransformer(**given_ | {"include_bias": False, "extrapolation": "constant"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert flat.fit(X[:, [0, 2]]).transform(inside).shape[1] == flat.n_features_out_ == a.n_features_out_ - 2


@given(st.integers(0, 10**6), st.integers(0, 4))
@settings(max_examples=25, deadline=None)
def test_bumps_sum_to_one_and_equal_scipy(seed, degree):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0, 1, 2 * degree + 4 + rng.integers(5)))
    x = rng.uniform(t[degree], t[-degree - 1], 20)
    B = ours._bumps(x, t, degree)
    np.testing.assert_allclose(B.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(B, BSpline.design_matrix(x, t, degree).toarray(), atol=1e-9)


def test_natural_basis_is_straight_outside_and_equals_scipy():
    knots, values = np.array([-1.0, 0.5, 1.0, 4.0]), np.array([2.0, -1.0, 0.0, 3.0])
    spline = CubicSpline(knots, values, bc_type="natural")
    w = np.linalg.solve(ours.natural_cubic_basis(knots, knots), values)
    t = np.linspace(-1, 4, 50)
    np.testing.assert_allclose(ours.natural_cubic_basis(t, knots) @ w, spline(t), atol=1e-10)
    wide = ours.natural_cubic_basis(np.linspace(-6, 9, 16), knots)
    for part in (wide[:5], wide[-5:]):
        np.testing.assert_allclose(np.diff(part, 2, axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("basis, least", [(ours.hinge_basis, 1), (ours.natural_cubic_basis, 2)])
def test_bases_refuse_bad_knots(basis, least):
    x = np.linspace(0, 1, 5)
    for knots, message in (([0.5, 0.5], "rise"), ([0.6, 0.4], "rise"), ([0.5] * (least - 1), "or more"), ([np.nan, 1.0], "finite")):
        with pytest.raises(ValueError, match=message):
            basis(x, knots)
    with pytest.raises(ValueError, match=r"\(n,\)"):
        basis(x[:, None], [0.2, 0.4])
    with pytest.warns(UserWarning, match="outside the data"):
        basis(x, [0.5, 2.0])
    assert basis(x, [0.2, 0.4]).shape == (5, 3 if least == 1 else 2)


@pytest.mark.parametrize("given_, message", [
    ({"n_knots": 1}, "n_knots"), ({"degree": -1}, "degree"), ({"knots": "random"}, "knots"), ({"extrapolation": "zero"}, "extrapolation"),
    ({"knots": [[0.5], [0.4]]}, "rise"), ({"knots": [[0.5], [0.5]]}, "rise"), ({"knots": [[0.5]]}, "shape"), ({"knots": [[0.1, 0.2], [0.3, 0.4]]}, "shape"),
    ({"n_knots": 2, "degree": 0, "include_bias": False}, "no column")], ids=str)
def test_splines_refuse(given_, message):
    with pytest.raises(ValueError, match=message):
        ours.SplineTransformer(**given_).fit(np.linspace(0, 1, 9)[:, None])
    with pytest.raises(ValueError, match="too few different"):
        ours.SplineTransformer().fit(np.ones((9, 1)))
    with pytest.warns(UserWarning, match="outside"):
        ours.SplineTransformer(knots=[[0.0], [2.0]]).fit(np.linspace(0, 1, 9)[:, None])


# ---- selection ------------------------------------------------------------------------------------------------------

def aic_of(on, Z, t, price=2.0):
    A = np.column_stack([np.ones(len(t)), Z[:, on]])
    rss = np.sum((t - A @ np.linalg.lstsq(A, t)[0]) ** 2)
    return len(t) * np.log(rss / len(t)) + price * (len(on) + 1)


@pytest.mark.parametrize("criterion", ["aic", "bic"])
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("seed", [0, 1])
def test_stepwise_takes_the_best_step_each_time(criterion, direction, seed):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(40, 7)) @ rng.normal(size=(7, 7)) + 3
    t = Z[:, :3] @ [1.0, -1.0, 0.5] + 3 * rng.normal(size=40)
    price = 2.0 if criterion == "aic" else np.log(40)
    found = ours.StepwiseSelector(direction=direction, criterion=criterion).fit(Z, t)
    on, history = set(range(7)) if direction == "backward" else set(), []
    now = aic_of(sorted(on), Z, t, price)
    while True:
        moves = [(aic_of(sorted(on ^ {j}), Z, t, price), j) for j in range(7)
                 if direction == "both" or (j in on) == (direction == "backward")]
        value, j = min(moves, default=(np.inf, 0))
        if value >= now:
            break
        history.append(("drop" if j in on else "add", j))
        on, now = on ^ {j}, value
    assert [(a, j) for a, j, _ in found.history_[1:]] == history
    assert found.history_[-1][2] == pytest.approx(now) and set(np.flatnonzero(found.support_)) == on
    np.testing.assert_array_equal(found.transform(Z), Z[:, sorted(on)])


@pytest.mark.parametrize("criterion", ["aic", "bic"])
@pytest.mark.parametrize("seed", [0, 1])
def test_best_subset_is_brute_force(criterion, seed):
    rng = np.random.default_rng(seed)
    Z, t = rng.normal(size=(30, 6)), rng.normal(size=30)
    t = t + Z[:, 1] + (Z[:, 3] if seed else 0)
    price = 2.0 if criterion == "aic" else np.log(30)
    best = min((aic_of(list(s), Z, t, price), s) for k in range(7) for s in itertools.combinations(range(6), k))
    support, value = ours.best_subset(Z, t, criterion=criterion)
    assert value == pytest.approx(best[0]) and tuple(np.flatnonzero(support)) == best[1]
    dependent = np.column_stack([Z, Z[:, 1]])
    assert ours.best_subset(dependent, t, criterion=criterion)[1] == pytest.approx(value)


def test_f_test_and_cross_validation_of_the_search():
    forward = ours.StepwiseSelector(criterion="f").fit(X, y)
    for k, (_, j, q) in enumerate(forward.history_[1:], 1):
        on = [c for _, c, _ in forward.history_[1:k + 1]]
        assert q == pytest.approx(ours.ols(X[:, on], y).pvalues[-1], rel=1e-6) and q < 0.05
    backward = ours.StepwiseSelector(criterion="f", direction="backward").fit(X, y)
    assert backward.history_[1][1] == 0 and backward.history_[1][2] == pytest.approx(ours.ols(X, y).pvalues[1])
    assert (ours.ols(X[:, backward.support_], y).pvalues[1:] < 0.05).all()
    both = ours.StepwiseSelector(criterion="f", direction="both").fit(X, y)
    assert (ours.ols(X[:, both.support_], y).pvalues[1:] < 0.05).all()
    cv = ours.StepwiseSelector(theirs.Ridge(1e-3), criterion="cv", cv=3, max_features=4).fit(X, y)
    assert cv.support_.sum() <= 4 and [NAMES[j] for _, j, _ in cv.history_[1:3]] == ["bmi", "s5"]


def test_search_with_more_columns_than_rows():
    rng = np.random.default_rng(0)
    wide, t = rng.normal(size=(12, 20)), rng.normal(size=12)
    with pytest.raises(ValueError, match="backward"):
        ours.StepwiseSelector(direction="backward").fit(wide, t)
    assert ours.StepwiseSelector(max_features=3).fit(wide, t).support_.sum() <= 3
    assert ours.StepwiseSelector().fit(wide, t).support_.sum() <= 10


# ---- other losses ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("epsilon", [1.1, 1.35, 2.0])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("intercept", [True, False])
def test_huber_equals_scikit_learn(epsilon, weight, intercept):
    wild = y / 50
    wild[::40] += 30
    given_ = dict(epsilon=epsilon, alpha=0.01, fit_intercept=intercept)
    a = ours.HuberRegressor(**given_).fit(X * 10, wild, weight)
    b = theirs.HuberRegressor(**given_, max_iter=10_000, tol=1e-9).fit(X * 10, wild, weight)
    v = np.ones(len(y)) if weight is None else weight
    def cost(m):
        z = np.abs(wild - m.predict(X * 10)) / m.scale_
        return v @ (m.scale_ + np.where(z < epsilon, z**2, 2 * epsilon * z - epsilon**2) * m.scale_) + 0.01 * m.coef_ @ m.coef_

    assert cost(a) <= cost(b) * (1 + 1e-10) and cost(b) <= cost(a) * (1 + 1e-5)
    np.testing.assert_allclose(a.predict(X * 10), b.predict(X * 10), atol=2e-2)
    assert a.scale_ == pytest.approx(b.scale_, rel=1e-3) and (a.outliers_ == b.outliers_).mean() > 0.99


def test_huber_is_not_worse_than_scikit_learn_and_meets_exact_lines():
    a, b = ours.HuberRegressor().fit(X, y), theirs.HuberRegressor(max_iter=10_000).fit(X, y)
    def cost(m):
        z = np.abs(y - m.predict(X)) / m.scale_
        return np.sum(m.scale_ + np.where(z < 1.35, z**2, 2.7 * z - 1.35**2) * m.scale_) + 1e-4 * m.coef_ @ m.coef_

    assert cost(a) <= cost(b) * (1 + 1e-9)
    t = np.arange(10.0)
    m = ours.HuberRegressor(alpha=0).fit(t[:, None], np.where(t == 9, 50, 2 * t + 1))
    np.testing.assert_allclose([m.coef_[0], m.intercept_], [2, 1], atol=1e-3)
    assert m.outliers_[9]


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_quantiles_equal_scikit_learn(q, alpha):
    for weight in (None, WEIGHT):
        a = ours.QuantileRegressor(quantile=q, alpha=alpha).fit(10 * X, y, weight)
        b = theirs.QuantileRegressor(quantile=q, alpha=alpha).fit(10 * X, y, weight)
        def cost(m):
            r = y - m.predict(10 * X)
            return np.average(np.maximum(q * r, (q - 1) * r), weights=weight) + alpha * np.abs(m.coef_).sum()
        assert cost(a) == pytest.approx(cost(b), rel=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight", [None, WEIGHT[:200]], ids=["plain", "weighted"])
def test_poisson_equals_scikit_learn(alpha, intercept, weight):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(200, 3))
    counts = rng.poisson(np.exp(0.4 + Z @ [0.5, -0.3, 0.0]))
    given_ = dict(alpha=alpha, fit_intercept=intercept)
    a = ours.PoissonRegressor(**given_, tol=1e-9).fit(Z, counts, weight)
    b = theirs.PoissonRegressor(**given_, tol=1e-10, max_iter=10_000).fit(Z, counts, weight)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-6)
    np.testing.assert_allclose(a.predict(Z), b.predict(Z), rtol=1e-5)
    assert a.score(Z, counts, weight) == pytest.approx(b.score(Z, counts, weight), abs=1e-8)
    if alpha == 0 and intercept and weight is None:
        judge = sm.GLM(counts, sm.add_constant(Z), family=sm.families.Poisson()).fit()
        np.testing.assert_allclose(np.r_[a.intercept_, a.coef_], judge.params, rtol=1e-6)


def test_poisson_refuses_negative_targets_and_tells():
    with pytest.raises(ValueError, match="none negative"):
        ours.PoissonRegressor().fit(X, -y)
    with pytest.raises(ValueError, match="not all 0"):
        ours.PoissonRegressor().fit(X, 0 * y)
    with pytest.warns(ConvergenceWarning, match="slope"):
        ours.PoissonRegressor(alpha=0, max_iter=1, tol=1e-12).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="weighted fits"):
        ours.HuberRegressor(max_iter=1).fit(X, y)


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_isotonic_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 40)
    x, t, v = rng.integers(0, 15, n).astype(float), rng.normal(size=n) + rng.normal() * np.arange(n), rng.uniform(0, 2, n) + 1e-3
    up = bool(rng.integers(2))
    given_ = dict(increasing=up, y_min=-1.0 if rng.integers(2) else None, out_of_bounds="clip")
    a, b = (m.IsotonicRegression(**given_).fit(x, t, v) for m in (ours, sklearn.isotonic))
    new = np.linspace(-2, 17, 60)
    np.testing.assert_allclose(a.predict(new), b.predict(new), atol=1e-9)


def test_isotonic_edges():
    x, t = np.arange(6.0), np.array([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    m = ours.IsotonicRegression().fit(x, t)
    assert np.isnan(m.predict([-1.0, 7.0])).all() and (np.diff(m.predict(x)) >= 0).all()
    assert not ours.IsotonicRegression(increasing="auto").fit(x, -t).increasing_
    with pytest.raises(ValueError, match="outside"):
        ours.IsotonicRegression(out_of_bounds="raise").fit(x, t).predict([9.0])
    for model, message in ((ours.IsotonicRegression(out_of_bounds="x"), "out_of_bounds"), (ours.IsotonicRegression(increasing=3), "increasing"),
                           (ours.IsotonicRegression(y_min=2, y_max=1), "y_min")):
        with pytest.raises(ValueError, match=message):
            model.fit(x, t)
    with pytest.raises(ValueError, match="1 feature"):
        m.fit(X, y)
    big = np.random.default_rng(0).normal(size=200_000)
    assert len(ours.IsotonicRegression().fit(np.arange(200_000), big).X_thresholds_) < 1000


@pytest.mark.parametrize("kernel", ["linear", "rbf", "polynomial", "precomputed"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_kernel_ridge_equals_scikit_learn(kernel, weight):
    Z = X @ X.T if kernel == "precomputed" else X
    Y = np.column_stack([y, y**2])
    a, b = (m.KernelRidge(0.3, kernel=kernel).fit(Z, Y, weight) for m in (ours, sklearn.kernel_ridge))
    np.testing.assert_allclose(a.predict(Z), b.predict(Z), rtol=1e-7)
    own = ours.KernelRidge(0.3, kernel=lambda u, v: u @ v).fit(X, y)
    np.testing.assert_allclose(own.predict(X), ours.KernelRidge(0.3).fit(X, y).predict(X))


@pytest.mark.parametrize("shape", [(442, 10), (12, 10), (8, 10)])
@pytest.mark.parametrize("intercept", [True, False])
def test_bayesian_ridge_equals_scikit_learn(shape, intercept):
    Z, t = X[:shape[0]] + 0.1, y[:shape[0]]
    weight = None if shape[0] == 12 else WEIGHT[:shape[0]]
    a, b = (m.BayesianRidge(fit_intercept=intercept).fit(Z, t, weight) for m in (ours, theirs))
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose([a.alpha_, a.lambda_], [b.alpha_, b.lambda_], rtol=1e-3)
    np.testing.assert_allclose(a.sigma_, b.sigma_, rtol=1e-4, atol=1e-6 * np.abs(b.sigma_).max())
    assert a.n_iter_ == b.n_iter_
    std = b.predict(Z, return_std=True)[1]
    if intercept and parse_version(sklearn.__version__) < parse_version("1.9"):      # it forgot to centre the rows (its issue #33757)
        centred = Z - b.X_offset_
        std = np.sqrt(1 / b.alpha_ + np.einsum("ij,jk,ik->i", centred, b.sigma_, centred))
    np.testing.assert_allclose(a.predict(Z, return_std=True)[1], std, rtol=1e-3)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_choice_with_weights_equals_scikit_learn(fit_intercept):
    X, y = load_diabetes(return_X_y=True)
    weight = np.random.default_rng(0).uniform(0, 3, len(y))
    weight[::9] = 0
    given_ = {"alphas": [1e-3, 1e-2, 0.1, 1.0], "fit_intercept": fit_intercept}
    a, b = ours.RidgeCV(**given_).fit(X, y, sample_weight=weight), theirs.RidgeCV(**given_).fit(X, y, sample_weight=weight)
    assert a.alpha_ == b.alpha_ and a.best_score_ == pytest.approx(b.best_score_, rel=1e-9)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-7)
    # really leave rows out
    total = sum(weight[i] * (y[i] - ours.Ridge(a.alpha_, fit_intercept=fit_intercept).fit(np.delete(X, i, 0), np.delete(y, i), np.delete(weight, i))
                             .predict(X[[i]])[0]) ** 2 for i in range(len(y))) / len(y)
    assert -a.best_score_ == pytest.approx(total, rel=1e-8)
    given_ = {"alphas": 20, "cv": 4, "fit_intercept": fit_intercept}
    a = ours.LassoCV(tol=1e-10, **given_).fit(X, y, sample_weight=weight)
    b = theirs.LassoCV(tol=1e-10, max_iter=10**5, **given_).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(a.alphas_, b.alphas_)
    np.testing.assert_allclose(a.mse_path_, b.mse_path_, rtol=1e-6)
    assert a.alpha_ == pytest.approx(b.alpha_)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-5 * np.abs(b.coef_).max())


def test_folds_score_by_weights():
    X, y = load_diabetes(return_X_y=True)
    counts = np.random.default_rng(1).integers(0, 3, len(y))
    half = np.arange(len(y)) % 2 == 0
    folds = [(np.flatnonzero(half), np.flatnonzero(~half)), (np.flatnonzero(~half), np.flatnonzero(half))]
    where = np.arange(len(y)).repeat(counts)
    again = [(np.flatnonzero(half[where]), np.flatnonzero(~half[where])), (np.flatnonzero(~half[where]), np.flatnonzero(half[where]))]
    for make in (lambda cv: ours.RidgeCV([1e-3, 0.1, 1.0], cv=cv), lambda cv: ours.LassoCV(alphas=10, cv=cv, tol=1e-12)):
        a, b = make(folds).fit(X, y, counts), make(again).fit(X[where], y[where])
        assert a.alpha_ == pytest.approx(b.alpha_)
        np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-6, atol=1e-6)
    assert make(folds).get_metadata_routing().fit.requests == {"sample_weight": None}
    nothing = np.where(half, 1.0, 0.0)
    with pytest.raises(ValueError, match="every fold"):
        ours.LassoCV(cv=folds).fit(X, y, nothing)


@pytest.mark.parametrize("given_", [{}, {"fit_intercept": False}, {"positive": True}, {"selection": "random", "random_state": 0}], ids=str)
@pytest.mark.parametrize("name", ["Lasso", "ElasticNet"])
def test_several_targets_one_by_one(name, given_):
    X, y = load_diabetes(return_X_y=True)
    Y = np.column_stack([y, X @ np.arange(10) * 50, -y + 3])
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    given_ = {"alpha": 0.05 if name == "Lasso" else 1e-3, **given_}
    a = getattr(ours, name)(tol=1e-12, **given_).fit(X, Y, weight)
    b = getattr(theirs, name)(tol=1e-13, max_iter=10**6, **given_).fit(X, Y, weight)
    assert a.coef_.shape == (3, 10) and a.intercept_.shape == (3,) and a.dual_gap_.shape == (3,) and len(a.n_iter_) == 3
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-4)
    np.testing.assert_allclose(a.predict(X), b.predict(X), atol=1e-4)
    alone = getattr(ours, name)(tol=1e-12, **given_).fit(X, Y[:, 1], weight)
    np.testing.assert_allclose(a.coef_[1], alone.coef_, atol=1e-7)
    warm = getattr(ours, name)(tol=1e-12, warm_start=True, **given_).fit(X, Y, weight).fit(X, Y, weight)
    np.testing.assert_allclose(warm.coef_, a.coef_, atol=1e-7)
    assert warm.n_iter_.max() <= 2
