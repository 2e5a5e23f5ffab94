"""Tabular learners against exact planning, loops and each other; truncation, spaces, old interfaces, bad input."""
import itertools
import math
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcheat.algorithms import tabular as ours
from mlcheat.algorithms.bandits import epsilon_greedy_probabilities
from mlcheat.algorithms.reinforcement_learning import (blackjack_exact, evaluate, finite_horizon, mdp_from_env,
                                                       policy_evaluation, q_from_v, value_iteration)

LEARNERS = {"mc_control": ours.mc_control, "sarsa": ours.sarsa, "expected_sarsa": ours.expected_sarsa,
            "q_learning": ours.q_learning, "double_q_learning": ours.double_q_learning,
            "n_step_sarsa": ours.n_step_sarsa, "dyna_q": ours.dyna_q}
PREDICTORS = {"mc_prediction": ours.mc_prediction, "td_prediction": ours.td_prediction}
every_learner = pytest.mark.parametrize("name", LEARNERS)
WALK, COIN = ours.RandomWalk(5), np.full((7, 2), 0.5)


class Fake(gym.Env):
    """One step whose answer the test chooses; two states, two actions."""

    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def __init__(self, answer=(1, 3.0, False, True, {})):
        self.answer = answer

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return self.answer


# ---------------------------------------------------------------------------------------------------------- environments

@pytest.mark.parametrize("make", [ours.RandomWalk, ours.DynaMaze])
@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_environments_pass_the_inspection_of_gymnasium(make, render_mode):
    name = f"mlcheatTest/{make.__name__}-v0"
    if name not in gym.registry:
        gym.register(name, make)
    env = gym.make(name, render_mode=render_mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=False)


@pytest.mark.parametrize("n", [1, 2, 5, 19])
def test_values_of_the_walk(n):
    model = mdp_from_env(ours.RandomWalk(n), gamma=1.0)
    v = policy_evaluation(model, np.full((n + 2, 2), 0.5), method="solve")
    np.testing.assert_allclose(v[1:-1], np.arange(1, n + 1) / (n + 1), atol=1e-12)


def test_shortest_path_of_the_maze_has_fourteen_steps():
    v = value_iteration(mdp_from_env(ours.DynaMaze(), gamma=0.95))[0]
    assert v[18] == pytest.approx(0.95**13)
    assert ours.DynaMaze().P[18][0] == [(1.0, 9, 0.0, False)]


@pytest.mark.parametrize("env", [ours.RandomWalk(3), ours.DynaMaze(["SG"])], ids=["walk", "maze"])
def test_no_step_before_the_reset_or_after_the_end(env):
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(1)
    env.reset(seed=0)
    while not env.step(1)[2]:
        pass
    with pytest.raises(gym.error.ResetNeeded, match="over"):
        env.step(1)


@pytest.mark.parametrize("make, message", [
    (lambda: ours.RandomWalk(0), "n must be at least 1"),
    (lambda: ours.RandomWalk(3, render_mode="human"), "render_mode"),
    (lambda: ours.DynaMaze(["SG", "."]), "one length"),
    (lambda: ours.DynaMaze(["SS.G"]), "one S"),
    (lambda: ours.DynaMaze(["S.x.G"]), "one S"),
])
def test_environments_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_environments_refuse_actions_and_draw_the_agent():
    walk = ours.RandomWalk(3, render_mode="rgb_array")
    walk.reset(seed=0)
    before = walk.render()
    with pytest.raises(ValueError, match="action must be one of"):
        walk.step(2)
    walk.step(1)
    assert before.shape == (24, 120, 3) and before.dtype == np.uint8
    assert not np.array_equal(before, walk.render())
    quiet = ours.RandomWalk(3)
    quiet.reset()
    assert quiet.render() is None


# ------------------------------------------------------------------------------------------------------------ prediction

