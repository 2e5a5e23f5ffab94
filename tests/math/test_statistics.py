"""Statistics against SciPy, statsmodels, scikit-learn and NumPy; error rates, coverage, properties, edges, errors."""
import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats
from sklearn.utils.fixes import parse_version

from mlcheat.data import load_iris
from mlcheat.math import statistics as S
from mlcheat.math.probability import Bernoulli, Beta, Exponential, Normal, Poisson, Uniform

SEPAL, WIDTH, PETAL = load_iris().data[:, :3].T
SPECIES = [SEPAL[load_iris().target == k] for k in range(3)]
SIDES = ["two-sided", "less", "greater"]
RNG = np.random.default_rng(20240)
PLAIN, TIED = RNG.normal(3, 2, (2, 30)), RNG.integers(0, 6, (2, 30)).astype(float)
SKEWED = RNG.exponential(1.0, (2, 17))
DATA = {"plain": PLAIN, "tied": TIED, "skewed": SKEWED, "iris": np.array([SEPAL, PETAL]), "short": PLAIN[:, :5],
        "related": np.array([PLAIN[0], PLAIN[0] + 0.5 * PLAIN[1]])}
fast = settings(max_examples=30, deadline=None)


def agree(ours, theirs, statistic=1e-9, pvalue=1e-8):
    assert np.isclose(ours[0], theirs[0], rtol=statistic, atol=1e-12, equal_nan=True), (ours, theirs)
    assert np.isclose(ours[1], theirs[1], rtol=pvalue, atol=1e-300, equal_nan=True), (ours, theirs)


@pytest.fixture(scope="module")
def sm():
    return pytest.importorskip("statsmodels.stats.api")


# --- describing ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", DATA)
def test_summaries_are_scipys(name):
    x = DATA[name][0]
    pairs = [(S.mean(x), np.mean(x)), (S.median(x), np.median(x)), (S.var(x), np.var(x, ddof=1)),
             (S.var(x, ddof=0), np.var(x)), (S.std(x), np.std(x, ddof=1)), (S.std(x, 0), np.std(x)),
             (S.sem(x), stats.sem(x)), (S.iqr(x), stats.iqr(x)), (S.iqr(x, rng=(10, 90)), stats.iqr(x, rng=(10, 90))),
             (S.skew(x), stats.skew(x)), (S.skew(x, bias=False), stats.skew(x, bias=False)),
             (S.kurtosis(x), stats.kurtosis(x)), (S.kurtosis(x, fisher=False), stats.kurtosis(x, fisher=False)),
             (S.kurtosis(x, bias=False), stats.kurtosis(x, bias=False)),
             (S.kurtosis(x, fisher=False, bias=False), stats.kurtosis(x, fisher=False, bias=False)),
             (S.median_abs_deviation(x), stats.median_abs_deviation(x)),
             (S.median_abs_deviation(x, scale="normal"), stats.median_abs_deviation(x, scale="normal")),
             (S.median_abs_deviation(x, scale=2.5), stats.median_abs_deviation(x, scale=2.5))]
    pairs += [(S.trim_mean(x, p), stats.trim_mean(x, p)) for p in (0.0, 0.1, 0.25, 0.49)]
    for ours, theirs in pairs:
        assert isinstance(ours, float) and np.isclose(ours, theirs, rtol=1e-9)
    assert S.mode(x) == tuple(stats.mode(x))
    ours, theirs = S.describe(x), stats.describe(x)
    assert ours.nobs == theirs.nobs and ours.minmax == tuple(theirs.minmax)
    np.testing.assert_allclose(ours[2:], theirs[2:], rtol=1e-9)
    np.testing.assert_allclose(S.describe(x, ddof=0, bias=False)[2:], stats.describe(x, ddof=0, bias=False)[2:], rtol=1e-9)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("ddof", [0, 1])
def test_zscore(name, ddof):
    x = DATA[name][0]
    np.testing.assert_allclose(S.zscore(x, ddof=ddof), stats.zscore(x, ddof=ddof), rtol=1e-9, atol=1e-12)
    assert S.zscore(x.astype(np.float32)).dtype == np.float32 and S.zscore([1, 2, 3]).dtype == np.float64


@pytest.mark.parametrize("n", [1, 2, 5, 30, 101])
def test_quantiles_are_numpys(n):
    x, q = np.random.default_rng(n).normal(size=n), np.linspace(0, 1, 41).reshape(1, 41)
    np.testing.assert_allclose(S.quantile(x, q), np.quantile(x, q), rtol=1e-12, atol=1e-15)
    assert isinstance(S.quantile(x, 0.3), float) and S.quantile(x, 1) == x.max() and S.quantile(x, 0) == x.min()


@pytest.mark.parametrize("name", DATA)
def test_ecdf(name):
    x, t = DATA[name][0], np.linspace(-2, 9, 57)
    ours, theirs = S.ecdf(x), stats.ecdf(x)
    for a, b in ((ours.cdf, theirs.cdf), (ours.sf, theirs.sf)):
        np.testing.assert_allclose(a.quantiles, b.quantiles)
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-15)
        np.testing.assert_allclose(a.evaluate(t), b.evaluate(t), atol=1e-15)


@pytest.mark.parametrize("bw", ["scott", "silverman", 0.2, 1.5])
@pytest.mark.parametrize("name", DATA)
def test_kde(name, bw):
    from sklearn.neighbors import KernelDensity

    x, t = DATA[name][0], np.linspace(-5, 12, 90)
    ours, theirs = S.gaussian_kde(x, bw), stats.gaussian_kde(x, bw)
    np.testing.assert_allclose(ours.evaluate(t), theirs.evaluate(t), rtol=1e-9, atol=1e-200)
    np.testing.assert_allclose(ours(t), ours.pdf(t))
    judge = KernelDensity(bandwidth=ours.bandwidth).fit(x[:, None]).score_samples(t[:, None])
    np.testing.assert_allclose(ours.evaluate(t), np.exp(judge), rtol=1e-7, atol=1e-200)
    assert ours.factor == pytest.approx(theirs.factor) and ours.evaluate(t.reshape(9, 10)).shape == (9, 10)
    assert ours.evaluate([]).shape == (0,)


def test_published_numbers_of_sepal_length():
    np.testing.assert_allclose([S.mean(SEPAL), S.std(SEPAL), S.var(SEPAL), S.var(SEPAL, 0), S.skew(SEPAL), S.kurtosis(SEPAL),
                                S.sem(SEPAL)], [5.843333, 0.828066, 0.685694, 0.681122, 0.311753, -0.573568, 0.067611], atol=5e-7)
    assert S.median(SEPAL) == 5.8 and S.mode(SEPAL) == (5.0, 10)
    np.testing.assert_allclose(S.quantile(SEPAL, [0.25, 0.75]), [5.1, 6.4])
    np.testing.assert_allclose(S.t_interval(SEPAL), [5.70973, 5.97693], atol=5e-6)


# --- precision ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("offset", [0, 1e6, 1e9, -1e12])
def test_a_large_offset_does_not_cost_the_variance(offset):
    assert S.var(np.array([1.0, 2, 3]) + offset) == pytest.approx(1, rel=1e-12)
    assert S.skew(np.array([1.0, 2, 9]) + offset) == pytest.approx(S.skew([1, 2, 9]), rel=1e-12)
    shifted = S.ttest_ind(np.array([1.0, 2, 3]) + offset, np.array([2.0, 4, 9]) + offset)
    agree(shifted, S.ttest_ind([1, 2, 3], [2, 4, 9]), 1e-9, 1e-9)
    assert S.pearsonr(np.arange(5) + offset, [1, 2, 2, 3, 5])[0] == pytest.approx(stats.pearsonr(np.arange(5), [1, 2, 2, 3, 5])[0])


def test_integers_do_not_overflow():
    big = np.array([2**62, 2**62, 2**62 - 2**40], dtype=np.int64)
    assert S.mean(big) == pytest.approx(2**62) and S.var(big) > 0
    small = np.array([100, 120, 127], dtype=np.int8)
    assert S.mean(small) == pytest.approx(347 / 3) and S.var(small) == pytest.approx(np.var([100.0, 120, 127], ddof=1))
    assert S.mannwhitneyu(np.arange(120, dtype=np.int8), np.arange(5, 125, dtype=np.int8))[0] == pytest.approx(
        stats.mannwhitneyu(np.arange(120), np.arange(5, 125))[0])
    counts = np.array([[10**6, 10**6], [10**6, 10**6 + 5000]], dtype=np.int32)
    agree(S.chi2_contingency(counts), stats.chi2_contingency(counts.astype(float)))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1, -7.3])
@pytest.mark.parametrize("n", [2, 3, 7, 10, 1000])
def test_constant_data_have_exactly_no_spread(value, n):
    assert S.var(np.full(n, value)) == 0.0


