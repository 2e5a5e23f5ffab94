"""Several classes, sparse and ordinal logistic regression against scikit-learn, statsmodels and SciPy; decisions, edges, errors."""
import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import sklearn
import sklearn.linear_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import multiclass as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from mlcheat.algorithms import logistic as ours

DATA = {name: (StandardScaler().fit_transform(load().data), load().target) for name, load in (
    ("iris", load_iris), ("wine", load_wine), ("cancer", load_breast_cancer))}
DATA["simulated"] = make_classification(200, 12, n_informative=6, n_classes=5, random_state=0)
BASE = ours.LogisticRegression(tol=1e-9)
diabetes_X, progress = load_diabetes(return_X_y=True)
diabetes_X = diabetes_X / diabetes_X.std(axis=0)
grade = np.searchsorted(np.quantile(progress, [0.25, 0.5, 0.75]), progress)


@pytest.mark.parametrize("model", [
    ours.SparseLogisticRegression(C=0.5, tol=1e-11), ours.SparseLogisticRegression(l1_ratio=0.4, tol=1e-11), ours.LogisticRegressionCV(Cs=3, cv=3),
    ours.OneVsOneClassifier(BASE), ours.OutputCodeClassifier(BASE, random_state=0), ours.OrdinalLogistic()], ids=lambda m: type(m).__name__)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(model):
    check_estimator(model)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("C", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_multinomial_equals_scikit_learn(data, C, weighted):
    X, y = DATA[data]
    w = np.random.default_rng(0).integers(1, 4, len(y)) if weighted else None
    extra = {"class_weight": "balanced"} if weighted else {}
    a = ours.LogisticRegression(C=C, tol=1e-10, **extra).fit(X, y, sample_weight=w)
    b = sklearn.linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=20_000, **extra).fit(X, y, sample_weight=w)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-6)


BEFORE_1_8 = parse_version(sklearn.__version__) < parse_version("1.8")
MIXED = {"penalty": "elasticnet"} if BEFORE_1_8 else {}               # from 1.8 on, l1_ratio alone says it


def objective(m, X, y, C, ratio):
    penalty = ratio * np.abs(m.coef_).sum() + (1 - ratio) / 2 * (m.coef_**2).sum()
    return C * log_loss(y, m.predict_proba(X), normalize=False) + penalty


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("C", [0.05, 1.0])
def test_sparse_reaches_sagas_objective(data, ratio, C):
    X, y = DATA[data]
    a = ours.SparseLogisticRegression(C=C, l1_ratio=ratio, tol=1e-9).fit(X, y)
    b = sklearn.linear_model.LogisticRegression(C=C, l1_ratio=ratio, solver="saga", tol=1e-7, max_iter=4000, random_state=0, **MIXED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        b.fit(X, y)
    assert objective(a, X, y, C, ratio) <= objective(b, X, y, C, ratio) + 1e-7
    if b.n_iter_.max() < 4000:                                                # else the judge has not arrived
        np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=2e-4)
        np.testing.assert_array_equal(a.coef_ == 0, np.abs(b.coef_) < 1e-5 if ratio else a.coef_ == 0)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("data", ["cancer", "wine"])
def test_sparse_satisfies_the_optimality_conditions(data, fit_intercept):
    X, y = DATA[data]
    C = 0.2
    m = ours.SparseLogisticRegression(C=C, tol=1e-9, fit_intercept=fit_intercept).fit(X, y)
    K = len(m.classes_)
    P, Y = (m.predict_proba(X)[:, 1:], np.eye(2)[y][:, 1:]) if K == 2 else (m.predict_proba(X), np.eye(K)[y])
    g = C * (P - Y).T @ X
    assert np.abs(g[m.coef_ == 0]).max() <= 1 + 1e-5
    np.testing.assert_allclose(g[m.coef_ != 0], -np.sign(m.coef_[m.coef_ != 0]), atol=1e-5)
    assert 0 < (m.coef_ == 0).sum() < m.coef_.size
    if not fit_intercept:
        assert (m.intercept_ == 0).all()


def test_sparse_without_absolute_values_is_the_ridge_and_costs_fall():
    X, y = DATA["wine"]
    a, b = ours.SparseLogisticRegression(C=0.7, l1_ratio=0, tol=1e-10).fit(X, y), ours.LogisticRegression(C=0.7, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-6)
    assert a.loss_curve_[-1] <= a.loss_curve_.min() + 1e-15 and len(a.loss_curve_) == a.n_iter_[0] + 1


