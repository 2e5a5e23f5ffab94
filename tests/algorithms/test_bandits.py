"""Bandits against loops, exact probabilities and published shares; same run for all n_jobs; bad input."""
import importlib.util
import sys

import gymnasium as gym
import numpy as np
import pytest
import scipy.stats
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.algorithms import bandits as ours

AGENTS = {"greedy": lambda: ours.EpsilonGreedy(0.0), "epsilon": lambda: ours.EpsilonGreedy(0.1),
          "falling": lambda: ours.EpsilonGreedy(lambda t: 1 / t), "fading": lambda: ours.EpsilonGreedy(0.1, step_size=0.2, initial=1.0),
          "ucb": lambda: ours.UCB(1.0), "gradient": lambda: ours.GradientBandit(0.2), "thompson": lambda: ours.ThompsonSampling()}
FAMILIES = {"bernoulli": lambda: ours.BernoulliBandit([0.2, 0.5, 0.6]), "gaussian": lambda: ours.GaussianBandit(3),
            "fixed": lambda: ours.GaussianBandit(3, means=[0.0, 1.0, 2.0], scale=2.0), "drift": lambda: ours.GaussianBandit(3, drift=0.1)}


# --- epsilon-greedy

@settings(max_examples=50)
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=7), st.floats(0, 1), st.booleans())
def test_probabilities_sum_to_one_and_follow_the_loop(q, epsilon, others):
    pi = ours.epsilon_greedy_probabilities(q, epsilon, exclude_greedy=others)
    best, k, expected = [a for a in range(len(q)) if q[a] == max(q)], len(q), np.zeros(len(q))
    for greedy in best:                                       # each of the best is the greedy one equally often
        for a in range(k):
            if others and k > 1:
                expected[a] += (1 - epsilon if a == greedy else epsilon / (k - 1)) / len(best)
            else:
                expected[a] += ((1 - epsilon) * (a == greedy) + epsilon / k) / len(best)
    np.testing.assert_allclose(pi, expected, atol=1e-12)
    assert abs(pi.sum() - 1) < 1e-12 and (pi >= 0).all()


@pytest.mark.parametrize("q", [[0.0, 1.0, 0.5], [1.0, 1.0, 0.0, 1.0], [0.0, 0.0]], ids=["one", "three", "all"])
@pytest.mark.parametrize("epsilon", [0.0, 0.25, 1.0])
def test_actions_are_drawn_with_these_probabilities(q, epsilon):
    rng, pi = np.random.default_rng(0), ours.epsilon_greedy_probabilities(q, epsilon)
    counts = np.bincount([ours.epsilon_greedy(np.array(q), epsilon, rng) for _ in range(4000)], minlength=len(q))
    assert not counts[pi == 0].any()
    assert scipy.stats.chisquare(counts[pi > 0], 4000 * pi[pi > 0]).pvalue > 1e-3 or (pi > 0).sum() == 1


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, np.nan])
def test_epsilon_out_of_range(epsilon):
    rng = np.random.default_rng(0)
    for call in (lambda: ours.epsilon_greedy(np.zeros(2), epsilon, rng), lambda: ours.epsilon_greedy_probabilities([0, 1], epsilon),
                 lambda: ours.EpsilonGreedy(epsilon),
                 lambda: ours.run_bandit(ours.EpsilonGreedy(lambda t: epsilon), FAMILIES["bernoulli"](), 2, 2)):
        with pytest.raises(ValueError, match=r"epsilon.* must lie in \[0, 1\]"):
            call()


@pytest.mark.parametrize("q", [[np.nan, 0.0], [], [[0.0, 1.0]]], ids=["nan", "empty", "matrix"])
def test_values_that_are_no_row(q):
    with pytest.raises(ValueError, match="q_row"):
        ours.epsilon_greedy_probabilities(q, 0.1)
    if len(q) == 2:
        with pytest.raises(ValueError, match="nan"):
            ours.epsilon_greedy(np.array(q), 0.0, np.random.default_rng(0))


# --- environments

@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_bandits_are_environments(family):
    check_env(FAMILIES[family](), skip_render_check=True)
    env = FAMILIES[family]()
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=3)
    with pytest.raises(ValueError, match="0..2"):
        env.step(3)
    first = [env.step(1)[1] for _ in range(5)]
    env.reset(seed=3)
    assert first == [env.step(1)[1] for _ in range(5)]


def test_means_of_the_arms():
    env = ours.BernoulliBandit([0.2, 0.9])
    env.reset(seed=0)
    paid = [env.step(1)[1] for _ in range(3000)]
    assert set(paid) == {0.0, 1.0} and abs(np.mean(paid) - 0.9) < 4 * np.sqrt(0.09 / 3000)
    rng = np.random.default_rng(0)
    fixed = ours.GaussianBandit(2, means=[1.0, -1.0], scale=3.0)
    drawn = fixed.pull(np.full(20_000, 1.0), rng)
    assert abs(drawn.mean() - 1) < 0.1 and abs(drawn.std() - 3) < 0.1
    problems = ours.GaussianBandit(4).problems(5000, rng)
    assert scipy.stats.kstest(problems.ravel(), "norm").pvalue > 1e-3
    assert np.array_equal(ours.GaussianBandit(3, random_state=5).means, ours.GaussianBandit(3, random_state=5).means)