def test_inputs_are_left_alone():
    x, y, table = PLAIN[0].copy(), PLAIN[1].copy(), np.array([[8, 2], [1, 5]])
    S.zscore(x), S.median(x), S.quantile(x, 0.5), S.kruskal(x, y), S.kendalltau(x, y), S.ks_2samp(x, y)
    S.bootstrap(x, np.mean, n_resamples=9, random_state=0), S.permutation_test((x, y), better, n_resamples=9)
    S.fisher_exact(table), S.wilcoxon(x, y), S.multipletests(np.array([0.2, 0.1]))
    assert (x == PLAIN[0]).all() and (y == PLAIN[1]).all() and (table == [[8, 2], [1, 5]]).all()


# --- two variables ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", DATA)
def test_correlations_are_scipys(name, side):
    x, y = DATA[name]
    for ours, theirs in ((S.pearsonr, stats.pearsonr), (S.spearmanr, stats.spearmanr), (S.kendalltau, stats.kendalltau)):
        for b in (y, -y):
            agree(ours(x, b, alternative=side), theirs(x, b, alternative=side))
    for level in (0.8, 0.95):
        theirs = stats.pearsonr(x, y, alternative=side).confidence_interval(level)
        np.testing.assert_allclose(S.pearsonr(x, y, alternative=side).confidence_interval(level), theirs, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 8, 33, 34, 60])
@pytest.mark.parametrize("method", ["auto", "exact", "asymptotic"])
@pytest.mark.parametrize("side", SIDES)
def test_kendall_exact_and_not(n, method, side):
    rng = np.random.default_rng(n)
    for y in (rng.permutation(n), np.arange(n), np.arange(n)[::-1], np.r_[np.arange(2, n), [1, 0]][:n]):
        if n > 2 or method != "asymptotic":                           # SciPy divides by zero there
            agree(S.kendalltau(np.arange(n), y, method=method, alternative=side),
                  stats.kendalltau(np.arange(n), y, method=method, alternative=side))


def test_the_exact_law_of_kendall_by_enumeration():
    taus = np.array([S.kendalltau(range(5), p)[0] for p in itertools.permutations(range(5))])
    for p in ((0, 1, 2, 4, 3), (4, 3, 2, 1, 0), (1, 0, 3, 2, 4)):
        result = S.kendalltau(range(5), p, alternative="greater")
        assert result[1] == pytest.approx(np.mean(taus >= result[0] - 1e-12))


def test_published_correlations():
    assert S.pearsonr(SEPAL, PETAL)[0] == pytest.approx(0.871754, abs=5e-7)
    assert S.spearmanr(SEPAL, PETAL)[0] == pytest.approx(0.881898, abs=5e-7)
    assert S.kendalltau(SEPAL, PETAL)[0] == pytest.approx(0.718516, abs=5e-7)
    np.testing.assert_allclose(S.pearsonr(SEPAL, PETAL).confidence_interval(), [0.82704, 0.90551], atol=5e-6)


def test_perfect_and_tiny_correlations():
    assert S.pearsonr([1, 2, 3], [2, 4, 6])[0] == pytest.approx(1)
    assert S.pearsonr([1, 5], [9, 3]) == (-1.0, 1.0) and S.pearsonr([1, 5], [9, 3]).confidence_interval() == (-1, 1)
    assert S.spearmanr([1, 2, 3, 4], [1, 10, 100, 1000]) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_cov_is_numpys(ddof):
    X = np.vstack([SEPAL, WIDTH, PETAL])
    np.testing.assert_allclose(S.cov(X, ddof=ddof), np.cov(X, ddof=ddof), rtol=1e-12)
    np.testing.assert_allclose(S.cov(SEPAL, PETAL, ddof=ddof), np.cov(SEPAL, PETAL, ddof=ddof), rtol=1e-12)
    np.testing.assert_allclose(S.cov(X, PETAL, ddof=ddof), np.cov(X, PETAL, ddof=ddof), rtol=1e-12)
    assert S.cov(SEPAL, ddof=ddof).shape == () and S.cov(SEPAL, ddof=ddof) == pytest.approx(np.cov(SEPAL, ddof=ddof))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("side", SIDES)
def test_linregress(name, side):
    x, y = DATA[name]
    ours, theirs = S.linregress(x, y, side), stats.linregress(x, y, alternative=side)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)
    assert ours.intercept_stderr == pytest.approx(theirs.intercept_stderr, rel=1e-9)
    slope, intercept, r, p, error = ours                              # five, as in SciPy


# --- tests of means -----------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore:Precision loss")                 # SciPy, about the tied data
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", DATA)
def test_t_tests_are_scipys(name, side):
    x, y = DATA[name]
    cases = [(S.ttest_1samp(x, 2.5, alternative=side), stats.ttest_1samp(x, 2.5, alternative=side)),
             (S.ttest_rel(x, y, alternative=side), stats.ttest_rel(x, y, alternative=side))]
    for equal in (True, False):
        for b in (y, y[:4]):
            cases.append((S.ttest_ind(x, b, equal_var=equal, alternative=side),
                          stats.ttest_ind(x, b, equal_var=equal, alternative=side)))
    for ours, theirs in cases:
        agree(ours, theirs)
        assert ours.df == pytest.approx(theirs.df, rel=1e-9)
        for level in (0.9, 0.99):
            np.testing.assert_allclose(ours.confidence_interval(level), theirs.confidence_interval(level), rtol=1e-9)
        assert ours.estimate - (2.5 if ours is cases[0][0] else 0) == pytest.approx(ours.statistic * ours.standard_error)


def test_published_t_tests():
    versicolor, virginica = SPECIES[1:]
    agree(S.ttest_1samp(SEPAL, 6), (-2.317166, 0.021857), 1e-6, 3e-5)
    agree(S.ttest_ind(versicolor, virginica), (-5.629165, 1.7249e-7), 1e-6, 3e-5)
    welch = S.ttest_ind(versicolor, virginica, equal_var=False)
    assert welch.df == pytest.approx(94.0255, abs=5e-5) and welch.pvalue == pytest.approx(1.8661e-7, rel=3e-5)
    assert S.cohen_d(virginica, versicolor) == pytest.approx(1.125833, abs=5e-7)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("groups", [SPECIES, [TIED[0], TIED[1], SKEWED[0]], [PLAIN[0], PLAIN[1][:3]], list(SKEWED)])
def test_anova_and_levene(groups, equal):
    if parse_version(scipy.__version__) >= parse_version("1.16"):
        agree(S.f_oneway(*groups, equal_var=equal), stats.f_oneway(*groups, equal_var=equal))
    elif equal:
        agree(S.f_oneway(*groups), stats.f_oneway(*groups))
    else:                                                             # f_oneway of SciPy knows no equal_var before 1.16
        theirs = pytest.importorskip("statsmodels.stats.oneway").anova_oneway(groups, use_var="unequal")
        agree(S.f_oneway(*groups, equal_var=False), (theirs.statistic, theirs.pvalue))
    for center in ("median", "mean"):
        agree(S.levene(*groups, center=center), stats.levene(*groups, center=center))
    agree(S.kruskal(*groups), stats.kruskal(*groups))


def test_published_group_tests():
    agree(S.f_oneway(*SPECIES), (119.2645, 1.6697e-31), 1e-6, 1e-4)
    agree(S.kruskal(*SPECIES), (96.9374, 8.92e-22), 1e-6, 1e-3)
    agree(S.levene(*SPECIES), (6.3527, 0.002259), 1e-5, 3e-4)
    u = S.mannwhitneyu(*SPECIES[1:])
    assert u.statistic == 526 and u.pvalue == pytest.approx(5.869e-7, rel=1e-4)


def test_a_group_of_one_is_allowed_where_the_formula_allows_it():
    agree(S.f_oneway([1.0], [2.0, 3, 5], [4, 8]), stats.f_oneway([1.0], [2.0, 3, 5], [4, 8]))
    agree(S.kruskal([1.0], [2.0, 3, 5], [4, 8]), stats.kruskal([1.0], [2.0, 3, 5], [4, 8]))


# --- proportions and tables ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("k", "n", "p"), [(60, 100, 0.5), (0, 10, 0.3), (10, 10, 0.3), (7, 20, 0.2), (3, 9, 1 / 3), (1, 1, 0.5),
                                           (5, 50, 0.0), (50, 50, 1.0), (480, 1000, 0.5), (2, 12, 0.9)])