def test_sparse_says_when_it_has_not_converged():
    X, y = DATA["wine"]
    with pytest.warns(ConvergenceWarning, match=r"max_iter=3 steps: the largest slope is \d"):
        ours.SparseLogisticRegression(max_iter=3).fit(X, y)


@pytest.mark.parametrize("kind", ["OneVsRestClassifier", "OneVsOneClassifier"])
@pytest.mark.parametrize("base", [BASE, LinearSVC(random_state=0), GaussianNB(), DecisionTreeClassifier(max_depth=3, random_state=0), SVC()],
                         ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("data", DATA)
def test_pairs_and_rests_equal_scikit_learn(kind, base, data):
    X, y = DATA[data]
    a, b = getattr(ours, kind)(base).fit(X, y), getattr(theirs, kind)(base).fit(X, y)
    p, q = a.predict(X), b.predict(X)
    if BEFORE_1_8 and kind == "OneVsRestClassifier" and isinstance(base, DecisionTreeClassifier) and len(a.estimators_) > 1:
        scores = a.decision_function(X) if hasattr(a, "decision_function") else a.predict_proba(X)
        alone = np.sum(scores == scores.max(axis=1, keepdims=True), axis=1) == 1
        p, q = p[alone], q[alone]                                             # of equal scores it took the last class, not the first
    np.testing.assert_array_equal(p, q)
    assert len(a.estimators_) == len(b.estimators_)
    if kind == "OneVsOneClassifier" and hasattr(base, "decision_function"):
        np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), atol=1e-9)


@pytest.mark.parametrize("base", [BASE, LinearSVC(random_state=0), GaussianNB()], ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("size", [0.7, 1.5, 6])
@pytest.mark.parametrize("data", ["iris", "wine", "simulated"])
def test_output_codes_equal_scikit_learn(base, size, data):
    X, y = DATA[data]
    a, b = (m.OutputCodeClassifier(base, code_size=size, random_state=4).fit(X, y) for m in (ours, theirs))
    np.testing.assert_array_equal(a.code_book_, b.code_book_)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


def test_one_vs_one_takes_a_matrix_of_kernels():
    X, y = DATA["iris"]
    a, b = ours.OneVsOneClassifier(SVC(kernel="precomputed")), theirs.OneVsOneClassifier(SVC(kernel="precomputed"))
    np.testing.assert_array_equal(a.fit(X @ X.T, y).predict(X @ X.T), b.fit(X @ X.T, y).predict(X @ X.T))
    assert all((p == q).all() for p, q in zip(a.pairwise_indices_, b.pairwise_indices_))
    assert ours.OneVsOneClassifier(BASE).fit(X, y).pairwise_indices_ is None


def test_two_classes_one_model_and_two_processes_the_same():
    X, y = DATA["cancer"]
    assert len(ours.OneVsOneClassifier(BASE).fit(X, y).estimators_) == 1
    X, y = DATA["wine"]
    one, two = (ours.OneVsOneClassifier(BASE, n_jobs=n).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.decision_function(X), two.decision_function(X))


@pytest.mark.parametrize("scoring", [None, "neg_log_loss"])
@pytest.mark.parametrize("data", ["cancer", "wine"])
def test_cv_equals_scikit_learn(scoring, data):
    X, y = DATA[data]
    Cs, cv = [1e-3, 1e-2, 1e-1, 1.0, 10.0], StratifiedKFold(4, shuffle=True, random_state=1)
    a = ours.LogisticRegressionCV(Cs=Cs, cv=cv, scoring=scoring, tol=1e-9).fit(X, y)
    newer = {} if BEFORE_1_8 else {"l1_ratios": (0.0,), "use_legacy_attributes": False}
    b = sklearn.linear_model.LogisticRegressionCV(Cs=Cs, cv=cv, scoring=scoring or "accuracy", tol=1e-9, max_iter=5000, **newer).fit(X, y)
    best, scores = (b.C_, b.l1_ratio_), b.scores_
    if BEFORE_1_8:                                                            # one entry per class, all the same, and no axis of ratios
        assert len(set(b.C_)) == 1
        best, scores = (b.C_[0], 0.0), [s[:, None, :] for s in b.scores_.values()][0]
    assert (a.C_, a.l1_ratio_) == best
    np.testing.assert_allclose(a.scores_, scores, atol=1e-5)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=1e-4)


def test_cv_tries_kinds_of_penalty():
    X, y = DATA["cancer"]
    m = ours.LogisticRegressionCV(Cs=4, l1_ratios=(0.0, 1.0), cv=3).fit(X[:, :8], y)
    assert m.scores_.shape == (3, 2, 4) and np.allclose(m.Cs_, np.logspace(-4, 4, 4))
    best = np.unravel_index(m.scores_.mean(0).argmax(), (2, 4))
    assert (m.l1_ratio_, m.C_) == ((0.0, 1.0)[best[0]], m.Cs_[best[1]])
    assert m.score(X[:, :8], y) > 0.9


