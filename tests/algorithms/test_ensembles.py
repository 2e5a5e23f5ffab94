"""mlcheat.algorithms.ensembles: agreement with scikit-learn, the same result for any number of workers, and bad input."""
import itertools
import math
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
import sklearn.ensemble as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib._parallel_backends import ThreadingBackend
from sklearn.base import clone
from sklearn.inspection import permutation_importance as their_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier as TheirTree
from sklearn.utils.estimator_checks import parametrize_with_checks

from mlcheat.algorithms import ensembles
from mlcheat.algorithms.decision_trees import DecisionTreeClassifier, DecisionTreeRegressor, grow_tree
from mlcheat.algorithms.ensembles import (AdaBoostClassifier, AdaBoostRegressor, BaggingClassifier, BaggingRegressor,
                                          ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier,
                                          GradientBoostingRegressor, HistGradientBoostingClassifier,
                                          HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier,
                                          RandomForestRegressor, StackingClassifier, VotingClassifier, adaboost_round,
                                          averaged_variance, bootstrap_indices, leaf_weight, majority_accuracy,
                                          merge_forests, permutation_importance, proximity, shapley_values, split_gain)
from mlcheat.data import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

IRIS, WINE, CANCER = load_iris(), load_wine(), load_breast_cancer()
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)
FORESTS = [RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor]
PARALLEL = [*FORESTS, BaggingClassifier, BaggingRegressor, IsolationForest]
TEAM = [("bayes", GaussianNB()), ("tree", DecisionTreeClassifier(max_depth=3))]


def numbers(n=200, d=4, seed=0, decimals=None):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    X = X if decimals is None else X.round(decimals)
    return X, 2 * X[:, 0] + np.sin(3 * X[:, 1]) + 0.3 * rng.normal(size=n)


def classes(n=200, d=4, k=2, seed=0, decimals=None):
    X, y = numbers(n, d, seed, decimals)
    return X, np.digitize(y, np.quantile(y, np.arange(1, k) / k))


def untie(n):
    """Unequal weights, exact in binary: equally good splits become rare."""
    return np.random.default_rng(1).integers(2**10, 2**11, n) / 2**10


def problem(kind):
    return classes() if "Classifier" in kind.__name__ else numbers()