def test_binomtest(k, n, p, side):
    ours, theirs = S.binomtest(k, n, p, side), stats.binomtest(k, n, p, side)
    agree(ours, (theirs.statistic, theirs.pvalue))
    np.testing.assert_allclose(ours.confidence_interval(0.9), theirs.proportion_ci(0.9), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_proportions_ztest(sm, side):
    theirs = {"two-sided": "two-sided", "less": "smaller", "greater": "larger"}[side]
    for count, nobs, value in (([240, 200], [1000, 1000], None), ([5, 12], [83, 99], None), ([5, 12], [83, 99], 0.05),
                               (5, 83, 0.05), (50, 60, 0.8), ([3, 9], 40, None)):
        agree(S.proportions_ztest(count, nobs, value, side), sm.proportions_ztest(np.array(count), np.array(nobs), value, theirs))
        agree(S.proportions_ztest(count, nobs, value, theirs), S.proportions_ztest(count, nobs, value, side))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.4])
@pytest.mark.parametrize(("count", "nobs"), [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (89, 100), (60, 100), (5, 10_000)])
def test_proportion_confint(sm, count, nobs, alpha):
    for method in ("normal", "wilson", "beta"):
        theirs = sm.proportion_confint(count, nobs, alpha, method)
        np.testing.assert_allclose(S.proportion_confint(count, nobs, alpha, method), theirs, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("case", [(240, 1000, 200, 1000), (0, 10, 3, 12), (5, 5, 0, 7), (17, 40, 25, 80)])
@pytest.mark.parametrize("method", ["wald", "newcomb"])
def test_confint_of_a_difference(sm, case, method):
    for alpha in (0.05, 0.2):
        theirs = sm.confint_proportions_2indep(*case, method=method, compare="diff", alpha=alpha)
        np.testing.assert_allclose(S.confint_proportions_2indep(*case, method, alpha), theirs, rtol=1e-9, atol=1e-12)


def test_published_proportions():
    np.testing.assert_allclose(S.confint_proportions_2indep(240, 1000, 200, 1000, "wald"), [0.003733, 0.076267], atol=5e-7)
    np.testing.assert_allclose(S.proportion_confint(35, 40), [0.739, 0.945], atol=5e-4)
    np.testing.assert_allclose(S.proportion_confint(89, 100), [0.8137, 0.9375], atol=5e-5)
    agree(S.proportions_ztest([240, 200], 1000), (2.159168, 0.030837), 1e-6, 3e-5)


@pytest.mark.filterwarnings("ignore:the smallest expected")
def test_chisquare():
    agree(S.chisquare([22, 17, 20, 26, 22, 13]), (5.1, 0.403798), 1e-9, 3e-6)
    for ddof in (0, 1, 2):
        for o, e in (([16, 18, 16, 14, 12, 12], None), ([16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]),
                     ([3, 0, 1, 4], [2.5, 2.5, 1.5, 1.5])):
            agree(S.chisquare(o, e, ddof), stats.chisquare(o, e, ddof))


@pytest.mark.filterwarnings("ignore:the smallest expected")
@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("table", [[[240, 760], [200, 800]], [[8, 2], [1, 5]], [[10, 10, 20], [20, 20, 20]], [[5, 5], [5, 5]],
                                   [[0, 7, 3], [4, 1, 9], [2, 2, 2]], [[1000, 1], [1, 1000]]])
def test_chi2_contingency(table, correction):
    ours, theirs = S.chi2_contingency(table, correction), stats.chi2_contingency(table, correction)
    agree(ours, theirs)
    assert ours.dof == theirs.dof
    np.testing.assert_allclose(ours.expected_freq, theirs.expected_freq)
    assert S.association(table) == pytest.approx(stats.contingency.association(np.array(table)), abs=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_fisher_exact_on_all_small_tables(side):
    for table in itertools.product(range(0, 8, 2), repeat=4):
        table = np.reshape(table, (2, 2))
        agree(S.fisher_exact(table, side), stats.fisher_exact(table, side))
    for table in ([[100, 2], [1000, 5]], [[40, 60], [60, 40]], [[3, 1], [1, 3]], [[17, 250], [31, 190]]):
        agree(S.fisher_exact(table, side), stats.fisher_exact(table, side))


def test_mcnemar(sm):
    from statsmodels.stats.contingency_tables import mcnemar

    for table in ([[70, 15], [5, 10]], [[10, 0], [6, 1]], [[0, 3], [3, 0]], [[100, 40], [70, 2]]):
        theirs = mcnemar(np.array(table), exact=True)
        agree(S.mcnemar(table), (theirs.statistic, theirs.pvalue), 1e-9, 1e-8)
        for correction in (True, False):
            theirs = mcnemar(np.array(table), exact=False, correction=correction)
            agree(S.mcnemar(table, exact=False, correction=correction), (theirs.statistic, theirs.pvalue), 1e-9, 1e-8)
    assert S.mcnemar([[70, 15], [5, 10]])[1] == pytest.approx(0.041389, abs=5e-7)
    agree(S.mcnemar([[70, 15], [5, 10]], exact=False), (4.05, 0.044171), 1e-9, 1e-5)
    assert S.mcnemar([[4, 0], [0, 4]]) == (0, 1)


# --- ranks and distributions --------------------------------------------------------------------------------------

@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", DATA)
def test_mannwhitneyu(name, side):
    x, y = DATA[name]
    for a, b in ((x, y), (x[:7], y), (x, y[:3]), (x[:2], y[:1])):
        for continuity in (True, False):
            agree(S.mannwhitneyu(a, b, continuity, side), stats.mannwhitneyu(a, b, continuity, side))
        if len(np.unique([*a, *b])) == len(a) + len(b):
            agree(S.mannwhitneyu(a, b, alternative=side, method="exact"), stats.mannwhitneyu(a, b, alternative=side, method="exact"))
        agree(S.mannwhitneyu(a, b, alternative=side, method="asymptotic"),
              stats.mannwhitneyu(a, b, alternative=side, method="asymptotic"))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("zeros", ["wilcox", "pratt", "zsplit"])
@pytest.mark.parametrize("n", [6, 9, 13, 14, 40, 50, 51, 90])
def test_wilcoxon(n, zeros, side):
    if n == 13 and (side, zeros) != ("less", "pratt"):
        return                                                        # SciPy goes through all 8192 signs: once is enough
    rng = np.random.default_rng(n)
    for d in (rng.normal(0.3, 1, n), rng.integers(-4, 6, n).astype(float)):
        for method in ("auto", "asymptotic"):
            for correction in (False, True):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theirs = stats.wilcoxon(d, zero_method=zeros, correction=correction, alternative=side, method=method)
                agree(S.wilcoxon(d, None, zeros, correction, side, method), theirs)
    agree(S.wilcoxon(PLAIN[0], PLAIN[1]), stats.wilcoxon(PLAIN[0], PLAIN[1]))


def test_the_exact_wilcoxon_law_with_ties_and_zeros_by_enumeration():
    d = np.array([1, -1, 2, 2, 0, -3, 3, 3.0])
    observed = S.wilcoxon(d, alternative="greater", method="exact")
    sums = [S.wilcoxon(np.abs(d) * s, alternative="greater").statistic
            for s in itertools.product((-1, 1), repeat=8)]
    assert observed.pvalue == pytest.approx(np.mean(np.array(sums) >= observed.statistic - 1e-9))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 60, 140])
def test_ks_1samp(n, side):
    rng = np.random.default_rng(n)
    for x in (rng.normal(0, 1, n), rng.normal(0.4, 1, n), np.round(rng.normal(0, 1, n), 1)):
        ours, theirs = S.ks_1samp(x, Normal().cdf, alternative=side), stats.ks_1samp(x, stats.norm.cdf, alternative=side)
        agree(ours, theirs, 1e-9, 1e-8)
        assert (ours.statistic_location, ours.statistic_sign) == (theirs.statistic_location, theirs.statistic_sign)
        if side == "two-sided":
            agree(S.ks_1samp(x, stats.norm.cdf, (0.1, 2.0), method="asymp"),
                  stats.ks_1samp(x, stats.norm.cdf, (0.1, 2.0), method="asymp"))


@pytest.mark.parametrize(("n", "square"), [(200, 0.3), (200, 1.0), (200, 2.1), (400, 1.2), (300, 3.0)])
def test_kolmogorovs_law_is_exact_where_scipys_is_an_approximation(n, square):
    """The judge is the other exact algorithm, Pomeranz', which SciPy keeps for small samples."""
    pomeranz = pytest.importorskip("scipy.stats._ksstats")._kolmogn_Pomeranz
    d = np.sqrt(square / n)
    assert S._kolmogorov_sf(n, d) == pytest.approx(1 - float(pomeranz(n, d)), rel=1e-9)
    assert S._kolmogorov_sf(n, d) == pytest.approx(float(stats.kstwo.sf(d, n)), rel=2e-5)