@pytest.mark.parametrize("bad", [{"Cs": []}, {"Cs": [0.0, 1.0]}, {"l1_ratios": ()}, {"l1_ratios": (1.5,)}, {"Cs": 0}])
def test_cv_refuses(bad):
    with pytest.raises(ValueError):
        ours.LogisticRegressionCV(**bad).fit(*DATA["iris"])


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_path_is_fit_by_fit(ratio):
    X, y = DATA["iris"]
    Cs = [0.05, 0.5, 5.0]
    path = ours.regularization_path(X, y, Cs, l1_ratio=ratio)
    assert path.shape == (3, 3, 4)
    alone = [ours.SparseLogisticRegression(C=C, l1_ratio=ratio, tol=1e-9).fit(X, y).coef_ for C in Cs]
    np.testing.assert_allclose(path, alone, atol=2e-4)
    with pytest.raises(ValueError, match="at least one"):
        ours.regularization_path(X, y, [])


@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_gradient_and_hessian_by_differences(seed, K, d):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(8, d)), np.eye(K)[rng.integers(K, size=8)]
    theta = rng.normal(size=(K, d + 1))
    cost = lambda t: -np.sum(Y * scipy.special.log_softmax(X @ t.reshape(K, -1)[:, :-1].T + t.reshape(K, -1)[:, -1], axis=1))  # noqa: E731
    grad = lambda t: np.column_stack(ours.softmax_gradient(X, Y, t.reshape(K, -1)[:, :-1], t.reshape(K, -1)[:, -1])).ravel()  # noqa: E731
    at = theta.ravel()
    np.testing.assert_allclose(grad(at), scipy.optimize.approx_fprime(at, cost, 1e-7), atol=1e-5)
    H = ours.softmax_hessian(X, theta[:, :-1], theta[:, -1])
    np.testing.assert_allclose(H, scipy.optimize.approx_fprime(at, grad, 1e-7), atol=1e-5)
    np.testing.assert_allclose(H, H.T, atol=1e-12)


def test_newton_with_the_hessian_reaches_scikit_learns_optimum():
    X, y = DATA["iris"]
    Y, theta = np.eye(3)[y], np.zeros((3, 5))
    for _ in range(20):
        g = np.column_stack(ours.softmax_gradient(X, Y, theta[:, :4], theta[:, 4])) + theta * (np.arange(5) < 4)
        H = ours.softmax_hessian(X, theta[:, :4], theta[:, 4]) + np.diag(np.tile([1, 1, 1, 1, 1e-9], 3))
        theta = theta - np.linalg.solve(H, g.ravel()).reshape(3, 5)
    b = sklearn.linear_model.LogisticRegression(tol=1e-10, max_iter=9999).fit(X, y)
    np.testing.assert_allclose(theta[:, :4], b.coef_, atol=1e-5)


def test_multinomial_without_penalty_equals_statsmodels():
    sm = pytest.importorskip("statsmodels.api", reason="the judge is statsmodels")
    X = diabetes_X[:, :5]
    a = ours.LogisticRegression(C=np.inf, tol=1e-10).fit(X, grade)
    b = sm.MNLogit(grade, sm.add_constant(X)).fit(disp=0, method="newton", maxiter=100).params
    table = np.column_stack([a.intercept_, a.coef_])
    np.testing.assert_allclose((table[1:] - table[0]).T, b, atol=1e-5)


def test_ordinal_without_penalty_equals_statsmodels():
    pytest.importorskip("statsmodels", reason="the judge is statsmodels")
    from statsmodels.miscmodels.ordinal_model import OrderedModel
    a = ours.OrdinalLogistic(C=np.inf).fit(diabetes_X, grade)
    judge = OrderedModel(grade, diabetes_X, distr="logit")
    b = judge.fit(method="bfgs", disp=0, gtol=1e-8, maxiter=1000)
    np.testing.assert_allclose(a.coef_, b.params[:10], atol=1e-4)
    np.testing.assert_allclose(a.thresholds_, judge.transform_threshold_params(b.params)[1:-1], atol=1e-4)


def test_ordinal_of_two_classes_is_logistic_regression():
    X, y = DATA["cancer"]
    a, b = ours.OrdinalLogistic(C=0.5).fit(X, y), ours.LogisticRegression(C=0.5, tol=1e-11).fit(X, y)
    np.testing.assert_allclose(a.coef_, b.coef_[0], atol=1e-6)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), atol=1e-8)
    assert a.predict_proba(X[:0 + 1] * 1e3).sum() == pytest.approx(1)