@parametrize_with_checks([
    BaggingClassifier(n_estimators=5), BaggingRegressor(n_estimators=5), RandomForestClassifier(8),
    RandomForestRegressor(5), ExtraTreesClassifier(8), ExtraTreesRegressor(5), AdaBoostClassifier(n_estimators=5),
    AdaBoostRegressor(n_estimators=5), GradientBoostingClassifier(n_estimators=5),
    GradientBoostingRegressor(n_estimators=5), HistGradientBoostingClassifier(max_iter=10),
    HistGradientBoostingRegressor(max_iter=10), VotingClassifier(TEAM), VotingClassifier(TEAM, voting="soft"),
    StackingClassifier(TEAM), IsolationForest(n_estimators=10)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ------------------------------------------------------------------------------------------------------ many heads

@given(p=st.floats(1e-6, 1 - 1e-6), n=st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_majority_is_a_binomial_tail(p, n):
    tie = 0.5 * scipy.stats.binom.pmf(n / 2, n, p) if n % 2 == 0 else 0.0
    assert np.isclose(majority_accuracy(p, n), scipy.stats.binom.sf(n // 2, n, p) + tie, atol=1e-11)
    assert np.isclose(majority_accuracy(p, n) + majority_accuracy(1 - p, n), 1)


def test_majority_numbers_and_shapes():
    assert np.allclose([majority_accuracy(0.6, n) for n in (1, 11, 25, 101)], [.600, .7535, .846, .979], atol=6e-4)
    assert majority_accuracy([[0.4, 0.6]], 11).shape == (1, 2)
    assert 0.99 < majority_accuracy(0.51, 100_001) <= 1
    for bad in ((1.1, 3), (-0.1, 3), (0.5, 0), (0.5, 2.5), (np.nan, 3)):
        with pytest.raises(ValueError):
            majority_accuracy(*bad)


def test_averaged_variance():
    rng = np.random.default_rng(0)
    draws = np.sqrt(0.3) * rng.normal(size=(200_000, 1)) + np.sqrt(0.7) * rng.normal(size=(200_000, 5))
    assert abs(averaged_variance(1, 0.3, 5) - draws.mean(axis=1).var()) < 0.01
    assert np.isclose(averaged_variance(1, 0.5, 100), 0.505) and np.isclose(averaged_variance(1, 0.2, 10), 0.28)
    assert averaged_variance(4, -0.25, 5) == 0
    for bad in ((-1, 0, 1), (1, 1.1, 2), (1, -0.5, 5), (1, 0, 0)):
        with pytest.raises(ValueError):
            averaged_variance(*bad)


@given(n=st.integers(1, 200), seed=st.integers(0, 10))
@settings(max_examples=30, deadline=None)
def test_bootstrap_indices(n, seed):
    inside, out = bootstrap_indices(n, random_state=seed)
    assert len(inside) == n and set(inside) | set(out) == set(range(n)) and not set(inside) & set(out)
    assert np.array_equal(inside, bootstrap_indices(n, random_state=seed)[0])


def test_left_out_share_and_seed_zero():
    share = np.mean([len(bootstrap_indices(100, random_state=s)[1]) / 100 for s in range(500)])
    assert abs(share - 0.366) < 0.005
    fixed = bootstrap_indices(1000, random_state=0)[0]
    assert not np.array_equal(fixed, bootstrap_indices(1000, random_state=None)[0])
    with pytest.raises(ValueError, match="n must be"):
        bootstrap_indices(0)


# ------------------------------------------------------------------------------------------------ workers and seeds

class Counting(ThreadingBackend):
    used = 0

    def submit(self, func, callback=None):
        Counting.used += 1
        return super().submit(func, callback)

    if not hasattr(ThreadingBackend, "submit"):              # joblib before 1.5 called it so
        def apply_async(self, func, callback=None):
            Counting.used += 1
            return super().apply_async(func, callback)


def fitted(kind, **options):
    X, y = problem(kind)
    return kind(n_estimators=6, random_state=0, **options).fit(X, y), X


def values(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else (
        model.score_samples(X) if hasattr(model, "score_samples") else model.predict(X))


@pytest.mark.parametrize("kind", PARALLEL)
def test_number_of_workers_and_backend_change_nothing(kind):
    alone, X = fitted(kind, n_jobs=1)
    expected = values(alone, X)
    with joblib.parallel_config(backend="threading"):
        for n_jobs in (2, 3, -1):
            assert np.array_equal(values(fitted(kind, n_jobs=n_jobs)[0], X), expected)
    joblib.register_parallel_backend("counting", Counting)
    before = Counting.used
    with joblib.parallel_config(backend="counting", n_jobs=2):
        spread = fitted(kind, n_jobs=2)[0]
    assert Counting.used > before, "the work did not go to the backend of the caller"
    assert np.array_equal(values(spread, X), expected)
    for a, b in zip(alone.estimators_, spread.estimators_):
        assert np.array_equal(a.tree_.threshold, b.tree_.threshold) and np.array_equal(a.tree_.value, b.tree_.value)


def test_processes_change_nothing():
    X, y = classes()
    models = [RandomForestClassifier(7, n_jobs=n, random_state=0).fit(X, y) for n in (1, 2, -1)]
    assert all(np.array_equal(models[0].predict_proba(X), m.predict_proba(X)) for m in models[1:])
    bags = [BaggingClassifier(n_estimators=4, n_jobs=n, random_state=0).fit(X, y) for n in (1, 2)]
    assert np.array_equal(bags[0].predict_proba(X), bags[1].predict_proba(X))
    ours = [permutation_importance(models[0], X, y, n_jobs=n, random_state=0).importances for n in (1, 2)]
    assert np.array_equal(*ours)
    teams = [StackingClassifier(TEAM, n_jobs=n).fit(X, y).predict_proba(X) for n in (1, 2)]
    assert np.array_equal(*teams)


def test_dask_backend_changes_nothing():
    distributed = pytest.importorskip("dask.distributed", reason="dask.distributed comes with the extra bench", exc_type=ImportError)
    X, y = classes()
    with distributed.Client(processes=False, n_workers=2, dashboard_address=None), joblib.parallel_config(backend="dask"):
        spread = RandomForestClassifier(6, n_jobs=-1, random_state=0).fit(X, y)
    alone = RandomForestClassifier(6, random_state=0).fit(X, y)
    assert np.array_equal(alone.predict_proba(X), spread.predict_proba(X))


@pytest.mark.parametrize("kind", PARALLEL)
def test_seeds(kind):
    X, y = problem(kind)

    def run(seed):
        return values(kind(n_estimators=3, random_state=seed).fit(X, y), X + 0.1)

    assert np.array_equal(run(0), run(0)) and not np.array_equal(run(0), run(1))
    assert not np.array_equal(run(0), run(None))
    rng = np.random.RandomState(0)
    assert not np.array_equal(run(rng), run(rng))


@pytest.mark.parametrize("kind", FORESTS)
def test_order_of_rows_does_not_matter(kind):
    X, y = problem(kind)
    shuffled = np.random.default_rng(0).permutation(len(X))
    a, b = (values(kind(5, random_state=0, bootstrap=True).fit(*pair), X)
            for pair in ((X, y), (X[shuffled], y[shuffled])))
    assert np.allclose(a, b)


def test_all_trees_of_a_forest_differ():
    X, y = load_digits(return_X_y=True)
    forest = RandomForestClassifier(12, random_state=0).fit(X[:600], y[:600])
    kinds = {(m.tree_.feature.tobytes(), m.tree_.threshold.tobytes()) for m in forest.estimators_}
    assert len(kinds) == 12


# -------------------------------------------------------------------------------------------------------- bagging

@pytest.mark.parametrize("kind, tree", [(BaggingClassifier, DecisionTreeClassifier),
                                        (BaggingRegressor, DecisionTreeRegressor)])
def test_bagging_without_resampling_is_the_tree(kind, tree):
    X, y = problem(kind)
    bag, single = kind(n_estimators=3, bootstrap=False).fit(X[:150], y[:150]), tree().fit(X[:150], y[:150])
    assert np.allclose(bag.predict(X), single.predict(X))


@pytest.mark.parametrize("kind", [BaggingClassifier, BaggingRegressor, *FORESTS])
def test_rows_out_of_bag_were_never_in_the_bag(kind):
    X, y = problem(kind)
    model = kind(n_estimators=40, bootstrap=True, oob_score=True, random_state=0).fit(X, y)
    total, seen = 0.0, np.zeros(len(X))
    for i, (member, rows) in enumerate(zip(model.estimators_, model.estimators_samples_)):
        out = np.setdiff1d(np.arange(len(X)), rows)
        assert len(rows) == len(X) and member.tree_.n_node_samples[0] == len(set(rows))
        part = np.zeros((len(X), 2 if "Classifier" in kind.__name__ else 1))
        part[out] = member.tree_.predict(X[out])
        total, seen = total + part, seen + np.isin(np.arange(len(X)), out)
    mean = total / seen[:, None]
    if "Classifier" in kind.__name__:
        assert np.allclose(model.oob_decision_function_, mean)
        assert np.isclose(model.oob_score_, np.mean(mean.argmax(axis=1) == y))
    else:
        assert np.allclose(model.oob_prediction_, mean[:, 0])


def test_rows_never_out_of_bag_are_nan_and_counted():
    X, y = classes(60)
    for kind in (BaggingClassifier, RandomForestClassifier):
        with pytest.warns(UserWarning, match=r"\d+ of 60 rows were never out of bag"):
            model = kind(n_estimators=2, oob_score=True, random_state=0).fit(X, y)
        lost = np.isnan(model.oob_decision_function_[:, 0])
        inside = np.all([np.isin(np.arange(60), rows) for rows in model.estimators_samples_], axis=0)
        assert np.array_equal(lost, inside) and 0 <= model.oob_score_ <= 1


def test_members_of_other_kinds():
    X, y = classes(k=3)
    names = np.array(["low", "middle", "top"])[y]
    near = BaggingClassifier(KNeighborsClassifier(), n_estimators=5, max_features=2, random_state=0).fit(X, names)
    assert set(near.predict(X)) <= set(names) and all(len(f) == 2 for f in near.estimators_features_)
    votes = BaggingClassifier(LinearSVC(), n_estimators=4, random_state=0).fit(X, names).predict_proba(X)
    assert np.allclose(votes * 4, np.round(votes * 4))                       # no probabilities: votes
    few = BaggingClassifier(KNeighborsClassifier(1), n_estimators=3, max_samples=2, random_state=0).fit(X, names)
    assert few.predict_proba(X).shape == (200, 3)                            # bags that lack a class
    X, y = numbers()
    assert BaggingRegressor(KNeighborsRegressor(), random_state=0).fit(X, y).score(X, y) > 0.8
    again = BaggingRegressor(max_features=0.5, bootstrap_features=True, random_state=0).fit(X, y)
    assert all(len(f) == 2 for f in again.estimators_features_)


@pytest.mark.parametrize("kind", [BaggingClassifier, *FORESTS])
@pytest.mark.parametrize("bad, words", [
    ({"n_estimators": 0}, "n_estimators"), ({"max_features": 0}, "max_features"), ({"max_features": 5}, "max_features"),
    ({"max_features": 1.5}, "max_features"), ({"max_samples": 0}, "max_samples"), ({"max_samples": 1.5}, "max_samples"),
    ({"max_samples": 0.0}, "max_samples"), ({"max_samples": 1000}, "max_samples"),
    ({"oob_score": True, "bootstrap": False}, "oob_score")])
def test_bad_input_of_bags(kind, bad, words):
    X, y = problem(kind)
    with pytest.raises(ValueError, match=words):
        kind(**{"bootstrap": True, **bad}).fit(X, y)


# -------------------------------------------------------------------------------------------------------- forests

@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error"])
@pytest.mark.parametrize("options", [{}, {"min_samples_leaf": 7}, {"max_depth": 4, "min_samples_split": 20},
                                     {"min_weight_fraction_leaf": 0.05}])
@pytest.mark.parametrize("gaps", [False, True])
def test_one_tree_is_the_exact_tree_on_few_values(criterion, options, gaps):
    kind = RandomForestRegressor if criterion == "squared_error" else RandomForestClassifier
    X, y = (numbers if kind is RandomForestRegressor else classes)(250, 4, seed=3, decimals=1)
    X = (X * 2).round() / 2
    if gaps:
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.1] = np.nan
    w = untie(250)
    forest = kind(1, criterion=criterion, bootstrap=False, max_features=None, random_state=0, **options)
    fast = forest.fit(X, y, sample_weight=w).estimators_[0].tree_
    options = dict(options)
    least = options.pop("min_weight_fraction_leaf", 0) * w.sum()
    exact = grow_tree(X, y, criterion=criterion, sample_weight=w, min_weight_leaf=least, **options)
    for name in ("children_left", "children_right", "feature", "n_node_samples"):
        assert np.array_equal(getattr(fast, name), getattr(exact, name)), name
    for name in ("threshold", "impurity", "value", "weighted_n_node_samples"):
        assert np.allclose(getattr(fast, name), getattr(exact, name)), name
    inner = fast.children_left >= 0
    assert np.array_equal(fast.missing_go_to_left[inner], exact.missing_go_to_left[inner])


def test_exclusive_or_is_split():
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    forest = RandomForestClassifier(10, bootstrap=False, random_state=0).fit(X, y)
    assert (forest.predict(X) == y).all()
    same = RandomForestClassifier(3, bootstrap=False, random_state=0).fit(np.ones((4, 2)), y)
    assert same.estimators_[0].tree_.node_count == 1 and np.allclose(same.predict_proba(X), 0.5)


def test_constant_features_do_not_stop_a_split():
    X, y = classes(60, 2)                                                    # fewer values than bins
    X = np.hstack([np.ones((60, 30)), X[:, :1]])
    forest = RandomForestClassifier(5, bootstrap=False, max_features=1, random_state=0).fit(X, y)
    assert forest.score(X, y) == 1


@pytest.mark.parametrize("ours, other", [(RandomForestClassifier, theirs.RandomForestClassifier),
                                         (ExtraTreesClassifier, theirs.ExtraTreesClassifier)])
def test_as_accurate_as_scikit_learn(ours, other):
    parts = train_test_split(CANCER.data, CANCER.target, test_size=0.5, random_state=0)
    scores = [[kind(30, random_state=s).fit(parts[0], parts[2]).score(parts[1], parts[3]) for s in range(10)]
              for kind in (ours, other)]
    a, b = np.array(scores)
    assert abs(a.mean() - b.mean()) <= 2 * np.hypot(a.std(ddof=1), b.std(ddof=1)) / np.sqrt(10) + 0.004


@pytest.mark.parametrize("ours, other", [(RandomForestRegressor, theirs.RandomForestRegressor),
                                         (ExtraTreesRegressor, theirs.ExtraTreesRegressor)])
def test_as_accurate_as_scikit_learn_for_numbers(ours, other):
    X, y = numbers(600, 5)
    scores = [[kind(20, random_state=s).fit(X[:300], y[:300]).score(X[300:], y[300:]) for s in range(5)]
              for kind in (ours, other)]
    a, b = np.array(scores)
    assert abs(a.mean() - b.mean()) < 0.015


@pytest.mark.parametrize("kind", FORESTS)
def test_bins_and_exact_trees_agree(kind):
    X, y = problem(kind)
    a, b = (kind(30, max_bins=bins, random_state=0).fit(X[:150], y[:150]).score(X[150:], y[150:])
            for bins in (64, None))
    assert abs(a - b) < 0.12 and b > 0.6


def test_criteria_and_weights():
    X, y = classes(k=3)
    soft = {c: RandomForestClassifier(8, criterion=c, random_state=0).fit(X, y).predict_proba(X)
            for c in ("gini", "entropy", "log_loss")}
    assert np.array_equal(soft["entropy"], soft["log_loss"]) and not np.array_equal(soft["gini"], soft["entropy"])
    heavy = RandomForestClassifier(8, max_depth=2, class_weight={0: 50, 1: 1, 2: 1}, random_state=0).fit(X, y)
    assert (heavy.predict(X) == 0).mean() > 0.45
    X, y = numbers(80)
    deviant = RandomForestRegressor(3, criterion="absolute_error", max_depth=3, random_state=0).fit(X, y)
    assert deviant.score(X, y) > 0.5


def test_cross_validated_numbers():
    for data, forest, boost in ((IRIS, .940, .953), (WINE, .972, .966), (CANCER, .965, None)):
        score = cross_val_score(RandomForestClassifier(100, random_state=0), data.data, data.target, cv=FOLDS).mean()
        assert abs(score - forest) < 0.02
        if boost:
            score = cross_val_score(AdaBoostClassifier(n_estimators=100), data.data, data.target, cv=FOLDS).mean()
            assert abs(score - boost) < 0.02
    bag = cross_val_score(BaggingClassifier(n_estimators=50, random_state=0), IRIS.data, IRIS.target, cv=FOLDS).mean()
    boost = cross_val_score(GradientBoostingClassifier(), CANCER.data, CANCER.target, cv=FOLDS).mean()
    assert abs(bag - 0.940) < 0.02 and abs(boost - 0.965) < 0.02


def test_digits():
    X, y = load_digits(return_X_y=True)
    assert abs(cross_val_score(RandomForestClassifier(50, random_state=0), X, y, cv=FOLDS).mean() - 0.973) < 0.02


def test_out_of_bag_of_breast_cancer():
    forest = RandomForestClassifier(200, oob_score=True, random_state=0).fit(CANCER.data, CANCER.target)
    assert abs(forest.oob_score_ - 0.965) < 0.01
    assert np.isclose(forest.feature_importances_.sum(), 1) and (forest.feature_importances_ >= 0).all()
    assert forest.apply(CANCER.data).shape == (569, 200)


def test_noise_columns_of_iris():
    rng = np.random.default_rng(0)
    X = np.column_stack([IRIS.data, rng.normal(size=150), rng.integers(0, 2, 150)])
    held = np.arange(150) % 3 == 0
    forest = RandomForestClassifier(100, random_state=0).fit(X[~held], IRIS.target[~held])
    normal, bit = forest.feature_importances_[4:]
    assert abs(normal - 0.040) < 0.02 and abs(bit - 0.005) < 0.01 and normal > 3 * bit
    drops = permutation_importance(forest, X[held], IRIS.target[held], random_state=0).importances_mean[4:]
    assert (np.abs(drops) < 0.02).all()


def test_gaps_may_be_informative():
    X, y = classes(300, 2, seed=1)
    X[y == 1, 1] = np.where(np.arange((y == 1).sum()) % 2, np.nan, X[y == 1, 1])
    forest = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    assert (forest.predict(X[200:][np.isnan(X[200:, 1])]) == 1).all()
    plain = RandomForestClassifier(5, random_state=0).fit(IRIS.data, IRIS.target)
    assert plain.predict([[np.nan] * 4]).shape == (1,)                       # gaps only later: the larger child


@pytest.mark.parametrize("kind", FORESTS)
@pytest.mark.parametrize("bad, words", [
    ({"criterion": "purity"}, "criterion"), ({"max_bins": 1}, "max_bins"), ({"max_bins": 300}, "max_bins"),
    ({"max_depth": 0}, "max_depth"), ({"min_samples_leaf": 0}, "min_samples_leaf"), ({"min_samples_split": 1}, "split"),
    ({"min_weight_fraction_leaf": 0.6}, "fraction"), ({"max_samples": 0.5, "bootstrap": False}, "bootstrap")])
def test_bad_input_of_forests(kind, bad, words):
    with pytest.raises(ValueError, match=words):
        kind(**bad).fit(*problem(kind))


ALL = [BaggingClassifier(n_estimators=3), RandomForestClassifier(3), ExtraTreesClassifier(3),
       AdaBoostClassifier(n_estimators=3), GradientBoostingClassifier(n_estimators=3),
       HistGradientBoostingClassifier(max_iter=3), VotingClassifier(TEAM), StackingClassifier(TEAM),
       BaggingRegressor(n_estimators=3), RandomForestRegressor(3), ExtraTreesRegressor(3),
       AdaBoostRegressor(n_estimators=3), GradientBoostingRegressor(n_estimators=3),
       HistGradientBoostingRegressor(max_iter=3)]


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_house_rules(model):
    if "random_state" in model.get_params():
        model = clone(model).set_params(random_state=0)
    X, y = problem(type(model))
    before = X.copy(), y.copy()
    model.fit(X, y)
    assert np.array_equal(before[0], X) and np.array_equal(before[1], y)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    frame = pd.DataFrame(X, columns=list("abcd"))
    named = clone(model).fit(frame, y)
    assert list(named.feature_names_in_) == list("abcd") and np.array_equal(named.predict(frame), model.predict(X))
    assert make_pipeline(StandardScaler(), clone(model)).fit(X, y).predict(X).shape == (200,)
    assert len(cross_val_score(clone(model), X, y, cv=2)) == 2
    with pytest.raises(TypeError, match="[Ss]parse"):
        clone(model).fit(scipy.sparse.csr_matrix(X), y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError):
        model.predict(X[0])


def test_grid_search_reaches_inside():
    X, y = classes()
    search = GridSearchCV(RandomForestClassifier(5, random_state=0), {"max_depth": [1, 4]}, cv=2).fit(X, y)
    assert search.best_params_ == {"max_depth": 4}
    team = GridSearchCV(VotingClassifier(TEAM), {"tree__max_depth": [1, 3], "bayes": ["drop", GaussianNB()]}, cv=2)
    assert "tree__max_depth" in team.fit(X, y).best_params_
    bag = GridSearchCV(BaggingClassifier(DecisionTreeClassifier(), random_state=0), {"estimator__max_depth": [1, 4]}, cv=2)
    assert list(bag.fit(X, y).best_params_) == ["estimator__max_depth"]


@pytest.mark.parametrize("model", [m for m in ALL if "verbose" in m.get_params()], ids=lambda m: type(m).__name__)
def test_progress_bar(model, capsys):
    X, y = problem(type(model))
    clone(model).fit(X, y)
    assert capsys.readouterr() == ("", "")
    clone(model).set_params(verbose=1).fit(X, y)
    printed = capsys.readouterr()
    assert "it/s" in printed.err or "100%" in printed.err
    assert printed.out == ""


def test_proximity():
    X, y = classes(60)
    forest = RandomForestClassifier(12, random_state=0).fit(X, y)
    near, leaves = proximity(forest, X), forest.apply(X)
    assert np.allclose(near, (leaves[:, None] == leaves[None]).mean(axis=2)) and np.allclose(near.diagonal(), 1)
    assert np.allclose(proximity(forest, X[:5], X), near[:5])
    with pytest.raises(ValueError, match="n_trees"):
        proximity(DecisionTreeClassifier().fit(X, y), X)


def test_merge_forests():
    X, y = classes()
    parts = [RandomForestClassifier(n, random_state=n).fit(X[n::2], y[n::2]) for n in (1, 2)]
    merged = merge_forests(*parts)
    expected = (parts[0].predict_proba(X) + 2 * parts[1].predict_proba(X)) / 3
    assert np.allclose(merged.predict_proba(X), expected) and len(parts[0].estimators_) == 1
    assert np.isclose(merged.feature_importances_.sum(), 1) and merged.n_estimators == 3
    for others in ((), (parts[0], ExtraTreesClassifier(1).fit(X, y)), (parts[0], RandomForestClassifier(1).fit(X[:, :2], y)),
                   (parts[0], RandomForestClassifier(1).fit(X, y + 1))):
        with pytest.raises(ValueError):
            merge_forests(*others)


def test_permutation_importance():
    X, y = numbers(120)
    forest = RandomForestRegressor(10, random_state=0).fit(X[:80], y[:80])
    ours = permutation_importance(forest, X[80:], y[80:], n_repeats=20, random_state=0)
    other = their_importance(forest, X[80:], y[80:], n_repeats=20, random_state=0)
    assert ours.importances.shape == (4, 20)
    assert np.allclose(ours.importances_mean, other.importances_mean, atol=0.15)
    assert np.argmax(ours.importances_mean) == 0
    errors = permutation_importance(forest, X[80:], y[80:], scoring="neg_mean_squared_error", random_state=0)
    assert errors.importances_mean[0] > 0
    frame = pd.DataFrame(X, columns=list("abcd"))
    permutation_importance(RandomForestRegressor(3).fit(frame, y), frame, y, n_repeats=1)
    for bad in ({"n_repeats": 0}, {"X": X[0]}, {"y": y[:5]}):
        with pytest.raises(ValueError):
            permutation_importance(forest, **{"X": X, "y": y, **bad})


# ------------------------------------------------------------------------------------------------------- AdaBoost

@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("options", [{}, {"learning_rate": 0.5}])
def test_adaboost_is_scikit_learns(k, options):
    X, y = classes(300, 3, k, seed=5)
    w = untie(300)
    a = AdaBoostClassifier(n_estimators=25, **options).fit(X, y, sample_weight=w)
    b = theirs.AdaBoostClassifier(n_estimators=25, random_state=0, **options).fit(X, y, sample_weight=w)
    assert np.allclose(a.estimator_weights_, b.estimator_weights_, atol=1e-10)
    assert np.allclose(a.estimator_errors_, b.estimator_errors_, atol=1e-10)
    assert np.allclose(a.decision_function(X), b.decision_function(X)) and np.allclose(a.predict_proba(X), b.predict_proba(X))
    assert all((p == q).all() for p, q in zip(a.staged_predict(X), b.staged_predict(X)))
    assert np.allclose(list(a.staged_score(X, y)), list(b.staged_score(X, y)))
    assert np.allclose(a.feature_importances_, b.feature_importances_)


def test_adaboost_with_another_learner():
    X, y = classes(200, 3, 3)
    a, b = (kind(GaussianNB(), n_estimators=8).fit(X, y) for kind in (AdaBoostClassifier, theirs.AdaBoostClassifier))
    assert np.allclose(a.estimator_weights_, b.estimator_weights_) and (a.predict(X) == b.predict(X)).all()


def test_adaboost_by_hand():
    X, y = np.arange(10.0)[:, None], np.array([1, 1, 1, -1, -1, -1, 1, 1, 1, -1])
    w, F, bound = np.full(10, 0.1), np.zeros(10), 1.0
    for error, alpha in zip((0.3, 0.2143, 0.1818), (0.4236, 0.6496, 0.7520)):
        step = adaboost_round(X, y, w)
        w, F, bound = step.new_weights, F + step.alpha * step.stump.predict(X), bound * 2 * np.sqrt(step.error * (1 - step.error))
        assert np.isclose(step.error, error, atol=5e-5) and np.isclose(step.alpha, alpha, atol=5e-5)
        assert np.isclose(w.sum(), 1) and np.isclose(np.exp(-y * F).mean(), bound)
    assert (np.sign(F) == y).all()
    perfect = adaboost_round(X, np.sign(X[:, 0] - 4.5).astype(int), np.ones(10))
    assert perfect.error == 0 and perfect.alpha == np.inf
    for bad in ((X, [0, 1] * 5, np.ones(10)), (X, y, np.ones(9)), (X, y, np.zeros(10)), (X, y, -np.ones(10))):
        with pytest.raises(ValueError):
            adaboost_round(*bad)


def test_adaboost_stops():
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    with pytest.warns(UserWarning, match="no better than chance"):
        lost = AdaBoostClassifier().fit(X, y)
    assert len(lost.estimators_) == 1 and lost.predict(X).shape == (4,)
    perfect = AdaBoostClassifier().fit([[0], [1]], ["a", "b"])
    assert len(perfect.estimators_) == 1 and perfect.estimator_errors_[0] == 0
    later = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2, random_state=0), n_estimators=50)
    X, y = np.arange(10.0)[:, None], [1, 1, 1, -1, -1, -1, 1, 1, 1, -1]
    assert later.fit(X, y).score(X, y) == 1
    with pytest.raises(TypeError, match="sample_weight"):
        AdaBoostClassifier(KNeighborsClassifier()).fit(X, y)
    for bad in ({"n_estimators": 0}, {"learning_rate": 0}, {"learning_rate": -1}):
        with pytest.raises(ValueError):
            AdaBoostClassifier(**bad).fit(X, y)


@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
def test_adaboost_r2_is_scikit_learns_on_sorted_rows(loss):
    X, y = numbers(150)
    order = ensembles._row_order(X, y)
    X, y = X[order], y[order]
    a, b = (kind(Ridge(), n_estimators=10, loss=loss, random_state=3).fit(X, y)
            for kind in (AdaBoostRegressor, theirs.AdaBoostRegressor))
    assert np.allclose(a.estimator_weights_, b.estimator_weights_) and np.allclose(a.estimator_errors_, b.estimator_errors_)
    assert all(np.allclose(p, q) for p, q in zip(a.staged_predict(X), b.staged_predict(X)))
    assert np.isclose(list(a.staged_score(X, y))[-1], a.score(X, y))


def test_adaboost_r2_stops_and_bad_input():
    X, y = numbers(60)
    with pytest.warns(UserWarning, match="one half or more"):
        AdaBoostRegressor(LinearRegression(), n_estimators=500, random_state=0).fit(X, np.round(y))
    flat = AdaBoostRegressor(random_state=0).fit(X, np.ones(60))
    assert len(flat.estimators_) == 1 and (flat.predict(X) == 1).all()
    with pytest.raises(ValueError, match="loss"):
        AdaBoostRegressor(loss="cubic").fit(X, y)


# ---------------------------------------------------------------------------------------------- gradient boosting

@pytest.mark.parametrize("loss, weighted", [                                # two slopes, equal weights: splits tie
    ("squared_error", False), ("squared_error", True), ("absolute_error", True), ("huber", False), ("huber", True),
    ("quantile", True)])
def test_boosting_is_scikit_learns(loss, weighted):
    X, y = numbers(300)
    options = {"loss": loss, "n_estimators": 15, "max_depth": 2, "min_samples_leaf": 20}
    w = untie(300) if weighted else None
    a = GradientBoostingRegressor(**options).fit(X, y, sample_weight=w)
    b = theirs.GradientBoostingRegressor(**options, random_state=0).fit(X, y, sample_weight=w)
    assert all(np.allclose(p, q, atol=1e-8) for p, q in zip(a.staged_predict(X), b.staged_predict(X)))
    assert np.allclose(a.train_score_, b.train_score_) and np.allclose(a.init_.predict(X), b.init_.predict(X))
    assert np.allclose(a.feature_importances_, b.feature_importances_) and a.estimators_.shape == b.estimators_.shape
    assert a.apply(X).shape == b.apply(X).shape


@pytest.mark.parametrize("k, loss", [(2, "log_loss"), (3, "log_loss"), (2, "exponential")])
def test_boosting_of_classes_is_scikit_learns(k, loss):
    X, y = classes(300, 4, k)
    names, w = np.array(list("abc"))[y], untie(300)
    options = {"loss": loss, "n_estimators": 15, "max_depth": 2}
    a = GradientBoostingClassifier(**options).fit(X, names, sample_weight=w)
    b = theirs.GradientBoostingClassifier(**options, random_state=0).fit(X, names, sample_weight=w)
    for p, q in zip(a.staged_decision_function(X), b.staged_decision_function(X)):
        assert np.allclose(p, q.reshape(p.shape), atol=1e-8)
    assert all(np.allclose(p, q, atol=1e-8) for p, q in zip(a.staged_predict_proba(X), b.staged_predict_proba(X)))
    assert all((p == q).all() for p, q in zip(a.staged_predict(X), b.staged_predict(X)))
    assert np.allclose(a.train_score_, b.train_score_) and a.apply(X).shape == b.apply(X).shape


def test_early_stopping_is_scikit_learns():
    X, y = numbers(500)
    options = {"n_estimators": 300, "n_iter_no_change": 3, "max_depth": 1, "learning_rate": 0.3, "random_state": 0}
    a, b = (kind(**options).fit(X, y) for kind in (GradientBoostingRegressor, theirs.GradientBoostingRegressor))
    assert a.n_estimators_ == b.n_estimators_ < 300 and np.allclose(a.predict(X), b.predict(X), atol=1e-8)


def test_subsample_and_features():
    X, y = numbers(400, 6)
    whole = GradientBoostingRegressor(n_estimators=80, max_depth=4).fit(X[:200], y[:200]).score(X[200:], y[200:])
    part = GradientBoostingRegressor(n_estimators=80, max_depth=4, subsample=0.5, max_features="sqrt",
                                     random_state=0).fit(X[:200], y[:200])
    assert part.score(X[200:], y[200:]) > whole - 0.1
    assert part.oob_improvement_.shape == (80,) and part.oob_improvement_[:10].sum() > 0
    assert not hasattr(GradientBoostingRegressor(n_estimators=2).fit(X, y), "oob_improvement_")


def test_training_loss_falls_and_the_published_test_error():
    X, y = load_diabetes(return_X_y=True)
    parts = train_test_split(X, y, random_state=0)
    model = GradientBoostingRegressor(n_estimators=500, learning_rate=0.05).fit(parts[0], parts[2])
    errors = [np.mean((parts[3] - p) ** 2) for p in model.staged_predict(parts[1])]
    assert np.argmin(errors) + 1 == 25 and abs(min(errors) - 3462) < 10 and abs(errors[-1] - 4191) < 30
    assert (np.diff(model.train_score_) < 0).all() and abs(model.train_score_[-1] - 245) < 5


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, GradientBoostingRegressor])
@pytest.mark.parametrize("bad, words", [
    ({"learning_rate": 0}, "learning_rate"), ({"learning_rate": -0.1}, "learning_rate"), ({"subsample": 0}, "subsample"),
    ({"subsample": 1.1}, "subsample"), ({"n_estimators": 0}, "n_estimators"), ({"loss": "nonsense"}, "loss"),
    ({"max_depth": 0}, "max_depth"), ({"max_features": 9}, "max_features"), ({"n_iter_no_change": 0}, "n_iter"),
    ({"tol": -1}, "tol"), ({"validation_fraction": 1.5, "n_iter_no_change": 2}, "validation")])
def test_bad_input_of_boosting(kind, bad, words):
    with pytest.raises(ValueError, match=words):
        kind(**bad).fit(*problem(kind))


def test_classes_lost_to_the_validation_part():
    X, y = classes(40)
    y[0] = 2                                                                 # a single row of its class
    with pytest.raises(ValueError):
        GradientBoostingClassifier(n_iter_no_change=2, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="two classes"):
        GradientBoostingClassifier(loss="exponential").fit(X, y)
    with pytest.raises(ValueError, match="one class"):
        GradientBoostingClassifier().fit(X, np.zeros(40))


# ---------------------------------------------------------------------------------------------- boosting on bins

@pytest.mark.parametrize("options", [{}, {"l2_regularization": 2.0}, {"min_samples_leaf": 5}, {"max_iter": 20, "learning_rate": 1.0}])
@pytest.mark.parametrize("weighted", [False, True])
def test_boosting_on_bins_is_scikit_learns(options, weighted):
    X, y = numbers(300, decimals=1)
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.1] = np.nan
    options = {"max_depth": 3, "max_iter": 30, **options}
    if weighted:
        options["min_samples_leaf"] = 1
    w = untie(300) if weighted else None
    a = HistGradientBoostingRegressor(**options).fit(X, y, sample_weight=w)
    b = theirs.HistGradientBoostingRegressor(max_leaf_nodes=None, early_stopping=False, **options).fit(X, y, sample_weight=w)
    assert np.allclose(a.predict(X), b.predict(X), atol=2e-5)
    *_, last = a.staged_predict(X)
    assert np.array_equal(last, a.predict(X)) and a.n_iter_ == options["max_iter"]