def test_large_samples_take_the_limit_law():
    x = np.random.default_rng(0).random(10_001)
    agree(S.ks_1samp(x, Uniform().cdf), stats.ks_1samp(x, stats.uniform.cdf, method="asymp"))
    assert S.ks_1samp(x[:10_000], Uniform().cdf)[1] == pytest.approx(stats.ks_1samp(x[:10_000], stats.uniform.cdf)[1], rel=1e-6)
    for side in ("less", "greater"):
        assert S.ks_1samp(x, Uniform().cdf, alternative=side)[1] == pytest.approx(
            stats.ks_1samp(x, stats.uniform.cdf, alternative=side)[1], rel=0.02)
    y = np.random.default_rng(1).random(12_000) ** 1.02
    assert S.ks_2samp(x, y)[1] == pytest.approx(stats.ks_2samp(x, y)[1], rel=0.03)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 4), (5, 5), (10, 25), (30, 30), (17, 60)])
def test_ks_2samp(m, n, side):
    rng = np.random.default_rng(m)
    for x, y in ((rng.normal(0, 1, m), rng.normal(0.5, 1, n)), (rng.integers(0, 9, m), rng.integers(0, 9, n)),
                 (np.arange(m), np.arange(n) + 100.0)):
        ours, theirs = S.ks_2samp(x, y, side), stats.ks_2samp(x, y, side)
        agree(ours, theirs)
        assert ours.statistic_sign == theirs.statistic_sign           # where two places are equally far apart, either will do
        here = np.mean(x <= ours.statistic_location) - np.mean(y <= ours.statistic_location)
        assert max(0, here * ours.statistic_sign) == pytest.approx(ours.statistic)


# --- resampling ---------------------------------------------------------------------------------------------------

def better(x, y, axis=-1):
    return np.mean(x, axis=axis) - np.mean(y, axis=axis)


def corr(x, y, axis=-1):
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    return (x * y).sum(axis) / np.sqrt((x * x).sum(axis) * (y * y).sum(axis))


@pytest.mark.parametrize("method", ["percentile", "basic", "BCa"])
def test_bootstrap_is_scipys_draw_by_draw(method):
    x, y = SKEWED[0], PLAIN[1][:17]
    for data, fun, paired in (((x,), np.mean, False), ((x,), np.median, False), ((x,), lambda v: np.ptp(v), False),
                              ((x, PLAIN[0]), better, False), ((x, y), corr, True)):
        ours = S.bootstrap(data, fun, n_resamples=499, method=method, paired=paired, confidence_level=0.9, random_state=3)
        theirs = stats.bootstrap(data, fun, n_resamples=499, method=method, paired=paired, confidence_level=0.9,
                                 rng=np.random.default_rng(3))
        np.testing.assert_allclose(ours.bootstrap_distribution, theirs.bootstrap_distribution, rtol=1e-12)
        np.testing.assert_allclose(ours.confidence_interval, theirs.confidence_interval, rtol=1e-9)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-9)


def test_bootstrap_takes_one_sample_as_it_is_and_a_generator():
    a = S.bootstrap(SKEWED[0], S.median, n_resamples=199, random_state=5)
    b = S.bootstrap((SKEWED[0],), np.median, n_resamples=199, random_state=np.random.default_rng(5))
    assert a.confidence_interval == pytest.approx(b.confidence_interval)
    assert a.bootstrap_distribution.shape == (199,)


def test_bootstrap_in_batches_is_the_same(monkeypatch):
    whole = S.bootstrap(PLAIN[0], np.mean, n_resamples=300, random_state=0)
    monkeypatch.setattr(S, "_batches", lambda n, width: [100, 150, n - 250])
    parts = S.bootstrap(PLAIN[0], np.mean, n_resamples=300, random_state=0)
    np.testing.assert_array_equal(whole.bootstrap_distribution, parts.bootstrap_distribution)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstrap_covers(method):
    rng, hits, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        low, high = S.bootstrap(rng.normal(2, 1, 40), np.mean, n_resamples=399, method=method, random_state=rng).confidence_interval
        hits += low <= 2 <= high
    assert 0.90 <= hits / trials <= 0.98


@pytest.mark.parametrize("side", SIDES)
def test_exact_permutations_are_scipys(side):
    a, b, c = [1.0, 3, 4, 7], [2.0, 9, 5], [8.0, 6]
    spread = lambda *v, axis=-1: sum(np.mean(x, axis=axis) ** 2 for x in v)
    cases = [((a, b), better, "independent"), ((a, b, c), spread, "independent"), ((a, [2.0, 2, 6, 1]), better, "samples"),
             ((np.array(a) - 2.5,), lambda x, axis=-1: np.mean(x, axis=axis), "samples"),
             ((a, [2.0, 2, 6, 1]), corr, "pairings"), (([1.0, 1, 2], [1.0, 2, 2]), better, "independent")]
    for data, fun, kind in cases:
        ours = S.permutation_test(data, fun, permutation_type=kind, alternative=side)
        theirs = stats.permutation_test(tuple(map(np.asarray, data)), fun, permutation_type=kind, alternative=side,
                                        n_resamples=np.inf)
        agree(ours, (theirs.statistic, theirs.pvalue), 1e-12, 1e-12)


@pytest.mark.parametrize("kind", ["independent", "samples", "pairings"])
def test_random_permutations_are_near_scipys(kind):
    fun = corr if kind == "pairings" else better
    data = (PLAIN[0][:20], PLAIN[1][:20] + (PLAIN[0][:20] * 0.3 if kind == "pairings" else 0.6))
    ours = S.permutation_test(data, fun, permutation_type=kind, n_resamples=4999, random_state=0)
    theirs = stats.permutation_test(data, fun, permutation_type=kind, n_resamples=4999, rng=np.random.default_rng(1))
    p = theirs.pvalue
    assert abs(ours[1] - p) < 3 * 2 * np.sqrt(2 * p / 2 * (1 - p / 2) / 5000) and 0.001 < p < 0.999
    assert ours[0] == pytest.approx(theirs.statistic) and ours.null_distribution.shape == (4999,)
    loop = S.permutation_test(data, lambda x, y: float(fun(x, y)), permutation_type=kind, n_resamples=4999, random_state=0)
    assert loop.pvalue == ours.pvalue


# --- likelihood, Bayes --------------------------------------------------------------------------------------------

def test_maximum_likelihood():
    x = RNG.exponential(2.0, 40)
    assert S.mle_normal(x) == pytest.approx(stats.norm.fit(x))
    assert S.mle_exponential(x) == pytest.approx(1 / stats.expon.fit(x, floc=0)[1])
    counts = RNG.poisson(3, 40)
    for fit, law, data, theta in ((S.mle_poisson, Poisson, counts, counts.mean()), (S.mle_exponential, Exponential, x, 1 / x.mean()),
                                  (S.mle_bernoulli, Bernoulli, [True, False, True], 2 / 3)):
        assert fit(data) == pytest.approx(theta)
        best = S.log_likelihood(law(theta), data)
        assert best > S.log_likelihood(law(theta * 1.05), data) and best > S.log_likelihood(law(theta * 0.95), data)
    assert S.log_likelihood(Normal(1, 2), x) == pytest.approx(stats.norm.logpdf(x, 1, 2).sum())
    assert S.log_likelihood(stats.poisson(3), counts) == pytest.approx(stats.poisson.logpmf(counts, 3).sum())
    assert S.log_likelihood(stats.norm(1, 2), x) == pytest.approx(stats.norm.logpdf(x, 1, 2).sum())


def test_conjugate_updates():
    posterior = S.beta_binomial_update(2, 2, 7, 3)
    assert posterior == Beta(9, 5) and posterior.mean() == pytest.approx(0.642857, abs=5e-7)
    np.testing.assert_allclose(posterior.ppf([0.025, 0.975]), [0.385738, 0.861421], atol=5e-7)
    step = S.beta_binomial_update(2, 2, 4, 1)
    assert S.beta_binomial_update(step.a, step.b, 3, 2) == posterior                       # in two steps: the same
    x = np.array([3.0, 4.0, 8.0])
    whole, first = S.normal_normal_update(1, 2, x, 1.5), S.normal_normal_update(1, 2, x[:1], 1.5)
    then = S.normal_normal_update(first.loc, first.scale, x[1:], 1.5)
    assert (then.loc, then.scale) == pytest.approx((whole.loc, whole.scale))


# --- multiple tests, power ----------------------------------------------------------------------------------------

PS = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]


@pytest.mark.parametrize("method", ["bonferroni", "holm", "fdr_bh", "fdr_by"])
@pytest.mark.parametrize("ps", [PS, PS[::-1], [0.5], [0.0, 1.0, 0.03], list(np.random.default_rng(0).random(50) ** 3)])
def test_multipletests(sm, ps, method):
    for alpha in (0.05, 0.2):
        reject, corrected, *_ = sm.multipletests(ps, alpha, method)
        ours = S.multipletests(ps, alpha, method)
        np.testing.assert_array_equal(ours[0], reject)
        np.testing.assert_allclose(ours[1], corrected, rtol=1e-12)


