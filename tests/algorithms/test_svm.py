"""Kernel machines and linear machines against scikit-learn and SciPy; conditions of optimality, kernels, edges, errors."""
import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.svm as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from mlcheat.algorithms import svm as ours

DATA = {name: (StandardScaler().fit_transform(load().data), load().target) for name, load in (
    ("iris", load_iris), ("wine", load_wine), ("cancer", load_breast_cancer))}
DATA["simulated"] = make_classification(150, 8, n_informative=5, n_classes=4, random_state=0)
_, once = np.unique(DATA["iris"][0], axis=0, return_index=True)                  # two rows of iris are equal: which of them supports is chance
DATA["iris"] = tuple(v[np.sort(once)] for v in DATA["iris"])
X2, y2 = (v[DATA["iris"][1] > 0] for v in DATA["iris"])
CURVE = make_regression(80, 3, noise=5.0, random_state=0)
CURVE = (CURVE[0], CURVE[1] / CURVE[1].std())


@pytest.mark.parametrize("model", [ours.SVC(), ours.SVR(), ours.OneClassSVM(), ours.LinearSVC(), ours.LinearSVC(loss="hinge", max_iter=200),
                                   ours.LinearSVC(penalty="l1"), ours.SVC(kernel="linear", tol=1e-10)], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(model):
    check_estimator(model)


@pytest.mark.parametrize("kernel, C", [(k, C) for k in ("linear", "poly", "rbf") for C in (0.1, 1.0, 10.0)] + [("sigmoid", 0.1)])
@pytest.mark.parametrize("data", DATA)
def test_classifier_equals_scikit_learn(kernel, data, C):
    X, y = DATA[data]
    given = dict(C=C, kernel=kernel, tol=1e-6, coef0=0.5, gamma=0.01 if kernel == "sigmoid" else "scale")
    a, b = ours.SVC(**given).fit(X, y), theirs.SVC(**given).fit(X, y)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-3)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    full = [np.zeros((m.dual_coef_.shape[0], len(y))) for m in (a, b)]        # a multiplier of almost 0 may be kept or not
    for F, m in zip(full, (a, b)):
        F[:, m.support_] = m.dual_coef_
    np.testing.assert_allclose(*full, atol=2e-3 * C)
    np.testing.assert_array_equal(a.n_support_, np.bincount(np.searchsorted(a.classes_, y[a.support_]), minlength=len(a.classes_)))
    np.testing.assert_allclose(a.intercept_, b.intercept_, atol=1e-3)
    if kernel == "linear":
        np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-3)


@pytest.mark.parametrize("weights", [{0: 3.0}, "balanced", "rows"])
def test_weights_equal_scikit_learn(weights):
    X, y = DATA["simulated"]
    w = np.random.default_rng(0).uniform(0.2, 2, len(y)) if weights == "rows" else None
    given = dict(tol=1e-6, class_weight=None if weights == "rows" else weights)
    if weights == "rows":                                                     # scikit-learn's "scale" does not look at weights
        given["gamma"] = 0.1
    a, b = ours.SVC(**given).fit(X, y, sample_weight=w), theirs.SVC(**given).fit(X, y, sample_weight=w)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-3)


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
def test_shapes_of_scores(shape):
    X, y = DATA["simulated"]
    a, b = (m.SVC(decision_function_shape=shape, tol=1e-6).fit(X, y) for m in (ours, theirs))
    assert a.decision_function(X).shape == b.decision_function(X).shape == (150, {"ovr": 4, "ovo": 6}[shape])
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-3)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_regressor_equals_scikit_learn(kernel, epsilon):
    X, y = CURVE
    given = dict(kernel=kernel, epsilon=epsilon, C=2.0, tol=1e-6, coef0=1.0)
    a, b = ours.SVR(**given).fit(X, y), theirs.SVR(**given).fit(X, y)
    np.testing.assert_allclose(a.predict(X), b.predict(X), atol=1e-3)
    if epsilon:
        np.testing.assert_array_equal(a.support_, b.support_)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("nu", [0.03, 0.3, 0.8])