@pytest.mark.parametrize("k", [2, 3])
def test_boosting_of_classes_on_bins_is_scikit_learns(k):
    X, y = classes(300, 4, k, decimals=1)
    a = HistGradientBoostingClassifier(max_depth=3, max_iter=30).fit(X, y)
    b = theirs.HistGradientBoostingClassifier(max_depth=3, max_iter=30, max_leaf_nodes=None, early_stopping=False).fit(X, y)
    assert np.allclose(a.predict_proba(X), b.predict_proba(X), atol=2e-5)
    assert np.allclose(a.decision_function(X), b.decision_function(X), atol=2e-4)


def test_many_values_and_digits():
    X, y = numbers(3000, 6)
    a = HistGradientBoostingRegressor(max_depth=4).fit(X[:2000], y[:2000]).score(X[2000:], y[2000:])
    b = theirs.HistGradientBoostingRegressor(max_depth=4, early_stopping=False).fit(X[:2000], y[:2000]).score(X[2000:], y[2000:])
    assert abs(a - b) < 0.01
    X, y = load_digits(return_X_y=True)
    model = HistGradientBoostingClassifier(max_depth=3, max_iter=40).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) > 0.92


def test_categories_find_the_best_partition():
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 6, 400)
    y = rng.normal(size=6)[kinds] * 3 + 0.1 * rng.normal(size=400)
    model = HistGradientBoostingRegressor(max_iter=1, max_depth=1, learning_rate=1.0, categorical_features=[0],
                                          min_samples_leaf=1).fit(kinds[:, None], y)
    best = min(sum(np.var(y[s]) * s.sum() for s in (left, ~left) if s.any())
               for size in (1, 2, 3) for chosen in itertools.combinations(range(6), size)
               for left in [np.isin(kinds, chosen)])
    assert np.isclose(((y - model.predict(kinds[:, None])) ** 2).sum(), best)
    assert np.isfinite(model.predict([[99.0], [np.nan], [-1.0]])).all()      # unknown kinds
    named = HistGradientBoostingRegressor(categorical_features=["kind"]).fit(pd.DataFrame({"kind": kinds}), y)
    assert named.predict(pd.DataFrame({"kind": [0, 1]})).shape == (2,)
    gap = np.where(kinds == 3, np.nan, kinds)
    assert HistGradientBoostingRegressor(categorical_features=[0]).fit(gap[:, None], y).score(gap[:, None], y) > 0.95