def test_power(sm):
    for d in (0.05, 0.2, 0.5, -0.8, 2.0):
        for n in (2, 5, 20, 63, 64, 500):
            for alpha in (0.01, 0.05, 0.2):
                theirs = sm.TTestIndPower().power(d, n, alpha)
                if np.isnan(theirs):                                  # statsmodels' lower tail underflows
                    theirs = stats.nct.sf(stats.t.isf(alpha / 2, 2 * n - 2), 2 * n - 2, abs(d) * np.sqrt(n / 2))
                assert S.power_ttest_ind(d, n, alpha) == pytest.approx(theirs, rel=1e-6)
    assert S.power_ttest_ind(0, 30) == pytest.approx(0.05) and S.power_ttest_ind(9, 500) == 1
    assert S.power_ttest_ind(0.5, 63) == pytest.approx(0.795168, abs=5e-7)
    assert S.power_ttest_ind(0.5, 64) == pytest.approx(0.801460, abs=5e-7)


@pytest.mark.parametrize("d", [0.1, 0.5, -0.5, 3.0])
@pytest.mark.parametrize("power", [0.3, 0.8, 0.95])
def test_sample_size(sm, d, power):
    n = S.sample_size_ttest_ind(d, power)
    assert S.power_ttest_ind(d, n) >= power and (n == 2 or S.power_ttest_ind(d, n - 1) < power)
    if n > 5:
        assert n == int(np.ceil(sm.TTestIndPower().solve_power(abs(d), power=power, alpha=0.05)))


def test_power_of_proportions(sm):
    for diff, p2, n in ((0.04, 0.2, 1000), (-0.1, 0.5, 80), (0.01, 0.05, 4000), (0.3, 0.1, 10)):
        theirs = sm.power_proportions_2indep(diff, p2, n, alpha=0.05, return_results=False)
        assert S.power_proportions_2indep(diff, p2, n) == pytest.approx(float(theirs), rel=1e-6)
    n = S.sample_size_proportions_2indep(0.04, 0.2)
    assert n == 1683 and S.power_proportions_2indep(0.04, 0.2, n) >= 0.8 > S.power_proportions_2indep(0.04, 0.2, n - 1)


# --- the promise: type I error ------------------------------------------------------------------------------------

SE = 3 * np.sqrt(0.05 * 0.95 / 20_000)


@pytest.fixture
def fast_tails(monkeypatch):
    """Tail probabilities by the shortest way: that ours are the same is tested above, here they are needed 20,000 times."""
    class T:
        def __init__(self, df):
            self.sf, self.cdf = (lambda t: special.stdtr(df, -t)), (lambda t: special.stdtr(df, t))

    class Z:
        sf, cdf = staticmethod(lambda z: special.ndtr(-z)), staticmethod(special.ndtr)

    class C:
        def __init__(self, df):
            self.sf = lambda x: special.chdtrc(df, x)

    class R:
        def __init__(self, *df):
            self.sf = lambda x: special.fdtrc(*df, x)

    for name, law in (("StudentT", T), ("Normal", Z), ("ChiSquare", C), ("F", R)):
        monkeypatch.setattr(S, name, law)


def rate(fun, data):
    return np.mean([fun(*x)[1] <= 0.05 for x in data])


@pytest.mark.parametrize(("name", "fun", "k"), [
    ("ttest_1samp", lambda x: S.ttest_1samp(x, 0), 1), ("ttest_rel", S.ttest_rel, 2), ("ttest_ind", S.ttest_ind, 2),
    ("pearsonr", S.pearsonr, 2), ("f_oneway", S.f_oneway, 3), ("ks_1samp", lambda x: S.ks_1samp(x, special.ndtr), 1)])
def test_exact_continuous_tests_keep_their_level(fast_tails, name, fun, k):
    assert abs(rate(fun, np.random.default_rng(7).standard_normal((20_000, k, 8))) - 0.05) < SE


@pytest.mark.parametrize(("name", "fun"), [("mannwhitneyu", S.mannwhitneyu), ("ks_2samp", S.ks_2samp)])
def test_exact_rank_tests_keep_their_level_over_all_arrangements(name, fun):
    ranks = range(10)
    errors = [fun([*first], [r for r in ranks if r not in first])[1] <= 0.05 for first in itertools.combinations(ranks, 5)]
    assert 0.005 < np.mean(errors) <= 0.05


def test_exact_wilcoxon_kendall_and_permutation_tests_keep_their_level_over_all_arrangements():
    wilcoxon = [S.wilcoxon(np.arange(1, 11) * s)[1] <= 0.05 for s in itertools.product((-1, 1), repeat=10)]
    kendall = [S.kendalltau(range(6), p)[1] <= 0.05 for p in itertools.permutations(range(6))]
    assert 0.03 < np.mean(wilcoxon) <= 0.05 and 0.01 < np.mean(kendall) <= 0.05
    values = np.array([0.3, 1.1, 1.9, 2.0, 5.5, 7.1, 7.2, 9.0])
    shuffled = [S.permutation_test((values[list(f)], np.delete(values, f)), better)[1] <= 0.05
                for f in itertools.combinations(range(8), 4)]
    assert 0.02 < np.mean(shuffled) <= 0.05


@pytest.mark.parametrize("p", [0.1, 0.37, 0.5])
def test_exact_tests_of_counts_keep_their_level_exactly(p):
    k, chance = np.arange(31), stats.binom.pmf(np.arange(31), 30, p)
    assert chance @ [S.binomtest(i, 30, p)[1] <= 0.05 for i in k] <= 0.05
    pmf = stats.binom.pmf(np.arange(13), 12, p)
    fisher = np.array([[S.fisher_exact([[i, 12 - i], [j, 12 - j]])[1] <= 0.05 for j in range(13)] for i in range(13)])
    assert pmf @ fisher @ pmf <= 0.05
    discordant = stats.binom.pmf(np.arange(41), 40, p)
    level = [stats.binom.pmf(np.arange(m + 1), m, 0.5) @ [S.mcnemar([[0, b], [m - b, 0]])[1] <= 0.05 for b in range(m + 1)]
             for m in range(41)]
    assert discordant @ level <= 0.05 and max(level) > 0.02


@pytest.mark.parametrize(("name", "fun", "k"), [
    ("welch", lambda x, y: S.ttest_ind(3 * x, y[:35], equal_var=False), 2), ("spearmanr", S.spearmanr, 2),
    ("mannwhitneyu", S.mannwhitneyu, 2), ("wilcoxon", lambda x: S.wilcoxon(x, method="asymptotic"), 1),
    ("kruskal", S.kruskal, 3), ("levene", S.levene, 3), ("welch anova", lambda x, y, z: S.f_oneway(x, 2 * y, 4 * z, equal_var=False), 3)])
def test_approximations_are_near_their_level_at_fifty(fast_tails, name, fun, k):
    assert 0.04 <= rate(fun, np.random.default_rng(3).standard_normal((20_000, k, 50))) <= 0.06


def test_kendalls_normal_law_is_near_its_level_at_fifty():
    order = np.random.default_rng(0).permuted(np.tile(np.arange(50, dtype=np.int8), (20_000, 1)), axis=1)
    dis = sum((order[:, :i] > order[:, i:i + 1]).sum(1) for i in range(1, 50))
    none = np.ones(50)
    level = {d: S._kendall_pvalue(50, d, 1225 - 2 * d, none, none, False, "two-sided") <= 0.05 for d in np.unique(dis)}
    assert 0.04 <= np.mean([level[d] for d in dis]) <= 0.06
    agree(S.kendalltau(np.arange(50), order[0]), stats.kendalltau(np.arange(50), order[0]))


def test_tests_of_counts_are_near_their_level():
    rng = np.random.default_rng(0)
    pmf = stats.binom.pmf(np.arange(51), 50, 0.4)
    z = np.array([[S.proportions_ztest([i, j], 50)[1] <= 0.05 for j in range(10, 31)] for i in range(10, 31)])
    assert 0.04 <= pmf[10:31] @ z @ pmf[10:31] <= 0.06
    plain = np.array([[S.chi2_contingency([[i, 50 - i], [j, 50 - j]], False)[1] <= 0.05 for j in range(10, 31)] for i in range(10, 31)])
    yates = np.array([[S.chi2_contingency([[i, 50 - i], [j, 50 - j]])[1] <= 0.05 for j in range(10, 31)] for i in range(10, 31)])
    np.testing.assert_array_equal(plain, z)
    assert pmf[10:31] @ yates @ pmf[10:31] <= 0.05
    dice, weight = np.unique(np.sort(rng.multinomial(50, [0.25] * 4, 20_000), axis=1), axis=0, return_counts=True)
    errors = [S.chisquare(d)[1] <= 0.05 for d in dice]
    assert 0.04 <= np.average(errors, weights=weight) <= 0.06