@settings(max_examples=40)
@given(rewards=st.lists(st.floats(-10, 10), min_size=1, max_size=12), gamma=st.floats(0, 1), last=st.floats(-5, 5))
def test_returns_are_discounted_sums(rewards, gamma, last):
    full = [*rewards, last]
    expected = [sum(gamma**k * r for k, r in enumerate(full[t:])) for t in range(len(rewards))]
    np.testing.assert_allclose(ours.returns_of(rewards, gamma, last), expected, atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
@pytest.mark.parametrize("first_visit", [True, False])
def test_monte_carlo_within_four_standard_errors(gamma, first_visit):
    exact = policy_evaluation(mdp_from_env(WALK, gamma=gamma), COIN, method="solve")
    runs = np.array([ours.mc_prediction(WALK, COIN, 200, gamma=gamma, first_visit=first_visit, random_state=i).v
                     for i in range(25)])
    error = runs.mean(axis=0) - exact
    standard = runs.std(axis=0, ddof=1) / 5
    assert (np.abs(error)[1:6] < 4 * standard[1:6]).all()


@pytest.mark.parametrize("options", [{}, {"n": 3}, {"n": math.inf}, {"lam": 0.7}, {"lam": 0.7, "traces": "accumulating"},
                                     {"lam": 0.7, "traces": "replacing"}], ids=["td0", "n3", "mc", "dutch", "acc", "rep"])
def test_td_within_four_standard_errors(options):
    exact = policy_evaluation(mdp_from_env(WALK, gamma=0.9), COIN, method="solve")
    runs = np.array([ours.td_prediction(WALK, COIN, 300, gamma=0.9, alpha=lambda k: 1 / (4 + 0.15 * k), random_state=i,
                                        **options).v for i in range(25)])
    error, standard = runs.mean(axis=0) - exact, runs.std(axis=0, ddof=1) / 5
    assert (np.abs(error)[1:6] < 4 * standard[1:6] + 0.004).all()


@settings(max_examples=40)
@given(data=st.data())
def test_ends_of_the_families_agree(data):
    size = data.draw(st.integers(1, 15))
    states = data.draw(st.lists(st.integers(0, 4), min_size=size + 1, max_size=size + 1))
    rewards = data.draw(st.lists(st.floats(-3, 3), min_size=size, max_size=size))
    ended, gamma = data.draw(st.booleans()), data.draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    alpha = data.draw(st.floats(0.01, 1))
    v = np.array(data.draw(st.lists(st.floats(-2, 2), min_size=5, max_size=5)))

    def learn(**options):
        return ours.td_update(v, states, rewards, ended, alpha=alpha, gamma=gamma, **options)

    kept = v.copy()
    one, whole = v.copy(), v.copy()
    for t in range(size):                                                        # TD(0), literally
        after = 0.0 if ended and t == size - 1 else one[states[t + 1]]
        one[states[t]] += alpha * (rewards[t] + gamma * after - one[states[t]])
    np.testing.assert_allclose(learn(n=1), one, atol=1e-9)
    np.testing.assert_allclose(learn(lam=0), one, atol=1e-9)
    for traces in ("accumulating", "replacing"):
        np.testing.assert_allclose(learn(lam=0, traces=traces), one, atol=1e-9)
    for t in range(size):                                                        # Monte Carlo, literally
        g = sum(gamma ** (k - t) * rewards[k] for k in range(t, size))
        g += 0 if ended else gamma ** (size - t) * whole[states[size]]
        whole[states[t]] += alpha * (g - whole[states[t]])
    np.testing.assert_allclose(learn(n=math.inf), whole, atol=1e-9)
    np.testing.assert_allclose(learn(n=size + 3), whole, atol=1e-9)
    if ended:
        np.testing.assert_allclose(learn(lam=1), whole, atol=1e-9)
    assert np.array_equal(v, kept)


def test_dutch_traces_are_the_online_lambda_return():
    rng = np.random.default_rng(0)
    states, rewards, v0, alpha, gamma, lam = rng.integers(0, 4, 9), rng.normal(size=8), rng.normal(size=4), 0.4, 0.9, 0.7
    history = [v0]                                                               # v after h steps, for each horizon h
    for horizon in range(1, 9):
        def value(k, history=history):                                           # of S_k, as the table stood one step earlier
            return 0.0 if k == 8 else history[k - 1][states[k]]

        v = v0.copy()
        for t in range(horizon):
            g = {n: sum(gamma**j * rewards[t + j] for j in range(n)) + gamma**n * value(t + n) for n in range(1, horizon - t + 1)}
            mixed = (1 - lam) * sum(lam ** (n - 1) * g[n] for n in range(1, horizon - t)) + lam ** (horizon - t - 1) * g[horizon - t]
            v[states[t]] += alpha * (mixed - v[states[t]])
        history.append(v)
    found = ours.td_update(v0, states.tolist(), rewards.tolist(), True, alpha=alpha, gamma=gamma, lam=lam)
    np.testing.assert_allclose(found, history[-1], atol=1e-12)


@pytest.mark.parametrize("predict", PREDICTORS.values(), ids=PREDICTORS)
def test_prediction_with_the_same_seed_is_the_same(predict):
    a, b, c = (predict(WALK, COIN, 30, random_state=seed) for seed in (4, 4, 5))
    assert np.array_equal(a.v, b.v) and np.array_equal(a.lengths, b.lengths) and not np.array_equal(a.v, c.v)
    assert a.visits.sum() == a.lengths.sum() or predict is ours.mc_prediction


def test_policies_as_actions_probabilities_and_functions():
    right = np.ones(7, int)
    runs = [ours.td_prediction(WALK, p, 10, random_state=0).v for p in (right, np.eye(2)[right], lambda s: 1)]
    assert np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0], runs[2])


def test_prediction_of_truncated_episodes_keeps_the_future():
    start = np.array([0.0, 10.0])
    v = ours.td_prediction(Fake(), [0, 0], 1, alpha=0.5, gamma=0.9, initial=start).v
    np.testing.assert_allclose(v, [0.5 * (3 + 9), 10])
    v = ours.mc_prediction(Fake(), [0, 0], 1, gamma=0.9, initial=start).v
    np.testing.assert_allclose(v, [3 + 9, 10])
    ended = Fake((1, 3.0, True, False, {}))
    np.testing.assert_allclose(ours.td_prediction(ended, [0, 0], 1, alpha=0.5, gamma=0.9, initial=start).v, [1.5, 10])
    np.testing.assert_allclose(ours.mc_prediction(ended, [0, 0], 1, gamma=0.9, initial=start).v, [3, 10])


