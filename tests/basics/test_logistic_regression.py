"""Logistic regression against scikit-learn, SciPy, statsmodels, Keras, central differences, and the published numbers."""
import warnings

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
import sklearn.multiclass
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError, UndefinedMetricWarning
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

import mlcheat.basics.logistic_regression as lr
import mlcheat.nn.activations
from mlcheat.basics.logistic_regression import LogisticRegression, OneVsRestClassifier

SkLogistic = sklearn.linear_model.LogisticRegression
IRIS = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS[0]), IRIS[1]


def noisy(n=120, d=4, k=2, seed=0):
    """Data of k classes that no plane separates."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, (X @ rng.normal(size=(d, k)) + 2 * rng.gumbel(size=(n, k))).argmax(axis=1)


# ---------------------------------------------------------------- functions

@pytest.mark.parametrize("name", ["sigmoid", "softmax", "log_softmax"])
def test_one_implementation_shared_with_the_activations(name):
    assert getattr(lr, name) is getattr(mlcheat.nn.activations, name)
    assert name in lr.__all__


@pytest.mark.parametrize("z", [0.0, 37.0, -800.0, 1e308, -1e308])
def test_sigmoid_and_softmax_at_the_ends_of_the_floats(z):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lr.sigmoid(z) == pytest.approx(special.expit(z), rel=1e-12)
        assert lr.softmax([z, 0.0]) == pytest.approx(special.softmax([z, 0.0]), rel=1e-12)
        assert lr.log_softmax([z, 0.0]) == pytest.approx(special.log_softmax([z, 0.0]), rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1))
def test_logit_equals_scipy(p):
    assert lr.logit(p) == pytest.approx(special.logit(p), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_logit_keeps_shape_and_dtype(shape, dtype):
    p = np.full(shape, 0.25, dtype)
    out = lr.logit(p)
    assert out.shape == shape and out.dtype == dtype and np.allclose(out, -np.log(3))
    assert np.all(p == 0.25)


def test_logit_at_the_ends_and_outside():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lr.logit([0, 1]).tolist() == [-np.inf, np.inf]
    assert np.isnan(lr.logit(np.nan))
    for bad in (-1e-9, 1.0000001, 2, [0.5, -1]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            lr.logit(bad)


# ---------------------------------------------------------------- log loss

@pytest.mark.parametrize("labels", [[0, 1], [-1, 1], ["no", "yes"], [False, True]])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_equals_scikit_learn_for_two_classes(labels, weighted, dtype):
    rng = np.random.default_rng(0)
    y = np.array(labels)[rng.integers(0, 2, 40)]
    p = rng.uniform(size=40).astype(dtype)
    p[:4] = [0, 1, 0, 1]
    w = rng.uniform(size=40) if weighted else None
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert lr.log_loss(y, p, sample_weight=w) == pytest.approx(sklearn.metrics.log_loss(y, p, sample_weight=w), rel=rtol)
    both = np.column_stack([1 - p, p])
    assert lr.log_loss(y, both, sample_weight=w) == pytest.approx(sklearn.metrics.log_loss(y, p, sample_weight=w), rel=rtol)


def test_log_loss_equals_scikit_learn_for_several_classes():
    rng = np.random.default_rng(1)
    y, P = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    assert lr.log_loss(y, P) == pytest.approx(sklearn.metrics.log_loss(y, P), rel=1e-12)
    y[y == 3] = 0
    assert lr.log_loss(y, P, labels=[0, 1, 2, 3]) == pytest.approx(sklearn.metrics.log_loss(y, P, labels=range(4)), rel=1e-12)


def test_log_loss_clips_certainty():
    assert lr.log_loss([1], [0.0]) == pytest.approx(-np.log(np.finfo(float).eps))
    assert 0 <= lr.log_loss([1, 0], [1.0, 0.0]) < 1e-15
    assert lr.log_loss([1, 1], [0.5, 0.25]) == pytest.approx(1.5 * np.log(2))       # 0 and 1 are known labels


@pytest.mark.parametrize("y, p, say", [
    ([1, 0], [0.5], "shape"), ([], [], "shape"), ([[1], [0]], [0.5, 0.5], "shape"), ([1, 0], [0.5, 1.2], "between 0 and 1"),
    ([1, 0], [0.5, np.nan], "between 0 and 1"), ([0, 1, 2], [0.5, 0.5, 0.5], "labels"), (["a", "a"], [0.5, 0.5], "labels"),
])
def test_log_loss_refuses(y, p, say):
    with pytest.raises(ValueError, match=say):
        lr.log_loss(y, p)


def test_log_loss_warns_of_rows_that_do_not_sum_to_one():
    with pytest.warns(UserWarning, match="sum to 1"):
        lr.log_loss([0, 1], [[0.5, 0.1], [0.5, 0.5]])
    with pytest.raises(ValueError, match="sample_weight"):
        lr.log_loss([0, 1], [0.5, 0.5], sample_weight=[1, 2, 3])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-700, 700)), min_size=1, max_size=20))
def test_log_loss_from_logits_equals_the_formula_in_high_precision(cases):
    y, z = np.array(cases).T
    exact = np.mean(-special.log_expit(np.where(y == 1, z, -z)))
    assert lr.log_loss_from_logits(y, z) == pytest.approx(exact, rel=1e-12, abs=1e-300)


def test_log_loss_from_logits_in_the_tails():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lr.log_loss_from_logits([1, 0], [1e4, 1e4]) == 5000
        assert lr.log_loss_from_logits([0], [1e308]) == 1e308
        assert lr.log_loss_from_logits([1], [np.inf]) == 0
        assert lr.log_loss_from_logits([1], [40.0]) == pytest.approx(4.2484e-18, rel=1e-4)
    for bad in (([0.5], [1.0]), ([2], [1.0]), (["a"], [1.0]), ([1], [[1.0]]), ([1], [np.nan]), ([], [])):
        with pytest.raises(ValueError, match="expected|must hold"):
            lr.log_loss_from_logits(*bad)


def test_log_loss_from_logits_equals_keras():
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(2)
    y, z = rng.integers(0, 2, 64), rng.normal(0, 4, 64)
    theirs = float(keras.losses.BinaryCrossentropy(from_logits=True)(y.astype("float32"), z.astype("float32")))
    assert lr.log_loss_from_logits(y, z) == pytest.approx(theirs, rel=1e-6)


# ---------------------------------------------------------------- gradient and Hessian

@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**31))
def test_gradient_and_hessian_equal_central_differences(n, d, seed):
    rng = np.random.default_rng(seed)
    X, y, t = rng.normal(size=(n, d)), rng.integers(0, 2, n), rng.normal(size=d + 1)
    J = lambda t: lr.log_loss_from_logits(y, X @ t[1:] + t[0])  # noqa: E731
    g = lambda t: np.r_[lr.log_loss_gradient(X, y, t[1:], t[0])[::-1]]  # noqa: E731
    step = 1e-5
    for j, e in enumerate(np.eye(d + 1) * step):
        assert g(t)[j] == pytest.approx((J(t + e) - J(t - e)) / (2 * step), rel=1e-6, abs=1e-9)
        assert lr.log_loss_hessian(X, t[1:], t[0])[j] == pytest.approx((g(t + e) - g(t - e)) / (2 * step), rel=1e-6, abs=1e-8)


def test_gradient_with_huge_logits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gw, gb = lr.log_loss_gradient([[1.0], [1.0]], [1, 0], [1e4])
    assert gw.tolist() == [0.5] and gb == 0.5


@pytest.mark.parametrize("X, y, w", [
    ([[1.0], [2.0]], [0, 2], [1.0]), ([[1.0], [2.0]], [0.5, 1], [1.0]), ([[1.0], [2.0]], [0], [1.0]),
    ([1.0, 2.0], [0, 1], [1.0]), ([[1.0], [2.0]], [0, 1], [1.0, 2.0]), ([[1.0], [2.0]], [[0], [1]], [1.0]),
    ([[np.nan], [2.0]], [0, 1], [1.0]), ([[1.0], [2.0]], [0, 1], [np.inf]), (np.empty((0, 1)), [], [1.0]),
])
def test_gradient_refuses(X, y, w):
    with pytest.raises(ValueError):
        lr.log_loss_gradient(X, y, w)


# ---------------------------------------------------------------- the estimator

@pytest.mark.parametrize("estimator", [LogisticRegression(), OneVsRestClassifier(LogisticRegression())], ids=["logistic", "ovr"])
def test_scikit_learns_own_checks(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    assert [r["check_name"] for r in results if r["status"] in ("failed", "xfail")] == []


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0, np.inf])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_equals_scikit_learn(k, C, fit_intercept):
    X, y = noisy(300, 4, k)
    ours = LogisticRegression(C=C, fit_intercept=fit_intercept, tol=1e-10).fit(X, y)
    theirs = SkLogistic(C=C, fit_intercept=fit_intercept, tol=1e-10, max_iter=10_000).fit(X, y)
    assert ours.coef_.shape == theirs.coef_.shape and ours.intercept_.shape == theirs.intercept_.shape
    assert ours.n_iter_.shape == theirs.n_iter_.shape
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-4, abs=1e-5)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-4, abs=1e-5)
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-5)
    assert ours.predict_log_proba(X) == pytest.approx(theirs.predict_log_proba(X), abs=1e-4)
    assert np.array_equal(ours.predict(X), theirs.predict(X)) and ours.score(X, y) == theirs.score(X, y)


def test_equals_scikit_learn_on_iris_at_many_prices():
    for C in (0.01, 1.0, 100.0):
        ours, theirs = LogisticRegression(C=C, tol=1e-11).fit(*IRIS), SkLogistic(C=C, tol=1e-11, max_iter=10_000).fit(*IRIS)
        assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 1: 0.5}, {1: 2.0}])
def test_weights_equal_scikit_learn(class_weight):
    X, y = noisy(200)
    w = np.random.default_rng(0).uniform(0, 2, 200)
    ours = LogisticRegression(class_weight=class_weight, tol=1e-10).fit(X, y, sample_weight=w)
    theirs = SkLogistic(class_weight=class_weight, tol=1e-10, solver="newton-cholesky").fit(X, y, sample_weight=w)
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-6)


def test_no_penalty_equals_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    X, y = noisy(200)
    fit = sm.Logit(y, sm.add_constant(X)).fit(disp=0, tol=1e-12)
    ours = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    assert np.r_[ours.intercept_, ours.coef_[0]] == pytest.approx(fit.params, rel=1e-6)
    se = np.sqrt(np.diag(np.linalg.inv(200 * lr.log_loss_hessian(X, ours.coef_[0], ours.intercept_[0]))))
    assert se == pytest.approx(fit.bse, rel=1e-6)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_gradient_descent_reaches_the_same_weights_and_never_rises(k, fit_intercept):
    X, y = noisy(150, 3, k)
    newton = LogisticRegression(tol=1e-10, fit_intercept=fit_intercept).fit(X, y)
    gd = LogisticRegression(solver="gd", tol=1e-8, max_iter=20_000, fit_intercept=fit_intercept).fit(X, y)
    assert gd.coef_ == pytest.approx(newton.coef_, abs=1e-5)
    assert np.all(np.diff(gd.loss_curve_) <= 1e-15) and len(gd.loss_curve_) == gd.n_iter_[0] + 1


def test_newton_does_not_mind_raw_units_and_descent_does():
    X, y = noisy(150, 3)
    X = X * [10.0, 1.0, 0.1] + 5
    newton = LogisticRegression(C=100).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="scale the features"):
        gd = LogisticRegression(C=100, solver="gd", max_iter=2000).fit(X, y)
    assert newton.n_iter_[0] < 15 and gd.loss_curve_[-1] > newton.loss_curve_[-1] + 1e-4


def test_loss_curve_is_the_objective_per_case():
    X, y = noisy()
    m = LogisticRegression(C=0.5).fit(X, y)
    mean = sklearn.metrics.log_loss(y, m.predict_proba(X)) + (m.coef_**2).sum() / (2 * 0.5 * len(y))
    assert m.loss_curve_[-1] == pytest.approx(mean, rel=1e-12) and m.loss_curve_[0] == pytest.approx(np.log(2))
    assert np.all(np.diff(m.loss_curve_) <= 1e-12)


def test_convergence_is_reported():
    X, y = noisy()
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        LogisticRegression(solver="gd", max_iter=3).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
        LogisticRegression(max_iter=1).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="not finite"):
        LogisticRegression(solver="gd", learning_rate=1e9, C=1e-3, max_iter=200).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(X, y)


@pytest.mark.parametrize("labels", [["no", "yes"], [True, False], [7, -3], [2.0, 5.0], ["c", "a", "b"]])
def test_labels_of_any_kind_are_sorted(labels):
    X, y = noisy(120, 4, len(labels))
    y = np.array(labels)[y]
    for model in (LogisticRegression(), OneVsRestClassifier(LogisticRegression())):
        model.fit(X, y)
        assert model.classes_.tolist() == sorted(labels)
        assert set(model.predict(X)) <= set(labels) and model.score(X, y) > 1.2 / len(labels)
        assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
        assert np.array_equal(model.classes_[model.predict_proba(X).argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("model", [LogisticRegression(), OneVsRestClassifier(LogisticRegression())], ids=["logistic", "ovr"])
@pytest.mark.parametrize("X, y, say", [
    ([[1.0], [2.0]], [1, 1], "class"), ([[1.0], [2.0], [3.0]], [0.5, 1.2, 3.3], "label type"),
    ([[np.nan], [2.0]], [0, 1], "NaN"), ([[np.inf], [2.0]], [0, 1], "infinity"), (np.empty((0, 2)), [], "0 sample"),
    ([[1.0], [2.0]], [0, 1, 1], "inconsistent"), ([1.0, 2.0], [0, 1], "2D"), ([[1.0], [2.0]], [0, np.nan], "NaN"),
])
def test_fit_refuses(model, X, y, say):
    with pytest.raises(ValueError, match=say):
        model.fit(X, y)


@pytest.mark.parametrize("model", [LogisticRegression(), OneVsRestClassifier(LogisticRegression())], ids=["logistic", "ovr"])
def test_predict_refuses(model):
    X, y = noisy()
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(sklearn.base.clone(model), method)(X)
        with pytest.raises(ValueError, match="features"):
            getattr(model.fit(X, y), method)(X[:, :2])


@pytest.mark.parametrize("parameter", [
    {"C": 0}, {"C": -1.0}, {"C": np.nan}, {"C": "1"}, {"tol": 0.0}, {"max_iter": 0}, {"max_iter": 2.5}, {"solver": "lbfgs"},
    {"solver": "gd", "learning_rate": 0.0}, {"learning_rate": np.inf}, {"learning_rate": "fast"},
    {"class_weight": "even"}, {"class_weight": {9: 1.0}},
])
def test_parameters_out_of_range(parameter):
    with pytest.raises(ValueError, match=list(parameter)[-1]):
        LogisticRegression(**parameter).fit(*noisy())


def test_weights_out_of_range():
    X, y = noisy()
    for bad in (-np.ones(len(y)), np.zeros(len(y)), np.ones(3)):
        with pytest.raises(ValueError):
            LogisticRegression().fit(X, y, sample_weight=bad)


def test_inputs_are_not_modified():
    X, y = noisy()
    copies = X.copy(), y.copy()
    for model in (LogisticRegression(), LogisticRegression(solver="gd"), OneVsRestClassifier(LogisticRegression())):
        model.fit(X, y).predict_proba(X)
    assert np.array_equal(X, copies[0]) and np.array_equal(y, copies[1])


# ---------------------------------------------------------------- hard cases

def test_repeated_constant_and_badly_scaled_columns():
    X, y = noisy(200, 3)
    hard = np.column_stack([X[:, 0] * 1e6, X[:, 1] * 1e-6, X[:, 2], X[:, 2], np.zeros(200), np.ones(200)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m = LogisticRegression(C=np.inf, tol=1e-9).fit(hard, y)
    plain = LogisticRegression(C=np.inf, tol=1e-12).fit(X, y)
    assert m.predict_proba(hard) == pytest.approx(plain.predict_proba(X), abs=1e-4)
    assert m.coef_[0, 4] == 0


@pytest.mark.parametrize("solver", ["newton-cholesky", "gd"])
@pytest.mark.parametrize("k", [2, 3])
def test_separable_classes_are_named(solver, k):
    X = np.arange(3.0 * k)[:, None] - 1.5 * k
    X = X if k == 2 else np.column_stack([X, X**2])
    y = np.repeat(np.arange(k), 3)
    with pytest.warns(ConvergenceWarning, match="separable"):
        m = LogisticRegression(C=np.inf, solver=solver, max_iter=50_000).fit(X, y)
    assert m.score(X, y) == 1 and np.isfinite(m.coef_).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression(C=1.0).fit(X, y)                      # a penalty settles it


def test_partly_separable_classes_are_named():
    x, y = np.array([[0.0], [1.0], [2.0], [2.0], [3.0], [4.0]]), [0, 0, 0, 1, 1, 1]
    with pytest.warns(ConvergenceWarning, match="in part"):
        LogisticRegression(C=np.inf).fit(x, y)


def test_separable_weights_grow_without_end():
    x, y, w, got = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]), 0.0, []
    for step in range(1, 100_001):
        w -= x @ (special.expit(w * x) - y) / 4
        if step in (10, 100, 1000, 10_000, 100_000):
            got.append(w)
    assert got == pytest.approx([2.10, 4.02, 6.23, 8.52, 10.82], abs=0.005)


@pytest.mark.parametrize("case", ["plain", "sorted", "rare", "weights"])
def test_a_sampled_curvature_changes_nothing(case):
    X, y = make_classification(9000, 12, n_informative=8, flip_y=0.1, random_state=0)
    w = None
    if case == "sorted":
        order = np.lexsort([X[:, 0], y])
        X, y = X[order], y[order]
    if case == "rare":
        X[:, 0] = 0
        X[1:9000:1500, 0] = 1.0                                  # in none of the first samples
    if case == "weights":
        w = np.where(np.arange(9000) % 34 == 0, 0.0, 1.0)          # the first sample weighs nothing
    ours = LogisticRegression(tol=1e-9).fit(X, y, sample_weight=w)
    theirs = SkLogistic(tol=1e-9, solver="newton-cholesky").fit(X, y, sample_weight=w)
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-5, abs=1e-6)
    assert ours.n_iter_[0] < 40


# ---------------------------------------------------------------- one-vs-rest

@pytest.mark.parametrize("k", [2, 3, 4])
def test_one_vs_rest_equals_scikit_learn(k):
    X, y = noisy(200, 4, k)
    ours = OneVsRestClassifier(LogisticRegression(tol=1e-10)).fit(X, y)
    theirs = sklearn.multiclass.OneVsRestClassifier(SkLogistic(tol=1e-10, max_iter=10_000)).fit(X, y)
    assert len(ours.estimators_) == len(theirs.estimators_)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-6)
    assert ours.decision_function(X) == pytest.approx(theirs.decision_function(X), abs=1e-4)
    assert np.exp(ours.predict_log_proba(X)) == pytest.approx(ours.predict_proba(X))


@pytest.mark.parametrize("base", [LinearSVC(random_state=0), GaussianNB()], ids=["scores only", "probabilities only"])
def test_one_vs_rest_works_with_any_binary_classifier(base):
    X, y = noisy(200, 4, 3)
    ours = OneVsRestClassifier(base).fit(X, y)
    theirs = sklearn.multiclass.OneVsRestClassifier(base).fit(X, y)
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert hasattr(ours, "predict_proba") == hasattr(base, "predict_proba")


def test_one_vs_rest_refuses_an_estimator_without_scores():
    with pytest.raises(TypeError, match="decision_function"):
        OneVsRestClassifier(sklearn.linear_model.LinearRegression()).fit(*noisy())


def test_iris_sums_and_differences():
    X, y = IRIS
    ovr, joint = OneVsRestClassifier(SkLogistic()).fit(X, y), SkLogistic().fit(X, y)
    sums = sum(e.predict_proba(X)[:, 1] for e in ovr.estimators_)
    assert (sums.min(), sums.max()) == pytest.approx((0.333, 1.689), abs=5e-4)
    assert (ovr.score(X, y), joint.score(X, y)) == pytest.approx((0.947, 0.973), abs=5e-4)
    assert (ovr.predict(X) != joint.predict(X)).sum() == 6


# ---------------------------------------------------------------- metrics

labels_2 = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)
labels_4 = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
PAIRS = [(lr.precision_score, sklearn.metrics.precision_score), (lr.recall_score, sklearn.metrics.recall_score),
         (lr.f1_score, sklearn.metrics.f1_score)]


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@settings(max_examples=40, deadline=None)
@given(labels_4, st.integers(0, 2**31))
def test_metrics_of_labels_equal_scikit_learn(pairs, seed):
    a, b = np.array(pairs).T
    w = np.random.default_rng(seed).uniform(0.1, 2, len(a))
    for weight in (None, w):
        assert lr.accuracy_score(a, b, sample_weight=weight) == pytest.approx(
            sklearn.metrics.accuracy_score(a, b, sample_weight=weight), rel=1e-12)
        for normalize in (None, "true", "pred", "all"):
            assert lr.confusion_matrix(a, b, sample_weight=weight, normalize=normalize) == pytest.approx(
                sklearn.metrics.confusion_matrix(a, b, labels=np.union1d(a, b), sample_weight=weight, normalize=normalize), rel=1e-12)
        for ours, theirs in PAIRS:
            for average in ("macro", "micro", "weighted", None):
                keys = {"average": average, "sample_weight": weight, "zero_division": 0}
                assert ours(a, b, **keys) == pytest.approx(theirs(a, b, **keys), rel=1e-12, abs=1e-15)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@settings(max_examples=40, deadline=None)
@given(labels_2)
def test_binary_metrics_equal_scikit_learn(pairs):
    a, b = np.array(pairs).T
    for ours, theirs in PAIRS:
        assert ours(a, b, zero_division=0) == pytest.approx(theirs(a, b, zero_division=0), rel=1e-12)
    negative = sklearn.metrics.recall_score(a, b, pos_label=0, zero_division=0)
    if 0 in a:
        assert lr.specificity_score(a, b) == pytest.approx(negative, rel=1e-12)


def test_metrics_with_strings_and_chosen_labels():
    a, b = np.array(list("abcabcab")), np.array(list("abcbbaac"))
    for labels in (["a", "b"], ["c", "a"], ["c", "b", "a"]):
        assert np.array_equal(lr.confusion_matrix(a, b, labels=labels), sklearn.metrics.confusion_matrix(a, b, labels=labels))
        for ours, theirs in PAIRS:
            assert ours(a, b, labels=labels, average="macro") == pytest.approx(theirs(a, b, labels=labels, average="macro"))
    two, say = a[a != "c"], b[a != "c"].copy()
    say[say == "c"] = "a"
    for ours, theirs in PAIRS:
        assert ours(two, say, pos_label="b") == pytest.approx(theirs(two, say, pos_label="b"))
    assert lr.confusion_matrix([1], [1], labels=[1]).dtype == np.int64
    assert lr.accuracy_score([True, False], [True, True], normalize=False) == 1


@pytest.mark.parametrize("metric", [lr.precision_score, lr.recall_score, lr.f1_score, lr.specificity_score])
def test_a_rate_without_a_denominator_is_zero_with_a_warning(metric):
    same = [1, 1] if metric is lr.specificity_score else [0, 0]
    with pytest.warns(UndefinedMetricWarning):
        assert metric(same, same) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric(same, same, zero_division=1) == 1
        assert np.isnan(metric(same, same, zero_division=np.nan))


@pytest.mark.parametrize("a, b, say", [
    ([1, 0], [1], "cases"), ([], [], "n_samples"), ([1, 0], [[1], [0]], "shape"), ([1, 0], [0.3, 0.7], "continuous"),
    ([1, 0], ["x", "y"], "one kind"), ([1.0, np.nan], [1, 0], "missing"),
])
def test_metrics_refuse(a, b, say):
    for metric in (lr.accuracy_score, lr.confusion_matrix, lr.precision_score, lr.recall_score, lr.specificity_score, lr.f1_score):
        with pytest.raises(ValueError, match=say):
            metric(a, b)


def test_metrics_refuse_what_they_cannot_average():
    with pytest.raises(ValueError, match="average"):
        lr.precision_score([0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="average"):
        lr.precision_score([0, 1], [0, 1], average="samples")
    with pytest.raises(ValueError, match="pos_label"):
        lr.recall_score(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="normalize"):
        lr.confusion_matrix([0, 1], [0, 1], normalize="rows")
    with pytest.raises(ValueError, match="labels"):
        lr.confusion_matrix([0, 1], [0, 1], labels=[5, 6])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40), st.booleans(), st.integers(0, 2**31))
def test_roc_equals_scikit_learn(cases, drop, seed):
    y, s = np.array([c[0] for c in cases]), np.array([c[1] for c in cases], dtype=float)
    if y.all() or not y.any():
        with pytest.raises(ValueError, match="two classes"):
            lr.roc_auc_score(y, s)
        with pytest.raises(ValueError, match="positives"):
            lr.roc_curve(y, s)
        return
    w = np.random.default_rng(seed).integers(1, 5, len(y)).astype(float)
    for weight in (None, w):
        ours = lr.roc_curve(y, s, sample_weight=weight, drop_intermediate=drop)
        theirs = sklearn.metrics.roc_curve(y, s, sample_weight=weight, drop_intermediate=drop)
        for a, b in zip(ours, theirs):
            assert a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0)
        assert lr.roc_auc_score(y, s, sample_weight=weight) == pytest.approx(
            sklearn.metrics.roc_auc_score(y, s, sample_weight=weight), rel=1e-12, abs=1e-15)


def test_roc_labels_and_errors():
    words = np.array(["no", "yes", "yes", "no"])
    assert lr.roc_auc_score(words, [0.1, 0.9, 0.4, 0.5]) == sklearn.metrics.roc_auc_score(words, [0.1, 0.9, 0.4, 0.5])
    assert lr.roc_curve(words, [1, 2, 3, 4], pos_label="yes")[1][-1] == 1
    assert lr.roc_curve([-1, 1], [0.0, 1.0])[2].tolist() == [np.inf, 1.0, 0.0]
    for y, s, keys, say in (([0, 1], [0.1], {}, "shape"), ([0, 1], [0.1, np.nan], {}, "finite"), (words, [1, 2, 3, 4], {}, "pos_label"),
                            ([0, 1, 2], [1, 2, 3], {"pos_label": 1}, "one other class")):
        if say == "one other class":
            with pytest.raises(ValueError, match="one other class"):
                lr.roc_curve(y, s, **keys)
        else:
            with pytest.raises(ValueError, match=say):
                lr.roc_curve(y, s, **keys)
    with pytest.raises(ValueError, match="two classes"):
        lr.roc_auc_score([0, 1, 2], [1, 2, 3])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-5, 5)), min_size=2, max_size=20), st.booleans())
def test_auc_equals_the_trapezoidal_rule(points, falling):
    x, y = np.array(sorted(points, reverse=falling)).T
    assert lr.auc(x, y) == pytest.approx(sklearn.metrics.auc(x, y), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("x, y", [([0], [1]), ([0, 1, 0.5], [0, 1, 1]), ([0, 1], [0, 1, 2]), ([[0, 1]], [[0, 1]])])
def test_auc_refuses(x, y):
    with pytest.raises(ValueError):
        lr.auc(x, y)


# ---------------------------------------------------------------- the published numbers, on the real exam data

def descent(A, y, rate, steps, every=1):
    w, costs = np.zeros(A.shape[1]), []
    for step in range(steps + 1):
        z = A @ w
        if step % every == 0 or step in (1, 1001):
            costs.append((step, np.mean(np.logaddexp(0, z) - y * z)))
        if step < steps:
            w = w - rate * (A.T @ (special.expit(z) - y)) / len(y)
    return w, dict(costs)


@pytest.fixture(scope="module")
def design(exams):
    X, y = exams
    return np.column_stack([np.ones(len(X)), X]), y


@pytest.fixture(scope="module")
def optimum(exams):
    m = LogisticRegression(C=np.inf, tol=1e-12).fit(*exams)
    return np.r_[m.intercept_, m.coef_[0]]


def test_exams_table(exams):
    X, y = exams
    assert len(y) == 100 and y.sum() == 55
    assert X[1].tolist() == pytest.approx([8.6254, 0.0589], abs=5e-5) and y[1] == 0
    published = np.array([[4.85, 9.63], [8.62, 3.23], [5.43, 8.23], [9.21, 6.34]])
    closest = [X[np.hypot(*(X - row).T).argmin()] for row in published]
    assert np.allclose(closest, [[4.8551, 9.6400], [8.8348, 3.1522], [4.7786, 8.2829], [8.9227, 7.7542]], atol=5e-5)


def test_exams_training_log(design):
    w, cost = descent(*design, 0.1, 3000)
    for step, value in ((0, 0.693147), (1, 0.635332), (1000, 0.302461), (1001, 0.302395), (2000, 0.264441), (3000, 0.248651)):
        assert cost[step] == pytest.approx(value, abs=5e-7)
    assert cost[2999] == pytest.approx(0.24866, abs=5e-6)        # the last cost that was printed
    assert w == pytest.approx([-8.19753, 0.921238, 0.738888], rel=1e-6)
    costs = np.array(list(cost.values()))
    assert np.all(np.diff(costs) < 0)


def test_exams_long_training(design):
    w, cost = descent(*design, 0.1, 100_000, every=10_000)
    assert cost[10_000] == pytest.approx(0.222925, abs=5e-7) and cost[100_000] == pytest.approx(0.217008, abs=5e-7)
    assert w[0] == pytest.approx(-16.145, abs=5e-4)


def test_exams_rates(design):
    A, y = design
    L = np.linalg.eigvalsh(A.T @ A)[-1] / (4 * len(y))
    assert L == pytest.approx(15.697, abs=5e-4) and 2 / L == pytest.approx(0.1274, abs=5e-5)
    rises = {rate: int((np.diff(list(descent(A, y, rate, 3000)[1].values())) > 0).sum()) for rate in (0.1, 0.1274, 0.2, 1.0)}
    assert rises[0.1] == rises[0.1274] == 0 and 70 <= rises[0.2] <= 80 and rises[1.0] > 1000
    last = descent(A, y, 1.0, 3000)[1][3000]
    assert 0.3 < last < 0.5                              # it jumps about; which value it ends on depends on rounding


def test_exams_evaluation(design, optimum):
    A, y = design
    w, _ = descent(A, y, 0.1, 3000, every=3000)
    said = (special.expit(A @ w) >= 0.5).astype(int)
    assert lr.accuracy_score(y, said) == 0.89 and lr.confusion_matrix(y, said).tolist() == [[38, 7], [4, 51]]
    assert max(y.mean(), 1 - y.mean()) == 0.55
    assert lr.roc_auc_score(y, A @ w) == pytest.approx(0.9701, abs=5e-5)
    assert lr.roc_auc_score(y, A @ optimum) == pytest.approx(0.9709, abs=5e-5)


def test_exams_optimum_and_standard_errors(exams, design, optimum):
    (X, y), (A, _) = exams, design
    assert optimum == pytest.approx([-16.1603, 1.74538, 1.48651], rel=4e-6)
    assert lr.log_loss_from_logits(y, A @ optimum) == pytest.approx(0.217008, abs=5e-7)
    se = np.sqrt(np.diag(np.linalg.inv(100 * lr.log_loss_hessian(X, optimum[1:], optimum[0]))))
    assert se == pytest.approx([4.0819, 0.43081, 0.39410], abs=5e-5)
    assert optimum / se == pytest.approx([-3.96, 4.05, 3.77], abs=5e-3)
    sm = pytest.importorskip("statsmodels.api")
    fit = sm.Logit(y, A).fit(disp=0, tol=1e-12)
    assert fit.params == pytest.approx(optimum, rel=1e-6) and fit.bse == pytest.approx(se, rel=1e-6)


def test_exams_newton_steps(exams):
    X, y = exams
    t, costs = np.zeros(3), []
    for _ in range(8):
        gw, gb = lr.log_loss_gradient(X, y, t[1:], t[0])
        t = t - np.linalg.solve(lr.log_loss_hessian(X, t[1:], t[0]), [gb, *gw])
        costs.append((lr.log_loss_from_logits(y, t[0] + X @ t[1:]), t))
    assert costs[0][0] == pytest.approx(0.35115, abs=5e-6) and costs[0][1] == pytest.approx([-3.7470, 0.44675, 0.30486], rel=2e-5)
    gw, gb = lr.log_loss_gradient(X, y, t[1:], t[0])
    assert max(abs(gb), *abs(gw)) < 1e-11


def test_exams_sums_of_the_exercise(design):
    A, y = design
    G = np.array([[100, 553.4528, 483.6464], [553.4528, 3970.3721, 2532.5005], [483.6464, 2532.5005, 3303.7141]])
    assert np.allclose(A.T @ A, G, atol=5e-5) and np.allclose(A.T @ y, [55, 394.7362, 323.4102], atol=5e-5)


def test_exams_cost_along_one_weight(design, optimum):
    A, y = design
    costs = [lr.log_loss_from_logits(y, A @ [optimum[0], w1, optimum[2]]) for w1 in (-1, 2, 5)]
    assert costs == pytest.approx([8.03, 0.302, 4.01], abs=5e-3)


def test_exams_squared_error_has_one_valley_and_plateaus(design):
    A, y = design

    def squared(w):
        s = special.expit(A @ w)
        return np.mean((s - y) ** 2), A.T @ (2 * (s - y) * s * (1 - s)) / len(y)

    rng = np.random.default_rng(0)
    ends = np.array([optimize.minimize(squared, 3 * rng.normal(size=3), jac=True, method="BFGS").fun for _ in range(100)])
    assert ends.min() == pytest.approx(0.07003, abs=5e-6)
    assert 0.5 < np.isclose(ends, 0.07003, atol=1e-4).mean() < 0.9        # most starts
    assert np.isclose(ends, 0.55, atol=1e-3).sum() > 5                     # "failed" for everyone


def test_exams_scikit_learn_default(exams):
    m = SkLogistic(tol=1e-10, max_iter=1000).fit(*exams)
    assert np.r_[m.intercept_, m.coef_[0]] == pytest.approx([-12.891, 1.403, 1.174], abs=5e-4)
    ours = LogisticRegression().fit(*exams)
    assert np.r_[ours.intercept_, ours.coef_[0]] == pytest.approx([-12.891, 1.403, 1.174], abs=5e-4)


def test_exams_one_split_says_little(exams):
    X, y = exams
    scaled, scores = MinMaxScaler((-1, 1)).fit_transform(X), []
    for seed in range(1000):                                     # all rows scaled at once, as in the document
        a, b, c, d = train_test_split(scaled, y, test_size=0.4, random_state=seed)
        scores.append(LogisticRegression().fit(a, c).score(b, d))
    assert np.mean(scores) == pytest.approx(0.872, abs=5e-4) and np.std(scores) == pytest.approx(0.047, abs=5e-4)
    assert min(scores) == 0.70 and max(scores) == 1.0
    assert stats.binomtest(35, 40).proportion_ci(method="wilson")[:] == pytest.approx((0.739, 0.945), abs=5e-4)


def test_exams_held_out_accuracy_of_plain_descent(design):
    A, y = design
    parts = [train_test_split(np.arange(100), test_size=0.4, random_state=seed) for seed in range(300)]
    train, test = (np.array(p) for p in zip(*parts))
    B, t, w = A[train], y[train], np.zeros((300, 3, 1))          # 300 fits side by side
    Bt = B.transpose(0, 2, 1).copy()
    for _ in range(3000):
        w -= 0.1 * (Bt @ (special.expit(B @ w) - t[:, :, None])) / 60
    scores = (((A[test] @ w)[:, :, 0] >= 0) == y[test]).mean(axis=1)
    assert scores.mean() == pytest.approx(0.880, abs=5e-4) and scores.std() == pytest.approx(0.042, abs=5e-4)


def test_breast_cancer_without_penalty_is_separable_and_penalised_is_not():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    with pytest.warns(ConvergenceWarning, match="separable"):
        LogisticRegression(C=np.inf).fit(X, y)
    ours, theirs = LogisticRegression(tol=1e-10).fit(X, y), SkLogistic(tol=1e-10, max_iter=10_000).fit(X, y)
    assert ours.coef_ == pytest.approx(theirs.coef_, rel=1e-4, abs=1e-6) and np.array_equal(ours.predict(X), theirs.predict(X))