def test_drift_moves_the_means():
    env = ours.GaussianBandit(3, means=[0.0, 0.0, 0.0], drift=0.5)
    env.reset(seed=0)
    env.step(0)
    assert np.all(env.means != 0)
    env.reset(seed=0)
    assert np.all(env.means == 0)


@pytest.mark.parametrize("make, message", [
    (lambda: ours.BernoulliBandit([0.5]), "two probabilities"), (lambda: ours.BernoulliBandit([0.5, 1.2]), "two probabilities"),
    (lambda: ours.BernoulliBandit([0.5, np.nan]), "two probabilities"), (lambda: ours.GaussianBandit(1), "k must be"),
    (lambda: ours.GaussianBandit(2.5), "k must be"), (lambda: ours.GaussianBandit(3, means=[0, 1]), "3 finite numbers"),
    (lambda: ours.GaussianBandit(2, means=[0, np.inf]), "2 finite numbers"), (lambda: ours.GaussianBandit(2, scale=0), "scale"),
    (lambda: ours.GaussianBandit(2, drift=-1), "drift"), (lambda: ours.UCB(-1), "c must be"), (lambda: ours.UCB(np.inf), "c must be"),
    (lambda: ours.GradientBandit(0), "alpha"), (lambda: ours.GradientBandit(-1), "alpha"), (lambda: ours.GradientBandit(np.nan), "alpha"),
    (lambda: ours.EpsilonGreedy(0.1, step_size=0), "step_size"), (lambda: ours.EpsilonGreedy(0.1, step_size=1.5), "step_size"),
    (lambda: ours.run_bandit(ours.UCB(1), FAMILIES["fixed"](), 0, 1), "steps"),
    (lambda: ours.run_bandit(ours.UCB(1), FAMILIES["fixed"](), 1, 0), "runs"),
    (lambda: ours.run_bandit(ours.UCB(1), FAMILIES["fixed"](), 1, True), "runs"),
], ids=range(19))
def test_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- runs

@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_keeps_its_books(agent, family):
    run = ours.run_bandit(AGENTS[agent](), FAMILIES[family](), 40, 30, random_state=1)
    again = ours.run_bandit(AGENTS[agent](), FAMILIES[family](), 40, 30, random_state=1)
    assert set(run) == {"reward", "optimal", "regret"} and all(x.shape == (40,) for x in run.values())
    assert all(np.array_equal(run[key], again[key]) for key in run)
    assert (np.diff(run["regret"]) >= 0).all() and (0 <= run["optimal"]).all() and (run["optimal"] <= 1).all()


@pytest.mark.parametrize("agent", ["epsilon", "ucb", "gradient"])
def test_same_run_for_all_n_jobs(agent):
    runs = [ours.run_bandit(AGENTS[agent](), FAMILIES["gaussian"](), 15, 1100, n_jobs=n, random_state=0) for n in (None, 1, 2)]
    for other in runs[1:]:
        assert all(np.array_equal(runs[0][key], other[key]) for key in runs[0])
    other = ours.run_bandit(AGENTS[agent](), FAMILIES["gaussian"](), 15, 1100, random_state=1)
    assert not np.array_equal(runs[0]["reward"], other["reward"])


def test_runs_follow_the_drift():
    still, moving = (ours.GaussianBandit(3, means=[0.0, 0.0, 0.0], drift=d) for d in (0.0, 0.1))
    agent = ours.EpsilonGreedy(0.1, step_size=0.2)
    assert ours.run_bandit(agent, still, 100, 200, random_state=0)["regret"][-1] == 0
    regret = ours.run_bandit(agent, moving, 400, 200, random_state=0)["regret"]
    assert regret[0] == 0 and regret[-1] > 20
    forgetful, clinging = (ours.run_bandit(ours.EpsilonGreedy(0.1, step_size=s), moving, 800, 200, random_state=0) for s in (0.2, None))
    assert forgetful["regret"][-1] < 0.8 * clinging["regret"][-1]


def test_reward_and_regret_add_up():
    bandit = FAMILIES["fixed"]()
    run = ours.run_bandit(ours.EpsilonGreedy(0.2), bandit, 200, 2000, random_state=0)
    assert abs(200 * 2.0 - run["reward"].sum() - run["regret"][-1]) < 4 * 2.0 * np.sqrt(200 / 2000)


@pytest.mark.parametrize("name, agent, share", [
    ("greedy", lambda: ours.EpsilonGreedy(0.0), 0.35), ("0.1", lambda: ours.EpsilonGreedy(0.1), 0.80),
    ("ucb 2", lambda: ours.UCB(2.0), 0.85), ("ucb 1", lambda: ours.UCB(1.0), 0.93),
    ("optimistic", lambda: ours.EpsilonGreedy(0.0, step_size=0.1, initial=5.0), 0.86),
    ("thompson", lambda: ours.ThompsonSampling(), 0.92),
])
def test_published_shares_of_the_best_arm(name, agent, share):
    run = ours.run_bandit(agent(), ours.GaussianBandit(10), 1000, 2000, random_state=0)
    assert abs(run["optimal"][-100:].mean() - share) < 0.02