def test_ordinal_mirrors_when_the_order_is_turned():
    a, b = ours.OrdinalLogistic().fit(diabetes_X, grade), ours.OrdinalLogistic().fit(diabetes_X, 3 - grade)
    np.testing.assert_allclose(a.coef_, -b.coef_, atol=1e-8)
    np.testing.assert_allclose(a.thresholds_, -b.thresholds_[::-1], atol=1e-8)


def test_ordinal_takes_words_with_an_order():
    words = np.array(["none", "some", "much", "all"])
    m = ours.OrdinalLogistic(categories=words).fit(diabetes_X, words[grade])
    assert m.classes_.tolist() == words.tolist()
    np.testing.assert_allclose(m.predict_proba(diabetes_X), ours.OrdinalLogistic().fit(diabetes_X, grade).predict_proba(diabetes_X))


@pytest.mark.parametrize("kind", [str, object])
def test_ordinal_sorts_words_and_says_so(kind):
    words = np.array(["a few", "b some", "c many", "d all"], dtype=kind)[grade]
    with pytest.warns(UserWarning, match=r"sorted order, a few < b some < c many < d all; give another as OrdinalLogistic\(categories="):
        m = ours.OrdinalLogistic().fit(diabetes_X, words)
    assert m.classes_.tolist() == OrdinalEncoder().fit(words[:, None]).categories_[0].tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")                                        # silent where the order is given, or that of numbers
        again = ours.OrdinalLogistic(categories=["a few", "b some", "c many", "d all"]).fit(diabetes_X, words)
        numbers = ours.OrdinalLogistic().fit(diabetes_X, grade)
    for other in (again, numbers):
        np.testing.assert_array_equal(m.predict_proba(diabetes_X), other.predict_proba(diabetes_X))
    assert (m.predict(diabetes_X) == m.classes_[numbers.predict(diabetes_X)]).all()
    mixed = ours.OrdinalLogistic(categories=["b some", "a few", "c many", "d all"]).fit(diabetes_X, words)
    assert log_loss(grade, numbers.predict_proba(diabetes_X)) < log_loss(np.array([1, 0, 2, 3])[grade], mixed.predict_proba(diabetes_X))


@pytest.mark.parametrize("y, given, message", [
    (np.array([0, 1, 2, 4])[grade], {}, r"\[3\]"),
    (grade, {"categories": [0, 1, 2]}, r"\[3\]"),
    (grade, {"categories": [0, 1, 2, 3, 4]}, r"no row has class \[4\]"),
    (np.zeros(442), {}, "one class"),
    (grade, {"C": 0}, "C must"),
])
def test_ordinal_refuses(y, given, message):
    with pytest.raises(ValueError, match=message):
        ours.OrdinalLogistic(**given).fit(diabetes_X, y)


def test_ordinal_warns_when_separable_without_penalty():
    X, y = np.arange(9.0)[:, None], np.repeat([0, 1, 2], 3)
    with pytest.warns(ConvergenceWarning, match="separable"):
        m = ours.OrdinalLogistic(C=np.inf).fit(X, y)
    assert np.isfinite(m.coef_).all()


def test_separable_without_penalty_warns_and_stays_finite():
    X, y = DATA["iris"]
    with pytest.warns(ConvergenceWarning, match="separable"):
        m = ours.LogisticRegression(C=np.inf).fit(X[y < 2], y[y < 2])
    assert np.isfinite(m.coef_).all() and m.score(X[y < 2], y[y < 2]) == 1