@pytest.mark.parametrize("sign", [-1, 1])
def test_monotone(sign):
    X, y = numbers(300, 2, seed=4)
    model = HistGradientBoostingRegressor(monotonic_cst=[sign, 0], min_samples_leaf=5).fit(X, y)
    for other in np.linspace(-2, 2, 9):
        line = np.column_stack([np.linspace(-3, 3, 200), np.full(200, other)])
        assert (sign * np.diff(model.predict(line)) >= -1e-12).all()
    X, y = classes(300, 2, seed=4)
    proba = HistGradientBoostingClassifier(monotonic_cst=[sign, 0]).fit(X, y).predict_proba(
        np.column_stack([np.linspace(-3, 3, 200), np.zeros(200)]))[:, 1]
    assert (sign * np.diff(proba) >= -1e-12).all()


def test_early_stopping_on_bins():
    X, y = numbers(500)
    model = HistGradientBoostingRegressor(max_iter=500, learning_rate=0.3, early_stopping=True, n_iter_no_change=5,
                                          random_state=0).fit(X, y)
    assert model.n_iter_ < 500 and len(model.validation_score_) == model.n_iter_
    assert (np.diff(model.train_score_) < 0).all()


@pytest.mark.parametrize("bad, words", [
    ({"max_bins": 256}, "max_bins"), ({"max_bins": 1}, "max_bins"), ({"loss": "huber"}, "loss"), ({"max_iter": 0}, "max_iter"),
    ({"l2_regularization": -1}, "l2"), ({"learning_rate": 0}, "learning_rate"), ({"max_depth": None}, "max_depth"),
    ({"monotonic_cst": [2, 0, 0, 0]}, "monotonic"), ({"monotonic_cst": [1]}, "monotonic"),
    ({"categorical_features": [9]}, "categorical"), ({"categorical_features": ["a"]}, "categorical"),
    ({"categorical_features": [0]}, "numbered"), ({"min_samples_leaf": 0}, "leaf")])