def test_intervals_cover():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 2, (5000, 9))
    ends = np.array([S.t_interval(v, 0.9) for v in x])
    assert abs(np.mean((ends[:, 0] <= 5) & (5 <= ends[:, 1])) - 0.9) < 3 * np.sqrt(0.09 / 5000)
    for p, wald, wilson in ((0.05, 0.6389, 0.9245), (0.1, 0.8760, 0.9568), (0.5, 0.9586, 0.9586)):
        pmf = stats.binom.pmf(np.arange(21), 20, p)
        for method, expected in (("normal", wald), ("wilson", wilson), ("beta", None)):
            ends = np.array([S.proportion_confint(k, 20, method=method) for k in range(21)])
            cover = pmf @ ((ends[:, 0] <= p) & (p <= ends[:, 1]))
            assert cover >= 0.95 if expected is None else cover == pytest.approx(expected, abs=5e-5)


# --- properties ---------------------------------------------------------------------------------------------------

numbers = st.integers(-1000, 1000).map(lambda k: k / 8)                # exact in binary, so that ties survive scaling
sample = hnp.arrays(float, st.integers(3, 25), elements=numbers)
two = st.integers(3, 20).flatmap(lambda n: st.tuples(*[hnp.arrays(float, n, elements=numbers)] * 2))
varied = two.filter(lambda xy: np.ptp(xy[0]) > 0 and np.ptp(xy[1]) > 0)


@fast
@given(sample, st.sampled_from([-64.0, 0.0, 256.0]), st.sampled_from([0.25, 2.0, 8.0]))
def test_location_and_scale(x, shift, scale):
    y = shift + scale * x
    for f in (S.mean, S.median, lambda v: S.trim_mean(v, 0.2), lambda v: S.quantile(v, 0.3), lambda v: S.mode(v)[0]):
        assert np.isclose(f(y), shift + scale * f(x), rtol=1e-12, atol=1e-9)
    for f in (S.std, S.iqr, S.median_abs_deviation, S.sem):
        assert np.isclose(f(y), scale * f(x), rtol=1e-12, atol=1e-9)
    if np.ptp(x) > 0:
        assert np.isclose(S.skew(y), S.skew(x), atol=1e-9) and np.isclose(S.kurtosis(y), S.kurtosis(x), atol=1e-9)
        assert np.allclose(S.zscore(y), S.zscore(x)) and np.abs(S.zscore(x)).max() <= np.sqrt(x.size - 1) + 1e-9
        assert x.min() <= S.median(x) <= x.max() and S.kurtosis(x) >= S.skew(x) ** 2 - 2 - 1e-9


@fast
@given(varied)
def test_correlations_do_not_care_for_units_order_or_names(xy):
    x, y = xy
    turn = np.random.default_rng(0).permutation(x.size)
    for f in (S.pearsonr, S.spearmanr, S.kendalltau):
        r, p = f(x, y)
        assert -1 <= r <= 1 and 0 <= p <= 1
        for other in (f(y, x), f(3 + 2 * x, y), f(x[turn], y[turn])):
            assert np.isclose(other[0], r, atol=1e-12) and np.isclose(other[1], p, rtol=1e-6, atol=1e-12)
        assert np.isclose(f(x, -y)[0], -r, atol=1e-12)
    for f in (S.spearmanr, S.kendalltau):
        assert np.isclose(f(x**3, y)[0], f(x, y)[0], atol=1e-12)      # only the order counts


@fast
@given(varied)
def test_two_sample_tests_are_antisymmetric(xy):
    x, y = xy
    for equal in (True, False):
        a, b = S.ttest_ind(x, y, equal_var=equal), S.ttest_ind(y, x, equal_var=equal)
        assert np.isclose(a[0], -b[0]) and np.isclose(a[1], b[1]) and np.isclose(a.df, b.df)
        less, greater = (S.ttest_ind(x, y, equal_var=equal, alternative=s)[1] for s in SIDES[1:])
        assert np.isclose(less + greater, 1) and np.isclose(a[1], 2 * min(less, greater), rtol=1e-9)
        low, high = a.confidence_interval(0.95)
        assert (low <= 0 <= high) == (a[1] >= 0.05)                   # the test and its interval agree
    assert S.mannwhitneyu(x, y)[0] + S.mannwhitneyu(y, x)[0] == x.size * y.size
    for f in (S.mannwhitneyu, S.ks_2samp):
        assert np.isclose(f(x, y)[1], f(y, x)[1]) and np.isclose(f(x**3, y**3)[1], f(x, y)[1])
    assert np.isclose(S.kruskal(x, y)[0], S.kruskal(y, x)[0])
    assert np.isclose(S.f_oneway(x, y)[0], S.ttest_ind(x, y)[0] ** 2, rtol=1e-6, atol=1e-9)


@fast
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.001, 0.5))
def test_proportion_intervals(kn, alpha):
    k, n = kn
    for method in ("normal", "wilson", "beta"):
        low, high = S.proportion_confint(k, n, alpha, method)
        assert 0 <= low <= k / n + 1e-12 and k / n - 1e-12 <= high <= 1
        assert np.allclose(S.proportion_confint(n - k, n, alpha, method), [1 - high, 1 - low], atol=1e-9)   # failures for successes


@fast
@given(hnp.arrays(int, (2, 2), elements=st.integers(0, 30)))
def test_tables_may_be_turned(table):
    p = S.fisher_exact(table)[1]
    assert 0 <= p <= 1 and np.isclose(S.fisher_exact(table.T)[1], p) and np.isclose(S.fisher_exact(table[::-1, ::-1])[1], p)
    assert np.isclose(S.mcnemar(table)[1], S.mcnemar(table.T)[1])
    if table.sum(0).all() and table.sum(1).all():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            a, b = S.chi2_contingency(table), S.chi2_contingency(table[:, ::-1])
        assert np.isclose(a[0], b[0]) and np.isclose(a.expected_freq.sum(), table.sum())


@fast
@given(hnp.arrays(float, st.integers(1, 20), elements=st.floats(0, 1)))
def test_corrections_are_ordered(p):
    bonferroni, holm, by, bh = (S.multipletests(p, method=m)[1] for m in ("bonferroni", "holm", "fdr_by", "fdr_bh"))
    assert (p <= bh + 1e-15).all() and (bh <= by + 1e-15).all() and (holm <= bonferroni + 1e-15).all() and (bh <= holm + 1e-15).all()
    for corrected in (bonferroni, holm, by, bh):
        assert (np.diff(corrected[np.argsort(p)]) >= -1e-15).all() and (corrected <= 1).all()


@fast
@given(st.integers(2, 300), st.floats(0.05, 2), st.floats(0.01, 0.3))
def test_power_rises(n, d, alpha):
    p = S.power_ttest_ind(d, n, alpha)
    assert alpha - 1e-9 <= p <= 1 and S.power_ttest_ind(d, n + 5, alpha) >= p - 1e-9
    assert S.power_ttest_ind(1.1 * d, n, alpha) >= p - 1e-9 and np.isclose(S.power_ttest_ind(-d, n, alpha), p)


@fast
@given(sample.filter(lambda x: np.ptp(x) > 0))
def test_distribution_functions(x):
    steps = S.ecdf(x)
    grid = np.linspace(-130, 130, 50)
    assert (np.diff(steps.cdf.evaluate(grid)) >= 0).all() and steps.cdf.evaluate([126])[0] == 1
    assert np.allclose(steps.cdf.evaluate(grid) + steps.sf.evaluate(grid), 1)
    h = S.gaussian_kde(x).bandwidth
    wide = np.linspace(x.min() - 9 * h, x.max() + 9 * h, 20_001)
    assert np.isclose(np.trapezoid(S.gaussian_kde(x).evaluate(wide), wide), 1, atol=1e-4)


# --- results ------------------------------------------------------------------------------------------------------

def test_results_unpack_print_and_travel():
    result = S.ttest_ind([1, 2, 3], [2, 4, 9])
    statistic, pvalue = result
    assert (statistic, pvalue) == (result.statistic, result.pvalue) and "df=4" in repr(result) and result.df == 4
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result and copy.df == 4 and copy.confidence_interval() == result.confidence_interval()
    with pytest.raises(ValueError, match="no confidence interval"):
        S.kruskal([1, 2], [3, 4]).confidence_interval()
    with pytest.raises(ValueError, match="confidence_level must lie strictly between 0 and 1"):
        result.confidence_interval(1.0)
    assert "null_distribution" not in repr(S.permutation_test(([1, 2, 3], [4, 5, 6]), better))


# --- bad input ----------------------------------------------------------------------------------------------------