@pytest.mark.parametrize("weighted", [True, False])
def test_importance_sampling_is_right_in_the_long_run(weighted):
    target = np.tile([0.4, 0.6], (7, 1))
    exact = policy_evaluation(mdp_from_env(WALK, gamma=1.0), target, method="solve")
    found = ours.mc_prediction(WALK, target, 6000, behaviour=COIN, weighted=weighted, random_state=0).v
    np.testing.assert_allclose(found[1:6], exact[1:6], atol=0.05)


def test_importance_sampling_with_equal_policies_is_the_mean():
    plain = ours.mc_prediction(WALK, COIN, 50, random_state=0).v
    for weighted in (True, False):
        found = ours.mc_prediction(WALK, COIN, 50, behaviour=COIN, weighted=weighted, random_state=0).v
        np.testing.assert_allclose(found, plain, atol=1e-12)


def test_predictor_and_batch():
    seen = [([0, 1, 2], [0, 0], True), *[([1, 2], [1], True)] * 6, ([1, 2], [0], True)]
    assert ours.batch_values(seen, 3).tolist() == [0.75, 0.75, 0.0]
    assert ours.batch_values(seen, 3, method="mc").tolist() == [0.0, 0.75, 0.0]
    with pytest.raises(ValueError, match="lead from every state to an end"):
        ours.batch_values([([0, 0], [1], False)], 1)
    with pytest.raises(ValueError, match="one was cut"):
        ours.batch_values([([0, 1], [1], False)], 2, method="mc")
    with pytest.raises(ValueError, match="method must be"):
        ours.batch_values(seen, 3, method="lstd")
    assert ours.batch_values([([0, 1], [1.0], False)], 2).tolist() == [1.0, 0.0]


def test_accumulating_traces_that_diverge_warn():
    with pytest.warns(RuntimeWarning, match="diverge"):
        ours.td_prediction(ours.RandomWalk(9), np.full((11, 2), 0.5), 100, alpha=1.0, lam=1.0, traces="accumulating",
                           random_state=0)


def test_published_errors_of_the_nineteen_states():
    long_walk, coin, truth = ours.RandomWalk(19, left=-1.0), np.full((21, 2), 0.5), np.arange(-9, 10) / 10
    for n, alpha, published in ((1, 0.8, 0.347), (4, 0.4, 0.267)):
        errors = []
        for run in range(40):
            path = []
            ours.td_prediction(long_walk, coin, 10, alpha=alpha, n=n, random_state=run,
                               callback=lambda e, g, t, values, path=path: path.append(values()[1:20]))
            errors.append(np.sqrt(np.mean((np.array(path) - truth) ** 2, axis=1)).mean())
        assert np.mean(errors) == pytest.approx(published, abs=4 * np.std(errors) / np.sqrt(40))


# --------------------------------------------------------------------------------------------------------------- control

@every_learner
def test_learners_find_the_way_through_a_small_maze(name):
    maze = ours.DynaMaze(["S..", ".#.", "..G"])
    found = LEARNERS[name](maze, 300, gamma=0.9, epsilon=0.2, alpha=0.3, random_state=0)
    episode = found.replay(maze)
    assert episode.terminated and len(episode.actions) == 4
    assert found.q.shape == (9, 4) and len(found.returns) == len(found.lengths) == 300
    assert (np.abs(found.q) <= 1 + 1e-12).all()


@every_learner
def test_learners_with_the_same_seed_agree(name):
    maze = ours.DynaMaze(["S..", ".#.", "..G"])
    a, b, c = (LEARNERS[name](maze, 5, alpha=0.3, random_state=seed) for seed in (1, np.random.default_rng(1), 2))
    assert np.array_equal(a.q, b.q) and np.array_equal(a.lengths, b.lengths)
    assert not np.array_equal(a.lengths, c.lengths)


START = np.array([[2.0, 2.0], [10.0, 20.0]])
EPS, G, ALPHA = 0.4, 0.9, 0.5
FUTURES = {"mc_control": [0.8 * 20 + 0.2 * 10], "sarsa": [10, 20], "expected_sarsa": [0.8 * 20 + 0.2 * 10], "q_learning": [20],
           "double_q_learning": [20], "n_step_sarsa": [10, 20], "dyna_q": [20]}


@every_learner
@pytest.mark.parametrize("ending", ["terminated", "truncated", "max_steps"])
def test_truncation_keeps_the_future_and_termination_has_none(name, ending):
    answer = (1, 3.0, ending == "terminated", ending == "truncated", {})
    options = {"max_steps": 1} if ending == "max_steps" else {}
    options |= {"planning": 0} if name == "dyna_q" else {}
    moved = []
    for seed in range(25):
        q = LEARNERS[name](Fake(answer), 1, alpha=ALPHA, gamma=G, epsilon=EPS, initial=START, random_state=seed, **options).q
        assert (q != START).sum() == 1
        moved.append((q - START)[q != START][0])
    futures = [0] if ending == "terminated" else FUTURES[name]
    share = 0.5 if name == "double_q_learning" else 1.0
    np.testing.assert_allclose(np.unique(np.round(moved, 9)), sorted(share * ALPHA * (3 + G * f - 2) for f in futures))