def test_bad_input_of_boosting_on_bins(bad, words):
    with pytest.raises(ValueError, match=words):
        HistGradientBoostingRegressor(**bad).fit(*numbers())


def test_bad_input_of_classes_on_bins():
    X, y = classes(k=3)
    with pytest.raises(ValueError, match="two classes only"):
        HistGradientBoostingClassifier(monotonic_cst=[1, 0, 0, 0]).fit(X, y)
    with pytest.raises(ValueError, match="no order"):
        HistGradientBoostingClassifier(monotonic_cst=[1, 0, 0, 0], categorical_features=[0]).fit(np.abs(X).round(), y > 0)
    with pytest.raises(ValueError, match="one class"):
        HistGradientBoostingClassifier().fit(X, np.zeros(200))
    with pytest.raises(ValueError, match="loss"):
        HistGradientBoostingClassifier(loss="hinge").fit(X, y)


def test_leaf_weight_and_split_gain():
    assert leaf_weight(-1, 1) == 1 and leaf_weight(0, 0) == 0
    assert np.allclose(leaf_weight([-1, 2], [1, 1], l2=1), [0.5, -1])
    y, left = np.random.default_rng(0).normal(size=20), np.arange(20) < 7
    gain = split_gain(-y[left].sum(), 7, -y[~left].sum(), 13)               # squared loss: the decrease of variance
    assert np.isclose(2 * gain / 20, np.var(y) - 7 / 20 * np.var(y[left]) - 13 / 20 * np.var(y[~left]))
    assert split_gain(-1, 1, -1, 1, l2=5) < 0 < split_gain(-1, 1, 1, 1, l2=5)
    for bad in ((1, -1), (1, 1, -1)):
        with pytest.raises(ValueError):
            leaf_weight(*bad)