ONE = [S.mean, S.median, S.mode, lambda x, **k: S.trim_mean(x, 0.1, **k), S.var, S.std, lambda x, **k: S.quantile(x, 0.5, **k),
       S.iqr, S.median_abs_deviation, S.skew, S.kurtosis, S.sem, S.zscore, S.describe, S.ecdf, S.gaussian_kde, S.t_interval,
       lambda x, **k: S.ttest_1samp(x, 0, **k), S.wilcoxon, lambda x, **k: S.ks_1samp(x, Normal().cdf, **k), S.mle_normal,
       S.mle_exponential, lambda x, **k: S.log_likelihood(Normal(), x, **k),
       lambda x, **k: S.normal_normal_update(0, 1, x, 1, **k)]
TWO = [S.ttest_ind, S.mannwhitneyu, S.f_oneway, S.levene, S.kruskal, S.ks_2samp, S.cohen_d]
PAIRED = [S.pearsonr, S.spearmanr, S.kendalltau, S.linregress, S.ttest_rel, S.wilcoxon]


@pytest.mark.parametrize("f", ONE)
def test_one_sample_refuses_what_it_cannot_use(f):
    for bad, error, words in (([], ValueError, "at least"), ([1.0, np.nan, 2, 3], ValueError, "nan_policy='omit'"),
                              ([1.0, np.inf, 2], ValueError, "finite"), ([[1.0, 2], [3, 4]], ValueError, r"shape \(n,\)"),
                              (["a", "b"], TypeError, "real numbers"), ([1 + 2j, 3], TypeError, "real numbers")):
        with pytest.raises(error, match=words):
            f(bad)
    with pytest.raises(ValueError, match="nan_policy must be one of"):
        f([1.0, 2, 3], nan_policy="propagate")


def plain(result):
    if isinstance(result, (S.ECDFResult, S.gaussian_kde)):
        return np.asarray(getattr(result, "n", None) or result.cdf.probabilities, dtype=float)
    if isinstance(result, Normal):
        return np.array([result.loc, result.scale])
    if isinstance(result, S.DescribeResult):
        return np.array([result.nobs, *result.minmax, *result[2:]])
    return np.asarray(result, dtype=float)


@pytest.mark.parametrize("f", ONE)
def test_omit_leaves_missing_values_out(f):
    x = np.array([0.3, np.nan, 1.2, 2.5, 0.9, np.nan, 3.3, 1.1])
    with_nan, without = plain(f(x, nan_policy="omit")), plain(f(x[~np.isnan(x)]))
    np.testing.assert_allclose(with_nan[~np.isnan(with_nan)], without)


@pytest.mark.parametrize("f", TWO)
def test_two_samples(f):
    good = np.array([1.0, 2, 4, 8, 9])
    for bad, words in (([], "at least"), ([1.0, np.nan, 2], "nan"), ([[1.0]], r"shape \(n,\)"), ([1, np.inf], "finite")):
        with pytest.raises(ValueError, match=words):
            f(good, bad)
        with pytest.raises(ValueError, match=words):
            f(bad, good)
    missing = np.array([3.0, np.nan, 5, 7, 1.5])
    np.testing.assert_allclose(f(good, missing, nan_policy="omit"), f(good, missing[~np.isnan(missing)]))


@pytest.mark.parametrize("f", PAIRED)
def test_pairs(f):
    x, y = np.array([1.0, 2, 4, 8, 9, 5]), np.array([1.5, 2, np.nan, 7, 12, 4])
    for bad in (y[:5], y[:, None], [1.0]):
        with pytest.raises(ValueError, match="same shape"):
            f(x, bad)
    with pytest.raises(ValueError, match="nan"):
        f(x, y)
    keep = ~np.isnan(y)
    np.testing.assert_allclose(f(x, y, nan_policy="omit"), f(x[keep], y[keep]))
    with pytest.raises(ValueError, match="at least"):
        f([], [])


@pytest.mark.parametrize("f", [S.var, S.std, S.sem, S.describe, S.t_interval, lambda x: S.ttest_1samp(x, 0), S.gaussian_kde,
                               lambda x: S.ttest_ind(x, [1, 2]), lambda x: S.levene(x, [1, 2]), lambda x: S.zscore(x, ddof=1),
                               lambda x: S.pearsonr(x, x), lambda x: S.cohen_d(x, [1, 2]), lambda x: S.bootstrap(x, np.mean)])
def test_one_observation_has_no_spread(f):
    with pytest.raises(ValueError, match="at least 2 observations, got 1"):
        f([3.0])


def test_too_few_for_their_formula():
    for f in (S.spearmanr, S.linregress):
        with pytest.raises(ValueError, match="at least 3 observations, got 2"):
            f([1, 2], [2, 3])
    with pytest.raises(ValueError, match="at least 3"):
        S.skew([1, 2], bias=False)
    with pytest.raises(ValueError, match="at least 4"):
        S.kurtosis([1, 2, 4], bias=False)
    with pytest.raises(ValueError, match="more than one observation"):
        S.f_oneway([1], [2])
    assert S.var([4.0], ddof=0) == 0 and S.mean([4]) == 4


CONSTANT = np.full(6, 2.5)


@pytest.mark.parametrize("f", [lambda: S.ttest_1samp(CONSTANT, 2.5), lambda: S.ttest_rel(CONSTANT, CONSTANT),
                               lambda: S.ttest_ind(CONSTANT, CONSTANT), lambda: S.ttest_ind(CONSTANT, CONSTANT, equal_var=False),
                               lambda: S.pearsonr(CONSTANT, range(6)), lambda: S.spearmanr(range(6), CONSTANT),
                               lambda: S.kendalltau(CONSTANT, range(6)), lambda: S.wilcoxon(CONSTANT, CONSTANT),
                               lambda: S.kruskal(CONSTANT, CONSTANT), lambda: S.f_oneway(CONSTANT, CONSTANT),
                               lambda: S.levene(CONSTANT, CONSTANT)])
def test_constant_data_give_nan_and_a_warning(f):
    with pytest.warns(RuntimeWarning) as caught:
        result = f()
    assert np.isnan(result[0]) and np.isnan(result[1]) and len(caught) == 1
    assert caught[0].filename == __file__                             # it points at the caller


def test_constant_data_that_differ():
    with pytest.warns(RuntimeWarning, match="constant"):
        assert S.ttest_1samp(CONSTANT, 2) == (np.inf, 0) and S.ttest_1samp(CONSTANT, 3, alternative="less") == (-np.inf, 0)
    with pytest.warns(RuntimeWarning, match="constant"):
        assert S.f_oneway(CONSTANT, CONSTANT + 1) == (np.inf, 0)
    with pytest.warns(RuntimeWarning, match="constant"):
        assert S.cohen_d(CONSTANT, CONSTANT - 1) == np.inf
    with pytest.warns(RuntimeWarning, match="not defined"):
        assert np.isnan(S.zscore(CONSTANT)).all() and np.isnan(S.skew(CONSTANT)) and np.isnan(S.kurtosis(CONSTANT))
    assert S.mannwhitneyu(CONSTANT, CONSTANT) == (18, 1) and S.ks_2samp(CONSTANT, CONSTANT) == (0, 1)
    with pytest.raises(ValueError, match="constant"):
        S.gaussian_kde(CONSTANT)
    with pytest.raises(ValueError, match="x is constant"):
        S.linregress(CONSTANT, range(6))
    with pytest.raises(ValueError, match="not constant"):
        S.f_oneway(CONSTANT, [1, 2, 3], equal_var=False)
    with pytest.warns(RuntimeWarning, match="no spread"):
        assert np.isnan(S.bootstrap(CONSTANT, np.mean, n_resamples=9, random_state=0).confidence_interval).all()
    with pytest.warns(RuntimeWarning, match="constant"):
        flat = S.linregress(range(6), CONSTANT)
    assert flat.slope == 0 and flat.stderr == 0 and np.isnan(flat.rvalue)