def test_one_class_equals_scikit_learn(kernel, nu):
    X = DATA["wine"][0] + (3 if kernel == "linear" else 0)
    a, b = (m.OneClassSVM(kernel=kernel, nu=nu, tol=1e-7).fit(X) for m in (ours, theirs))
    scale = np.abs(b.decision_function(X)).max()
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-3 * max(1, scale))
    np.testing.assert_allclose(a.score_samples(X) - a.offset_, a.decision_function(X))
    np.testing.assert_allclose(a.offset_, b.offset_, atol=1e-3 * max(1, scale))


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge"])
@pytest.mark.parametrize("data", ["iris", "cancer"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_linear_reaches_the_objective_of_scikit_learn(loss, data, fit_intercept):
    X, y = DATA[data]
    given = dict(loss=loss, C=0.5, tol=1e-6, fit_intercept=fit_intercept, random_state=0, max_iter=100_000)
    a, b = ours.LinearSVC(**given).fit(X, y), theirs.LinearSVC(**given).fit(X, y)
    power = 2 if loss == "squared_hinge" else 1
    for c, (wa, ba, wb, bb) in enumerate(zip(a.coef_, a.intercept_, b.coef_, np.broadcast_to(b.intercept_, len(b.coef_)))):
        sign = np.where(y == (c if len(a.coef_) > 1 else 1), 1, -1)
        value = lambda w, b: 0.5 * (w @ w + b * b) + 0.5 * (np.maximum(0, 1 - sign * (X @ w + b)) ** power).sum()  # noqa: E731
        assert value(wa, ba) <= value(wb, bb) * (1 + 1e-5)
        assert value(wa, ba) >= value(wb, bb) * (1 - 1e-3)


def test_linear_penalises_its_intercept_as_scikit_learn_does():
    X, y = load_iris().data[:, :2], load_iris().target
    assert ours.SVC(kernel="linear").fit(X, y).score(X, y) == pytest.approx(0.82, abs=5e-3)
    assert ours.LinearSVC().fit(X, y).score(X, y) == pytest.approx(0.80, abs=7e-3)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 20.0]))
@settings(max_examples=25, deadline=None)
def test_smo_meets_the_conditions(seed, C):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(25, 2)), np.where(rng.random(25) < 0.5, -1, 1)
    y[:2] = -1, 1
    K = ours.rbf_kernel(X, gamma=0.7)
    alpha, b, _ = ours.smo(K, y, C, tol=1e-7)
    assert ours.kkt_violation(alpha, K, y, b, C) < 1e-6 and abs(alpha @ y) < 1e-10 * C * 25
    f = K @ (alpha * y) + b
    primal = 0.5 * (alpha * y) @ K @ (alpha * y) + C * np.maximum(0, 1 - y * f).sum()
    dual = ours.dual_objective(alpha, K, y)
    assert dual <= primal + 1e-9 and primal - dual < 1e-4 * max(1, dual)


def test_smo_equals_a_general_solver():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(24, 3)), np.repeat([-1, 1], 12)
    K = ours.polynomial_kernel(X, degree=2)
    alpha, b, steps = ours.smo(K, y, 0.5, tol=1e-9)
    judge = scipy.optimize.minimize(lambda a: -ours.dual_objective(a, K, y), np.zeros(24), method="SLSQP", bounds=[(0, 0.5)] * 24,
                                    constraints={"type": "eq", "fun": lambda a: a @ y}, options={"maxiter": 1000, "ftol": 1e-13})
    assert ours.dual_objective(alpha, K, y) == pytest.approx(-judge.fun, rel=1e-6) and steps > 5


def test_broken_solutions_are_told_from_right_ones():
    K, y = np.array([[2.0, 6.0], [6.0, 18.0]]), [-1, 1]
    assert ours.kkt_violation([0.25, 0.25], K, y, -2, 1) == 0
    assert ours.kkt_violation([0.3, 0.25], K, y, -2, 1) > 0.04
    assert ours.kkt_violation([0.25, 0.25], K, y, -1, 1) == pytest.approx(1)
    assert ours.kkt_violation([1.25, 1.25], K, y, -2, 1) >= 0.25


def test_taking_away_rows_that_do_not_support_changes_nothing():
    a = ours.SVC(kernel="linear", tol=1e-8).fit(X2, y2)
    others = np.setdiff1d(np.arange(len(X2)), a.support_)
    for r in others[::7]:
        kept = np.arange(len(X2)) != r
        np.testing.assert_allclose(ours.SVC(kernel="linear", tol=1e-8).fit(X2[kept], y2[kept]).coef_, a.coef_, atol=1e-5)