# ------------------------------------------------------------------------------------------------- voting, stacking

OTHERS = [("bayes", GaussianNB()), ("near", KNeighborsClassifier()), ("tree", TheirTree(max_depth=3, random_state=0)),
          ("svc", LinearSVC(random_state=0))]


@pytest.mark.parametrize("options", [{}, {"weights": [1, 2, 3]}, {"voting": "soft"}, {"voting": "soft", "weights": [3, 0, 1]}])
def test_voting_is_scikit_learns(options):
    names = np.array(list("abc"))[WINE.target]
    a, b = (kind(OTHERS[:3], **options).fit(WINE.data, names) for kind in (VotingClassifier, theirs.VotingClassifier))
    assert (a.predict(WINE.data) == b.predict(WINE.data)).all() and list(a.classes_) == list("abc")
    assert hasattr(a, "predict_proba") == ("voting" in options)
    if "voting" in options:
        assert np.allclose(a.predict_proba(WINE.data), b.predict_proba(WINE.data))
    assert a.named_estimators_.bayes is a.estimators_[0]


@pytest.mark.parametrize("options", [{}, {"passthrough": True}, {"final_estimator": TheirTree(max_depth=2, random_state=0)}])
@pytest.mark.parametrize("data", [WINE, CANCER], ids=["three", "two"])
def test_stacking_is_scikit_learns(options, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                                      # solvers that stop early
        a, b = (kind(OTHERS, cv=FOLDS, **options).fit(data.data, data.target)
                for kind in (StackingClassifier, theirs.StackingClassifier))
    assert np.allclose(a.predict_proba(data.data), b.predict_proba(data.data)) and a.stack_method_ == b.stack_method_
    assert (a.predict(data.data) == b.predict(data.data)).all()


def test_dropped_members_and_weights():
    X, y = classes()
    team = VotingClassifier(TEAM).set_params(bayes="drop").fit(X, y)
    assert len(team.estimators_) == 1 and team.get_params()["tree__max_depth"] == 3
    w = np.random.default_rng(0).integers(0, 3, 200)
    a, b = (VotingClassifier(TEAM, voting="soft").fit(*arguments).predict_proba(X)
            for arguments in ((X, y, w), (np.repeat(X, w, axis=0), np.repeat(y, w))))
    assert np.allclose(a, b)
    with pytest.raises(TypeError, match="sample_weight"):
        VotingClassifier([("near", KNeighborsClassifier())]).fit(X, y, sample_weight=np.ones(200))


def test_bad_input_of_teams():
    X, y = classes()
    with pytest.raises(ValueError, match="svc .*does not give"):
        VotingClassifier(OTHERS, voting="soft").fit(X, y)
    for bad, words in (({"voting": "loud"}, "voting"), ({"weights": [1]}, "weights"), ({"weights": [0, 0]}, "weights"),
                       ({"estimators": []}, "empty"), ({"estimators": [("a", "drop")]}, "dropped"),
                       ({"estimators": [("a", GaussianNB()), ("a", GaussianNB())]}, "unique")):
        with pytest.raises(ValueError, match=words):
            VotingClassifier(**{"estimators": TEAM, **bad}).fit(X, y)
    rare = np.r_[np.full(2, 2), y[2:]]
    with pytest.raises(ValueError, match="lack class"):
        StackingClassifier(TEAM, cv=KFold(5)).fit(X, rare)
    with pytest.raises(ValueError, match="exactly one fold"):
        StackingClassifier(TEAM, cv=[(np.arange(100), np.arange(100, 150))]).fit(X, y)


def test_stacking_needs_out_of_fold_predictions():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), rng.integers(0, 2, 200)                # nothing to learn
    stack = StackingClassifier([("tree", DecisionTreeClassifier())]).fit(X, y)
    assert abs(stack.final_estimator_.coef_[0, 0]) < 1                       # a tree that knows the rows would get more
    fooled = LogisticRegression().fit(DecisionTreeClassifier().fit(X, y).predict_proba(X)[:, 1:], y)
    assert fooled.coef_[0, 0] > 3