@pytest.mark.parametrize(("f", "words"), [
    (lambda: S.f_oneway([1, 2, 3]), "at least two samples"), (lambda: S.kruskal([1, 2, 3]), "at least two samples"),
    (lambda: S.levene(), "at least two samples"),
    (lambda: S.chisquare([1, -2, 3]), "not negative"), (lambda: S.chi2_contingency([[1, -2], [3, 4]]), "not negative"),
    (lambda: S.fisher_exact([[1, -2], [3, 4]]), "not negative"), (lambda: S.mcnemar([[1, -2], [3, 4]]), "not negative"),
    (lambda: S.fisher_exact([[1.5, 2], [3, 4]]), "whole numbers"), (lambda: S.fisher_exact([[1, 2, 3], [3, 4, 5]]), r"\(2, 2\)"),
    (lambda: S.mcnemar([1, 2]), r"\(2, 2\)"), (lambda: S.chi2_contingency([[1, 2]]), "at least 2"),
    (lambda: S.chi2_contingency([[1, 0], [2, 0]]), "empty row or column"), (lambda: S.chi2_contingency([[np.nan, 1], [2, 3]]), "finite"),
    (lambda: S.chisquare([5]), "at least 2"), (lambda: S.chisquare([5, 6], [5, 5, 1]), "same shape"),
    (lambda: S.chisquare([5, 6], [5, 7]), "same sum"), (lambda: S.chisquare([5, 0], [5, 0]), "positive"),
    (lambda: S.chisquare([5, 6], ddof=1), "degree of freedom"),
    (lambda: S.binomtest(11, 10), "must not exceed"), (lambda: S.binomtest(-1, 10), "at least 0"),
    (lambda: S.binomtest(1, 0), "at least 1"), (lambda: S.binomtest(1, 5, 1.2), r"\[0, 1\]"), (lambda: S.binomtest(1.5, 5), "whole"),
    (lambda: S.proportion_confint(5, 4), "must not exceed"), (lambda: S.proportion_confint(1, 4, alpha=0), "alpha must lie strictly"),
    (lambda: S.proportion_confint(1, 4, alpha=1.0), "alpha must lie strictly"), (lambda: S.proportion_confint(True, 4), "whole"),
    (lambda: S.proportion_confint(1, 4, method="wald"), "method must be one of"),
    (lambda: S.confint_proportions_2indep(3, 2, 1, 4), "count1 must not exceed nobs1"),
    (lambda: S.confint_proportions_2indep(1, 2, 1, 4, "score"), "method must be one of"),
    (lambda: S.proportions_ztest(5, 10), "value"), (lambda: S.proportions_ztest([1, 2, 3], 10), "one or two"),
    (lambda: S.proportions_ztest([11, 2], 10), "must not exceed"), (lambda: S.proportions_ztest([1, 2], 10, alternative="up"), "alternative"),
    (lambda: S.multipletests([0.1, 1.2]), r"\[0, 1\]"), (lambda: S.multipletests([-0.1]), r"\[0, 1\]"),
    (lambda: S.multipletests([0.1, np.nan]), "nan"), (lambda: S.multipletests([]), "at least 1"),
    (lambda: S.multipletests([0.1], alpha=0), "alpha"), (lambda: S.multipletests([0.1], alpha=1.5), "alpha"),
    (lambda: S.multipletests([0.1], method="sidak"), "method must be one of"),
    (lambda: S.t_interval([1, 2, 3], 1.0), "confidence"), (lambda: S.t_interval([1, 2, 3], 95), "confidence"),
    (lambda: S.ttest_1samp([1, 2], np.nan), "popmean"), (lambda: S.ttest_ind([1, 2], [3, 4], alternative="both"), "alternative"),
    (lambda: S.pearsonr([1, 2, 3], [3, 4, 1], alternative="both"), "alternative"),
    (lambda: S.kendalltau([1, 1, 2], [1, 2, 3], method="exact"), "without ties"), (lambda: S.kendalltau([1, 2], [1, 2], method="x"), "method"),
    (lambda: S.mannwhitneyu([1, 1, 2], [1, 2], method="exact"), "without ties"), (lambda: S.wilcoxon([1, 2], zero_method="drop"), "zero_method"),
    (lambda: S.levene([1, 2], [2, 3], center="mode"), "center"), (lambda: S.ks_1samp([1, 2], lambda x: 2 * x), "probabilities"),
    (lambda: S.ks_1samp([1, 2], lambda x: 0.5), "shape"), (lambda: S.ks_2samp([1, 2], [3], method="fast"), "method"),
    (lambda: S.quantile([1, 2], 1.1), "q must lie"), (lambda: S.quantile([1, 2], np.nan), "q must lie"),
    (lambda: S.trim_mean([1, 2], 0.5), "proportiontocut"), (lambda: S.iqr([1, 2], rng=(75, 25)), "rising"), (lambda: S.var([1, 2], -1), "ddof"),
    (lambda: S.var([1, 2], 2), "at least 3"), (lambda: S.median_abs_deviation([1, 2], scale="n"), "scale"),
    (lambda: S.median_abs_deviation([1, 2], scale=0), "scale"), (lambda: S.gaussian_kde([1, 2], "best"), "bw_method"),
    (lambda: S.gaussian_kde([1, 2], -1), "bw_method"), (lambda: S.cov([1, 2, 3], [1, 2]), "same n"),
    (lambda: S.cov([[1, np.nan]]), "nan"), (lambda: S.cov([1]), "at least 2"),
    (lambda: S.mle_bernoulli([0, 2]), "zeros and ones"), (lambda: S.mle_poisson([1.5]), "whole numbers"), (lambda: S.mle_poisson([-1]), "whole"),
    (lambda: S.mle_exponential([-1.0, 2]), "not negative"), (lambda: S.mle_exponential([0.0]), "not all zero"),
    (lambda: S.beta_binomial_update(0, 1, 2, 3), "a must lie"), (lambda: S.beta_binomial_update(1, 1, -2, 3), "successes"),
    (lambda: S.normal_normal_update(0, 0, [1], 1), "tau0"), (lambda: S.normal_normal_update(0, 1, [1], -1), "sigma"),
    (lambda: S.power_ttest_ind(0.5, 1), "nobs"), (lambda: S.power_ttest_ind(np.nan, 10), "effect_size"),
    (lambda: S.power_ttest_ind(0.5, 10, 0), "alpha"), (lambda: S.sample_size_ttest_ind(0), "not be zero"),
    (lambda: S.sample_size_ttest_ind(0.5, power=1.0), "power"), (lambda: S.power_proportions_2indep(0.9, 0.2, 10), r"prop2 \+ diff"),
    (lambda: S.sample_size_proportions_2indep(0, 0.2), "not be zero"), (lambda: S.sample_size_ttest_ind(1e-6), "billion"),
    (lambda: S.bootstrap([1, 2, 3], np.mean, n_resamples=0), "n_resamples"), (lambda: S.bootstrap([1, 2, 3], np.mean, method="bca"), "method"),
    (lambda: S.bootstrap([1, 2, 3], np.mean, confidence_level=95), "confidence_level"), (lambda: S.bootstrap((), np.mean), "at least one"),
    (lambda: S.bootstrap(([1, 2], [1, 2, 3]), better, paired=True), "one length"),
    (lambda: S.bootstrap([1, 2, 3], lambda x: x), "one number"), (lambda: S.bootstrap([1, 2, np.nan], np.mean), "nan"),
    (lambda: S.permutation_test(([1, 2], [3, np.nan]), better), "nan"), (lambda: S.permutation_test(5, better), "tuple"),
    (lambda: S.permutation_test(([1, 2],), better), "takes 2"), (lambda: S.permutation_test(([1, 2], [3]), better, permutation_type="pairings"), "one length"),
    (lambda: S.permutation_test(([1, 2], [3]), better, permutation_type="shuffle"), "permutation_type"),
])
def test_refusals_say_what_was_expected(f, words):
    with pytest.raises(ValueError, match=words):
        f()


def test_wrong_types():
    for f in (lambda: S.chisquare(["a", "b"]), lambda: S.fisher_exact([["a", "b"], ["c", "d"]]), lambda: S.log_likelihood(3, [1.0]),
              lambda: S.bootstrap(["a", "b"], np.mean)):
        with pytest.raises(TypeError):
            f()


@pytest.mark.parametrize("f", [lambda: S.chisquare([3, 4, 2]), lambda: S.chi2_contingency([[3, 2], [4, 2]])])
def test_small_expected_counts_warn(f):
    with pytest.warns(RuntimeWarning, match="below 5"):
        f()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        S.chisquare([30, 40, 20]), S.chi2_contingency([[30, 20], [40, 20]]), S.association([[3, 2], [4, 2]])


def test_degenerate_tables_and_rates():
    assert S.fisher_exact([[0, 0], [3, 4]])[1] == 1 and np.isnan(S.fisher_exact([[0, 0], [3, 4]])[0])
    with pytest.warns(RuntimeWarning, match="constant"):
        assert np.isnan(S.proportions_ztest([0, 0], 10)[0])
    with pytest.warns(RuntimeWarning, match="discordant"):
        assert S.mcnemar([[5, 0], [0, 5]], exact=False).pvalue == 1
    assert S.log_likelihood(Exponential(1), [1.0, -1]) == -np.inf


def test_ties_share_their_ranks():
    ranks, counts = S._ranks(np.array([10.0, 20, 20, 5, 20]))
    assert ranks.tolist() == [2, 4, 4, 1, 4] and counts.tolist() == [1, 1, 3]
    x = np.random.default_rng(0).integers(0, 9, 200).astype(float)
    np.testing.assert_array_equal(S._ranks(x)[0], stats.rankdata(x))