def test_precomputed_function_and_small_cache_give_the_same():
    X, y = DATA["wine"]
    named = ours.SVC(kernel="rbf", gamma=0.1, tol=1e-7).fit(X, y)
    K = pairwise_kernels(X, metric="rbf", gamma=0.1)
    given_, function = ours.SVC(kernel="precomputed", tol=1e-7).fit(K, y), ours.SVC(kernel=lambda A, B: ours.rbf_kernel(A, B, 0.1), tol=1e-7).fit(X, y)
    tight = ours.SVC(kernel="rbf", gamma=0.1, tol=1e-7, cache_size=0.02).fit(X, y)
    for other, Z in ((given_, K), (function, X), (tight, X)):
        np.testing.assert_allclose(other.decision_function(Z), named.decision_function(X), atol=1e-5)


def test_scaling_rows_and_gamma_together_changes_nothing():
    X, y = DATA["iris"]
    a, b = ours.SVC(gamma=0.5, tol=1e-7).fit(X, y), ours.SVC(gamma=0.5 / 9, tol=1e-7).fit(3 * X, y)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(3 * X), atol=1e-5)


@pytest.mark.parametrize("name, ours_, given_", [("linear", ours.linear_kernel, {}), ("poly", ours.polynomial_kernel, {"degree": 4, "gamma": 0.3, "coef0": 2}),
                                                 ("rbf", ours.rbf_kernel, {"gamma": 0.3}), ("sigmoid", ours.sigmoid_kernel, {"gamma": 0.1, "coef0": -0.5}),
                                                 ("poly", ours.polynomial_kernel, {}), ("rbf", ours.rbf_kernel, {}), ("sigmoid", ours.sigmoid_kernel, {})])
def test_kernels_equal_scikit_learn(name, ours_, given_):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 4)) + 50 * (name == "rbf"), rng.normal(size=(6, 4)) + 50 * (name == "rbf")
    np.testing.assert_allclose(ours_(X, Y, **given_), pairwise_kernels(X, Y, metric=name, **given_), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours_(X, **given_), pairwise_kernels(X, metric=name, **given_), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"\(n, d\)"):
        ours_(X, Y[:, :2])


