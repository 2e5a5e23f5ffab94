"""Naive Bayes and discriminant analysis against scikit-learn and SciPy; updates, weights, sparse rows, edges, errors."""
import pickle
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import discriminant_analysis as their_da
from sklearn import naive_bayes as theirs
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.fixes import parse_version

from mlcheat.algorithms import naive_bayes as ours

rng = np.random.default_rng(3)
DATA = {name: load(return_X_y=True) for name, load in (
    ("iris", load_iris), ("wine", load_wine), ("cancer", load_breast_cancer), ("digits", load_digits))}
DATA["simulated"] = make_classification(200, 12, n_informative=6, n_classes=4, random_state=0)
DATA["words"] = (rng.choice(["ham", "spam"], 80), None)
DATA["words"] = (rng.poisson(0.7, (80, 25)).astype(float), DATA["words"][0])
COUNTS = ["MultinomialNB", "ComplementNB", "BernoulliNB"]
ALL = ["GaussianNB", *COUNTS, "CategoricalNB"]


def before(release):
    return parse_version(sklearn.__version__) < parse_version(release)


def pair(name, **settings):
    return getattr(ours, name)(**settings), getattr(theirs, name)(**settings)


def rows(name, X):
    """Rows that suit a model: counts, or categories."""
    if name == "CategoricalNB":
        return np.floor(3.999 * MinMaxScaler().fit_transform(X))
    return X if name == "GaussianNB" else np.abs(X)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore")
def test_check_estimator(name):
    wrong = {}
    if name == "CategoricalNB" and before("1.7.1"):
        wrong = {"check_positive_only_tag_during_fit": "the check itself subtracts a fraction from whole numbers in place"}
    check_estimator(getattr(ours, name)(), expected_failed_checks=wrong)


@pytest.mark.parametrize("cls", [ours.LinearDiscriminantAnalysis, ours.QuadraticDiscriminantAnalysis])
def test_check_estimator_of_discriminants(cls):
    wrong = {}
    if cls is ours.QuadraticDiscriminantAnalysis and before("1.8"):
        wrong = {"check_dtype_object": "the check draws 7 rows of 10 features for a class, singular also for scikit-learn from 1.8 on"}
    check_estimator(cls(reg_param=0.1) if cls is ours.QuadraticDiscriminantAnalysis else cls(), expected_failed_checks=wrong)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("weighted", [False, True])
def test_models_equal_scikit_learn(name, data, weighted):
    X, y = DATA[data]
    X = rows(name, X)
    w = rng.uniform(0.2, 3, len(y)) if weighted else None
    a, b = pair(name)
    a.fit(X, y, w), b.fit(X, y, w)
    for attribute in ("theta_", "var_", "class_prior_", "class_count_", "feature_count_", "feature_log_prob_", "class_log_prior_", "epsilon_"):
        if hasattr(b, attribute) and name != "CategoricalNB":
            np.testing.assert_allclose(getattr(a, attribute), getattr(b, attribute), rtol=1e-9, atol=1e-12)
    if name == "CategoricalNB":
        for mine, other in zip(a.feature_log_prob_, b.feature_log_prob_, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9)
    np.testing.assert_allclose(a.predict_joint_log_proba(X), b.predict_joint_log_proba(X), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a.predict_log_proba(X), b.predict_log_proba(X), rtol=1e-9, atol=1e-8)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


@pytest.mark.parametrize("settings", [{"alpha": 0.3}, {"alpha": 2.0, "fit_prior": False}, {"class_prior": [0.1, 0.9]}, {"alpha": "each"}])
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("shape", ["dense", "csr", "csc", "coo"])
def test_count_models_with_settings_and_sparse_rows(name, settings, shape):
    X, y = DATA["words"]
    if settings.get("alpha") == "each":
        if name == "BernoulliNB":                             # scikit-learn 1.9 fails here; each feature must act as if alone
            one_by_one = [ours.BernoulliNB(alpha=a).fit(X[:, [j]], y).feature_log_prob_ for j, a in enumerate(np.linspace(0.1, 2, X.shape[1]))]
            model = ours.BernoulliNB(alpha=np.linspace(0.1, 2, X.shape[1])).fit(X, y)
            np.testing.assert_allclose(model.feature_log_prob_, np.hstack(one_by_one))
            return
        settings = {"alpha": np.linspace(0.1, 2, X.shape[1])}
    a, b = pair(name, **settings)
    given = X if shape == "dense" else getattr(sparse, f"{shape}_array")(X)
    a.fit(given, y), b.fit(X, y)
    np.testing.assert_allclose(a.predict_log_proba(given), b.predict_log_proba(X), rtol=1e-9, atol=1e-9)