# --------------------------------------------------------------------------------------------- outliers, Shapley

def test_isolation_forest():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(290, 2)), rng.uniform(6, 9, size=(10, 2))])
    ours, other = (kind(random_state=0).fit(X) for kind in (IsolationForest, theirs.IsolationForest))
    assert np.corrcoef(ours.score_samples(X), other.score_samples(X))[0, 1] > 0.97
    assert np.abs(ours.score_samples(X) - other.score_samples(X)).max() < 0.06
    assert (ours.predict(X[290:]) == -1).all() and ours.offset_ == -0.5 and ours.max_samples_ == 256
    some = IsolationForest(contamination=0.1, random_state=0).fit(X)
    assert abs((some.predict(X) == -1).mean() - 0.1) < 0.01
    assert np.allclose(some.decision_function(X), some.score_samples(X) - some.offset_)
    for bad in ({"n_estimators": 0}, {"max_samples": 0}, {"max_samples": "all"}, {"contamination": 0.6}):
        with pytest.raises(ValueError):
            IsolationForest(**bad).fit(X)


def expectation(tree, x, known, i=0):
    if tree.children_left[i] < 0:
        return tree.value[i, 0]
    both = tree.children_left[i], tree.children_right[i]
    if tree.feature[i] in known:
        return expectation(tree, x, known, both[int(x[tree.feature[i]] > tree.threshold[i])])
    return sum(tree.weighted_n_node_samples[c] * expectation(tree, x, known, c)
               for c in both) / tree.weighted_n_node_samples[i]


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("depth", [1, 3, None])
def test_shapley_values_by_brute_force(k, depth):
    X, y = numbers(60, 4) if k == 0 else classes(60, 4, k)
    model = (DecisionTreeClassifier if k else DecisionTreeRegressor)(max_depth=depth).fit(X, y)
    tree, phi = model.tree_, shapley_values(model, X[:3])
    for row, ours in zip(np.float32(X[:3]), phi):
        brute = np.zeros((4, max(k, 1)))
        for j in range(4):
            rest = set(range(4)) - {j}
            for known in itertools.chain.from_iterable(itertools.combinations(rest, s) for s in range(4)):
                weight = math.factorial(len(known)) * math.factorial(3 - len(known)) / 24
                brute[j] += weight * (expectation(tree, row, {*known, j}) - expectation(tree, row, known))
        assert np.allclose(ours, brute)
    assert np.allclose(phi.sum(axis=1), tree.predict(X[:3]) - expectation(tree, X[0], ()))
    with pytest.raises(ValueError, match="shape"):
        shapley_values(model, X[:, :2])
    assert (shapley_values(DecisionTreeRegressor().fit(X, np.ones(60)), X) == 0).all()