@pytest.mark.parametrize("call, message", [
    (lambda: ours.rbf_kernel(X2, gamma=0), "gamma"), (lambda: ours.polynomial_kernel(X2, degree=-1), "degree"), (lambda: ours.sigmoid_kernel(X2, gamma=-1), "gamma"),
    (lambda: ours.is_positive_semidefinite([[1.0, 2.0]]), "square"), (lambda: ours.is_positive_semidefinite([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
    (lambda: ours.lift_radius([[1.0]]), r"\(n, 2\)"), (lambda: ours.margin([0, 0], 1, [[1, 1]], [1]), "plane"), (lambda: ours.margin([1], 1, [[1, 1]], [1]), "shapes"),
    (lambda: ours.hinge_loss([0, 1], [1, 2]), "-1 and 1"), (lambda: ours.hinge_loss([1, 1], [1]), "shape"), (lambda: ours.smo(np.eye(2), [1, 1], 1.0), "only"),
    (lambda: ours.smo(np.eye(2), [1, -1], 0), "C must"), (lambda: ours.smo(np.eye(3), [1, -1], 1), "shapes"), (lambda: ours.platt_scaling([1, 2], [1, 1]), "one class"),
    (lambda: ours.platt_scaling([1], [1, -1]), "one finite score"), (lambda: ours.pegasos(X2, np.ones(3), 1, n_iter=5), "shapes"),
    (lambda: ours.pegasos([[1.0]], [1], 0, n_iter=5), "lam"), (lambda: ours.pegasos([[1.0]], [1], 1, n_iter=0), "n_iter"),
    (lambda: ours.plot_margin(None, [[1.0]], [1]), r"\(n, 2\)")])
def test_functions_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("cls, given_, message", [
    (ours.SVC, {"C": 0}, "C must"), (ours.SVC, {"C": -1}, "C must"), (ours.SVC, {"degree": -1}, "degree"), (ours.SVC, {"gamma": 0.0}, "gamma"), (ours.SVC, {"gamma": "wide"}, "gamma"),
    (ours.SVC, {"kernel": "cubic"}, "kernel"), (ours.SVC, {"decision_function_shape": "all"}, "decision_function_shape"), (ours.SVC, {"class_weight": {7: 1.0}}, "class_weight"),
    (ours.SVC, {"kernel": "precomputed"}, "square"), (ours.SVC, {"kernel": lambda A, B: np.zeros(3)}, "kernel function"), (ours.SVC, {"tol": 0}, "tol"),
    (ours.SVR, {"epsilon": -0.1}, "epsilon"), (ours.SVR, {"C": 0}, "C must"), (ours.OneClassSVM, {"nu": 0}, "nu"), (ours.OneClassSVM, {"nu": 1.1}, "nu"),
    (ours.LinearSVC, {"C": 0}, "C must"), (ours.LinearSVC, {"penalty": "l0"}, "penalty"), (ours.LinearSVC, {"loss": "log"}, "loss"),
    (ours.LinearSVC, {"penalty": "l1", "loss": "hinge"}, "penalty='l1' needs"), (ours.LinearSVC, {"penalty": "l1", "dual": True}, "penalty='l1' needs"),
    (ours.LinearSVC, {"loss": "hinge", "dual": False}, "dual only"), (ours.LinearSVC, {"dual": "no"}, "dual must")])
def test_estimators_refuse(cls, given_, message):
    with pytest.raises(ValueError, match=message):
        cls(**given_).fit(X2, y2)


def test_one_class_only_and_nan_are_refused():
    for cls in (ours.SVC, ours.LinearSVC):
        with pytest.raises(ValueError, match="one class"):
            cls().fit(X2, np.ones(len(X2)))
        with pytest.raises(ValueError, match="NaN"):
            cls().fit(np.where(X2 > 1, np.nan, X2), y2)


def test_matrices_that_are_no_kernels():
    K = X2 @ X2.T
    with pytest.raises(ValueError, match="symmetric"):
        ours.SVC(kernel="precomputed").fit(K + np.triu(np.ones_like(K), 1), y2)
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(len(X2), len(X2)))
    with pytest.warns(UserWarning, match="positive semi-definite"):
        ours.SVC(kernel="precomputed", max_iter=2000).fit(wild + wild.T, y2)


def test_coef_needs_the_linear_kernel():
    with pytest.raises(AttributeError, match="linear kernel"):
        ours.SVC().fit(X2, y2).coef_


def test_constant_features_and_equal_rows():
    X = np.ones((10, 2))
    m = ours.SVC().fit(X, np.repeat([0, 1], 5))
    assert m._gamma == 1.0 and np.isfinite(m.decision_function(X)).all()
    m = ours.SVC(C=1e6).fit([[0.0], [0.0], [1.0]], [0, 1, 1])
    assert m.score([[0.0], [0.0], [1.0]], [0, 1, 1]) == pytest.approx(2 / 3)


def test_unfinished_fits_say_so():
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        ours.SVC(max_iter=3).fit(X2, y2)
    with pytest.warns(ConvergenceWarning, match="scale the features"):
        ours.LinearSVC(loss="hinge", max_iter=2).fit(load_breast_cancer().data, load_breast_cancer().target)
    with pytest.warns(ConvergenceWarning):
        ours.smo(X2 @ X2.T, 2 * y2 - 3, 1.0, max_iter=1)


def test_platt_scaling_gives_honest_probabilities():
    rng = np.random.default_rng(0)
    f = rng.normal(size=4000)
    y = np.where(rng.random(4000) < 1 / (1 + np.exp(-1.7 * f + 0.4)), 1, -1)
    a, b = ours.platt_scaling(f, y)
    assert a == pytest.approx(-1.7, abs=0.15) and b == pytest.approx(0.4, abs=0.12)
    assert ours.platt_scaling(1e6 * f, y)[0] == pytest.approx(a / 1e6, rel=1e-5)
    a, b = ours.platt_scaling([-1, -2, 1, 2], [-1, -1, 1, 1])
    assert np.isfinite([a, b]).all(), "separable scores, finite sigmoid"


def test_pegasos_is_reproducible_and_near_the_optimum():
    X, y = np.column_stack([X2, np.ones(len(X2))]), np.where(y2 == 2, 1, -1)
    a, b = (ours.pegasos(X, y, 0.1, n_iter=20_000, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    value = lambda w: 0.05 * w @ w + ours.hinge_loss(y, X @ w)  # noqa: E731
    best = ours.LinearSVC(loss="hinge", C=1 / (0.1 * len(X2)), fit_intercept=False, tol=1e-8, max_iter=20_000).fit(X, y).coef_[0]
    assert value(best) <= value(a) < value(best) + 5e-3


def test_pipeline_grid_search_clone_and_pickle():
    X, y = DATA["wine"]
    search = GridSearchCV(make_pipeline(StandardScaler(), ours.SVC()), {"svc__C": [0.1, 1.0], "svc__gamma": ["scale", 0.1]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.95
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(search.best_estimator_)).predict(X), search.predict(X))
    assert clone(ours.SVR(C=3.0)).C == 3.0


def test_many_rows_stay_in_a_small_memory():
    import tracemalloc
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(-3, 1, (4000, 2)), rng.normal(3, 1, (4000, 2))]
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        m = ours.SVC(cache_size=20, max_iter=300).fit(X, np.repeat([0, 1], 4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6 and m.score(X, np.repeat([0, 1], 4000)) > 0.99


WEIGHED = [ours.SVC(), ours.SVC(kernel="linear", C=5.0), ours.SVC(kernel="poly", degree=2, coef0=1.0), ours.SVR(), ours.SVR(epsilon=0.0, kernel="linear"),
           ours.OneClassSVM(nu=0.3), ours.LinearSVC(), ours.LinearSVC(penalty="l1"), ours.LinearSVC(loss="hinge", max_iter=100_000)]


@pytest.mark.parametrize("model", WEIGHED, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
def test_weights_are_repetitions(model, sparse):
    rng = np.random.default_rng(7)
    X, y, counts = rng.normal(size=(90, 4)), rng.integers(0, 3, 90), rng.integers(0, 4, 90)
    y[X[:, 0] > 0.5] = 2
    box = scipy.sparse.csr_array if sparse else np.asarray
    a = clone(model).fit(box(X), y, sample_weight=counts)
    b = clone(model).fit(box(X.repeat(counts, axis=0)), y.repeat(counts))
    c = clone(model).fit(box(X[counts > 0]), y[counts > 0], sample_weight=counts[counts > 0])
    score = "predict" if isinstance(model, ours.SVR) else "decision_function"
    for other in (b, c):
        np.testing.assert_allclose(getattr(a, score)(box(X)), getattr(other, score)(box(X)), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid"])
@pytest.mark.parametrize("cls", [ours.SVC, ours.SVR, ours.OneClassSVM])
def test_sparse_rows_give_the_same(cls, kernel):
    X, y = DATA["wine"]
    X = np.where(np.abs(X) < 0.7, 0, X)
    X[:, 0] += 9 * (cls is ours.OneClassSVM)                                  # away from the origin
    given = {"kernel": kernel, "gamma": 0.02 if kernel == "sigmoid" else "scale"}
    a, b = cls(**given).fit(X, y), cls(**given).fit(scipy.sparse.csr_array(X), y)
    score = "predict" if cls is ours.SVR else "decision_function"
    np.testing.assert_allclose(getattr(a, score)(X), getattr(b, score)(scipy.sparse.csc_matrix(X)), atol=1e-7)
    if kernel == "linear":
        np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-8)
    with pytest.raises(TypeError, match="dense"):
        cls(kernel="precomputed").fit(scipy.sparse.csr_array(X @ X.T), y)


@pytest.mark.parametrize("given_", [{}, {"penalty": "l1"}, {"loss": "hinge", "max_iter": 100_000}], ids=str)
def test_linear_machines_on_sparse_rows_and_wide_ones(given_):
    X, y = DATA["cancer"]
    X, y = np.where(np.abs(X) < 0.5, 0, X)[:150], y[:150]
    a, b = ours.LinearSVC(C=0.1, **given_).fit(X, y), ours.LinearSVC(C=0.1, **given_).fit(scipy.sparse.csr_array(X), y)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-8)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(scipy.sparse.csr_array(X)), atol=1e-8)
    words = scipy.sparse.random_array((60, 4000), density=5e-3, rng=np.random.default_rng(0)).tocsr()
    label = (np.arange(60) % 2)
    m = ours.LinearSVC(C=5.0, **given_).fit(words, label)
    j = theirs.LinearSVC(C=5.0, tol=1e-9, random_state=0, **(given_ | {"dual": "auto", "max_iter": 100_000})).fit(words, label)
    np.testing.assert_allclose(m.decision_function(words), j.decision_function(words), atol=1e-4)


@pytest.mark.parametrize("data", ["iris", "wine", "cancer", "simulated"])
@pytest.mark.parametrize("C", [0.02, 0.3])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_absolute_values_equal_scikit_learn(data, C, fit_intercept):
    X, y = DATA[data]
    given = dict(penalty="l1", C=C, fit_intercept=fit_intercept)
    a = ours.LinearSVC(**given).fit(X, y)
    b = theirs.LinearSVC(dual=False, tol=1e-9, max_iter=100_000, random_state=0, **given).fit(X, y)
    ones = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    for c, (wa, wb) in enumerate(zip(*(np.column_stack([m.coef_, np.broadcast_to(m.intercept_, len(m.coef_))])[:, :ones.shape[1]] for m in (a, b)))):
        sign = np.where(y == (c if len(a.coef_) > 1 else 1), 1, -1)
        value = lambda w: np.abs(w).sum() + C * (np.maximum(0, 1 - sign * (ones @ w)) ** 2).sum()  # noqa: E731
        assert value(wa) <= value(wb) * (1 + 1e-12), "never above the peer's objective"
        np.testing.assert_allclose(wa, wb, atol=2e-4)
    assert (a.coef_ == 0).any() or C > 0.1


@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 50.0]), st.sampled_from([1, 2, 30]))
@settings(max_examples=25, deadline=None)
def test_polish_ends_at_the_optimum(seed, C, rank):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(40, rank)).round(1), np.where(rng.random(40) < 0.5, -1, 1)
    X[20:30] = X[:10]                                                         # equal rows, with like and unlike labels
    y[:2] = -1, 1
    K = X @ X.T if rank < 30 else ours.rbf_kernel(X, gamma=0.7)
    alpha, b, _ = ours.smo(K, y, C)
    before, given_ = ours.kkt_violation(alpha, K, y, b, C), alpha.copy()
    exact, b = ours.polish(alpha, K, y, C)
    np.testing.assert_array_equal(alpha, given_)
    assert ours.kkt_violation(exact, K, y, b, C) < 1e-9 * max(1, C), (before, rank)
    assert ours.dual_objective(exact, K, y) >= ours.dual_objective(alpha, K, y) - 1e-9 * C