def test_columns_of_very_different_scale():
    X, y = DATA["wine"]
    X = X * np.logspace(-3, 3, X.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        p = ours.LogisticRegression().fit(X, y).predict_proba(X * 10)
    assert np.isfinite(p).all() and np.allclose(p.sum(1), 1)


@pytest.mark.parametrize("given, message", [({"C": 0}, "C must"), ({"C": -1.0}, "C must"), ({"l1_ratio": 1.2}, "l1_ratio"), ({"l1_ratio": -0.1}, "l1_ratio"),
                                            ({"tol": 0}, "tol"), ({"max_iter": 0}, "max_iter")])
def test_sparse_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        ours.SparseLogisticRegression(**given).fit(*DATA["iris"])


class Mute:
    def get_params(self, deep=True):
        return {}


@pytest.mark.parametrize("kind", [ours.OneVsOneClassifier, ours.OutputCodeClassifier, ours.OneVsRestClassifier])
def test_mute_base_estimators_and_one_class_are_refused(kind):
    X, y = DATA["iris"]
    with pytest.raises(TypeError, match="neither"):
        kind(Mute()).fit(X, y)
    with pytest.raises(ValueError, match="one class"):
        kind(BASE).fit(X, y * 0)


def test_a_code_without_bits_is_refused():
    with pytest.raises(ValueError, match="at least one bit"):
        ours.OutputCodeClassifier(BASE, code_size=0.1).fit(*DATA["iris"])


def test_pipeline_grid_search_clone_and_pickle():
    X, y = DATA["wine"]
    search = GridSearchCV(make_pipeline(StandardScaler(), ours.SparseLogisticRegression()), {"sparselogisticregression__C": [0.1, 1.0]}, cv=3).fit(X, y)
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert clone(ours.OneVsOneClassifier(BASE)).estimator.tol == 1e-9


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_decisions_have_the_smallest_expected_cost(seed):
    rng = np.random.default_rng(seed)
    proba, costs = rng.dirichlet(np.ones(3), 10), rng.random((3, 4))
    a = ours.expected_cost_decision(proba, costs)
    assert all(sum(proba[i, k] * costs[k, a[i]] for k in range(3)) <= min(sum(proba[i, k] * costs[k, j] for k in range(3)) for j in range(4)) + 1e-12
               for i in range(10))


@pytest.mark.parametrize("proba, costs, message", [
    ([[0.5, 0.5]], [[0, 1, 2]], "one row a class"), ([[0.5, 0.5]], [[0, -1], [1, 0]], "not negative"), ([[0.5, 0.6]], np.ones((2, 2)), "sum to 1"),
    ([0.5, 0.5], np.ones((2, 2)), r"\(n, K\)"), ([[0.5, 0.5]], [[0, np.nan], [1, 0]], "finite")])
def test_decisions_refuse(proba, costs, message):
    with pytest.raises(ValueError, match=message):
        ours.expected_cost_decision(proba, costs)


@given(st.integers(0, 10**6), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_threshold_is_the_best_of_all(seed, n):
    rng = np.random.default_rng(seed)
    y, p = rng.integers(0, 2, n), rng.integers(0, 6, n) / 5
    t = ours.best_threshold(y, p, 1, 3)
    cost = lambda u: ((p >= u) & (y == 0)).sum() + 3 * ((p < u) & (y == 1)).sum()  # noqa: E731
    assert cost(t) == min(cost(u) for u in [*p, np.inf])


@pytest.mark.parametrize("y, p, costs, message", [([0, 2], [0.1, 0.2], (1, 1), "0 and 1"), ([0, 1], [0.1], (1, 1), "same length"), ([0, 1], [0.1, 0.2], (0, 1), "above 0"),
                                                  ([], [], (1, 1), "same length"), ([0, 1], [0.1, np.nan], (1, 1), "finite")])
def test_threshold_refuses(y, p, costs, message):
    with pytest.raises(ValueError, match=message):
        ours.best_threshold(y, p, *costs)


def test_prior_correction_there_and_back():
    p = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    old, new = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    q = ours.prior_correction(p, old, new)
    np.testing.assert_allclose(ours.prior_correction(q, new, old), p, atol=1e-14)
    np.testing.assert_allclose(q[:, 0] / q[:, 2], p[:, 0] / p[:, 2] * 15)
    np.testing.assert_allclose(ours.prior_correction([[0, 1.0]], [0, 1], [0, 1]), [[0, 1]])


@pytest.mark.parametrize("old, new, message", [([0, 1], [0.5, 0.5], "train_prior is 0"), ([0.5, 0.5], [0, 1], "new_prior is 0"), ([0.5, 0.4], [0.5, 0.5], "sum to 1"),
                                               ([1.0], [0.5, 0.5], "2 shares")])
def test_prior_correction_refuses(old, new, message):
    with pytest.raises(ValueError, match=message):
        ours.prior_correction([[0.4, 0.6]], old, new)


@pytest.mark.parametrize("call, message", [
    (lambda: ours.softmax_gradient([[1.0]], [[1, 0]], [[0.0, 1.0]], [0.0]), r"\(n, d\)"),
    (lambda: ours.softmax_gradient([[1.0]], [[1, 0, 0]], [[0.0], [1.0]], [0.0, 0.0]), "one column a class"),
    (lambda: ours.softmax_gradient([[1.0]], [[1, 1]], [[0.0], [1.0]], [0.0, 0.0]), "sum to 1"),
    (lambda: ours.softmax_hessian([1.0], [[0.0], [1.0]], [0.0, 0.0]), r"\(n, d\)")])
def test_formulas_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()