class Noisy(gym.Env):
    """0 leads to 1, where eight actions pay noise of mean 0 and end the episode."""

    observation_space, action_space = gym.spaces.Discrete(3), gym.spaces.Discrete(8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = 0
        return 0, {}

    def step(self, action):
        self.s += 1
        return self.s, 0.0 if self.s == 1 else self.np_random.normal(), self.s == 2, False, {}


def test_one_table_too_hopeful_two_are_not():
    options = {"alpha": 0.1, "gamma": 1.0, "epsilon": 1.0}
    single, double = (np.array([learn(Noisy(), 600, random_state=i, **options).q[0].mean() for i in range(12)])
                      for learn in (ours.q_learning, ours.double_q_learning))
    assert single.mean() > 0.25
    assert abs(double.mean()) < 4 * double.std() / np.sqrt(12) < 0.15


def test_expected_sarsa_with_a_greedy_target_is_q_learning():
    cliff = gym.make("CliffWalking-v1")
    options = {"alpha": 0.4, "gamma": 0.95, "epsilon": 0.2, "random_state": 7}
    np.testing.assert_allclose(ours.expected_sarsa(cliff, 20, target_epsilon=0.0, **options).q,
                               ours.q_learning(cliff, 20, **options).q, atol=1e-12)


def test_n_step_sarsa_between_sarsa_and_monte_carlo():
    options = {"alpha": 0.2, "gamma": 0.9, "epsilon": 0.3, "random_state": 3}
    assert np.array_equal(ours.n_step_sarsa(WALK, 50, n=1, **options).q, ours.sarsa(WALK, 50, **options).q)
    np.testing.assert_allclose(ours.n_step_sarsa(WALK, 50, n=math.inf, **options).q,
                               ours.mc_control(WALK, 50, first_visit=False, **options).q, atol=1e-12)


def test_n_step_sarsa_against_the_definition():
    seen, maze = [], ours.DynaMaze(["S..", "..G"])

    class Log(gym.Wrapper):
        def reset(self, **options):
            out = self.env.reset(**options)
            seen.append([out[0]])
            return out

        def step(self, action):
            out = self.env.step(action)
            seen[-1] += [action, out[1], out[0]]
            return out

    q = ours.n_step_sarsa(Log(maze), 8, n=2, alpha=0.3, gamma=0.8, epsilon=0.5, random_state=0).q
    table = np.zeros((6, 4))
    for log in seen:
        s, a, r = log[0::3], log[1::3], log[2::3]
        T = len(a)
        for t in range(T):
            g = sum(0.8 ** (k - t) * r[k] for k in range(t, min(t + 2, T)))
            g += 0.8**2 * table[s[t + 2], a[t + 2]] if t + 2 < T else 0
            table[s[t], a[t]] += 0.3 * (g - table[s[t], a[t]])
    np.testing.assert_allclose(q, table, atol=1e-12)


def test_dyna_without_planning_is_q_learning_and_with_it_is_exact():
    maze = ours.DynaMaze(["S..", ".#.", "..G"])
    options = {"alpha": 0.3, "gamma": 0.9, "random_state": 0}
    assert np.array_equal(ours.dyna_q(maze, 20, planning=0, **options).q, ours.q_learning(maze, 20, **options).q)
    model = mdp_from_env(maze, gamma=0.9)
    exact = q_from_v(model, value_iteration(model)[0])
    found = ours.dyna_q(maze, 60, planning=60, alpha=1.0, gamma=0.9, epsilon=1.0, random_state=0).q
    reached = [s for s in range(9) if s not in (4, 8)]
    np.testing.assert_allclose(found[reached], exact[reached], atol=1e-9)


def test_q_learning_reaches_the_best_values_of_the_slippery_lake():
    lake = gym.make("FrozenLake-v1")
    model = mdp_from_env(lake, gamma=0.99)
    best = value_iteration(model)[1]
    limit = finite_horizon(model.with_gamma(1.0), best, 100)[0]
    assert limit == pytest.approx(0.7402, abs=5e-5)
    found = ours.learn_vectorized(ours.TabularVectorEnv(lake, 64), 6000, alpha=0.05, epsilon=0.3, random_state=0)
    assert finite_horizon(model.with_gamma(1.0), found.policy, 100)[0] > 0.72


def test_numbers_of_the_dyna_maze():
    second = [ours.dyna_q(ours.DynaMaze(), 2, planning=50, random_state=i).lengths[1] for i in range(20)]
    assert np.mean(second) == pytest.approx(40, abs=4 * np.std(second) / np.sqrt(20))


def test_numbers_of_the_cliff():
    envs = ours.TabularVectorEnv(gym.make("CliffWalking-v1"), 20)
    for method, published in (("q_learning", -49.5), ("expected_sarsa", -20.8)):
        runs = ours.learn_vectorized(envs, 14_000, method=method, alpha=0.5, gamma=1.0, shared=False, random_state=1)
        assert len(runs) == 20 and min(len(run.returns) for run in runs) >= 500
        means = [run.returns[400:500].mean() for run in runs]
        assert np.mean(means) == pytest.approx(published, abs=4 * np.std(means) / np.sqrt(20))
        ends = {run.replay(gym.make("CliffWalking-v1"), max_steps=50).total for run in runs}
        assert ends == {-13.0 if method == "q_learning" else -15.0}


def test_blackjack_space_is_a_tuple_and_policies_get_better():
    game = gym.make("Blackjack-v1", disable_env_checker=True)
    found = ours.mc_control(game, 6000, random_state=0)
    assert found.q.shape == (32, 11, 2, 2) and found.policy.shape == (32, 11, 2)
    value = blackjack_exact(policy=found.policy[12:22, 1:11])[0]
    assert -0.15 < value < blackjack_exact()[0]
    assert found.act((21, 5, 0)) == 0 and isinstance(found.act((21, 5, 0)), int)


class Two(gym.Env):
    """MultiDiscrete states and actions; the right pair of actions pays 1."""

    observation_space = gym.spaces.MultiDiscrete([2, 3], start=[5, -1])
    action_space = gym.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = np.array([5 + self.np_random.integers(2), -1 + self.np_random.integers(3)])
        return self.s, {}

    def step(self, action):
        return self.s, float(action[0] == self.s[0] - 5 and action[1] == self.s[1] + 1), True, False, {}


def test_multidiscrete_spaces_and_starts(tmp_path):
    found = ours.q_learning(Two(), 600, alpha=0.5, epsilon=0.5, random_state=0)
    assert found.q.shape == (2, 3, 2, 3) and found.v.shape == (2, 3)
    again = ours.Result.load(found.save(tmp_path / "two.npz"))
    for i, j in itertools.product(range(2), range(3)):
        assert again.act(np.array([5 + i, -1 + j])).tolist() == [i, j]
    assert again.observation_space == found.observation_space and again.action_space == found.action_space
    assert evaluate(Two(), again.act, 20).tolist() == [1.0] * 20


def test_result_without_pickle_and_its_picture(tmp_path):
    maze = ours.DynaMaze()
    found = ours.dyna_q(maze, 20, planning=20, random_state=0)
    path = found.save(tmp_path / "maze.npz")
    with np.load(path, allow_pickle=False) as stored:
        assert set(stored.files) == {"about", "q", "returns", "lengths"}
    again = ours.Result.load(path)
    assert np.array_equal(again.q, found.q) and np.array_equal(again.returns, found.returns)
    seen, drawn = again.replay(maze), again.replay(ours.DynaMaze(render_mode="rgb_array"))
    assert seen.actions == drawn.actions and seen.total == 1.0 and seen.frames == []
    assert len(drawn.frames) == len(drawn.actions) + 1 and drawn.film(4).shape == (144, 4 * 216 + 18, 3)
    with pytest.raises(ValueError, match="render_mode"):
        seen.film()
    cut = again.replay(maze, max_steps=3)
    assert len(cut.actions) == 3 and not cut.terminated


def test_a_table_of_another_shape_is_refused():
    found = ours.q_learning(ours.DynaMaze(["S.G"]), 5, random_state=0)
    for act in (lambda: found.replay(ours.DynaMaze(["S..G"])), lambda: evaluate(WALK, found, 1)):
        with pytest.raises(ValueError, match=r"table of shape \(3, 4\)"):
            act()
    with pytest.raises(ValueError, match=r"need a table of shape \(3, 4\), got \(3, 3\)"):
        ours.Result(np.zeros((3, 3)), found.returns, found.lengths, found.observation_space, found.action_space)


def test_tuple_spaces_survive_the_file(tmp_path):
    found = ours.mc_control(gym.make("Blackjack-v1"), 20, random_state=0)
    again = ours.Result.load(found.save(tmp_path / "b.npz"))
    assert again.observation_space == found.observation_space and again.act((20, 10, 0)) in (0, 1)


def test_actions_that_are_not_legal_are_never_taken():
    legal = np.ones((7, 2), bool)
    legal[1:6, 0] = False
    for learn in LEARNERS.values():
        found = learn(WALK, 20, epsilon=1.0, legal=legal, random_state=0)
        assert (found.lengths == 3).all() and (found.q[1:6, 0] == -np.inf).all()
    with pytest.raises(ValueError, match="legal must allow an action in each state"):
        ours.sarsa(WALK, 1, legal=np.zeros((7, 2), bool))


def test_ties_are_broken_at_random_and_epsilon_is_shared_by_all():
    draw = iter(np.random.default_rng(0).random(200_000).tolist()).__next__
    choose = ours._chooser([[1.0, 3.0, 3.0, 0.0]], 0.2, draw)
    picks = np.bincount([choose(0) for _ in range(40_000)], minlength=4) / 40_000
    expected = epsilon_greedy_probabilities([1.0, 3.0, 3.0, 0.0], 0.2)
    np.testing.assert_allclose(expected, [0.05, 0.45, 0.45, 0.05])
    np.testing.assert_allclose(picks, expected, atol=4 * 0.5 / 200)
    rng = np.random.default_rng(1)
    values = np.tile([1.0, 3.0, 3.0, 0.0], (40_000, 1))
    many, best = ours._choose_many(values, 1 - rng.random(values.shape), rng.random(40_000) < 0.2, rng.integers(4, size=40_000))
    np.testing.assert_allclose(np.bincount(many, minlength=4) / 40_000, expected, atol=4 * 0.5 / 200)
    assert (best == 3).all()


def test_schedules_callbacks_and_bars(capsys):
    seen = []

    def watch(episode, total, steps, table):
        seen.append((episode, total, steps, table().shape))
        return episode == 3

    found = ours.q_learning(WALK, 50, alpha=ours.PerVisit(), epsilon=ours.linear_schedule(1.0, 0.0, 10), random_state=0,
                            callback=watch, verbose=True)
    assert len(found.returns) == len(seen) == 4 and seen[-1][3] == (7, 2) and seen[-1][2] == found.lengths[-1]
    assert "50" in capsys.readouterr().err
    for shared in (True, False):
        del seen[:]
        many = ours.learn_vectorized(ours.TabularVectorEnv(WALK, num_envs=3), 500, shared=shared, random_state=0, callback=watch)
        ended = np.concatenate([run.lengths for run in ([many] if shared else many)])
        assert [row[0] for row in seen] == list(range(len(ended))) and 4 <= len(ended) <= 6
        assert sorted(row[2] for row in seen) == sorted(ended) and seen[0][3] == (7, 2)
    for predict in PREDICTORS.values():
        assert len(predict(WALK, COIN, 50, random_state=0, callback=lambda e, *rest: e == 6).returns) == 7
    with pytest.raises(ValueError, match="epsilon of episode 2 must lie in"):
        ours.sarsa(WALK, 5, epsilon=lambda k: 0.6 * k)


class Coin(gym.Env):
    """One action, one step, a random reward."""

    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, self.np_random.normal(), True, False, {}


@every_learner
def test_steps_of_one_over_k_give_the_mean_of_the_targets(name):
    options = {"planning": 0} if name == "dyna_q" else {}
    found = LEARNERS[name](Coin(), 40, alpha=ours.PerVisit(), random_state=0, **options)
    if name != "double_q_learning":                                                # there each table has its own share
        assert found.q[0, 0] == pytest.approx(found.returns.mean())


def test_the_clock_of_gymnasium_cuts_and_the_future_stays():
    timed = gym.wrappers.TimeLimit(ours.DynaMaze(["S........G"]), max_episode_steps=3)
    for learn in LEARNERS.values():
        found = learn(timed, 30, gamma=0.9, initial=1.0, random_state=0)
        assert found.lengths.tolist() == [3] * 30
        assert (found.q[:5] > 0.2).all()                                            # ended episodes would pull the values to 0
    short = gym.make("FrozenLake-v1", max_episode_steps=4)
    assert ours.q_learning(short, 50, random_state=0).lengths.max() == 4
    assert ours.learn_vectorized(ours.TabularVectorEnv(short, 4), 50, random_state=0).lengths.max() == 4


def test_ties_of_many_environments_are_broken_at_random():
    envs = ours.TabularVectorEnv(ours.RandomWalk(1), 400)
    runs = ours.learn_vectorized(envs, 1, epsilon=0.0, shared=False, random_state=0)
    assert sum(run.returns[0] for run in runs) == pytest.approx(200, abs=4 * 10)


def test_weighted_importance_sampling_by_hand():
    ends, brave = ours.RandomWalk(1), np.tile([0.2, 0.8], (3, 1))
    for weighted in (True, False):
        found = ours.mc_prediction(ends, brave, 50, behaviour=np.full((3, 2), 0.5), weighted=weighted, random_state=1)
        wins = found.returns.sum()
        whole = wins * 1.6 + (50 - wins) * 0.4 if weighted else 50
        assert found.v[1] == pytest.approx(wins * 1.6 / whole)


def test_step_sizes():
    visits = np.arange(1, 6)
    np.testing.assert_allclose(ours.PerVisit()(visits), 1 / visits)
    np.testing.assert_allclose(ours.PerVisit(0.7, 10)(visits), (1 + (visits - 1) / 10) ** -0.7)
    for bad in ({"power": 0}, {"power": 1.5}, {"scale": 0.5}, {"power": math.nan}, {"scale": math.nan}):
        with pytest.raises(ValueError, match="must lie in|must be at least 1"):
            ours.PerVisit(**bad)
    with pytest.raises(ValueError, match="over must be"):
        ours.linear_schedule(1, 0, 0)


# ---------------------------------------------------------------------------------------------------- many at once

@pytest.mark.parametrize("id", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_vector_environment_moves_like_the_table(id):
    env = gym.make(id)
    P = env.unwrapped.P
    envs = ours.TabularVectorEnv(env, 50)
    s, _ = envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for step in range(1, 120):
        a = rng.integers(envs.single_action_space.n, size=50)
        s2, r, ended, cut, info = envs.step(a)
        last = info.get("final_obs", s2)
        for i in range(50):
            assert any(last[i] == t[1] and r[i] == t[2] and ended[i] == t[3] for t in P[s[i]][a[i]] if t[0] > 0)
        over = ended | cut
        assert ("final_obs" in info) == over.any()
        assert (env.unwrapped.initial_state_distrib[s2[over]] > 0).all()
        if env.spec.max_episode_steps and step == env.spec.max_episode_steps:
            assert cut.any() or id == "FrozenLake-v1"
        s = s2


def test_vector_environment_has_the_right_chances():
    lake = gym.make("FrozenLake-v1")
    envs = ours.TabularVectorEnv(lake, 30_000)
    envs.reset(seed=0)
    s2 = envs.step(np.full(30_000, 2))[0]
    share = np.bincount(s2, minlength=16)[[0, 1, 4]] / 30_000
    np.testing.assert_allclose(share, [1 / 3] * 3, atol=4 * 0.48 / np.sqrt(30_000))


def test_one_vector_step_by_hand():
    envs = ours.TabularVectorEnv(ours.RandomWalk(1), 6)
    q0 = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    for method in ("q_learning", "sarsa", "expected_sarsa"):
        found = ours.learn_vectorized(envs, 1, method=method, alpha=0.5, epsilon=1.0, initial=q0, random_state=0)
        np.testing.assert_allclose(found.q[1], [0.5, 1.0])                        # many hits of one entry count once
        each = ours.learn_vectorized(envs, 1, method=method, alpha=0.5, epsilon=1.0, initial=q0, shared=False, random_state=0)
        assert all(sorted(run.q[1]) in ([0.5, 1.0], [1.0, 1.0]) for run in each) and len(each) == 6


@pytest.mark.parametrize("method, futures", [("q_learning", [20]), ("sarsa", [10, 20]), ("expected_sarsa", [18])])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("terminated", [True, False])
def test_vector_truncation_keeps_the_future(method, futures, mode, terminated):
    make = [lambda: Fake((1, 3.0, terminated, not terminated, {}))] * 5
    envs = gym.vector.SyncVectorEnv(make, autoreset_mode=mode)
    same_step = mode is AutoresetMode.SAME_STEP
    for steps, episodes in ((1, 1), (2, 2 if same_step else 1)):                    # with NEXT_STEP the second only restarts
        runs = ours.learn_vectorized(envs, steps, method=method, alpha=ALPHA, gamma=G, epsilon=EPS, initial=START,
                                     shared=False, random_state=0)
        for run in runs:
            assert len(run.returns) == episodes and (run.lengths == 1).all() and (run.returns == 3).all()
            assert np.array_equal(run.q[1], START[1])
            if episodes == 1:
                moved = (run.q - START)[run.q != START]
                assert len(moved) == 1
                assert min(abs(moved[0] - ALPHA * (3 + G * f - 2)) for f in ([0] if terminated else futures)) < 1e-9
    together = ours.learn_vectorized(envs, 1, method=method, alpha=ALPHA, gamma=G, epsilon=0.0, initial=START, random_state=0)
    moved = (together.q - START)[together.q != START]
    np.testing.assert_allclose(moved, ALPHA * (3 + G * (0 if terminated else 20) - 2))


def test_vectorised_and_single_learners_agree():
    cliff = gym.make("CliffWalking-v1")
    many = ours.learn_vectorized(ours.TabularVectorEnv(cliff, 32), 4000, alpha=0.5, gamma=0.9, epsilon=0.5, random_state=0)
    one = ours.q_learning(cliff, 800, alpha=0.5, gamma=0.9, epsilon=0.5, random_state=0)
    model = mdp_from_env(cliff, gamma=0.9)
    exact = value_iteration(model)[0]
    for found in (many, one):
        assert found.v[36] == pytest.approx(exact[36], abs=1e-6)
        assert found.v[36] == pytest.approx(-7.458134, abs=1e-6)


def test_vectorised_runs_repeat():
    envs = ours.TabularVectorEnv(gym.make("FrozenLake-v1"), 8)
    a, b = (ours.learn_vectorized(envs, 300, alpha=ours.PerVisit(0.8), random_state=5) for _ in range(2))
    assert np.array_equal(a.q, b.q) and np.array_equal(a.returns, b.returns)


def test_vector_forms_refuse():
    with pytest.raises(TypeError, match="no transition table"):
        ours.TabularVectorEnv(gym.make("Blackjack-v1"), 4)
    envs = ours.TabularVectorEnv(WALK, 3)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step([0, 0, 0])
    envs.reset(seed=0)
    for bad in ([0, 0], [0, 0, 2], [0, 0, -1], np.array([0, -1, 0], dtype=np.int32)):
        with pytest.raises(ValueError, match="actions must be 3 numbers"):
            envs.step(bad)
    with pytest.raises(ValueError, match="num_envs"):
        ours.TabularVectorEnv(WALK, 0)
    with pytest.raises(TypeError, match="finite observation space"):
        ours.learn_vectorized(gym.make_vec("CartPole-v1", 2), 10)
    with pytest.raises(ValueError, match="method must be"):
        ours.learn_vectorized(envs, 10, method="dqn")
    fixed = gym.vector.SyncVectorEnv([Fake] * 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="restart by themselves"):
        ours.learn_vectorized(fixed, 10)
    broken = gym.vector.SyncVectorEnv([lambda: Fake((1, math.nan, True, False, {}))] * 2)
    with pytest.raises(ValueError, match="not finite"):
        ours.learn_vectorized(broken, 10)


# ------------------------------------------------------------------------------------------------------------- bad input

@every_learner
@pytest.mark.parametrize("options, message", [
    ({"gamma": -0.1}, "gamma must lie in"), ({"gamma": 1.1}, "gamma must lie in"), ({"gamma": math.nan}, "gamma must lie in"),
    ({"epsilon": -0.1}, "epsilon of|epsilon must lie in"), ({"epsilon": 1.1}, "epsilon must lie in"),
    ({"alpha": 0}, "alpha must lie in"), ({"alpha": -1}, "alpha must lie in"), ({"alpha": 1.5}, "alpha must lie in"),
    ({"max_steps": 0}, "max_steps must be"),
])
def test_learners_refuse_numbers_out_of_range(name, options, message):
    with pytest.raises(ValueError, match=message):
        LEARNERS[name](WALK, 1, **options)


@pytest.mark.parametrize("call, message", [
    (lambda: ours.n_step_sarsa(WALK, 1, n=0), "n must be"),
    (lambda: ours.n_step_sarsa(WALK, 1, n=1.5), "n must be"),
    (lambda: ours.td_prediction(WALK, COIN, 1, n=0), "n must be"),
    (lambda: ours.td_prediction(WALK, COIN, 1, lam=1.2), "lam must lie in"),
    (lambda: ours.td_prediction(WALK, COIN, 1, lam=0.5, n=2), "n or lam, not both"),
    (lambda: ours.td_prediction(WALK, COIN, 1, lam=0.5, traces="fast"), "traces must be"),
    (lambda: ours.td_prediction(WALK, COIN, 1, alpha=0), "alpha must lie in"),
    (lambda: ours.td_update([0.0], [0], [], True, alpha=0.1), "T \\+ 1 states"),
    (lambda: ours.dyna_q(WALK, 1, planning=-1), "planning must be"),
    (lambda: ours.sarsa(WALK, 0), "episodes must be"),
    (lambda: ours.expected_sarsa(WALK, 1, target_epsilon=2), "target_epsilon must lie in"),
    (lambda: ours.returns_of([1.0], gamma=2), "gamma must lie in"),
    (lambda: ours.mc_prediction(WALK, COIN, 1, alpha=0), "alpha must lie in"),
    (lambda: ours.mc_prediction(WALK, COIN, 1, alpha=0.1, behaviour=COIN), "cannot be combined"),
    (lambda: ours.mc_prediction(WALK, np.ones((7, 2)), 1), "must hold probabilities.* state 0"),
    (lambda: ours.mc_prediction(WALK, np.full(7, 2), 1), "policy must hold integer actions in 0..1"),
    (lambda: ours.mc_prediction(WALK, np.ones(5), 1), "policy must be integer actions of shape"),
    (lambda: ours.mc_prediction(WALK, COIN, 1, behaviour=np.eye(2)[np.ones(7, int)]), "in state 0 it never takes action 0"),
])
def test_functions_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_episode_without_end_is_an_error_for_monte_carlo_and_none_for_td():
    maze = ours.DynaMaze(["S.G"])
    stay = np.zeros(3, int)                                                        # into the wall for ever
    with pytest.raises(ValueError, match="did not end within max_steps=50"):
        ours.mc_prediction(maze, stay, 1, max_steps=50)
    assert ours.td_prediction(maze, stay, 1, max_steps=50).lengths.tolist() == [50]


@pytest.mark.parametrize("function", [*LEARNERS, *PREDICTORS])
def test_environments_of_the_wrong_kind_are_refused(function):
    learn = LEARNERS.get(function) or (lambda env, episodes: PREDICTORS[function](env, lambda s: 0, episodes))

    class Unseeded(Fake):
        def reset(self):
            return 0, {}

    class OldReset(Fake):
        def reset(self, seed=None):
            return 0

    with pytest.raises(TypeError, match="must accept seed"):
        learn(Unseeded(), 1)
    with pytest.raises(TypeError, match="reset must return"):
        learn(OldReset(), 1)
    with pytest.raises(TypeError, match="got 4 values; the old library gym"):
        learn(Fake((1, 0.0, True, {})), 1)
    for reward in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite reward"):
            learn(Fake((1, reward, True, False, {})), 1)
    with pytest.raises(TypeError, match="finite observation space.*Box"):
        learn(gym.make("CartPole-v1"), 1)
    pendulum = Fake()
    pendulum.action_space = gym.spaces.Box(-1, 1, (1,))
    with pytest.raises(TypeError, match="finite action space.*Box"):
        learn(pendulum, 1)


def test_importance_sampling_needs_probabilities():
    with pytest.raises(TypeError, match="probabilities of both"):
        ours.mc_prediction(WALK, lambda s: 1, 1, behaviour=COIN)