def test_polish_refuses_and_leaves_large_problems_alone():
    with pytest.raises(ValueError, match="balance"):
        ours.polish([0.3, 0.2], np.eye(2), [-1, 1], 1.0)
    with pytest.raises(ValueError, match="between 0 and C"):
        ours.polish([2.0, 2.0], np.eye(2), [-1, 1], 1.0)
    with pytest.raises(ValueError, match="C must"):
        ours.polish([0.0, 0.0], np.eye(2), [-1, 1], 0)
    n = 1202                                                                  # every multiplier is free
    y = np.tile([-1, 1], n // 2)
    alpha, b = ours.polish(np.full(n, 0.9), np.eye(n), y, 2.0)
    assert (alpha == 0.9).all() and b == 0
    alpha, b = ours.polish(np.full(400, 0.9), np.eye(400), y[:400], 2.0)
    np.testing.assert_allclose(alpha, 1.0, atol=1e-12)


def test_rows_on_the_edge_of_the_region_belong_to_it():
    X = np.random.default_rng(0).normal(size=(200, 3))
    m = ours.OneClassSVM(nu=0.2).fit(X)
    free = m.support_[(m.dual_coef_[0] > 0) & (m.dual_coef_[0] < 1)]
    assert len(free) > 2 and (m.decision_function(X[free]) == 0).all() and (m.predict(X[free]) == 1).all()


@pytest.mark.parametrize("model", [ours.SVC(), ours.SVR(), ours.OneClassSVM(), ours.LinearSVC()], ids=str)
def test_rows_without_any_weight_are_refused(model):
    with pytest.raises(ValueError, match="weight"):
        model.fit(X2, y2, sample_weight=np.zeros(len(y2)))