def test_small_epsilon_after_a_thousand_steps():
    """0.595 +- 0.006 over 6000 runs: one run of 2000 may well give the 0.58 that is often printed."""
    run = ours.run_bandit(ours.EpsilonGreedy(0.01), ours.GaussianBandit(10), 1000, 2000, random_state=0)
    assert abs(run["optimal"][-100:].mean() - 0.595) < 0.02


def test_long_run_regret_of_a_constant_epsilon():
    run = ours.run_bandit(ours.EpsilonGreedy(0.1), ours.GaussianBandit(2, means=[0.0, 1.0]), 3000, 400, random_state=0)
    assert abs(np.diff(run["regret"])[-1500:].mean() - 0.05) < 0.002


def test_the_baseline_saves_a_gradient_bandit_far_from_zero():
    high = ours.GaussianBandit(5, means=[4.0, 4.5, 5.0, 5.5, 6.0])
    share = [ours.run_bandit(ours.GradientBandit(0.4, baseline=b), high, 300, 500, random_state=0)["optimal"][-50:].mean()
             for b in (True, False)]
    assert share[0] > share[1] + 0.15


# --- agents in loop form

def test_ucb_follows_the_loop():
    agent, rng, data = ours.UCB(0.7), np.random.default_rng(0), np.random.default_rng(1)
    state = agent.start(FAMILIES["fixed"](), 1)
    n, total = [0] * 3, [0.0] * 3
    for t in range(1, 60):
        chosen = int(agent.act(state, t, rng)[0])
        if 0 in n:
            assert n[chosen] == 0
        else:
            bound = [total[a] / n[a] + 0.7 * np.sqrt(np.log(t) / n[a]) for a in range(3)]
            assert chosen == int(np.argmax(bound))
        reward = data.normal()
        agent.update(state, np.array([chosen]), np.array([reward]))
        n[chosen] += 1
        total[chosen] += reward
    np.testing.assert_allclose(state["q"][0], np.array(total) / n)


def test_gradient_bandit_follows_the_loop():
    agent, rng, data = ours.GradientBandit(0.3), np.random.default_rng(0), np.random.default_rng(1)
    state, h, rewards = agent.start(FAMILIES["fixed"](), 1), np.zeros(3), []
    for t in range(1, 40):
        chosen = int(agent.act(state, t, rng)[0])
        pi = [np.exp(x) / sum(np.exp(h)) for x in h]
        np.testing.assert_allclose(state["pi"][0], pi, atol=1e-12)
        reward = data.normal()
        agent.update(state, np.array([chosen]), np.array([reward]))
        baseline = np.mean(rewards) if rewards else 0.0
        h = np.array([h[a] + 0.3 * (reward - baseline) * ((a == chosen) - pi[a]) for a in range(3)])
        rewards.append(reward)
    np.testing.assert_allclose(state["h"][0], h, atol=1e-12)


def test_gradient_bandit_draws_from_its_softmax_and_survives_large_preferences():
    agent = ours.GradientBandit(0.3)
    state = agent.start(FAMILIES["fixed"](), 20_000)
    state["h"][:] = [0.0, 1.0, -1.0]
    counts = np.bincount(agent.act(state, 1, np.random.default_rng(0)), minlength=3)
    assert scipy.stats.chisquare(counts, 20_000 * np.exp([0, 1, -1]) / np.exp([0, 1, -1]).sum()).pvalue > 1e-3
    state["h"][:] = [1000.0, 0.0, -1000.0]
    assert (agent.act(state, 1, np.random.default_rng(0)) == 0).all() and np.isfinite(state["pi"]).all()


def test_thompson_knows_the_scale_of_the_rewards():
    agent, bandit = ours.ThompsonSampling(), FAMILIES["fixed"]()
    state = agent.start(bandit, 40_000)
    state["n"][:], state["sum"][:] = [8, 0, 50_000_000], [8.0, 0, -5e8]
    draws_first = agent.act(state, 1, np.random.default_rng(0)) == 0
    precision = 1 + 8 / 4
    p = scipy.stats.norm.cdf((8 / 4 / precision) / np.sqrt(1 / precision + 1))
    assert abs(draws_first.mean() - p) < 4 * np.sqrt(p * (1 - p) / 40_000)


@pytest.mark.parametrize("agent", ["epsilon", "ucb"])
def test_ties_are_broken_evenly(agent):
    state = AGENTS[agent]().start(FAMILIES["fixed"](), 9000)
    counts = np.bincount(AGENTS[agent]().act(state, 1, np.random.default_rng(0)), minlength=3)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_missing_gymnasium_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "mlcheat.algorithms.reinforcement_learning", raising=False)
    spec = importlib.util.spec_from_file_location("mlcheat.algorithms.without_gymnasium", ours.__file__)
    with pytest.raises(ImportError, match=r"pip install mlcheat\[rl\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