def test_complement_with_norm_and_bernoulli_with_threshold():
    X, y = DATA["words"]
    for name, settings in (("ComplementNB", {"norm": True}), ("BernoulliNB", {"binarize": 1.5}), ("BernoulliNB", {"binarize": None})):
        a, b = pair(name, **settings)
        given = (X > 0).astype(float) if settings.get("binarize", 0) is None else X
        np.testing.assert_allclose(a.fit(given, y).predict_log_proba(given), b.fit(given, y).predict_log_proba(given), rtol=1e-9)


@pytest.mark.parametrize("data", ["iris", "wine", "cancer", "simulated"])
@pytest.mark.parametrize("settings", [{}, {"priors": True}])
def test_discriminants_equal_scikit_learn(data, settings):
    X, y = DATA[data]
    X = StandardScaler().fit_transform(X)
    k = len(np.unique(y))
    if settings:
        settings = {"priors": np.arange(1, k + 1) / sum(range(1, k + 1))}
    a, b = ours.LinearDiscriminantAnalysis(**settings), their_da.LinearDiscriminantAnalysis(solver="lsqr", **settings)
    a.fit(X, y), b.fit(X, y)
    for name in ("coef_", "intercept_", "means_", "covariance_", "priors_"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(a.decision_function(X), b.decision_function(X), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-7, atol=1e-10)
    if before("1.8"):
        pytest.skip("covariances of scikit-learn's QuadraticDiscriminantAnalysis before 1.8 are divided by n - 1, since then by n")
    for reg in (0.0, 0.2) if data not in ("simulated", "cancer") else (0.2,):     # redundant features: singular without regularisation
        a, b = ours.QuadraticDiscriminantAnalysis(reg_param=reg, **settings), their_da.QuadraticDiscriminantAnalysis(reg_param=reg, **settings)
        np.testing.assert_allclose(a.fit(X, y).predict_log_proba(X), b.fit(X, y).predict_log_proba(X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_shrinkage_equals_scikit_learn(shrinkage):
    X, y = DATA["wine"]
    a = ours.LinearDiscriminantAnalysis(shrinkage=shrinkage).fit(X, y)
    b = their_da.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(StandardScaler().fit(X).transform(X), y)
    assert a.covariance_.shape == b.covariance_.shape
    level = np.trace(ours.LinearDiscriminantAnalysis().fit(X, y).covariance_) / X.shape[1]
    plain = ours.LinearDiscriminantAnalysis().fit(X, y).covariance_
    np.testing.assert_allclose(a.covariance_, (1 - shrinkage) * plain + shrinkage * level * np.eye(X.shape[1]))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("chunks", [1, 2, 5, 40])
def test_learning_in_pieces_is_learning_at_once(name, chunks):
    X, y = DATA["simulated"]
    X, w = rows(name, X), rng.uniform(0.5, 2, len(y))
    whole, parts = getattr(ours, name)().fit(X, y, w), getattr(ours, name)()
    for piece in np.array_split(np.arange(len(y)), chunks):
        parts.partial_fit(X[piece], y[piece], classes=np.unique(y), sample_weight=w[piece])
    np.testing.assert_allclose(parts.predict_joint_log_proba(X), whole.predict_joint_log_proba(X), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_weights_of_two_are_rows_twice_and_features_may_change_places(name):
    X, y = DATA["wine"]
    X = rows(name, X)
    twice, weighted = getattr(ours, name)().fit(np.tile(X, (2, 1)), np.tile(y, 2)), getattr(ours, name)().fit(X, y, np.full(len(y), 2.0))
    np.testing.assert_allclose(twice.predict_joint_log_proba(X), weighted.predict_joint_log_proba(X), rtol=1e-10)
    order = rng.permutation(X.shape[1])
    moved = getattr(ours, name)().fit(X[:, order], y)
    np.testing.assert_allclose(moved.predict_joint_log_proba(X[:, order]), getattr(ours, name)().fit(X, y).predict_joint_log_proba(X), rtol=1e-9)


def test_numbers_to_reproduce():
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    X, y = DATA["digits"]
    assert cross_val_score(ours.MultinomialNB(), X, y, cv=folds).mean() == pytest.approx(0.901, abs=0.0006)
    assert cross_val_score(ours.BernoulliNB(binarize=8), X, y, cv=folds).mean() == pytest.approx(0.882, abs=0.0006)
    X, y = DATA["iris"]
    assert cross_val_score(ours.LinearDiscriminantAnalysis(), X, y, cv=folds).mean() == pytest.approx(0.980, abs=0.0006)
    assert cross_val_score(ours.QuadraticDiscriminantAnalysis(), X, y, cv=folds).mean() == pytest.approx(0.967, abs=0.0006)


def test_small_training_sets_on_breast_cancer():
    """Mean accuracy of 50 balanced draws: naive Bayes .892 to .945, logistic regression .898 to .973, within .015."""
    X, y = DATA["cancer"]
    gen = np.random.default_rng(0)
    for n, expected in ((10, 0.892), (100, 0.940), (300, 0.945)):
        found = []
        for _ in range(50):
            pick = np.concatenate([gen.choice(np.flatnonzero(y == c), n // 2, replace=False) for c in (0, 1)])
            rest = np.setdiff1d(np.arange(len(y)), pick)
            found.append(ours.GaussianNB().fit(X[pick], y[pick]).score(X[rest], y[rest]))
        assert np.mean(found) == pytest.approx(expected, abs=0.015)


def test_repeated_features_ruin_the_probabilities():
    from sklearn.model_selection import cross_val_predict

    X, y = DATA["cancer"]
    for copies, accuracy, loss in ((1, 0.938, 0.65), (2, 0.940, 0.99), (5, 0.940, 1.49)):
        p = cross_val_predict(ours.GaussianNB(), np.tile(X, copies), y, cv=5, method="predict_proba")
        assert np.mean(p.argmax(axis=1) == y) == pytest.approx(accuracy, abs=0.0011)
        assert log_loss(y, p) == pytest.approx(loss, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.integers(0, 30), st.floats(-1e8, 1e8))
def test_merging_moments_is_counting_together(values, cut, shift):
    x = np.array(values) + shift
    cut = min(cut, len(x))
    a, b = x[:cut], x[cut:]
    moments = [(len(p), p.mean() if len(p) else 0.0, p.var() if len(p) else 0.0) for p in (a, b)]
    n, m, v = ours.merge_moments(*moments[0], *moments[1])
    assert n == len(x)
    np.testing.assert_allclose(m, x.mean(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(v, x.var(), rtol=1e-6, atol=1e-9 * max(1.0, np.abs(x).max()) ** 2 * 1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=6))
def test_bayes_rule_sums_to_one_and_keeps_odds(pairs):
    prior, likelihood = np.array(pairs).T
    p = ours.bayes_rule(prior, likelihood)
    assert p.sum() == pytest.approx(1) and np.allclose(p / p[0], prior * likelihood / (prior[0] * likelihood[0]))


def test_smoothing_is_the_posterior_mean():
    counts = np.array([[0, 5, 2], [1, 1, 1]])
    expected = [scipy.stats.dirichlet(c + 0.7).mean() for c in counts]
    np.testing.assert_allclose(ours.smoothed_frequencies(counts, 0.7), expected)


def test_a_row_impossible_in_every_class_is_uniform_with_a_warning():
    for model, X in ((ours.MultinomialNB(alpha=0), [[1, 0, 0], [0, 1, 0]]), (ours.BernoulliNB(alpha=0), [[1, 0, 0], [0, 1, 0]]),
                     (ours.CategoricalNB(alpha=0, min_categories=3), [[0, 1], [1, 0]])):
        model.fit(X, ["a", "b"])
        row = [[0, 0, 1]] if not isinstance(model, ours.CategoricalNB) else [[2, 2]]
        with pytest.warns(UserWarning, match="1 rows are impossible in every class, the first is row 0"):
            assert model.predict_proba(row).tolist() == [[0.5, 0.5]]
        assert not np.isnan(model.predict_log_proba(X)).any()


def test_alpha_zero_keeps_certainty_without_nan():
    model = ours.MultinomialNB(alpha=0).fit([[3, 0], [0, 2]], [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.predict_proba([[1, 0], [0, 1]]).tolist() == [[1, 0], [0, 1]]
    with pytest.warns(UserWarning, match="alpha is too small and is set to 1e-10"):
        forced = ours.MultinomialNB(alpha=0, force_alpha=False).fit([[3, 0], [0, 2]], [0, 1])
    assert np.isfinite(forced.feature_log_prob_).all()


def test_fractions_are_no_categories():
    with pytest.warns(UserWarning, match="categories must be whole numbers, feature 0 holds 0.5"):
        ours.CategoricalNB().fit([[0.5, 2], [1, 1]], [0, 1])


def test_one_class_has_probability_one():
    for name in ALL:
        model = getattr(ours, name)().fit([[1, 2], [0, 1]], [7, 7])
        assert model.predict_proba([[1, 1]]).tolist() == [[1.0]] and model.predict([[0, 1]]).tolist() == [7]


def test_constant_features():
    X, y = np.array([[1.0, 5.0], [2.0, 5.0], [8.0, 5.0], [9.0, 5.0]]), [0, 0, 1, 1]
    assert ours.GaussianNB().fit(X, y).predict([[1.4, 5.0], [8.8, 5.0]]).tolist() == [0, 1]
    with pytest.warns(UserWarning, match="a feature is constant in a class and var_smoothing adds nothing"):
        model = ours.GaussianNB(var_smoothing=0).fit(X, y)
    assert model.predict([[1.4, 5.0]]).tolist() == [0] and not np.isnan(model.predict_log_proba(X)).any()


def test_far_and_huge_values_stay_finite():
    X = np.array([[1e8 + 1, 0.0], [1e8 + 2, 1.0], [1e8 + 3, 5.0], [1e8 + 4, 6.0]])
    a, b = ours.GaussianNB().fit(X, [0, 0, 1, 1]), theirs.GaussianNB().fit(X, [0, 0, 1, 1])
    np.testing.assert_allclose(a.var_, b.var_, rtol=1e-9)
    np.testing.assert_allclose(a.predict_log_proba(X), b.predict_log_proba(X), rtol=1e-7, atol=1e-9)
    assert np.isfinite(ours.GaussianNB().fit(X * 1e100, [0, 0, 1, 1]).predict_proba(X * 1e100)).all()


@pytest.mark.parametrize("make, error, message", [
    (lambda: ours.MultinomialNB().fit([[-1, 2], [1, 1]], [0, 1]), ValueError, "needs counts, the smallest is -1; GaussianNB takes any numbers"),
    (lambda: ours.ComplementNB().fit([[-1, 2], [1, 1]], [0, 1]), ValueError, "Negative values in data passed to ComplementNB"),
    (lambda: ours.CategoricalNB().fit([[-1, 2], [1, 1]], [0, 1]), ValueError, "feature 0 holds -1; categories are numbered"),
    (lambda: ours.CategoricalNB().fit([[0, 2], [1, 1]], [0, 1]).predict([[0, 3]]), IndexError, "feature 1 holds the category 3, training had 3; min_categories"),
    (lambda: ours.CategoricalNB(min_categories=[1.5]).fit([[0, 2], [1, 1]], [0, 1]), ValueError, "min_categories must be one whole number"),
    (lambda: ours.MultinomialNB(alpha=-1).fit([[1], [2]], [0, 1]), ValueError, "alpha must be at least 0, got -1"),
    (lambda: ours.MultinomialNB(alpha=[1, 2]).fit([[1], [2]], [0, 1]), ValueError, "alpha must be a number or one for each of 1 features"),
    (lambda: ours.GaussianNB(priors=[1]).fit([[1], [2]], [0, 1]), ValueError, "expected 2 priors"),
    (lambda: ours.GaussianNB(priors=[1.5, -0.5]).fit([[1], [2]], [0, 1]), ValueError, "Priors must be non-negative"),
    (lambda: ours.GaussianNB(priors=[0.5, 0.6]).fit([[1], [2]], [0, 1]), ValueError, "sum of the priors should be 1, got 1.1"),
    (lambda: ours.GaussianNB(var_smoothing=-1).fit([[1], [2]], [0, 1]), ValueError, "var_smoothing must be at least 0"),
    (lambda: ours.GaussianNB().partial_fit([[1], [2]], [0, 1]), ValueError, "classes must be passed on the first call"),
    (lambda: ours.GaussianNB().partial_fit([[1], [2]], [0, 1], classes=[0, 1]).partial_fit([[1]], [2]), ValueError, r"\[2\] do not exist in the initial classes"),
    (lambda: ours.GaussianNB().partial_fit([[1], [2]], [0, 1], classes=[0, 1]).partial_fit([[1]], [0], classes=[0, 2]), ValueError, "not the same as on last call"),
    (lambda: ours.GaussianNB().fit([[1], [2]], [0, 1], [0, 0]), ValueError, "at least one non-zero number"),
    (lambda: ours.GaussianNB().fit([[1], [np.nan]], [0, 1]), ValueError, "NaN"),
    (lambda: ours.GaussianNB().fit([[1], [2]], [0.5, 1.5]), ValueError, "Unknown label type"),
    (lambda: ours.GaussianNB().fit([[1], [2]], [0, 1]).predict([[1, 2]]), ValueError, "2 features"),
    (lambda: ours.BernoulliNB(binarize=-1).fit(sparse.csr_array([[1.0], [2.0]]), [0, 1]), ValueError, "binarize must be at least 0 for sparse rows"),
    (lambda: ours.LinearDiscriminantAnalysis(shrinkage=2).fit([[1], [2]], [0, 1]), ValueError, r"shrinkage must be in \[0, 1\], got 2"),
    (lambda: ours.LinearDiscriminantAnalysis().fit([[1], [2]], [1, 1]), ValueError, "greater than one; got 1 class"),
    (lambda: ours.QuadraticDiscriminantAnalysis().fit([[1], [2], [3]], [0, 0, 1]), ValueError, "only 1 sample in class 1"),
    (lambda: ours.QuadraticDiscriminantAnalysis().fit([[1, 1], [2, 2], [3, 3], [4, 4.0]], [0, 0, 1, 1]), ValueError, "is singular .2 rows, 2 features."),
    (lambda: ours.QuadraticDiscriminantAnalysis(reg_param=2).fit([[1], [2]], [0, 1]), ValueError, "reg_param must be in"),
    (lambda: ours.bayes_rule([0.5, 0.5], [1, 2, 3]), ValueError, "as many likelihoods as priors"),
    (lambda: ours.bayes_rule([0.5, 0.5], [0, 0]), ValueError, "impossible in every class"),
    (lambda: ours.bayes_rule([0.5, -0.5], [1, 1]), ValueError, "at least 0 and not nan"),
    (lambda: ours.diagnostic_test(1.2, 0.9, 0.9), ValueError, r"prevalence must be in \[0, 1\], got 1.2"),
    (lambda: ours.smoothed_frequencies([0, 0], 0), ValueError, "nothing was counted and alpha is 0"),
    (lambda: ours.smoothed_frequencies([1, -1]), ValueError, "at least 0"),
    (lambda: ours.count_words("one text"), TypeError, "put it into a list"),
])
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_words_of_any_language_and_a_fixed_vocabulary():
    counts, vocabulary = ours.count_words(["Grüße aus Köln", "aus und vorbei, aus"])
    assert vocabulary == {"aus": 0, "grüße": 1, "köln": 2, "und": 3, "vorbei": 4} and counts.toarray().tolist() == [[1, 1, 1, 0, 0], [2, 0, 0, 1, 1]]
    again, same = ours.count_words(["aus neu"], vocabulary=vocabulary)
    assert again.toarray().tolist() == [[1, 0, 0, 0, 0]] and same == vocabulary
    assert ours.count_words([])[0].shape == (0, 0)


def test_tools_of_scikit_learn_work():
    import pandas as pd

    X, y = DATA["wine"]
    search = GridSearchCV(make_pipeline(MinMaxScaler(clip=True), ours.MultinomialNB()), {"multinomialnb__alpha": [0.1, 1, 10]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.8
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    model = ours.GaussianNB().fit(frame, y)
    assert list(model.feature_names_in_) == list(frame.columns)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(frame), model.predict(frame))
    assert clone(ours.ComplementNB(alpha=3, norm=True)).get_params()["norm"] is True
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


def test_input_is_left_alone():
    X = np.abs(DATA["iris"][0])
    X.flags.writeable = False
    for name in ALL:
        given = rows(name, X)
        getattr(ours, name)().fit(given, DATA["iris"][1]).predict_proba(given)
