"""Planning against linear programmes, brute force and published numbers; blackjack against a million games; bad input."""
import importlib.util
import itertools
import sys
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import scipy.optimize
import sympy
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mlcheat.algorithms import reinforcement_learning as rl


def model(name, **options):
    return rl.mdp_from_env(gym.make(name, **options), gamma=0.99)


LAKE = model("FrozenLake-v1")
CLIFF = model("CliffWalking-v1")
CORRIDOR = rl.mdp_from_env(rl.ShortCorridor(), gamma=1.0)


def random_mdp(seed, n=4, k=3, gamma=0.9):
    """Dense transitions, the last state terminal."""
    rng = np.random.default_rng(seed)
    P, R = rng.dirichlet(np.full(n, 0.5), (n, k)), rng.normal(size=(n, k))
    P[-1], R[-1] = np.eye(n)[-1], 0
    return rl.MDP(P, R, np.arange(n) == n - 1, gamma)


# --- planning

@pytest.mark.parametrize("gamma, value", [(0.9, 0.068891), (0.99, 0.542026), (1.0, 0.823529)])
def test_lake_has_the_published_values(gamma, value):
    mdp = LAKE.with_gamma(gamma)
    for v in (rl.value_iteration(mdp, tol=1e-12)[0], rl.policy_iteration(mdp)[0]):
        assert round(v[0], 6) == value


def test_sweeps_and_rounds():
    assert rl.value_iteration(LAKE.with_gamma(0.9), tol=1e-12)[2] == 179
    v, policy, sweeps = rl.value_iteration(LAKE, tol=1e-12)
    assert sweeps == 704 and "".join("LDRU"[a] for a in policy) == "LUUULLLLUDLLLRDL"
    always_left = np.zeros(16, dtype=int)
    assert rl.policy_iteration(LAKE.with_gamma(0.9), always_left)[2] == 6
    assert rl.policy_iteration(LAKE, always_left)[2] == 7
    assert rl.value_iteration(LAKE, tol=1e-12, in_place=True)[2] < sweeps


def test_large_lake_cliff_and_taxi():
    large = model("FrozenLake8x8-v1")
    assert round(rl.policy_iteration(large)[0][0], 5) == 0.41464
    assert round(rl.policy_iteration(large.with_gamma(1.0))[0][0], 9) == 1
    assert round(rl.policy_iteration(CLIFF.with_gamma(1.0))[0][36], 9) == -13
    assert round(rl.policy_iteration(CLIFF.with_gamma(0.9))[0][36], 6) == -7.458134
    taxi = rl.mdp_from_env(gym.make("Taxi-v4"), gamma=1.0)
    v, policy, _ = rl.policy_iteration(taxi)
    assert round(taxi.start @ v, 9) == 7.93
    np.testing.assert_allclose(rl.value_iteration(taxi)[0], v, atol=1e-9)
    measured = rl.evaluate(gym.make("Taxi-v4"), policy, 60)
    assert abs(measured.mean() - 7.93) < 4 * measured.std() / np.sqrt(60)


def test_success_on_the_lake():
    one = LAKE.with_gamma(1.0)
    reached = [rl.policy_evaluation(one, rl.policy_iteration(LAKE.with_gamma(g))[1], method="solve")[0]
               for g in (0.5, 0.9, 0.99)]
    np.testing.assert_allclose(reached, [0.451, 0.780, 0.824], atol=5e-4)
    best = rl.policy_iteration(LAKE)[1]
    assert round(rl.finite_horizon(one, best, 100)[0], 4) == 0.7402
    assert round(rl.finite_horizon(one, None, 100)[0], 4) == 0.7442
    assert round(rl.policy_evaluation(one, np.full((16, 4), 0.25), method="solve")[0], 5) == 0.01394


def test_lake_is_fourteen_seventeenths_in_exact_arithmetic():
    policy = rl.policy_iteration(LAKE.with_gamma(1.0))[1]
    live = np.flatnonzero(~LAKE.terminal)
    A, b = sympy.eye(len(live)), sympy.zeros(len(live), 1)
    place = {int(s): i for i, s in enumerate(live)}
    for s, i in place.items():
        for _, after, reward, _ in gym.make("FrozenLake-v1").unwrapped.P[s][int(policy[s])]:
            b[i] += sympy.Rational(1, 3) * int(reward)
            if after in place:
                A[i, place[after]] -= sympy.Rational(1, 3)
    assert A.LUsolve(b)[place[0]] == sympy.Rational(14, 17)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_four_ways_to_the_optimum_agree(seed, gamma):
    mdp = random_mdp(seed, gamma=gamma)
    v, policy, _ = rl.policy_iteration(mdp)
    every = [rl.policy_evaluation(mdp, [*p, 0], method="solve") for p in itertools.product(range(3), repeat=3)]
    np.testing.assert_allclose(v, np.max(every, axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(rl.value_iteration(mdp, tol=1e-13)[0], v, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(rl.value_iteration(mdp, tol=1e-13, in_place=True)[0], v, rtol=1e-8, atol=1e-8)
    rows = [gamma * mdp.P[s, a, :3] - np.eye(3)[s] for s in range(3) for a in range(3)]
    lp = scipy.optimize.linprog(np.ones(3), A_ub=rows, b_ub=-mdp.R[:3].ravel(), bounds=(None, None))
    np.testing.assert_allclose(lp.x, v[:3], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(rl.policy_evaluation(mdp, policy, method="solve"), v, atol=1e-9)
    assert v[3] == 0


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_iterating_and_solving_agree(seed):
    mdp = random_mdp(seed, n=6, gamma=0.95)
    pi = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
    solved = rl.policy_evaluation(mdp, pi, method="solve")
    np.testing.assert_allclose(rl.policy_evaluation(mdp, pi, tol=1e-13), solved, atol=1e-10)
    np.testing.assert_allclose((pi * rl.q_from_v(mdp, solved)).sum(axis=1), solved, atol=1e-10)
    np.testing.assert_allclose(rl.finite_horizon(mdp, pi, 800), solved, atol=1e-9)


def test_small_horizons_by_enumeration():
    mdp = random_mdp(3, gamma=0.8)
    q1 = mdp.R
    np.testing.assert_allclose(rl.finite_horizon(mdp, None, 1), q1.max(axis=1))
    q2 = mdp.R + 0.8 * mdp.P @ q1.max(axis=1)
    np.testing.assert_allclose(rl.finite_horizon(mdp, None, 2), np.where(mdp.terminal, 0, q2.max(axis=1)))
    assert not rl.finite_horizon(mdp, None, 0).any()


def test_greedy_among_equals_gets_home():
    one = LAKE.with_gamma(1.0)
    v, policy, _ = rl.value_iteration(one)
    np.testing.assert_allclose(rl.policy_evaluation(one, policy, method="solve"), v, atol=1e-8)
    waiting = policy.copy()
    waiting[:4] = 3                                            # up, along the upper wall, for ever
    with pytest.raises(ValueError, match="never does"):
        rl.policy_evaluation(one, waiting)


def test_greedy_does_not_wait_for_ever():
    """Staying and leaving are worth the same; only leaving ends, and a chain of three must be left in order."""
    stay = np.eye(4)[:, None]
    leave = np.eye(4)[[1, 2, 3, 3]][:, None]
    P = np.concatenate([stay, leave], axis=1)
    mdp = rl.MDP(P, [[0, 0], [0, 0], [0, 1], [0, 0]], [False, False, False, True], 1.0)
    for v, policy, _ in (rl.value_iteration(mdp), rl.policy_iteration(mdp)):
        assert v.tolist() == [1, 1, 1, 0] and policy[:3].tolist() == [1, 1, 1]


def test_values_agree_with_simulation():
    env = gym.make("FrozenLake-v1", max_episode_steps=2000, disable_env_checker=True)
    returns = rl.evaluate(env, rl.policy_iteration(LAKE)[1], 1000, gamma=0.99, seeds=7)
    assert abs(returns.mean() - 0.542026) < 4 * returns.std() / np.sqrt(1000)


def test_shaping_by_a_potential_keeps_the_policy():
    rng = np.random.default_rng(0)
    phi = np.where(LAKE.terminal, 0, rng.normal(size=16))
    help_ = (LAKE.gamma * LAKE.P @ phi - phi[:, None]) * ~LAKE.terminal[:, None]
    v, policy, _ = rl.policy_iteration(replace(LAKE, R=LAKE.R + help_))
    np.testing.assert_allclose(v, rl.policy_iteration(LAKE)[0] - phi, atol=1e-9)
    np.testing.assert_array_equal(policy[~LAKE.terminal], rl.policy_iteration(LAKE)[1][~LAKE.terminal])


def test_inputs_are_left_alone():
    mdp, before = LAKE, (LAKE.P.copy(), LAKE.R.copy())
    v = np.arange(16.0)
    for call in (rl.policy_iteration, rl.value_iteration, lambda m: rl.q_from_v(m, v), lambda m: rl.greedy_policy(m, v)):
        call(mdp)
    assert np.array_equal(mdp.P, before[0]) and np.array_equal(mdp.R, before[1]) and np.array_equal(v, np.arange(16.0))


# --- the corridor

@pytest.mark.parametrize("p, value", [(2 - 2**0.5, -11.657), (0.95, -44.211), (0.05, -82.105), (0.5, -12.0)])
def test_corridor(p, value):
    assert round(rl.policy_evaluation(CORRIDOR, [[1 - p, p]] * 4, method="solve")[0], 3) == value
    assert abs(-2 * (2 - p) / (p * (1 - p)) - value) < 1e-3


@pytest.mark.filterwarnings("ignore")
def test_corridor_is_an_environment():
    check_env(rl.ShortCorridor(), skip_render_check=True)
    env = rl.ShortCorridor()
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    for action in (1, 0, 1):
        *_, over, _, info = env.step(action)
    assert over and info == {"room": 3}
    with pytest.raises(gym.error.ResetNeeded, match="over"):
        env.step(1)
    env.reset()
    with pytest.raises(ValueError, match="0 .left. or 1"):
        env.step(2)


# --- evaluate and the shape of spaces

def test_evaluate_takes_functions_actions_and_probabilities():
    env = gym.make("FrozenLake-v1")
    actions = rl.policy_iteration(LAKE)[1]
    by_table = rl.evaluate(env, actions, 20, seeds=3)
    assert np.array_equal(by_table, rl.evaluate(env, lambda s: actions[s], 20, seeds=list(range(3, 23))))
    assert np.array_equal(by_table, rl.evaluate(env, np.eye(4)[actions], 20, seeds=3))
    assert not np.array_equal(by_table, rl.evaluate(env, actions, 20, seeds=100))


def test_evaluate_draws_from_the_given_probabilities():
    class Echo(gym.Env):
        observation_space, action_space = spaces.Discrete(1), spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            return 0, {}

        def step(self, action):
            return 0, float(action), True, False, {}

    drawn = rl.evaluate(Echo(), [[0.2, 0.0, 0.8]], 2000)
    assert set(drawn) == {0.0, 2.0} and abs(np.mean(drawn == 2) - 0.8) < 4 * np.sqrt(0.16 / 2000)


def test_evaluate_cuts_off_and_discounts():
    assert rl.evaluate(rl.ShortCorridor(), lambda o: 1, 1, max_steps=50).tolist() == [-50]
    assert np.isclose(rl.evaluate(rl.ShortCorridor(), lambda o: 1, 1, max_steps=500, gamma=0.9)[0], -10)


def test_tables_for_tuples_and_multidiscrete():
    assert rl.table_shape(spaces.MultiDiscrete([3, 4])) == (3, 4)
    assert rl.table_shape(spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([2, 5])])) == (3, 2, 5)
    assert rl.table_index((1, 2)) == (1, 2) and rl.table_index(np.array([1, 2])) == (1, 2)
    assert rl.table_index(np.array(3)) == 3
    table = np.zeros((32, 11, 2), dtype=int)
    table[:17] = 1
    returns = rl.evaluate(gym.make("Blackjack-v1", disable_env_checker=True), table, 3000)
    assert abs(returns.mean() - -0.07585) < 4 * returns.std() / np.sqrt(3000)


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (2,)), spaces.Box(-np.inf, np.inf, (1,)), spaces.MultiBinary(3),
                                   spaces.Dict(a=spaces.Discrete(2)), spaces.MultiDiscrete([[1, 2], [3, 4]]),
                                   spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1)])], ids=range(6))
def test_spaces_without_a_table(space):
    with pytest.raises(TypeError, match="finite state space"):
        rl.table_shape(space, "state")


def test_spaces_count_from_zero():
    with pytest.raises(ValueError, match="count from 0"):
        rl.table_shape(spaces.Discrete(3, start=1))
    with pytest.raises(ValueError, match="count from 0"):
        rl.table_shape(spaces.MultiDiscrete([3, 3], start=[0, 2]))


# --- agents

class Always(rl.Agent):
    def __init__(self, action):
        self.action = action

    def act(self, observation):
        return self.action

    def _pack(self):
        return {"action": np.array(self.action)}, {}

    @classmethod
    def _unpack(cls, arrays, settings):
        return cls(int(arrays["action"]))


class Never(Always):
    pass


def test_an_agent_of_ones_own(tmp_path):
    cliff, agent = gym.make("CliffWalking-v1"), Always(0)
    again = Always.load(agent.save(tmp_path / "up"))
    assert again(36) == again.act(36) == 0 and (tmp_path / "up").exists()
    episode = again.replay(cliff, seed=3, max_steps=5)
    assert episode.observations == [36, 24, 12, 0, 0, 0] and episode.total == -5 and not episode.terminated
    assert rl.evaluate(cliff, agent, 2, max_steps=5).tolist() == [-5, -5]
    with pytest.raises(TypeError, match="abstract"):
        rl.Agent()
    with pytest.raises(ValueError, match="max_steps"):
        agent.replay(cliff, max_steps=0)


def test_an_episode_as_a_film():
    pictures = [np.full((4, 3, 3), i, dtype=np.uint8) for i in range(5)]
    episode = rl.Episode([0] * 5, [1] * 4, [1.0] * 4, True, pictures)
    film = episode.film(3, gap=1)
    assert film.shape == (4, 11, 3) and film[0, ::4, 0].tolist() == [0, 2, 4] and film[0, 3, 0] == 255
    assert episode.film(99, gap=0).shape == (4, 15, 3) and episode.total == 4
    with pytest.raises(ValueError, match="render_mode"):
        rl.Episode([0], [], [], False).film()
    with pytest.raises(ValueError, match="count"):
        episode.film(0)


def test_files_without_an_agent_are_refused(tmp_path):
    text, other, cut = (tmp_path / name for name in ("text", "other.npz", "cut"))
    text.write_text("no archive")
    np.savez(other, q=np.zeros(3))
    cut.write_bytes(Always(1).save(tmp_path / "whole").read_bytes()[:200])
    for path in (text, other, cut):
        with pytest.raises(ValueError, match="holds no agent"):
            Always.load(path)
    with pytest.raises(ValueError, match="of class Always, expected Never"):
        Never.load(tmp_path / "whole")
    with pytest.raises(FileNotFoundError):
        Always.load(tmp_path / "nowhere")


def test_an_agent_that_does_not_say_what_to_save(tmp_path):
    class Silent(rl.Agent):
        def act(self, observation):
            return 0

    with pytest.raises(NotImplementedError, match="Silent._pack"):
        Silent().save(tmp_path / "silent")
    assert list(tmp_path.iterdir()) == []


class Odd(gym.Env):
    """Misbehaves as told."""

    observation_space, action_space = spaces.Discrete(2), spaces.Discrete(2)

    def __init__(self, first=(0, {}), after=(0, 0.0, True, False, {})):
        self.first, self.after = first, after

    def reset(self, *, seed=None, options=None):
        return self.first

    def step(self, action):
        return self.after


class NoSeed(Odd):
    def reset(self):
        return 0, {}


@pytest.mark.parametrize("env, kind, message", [
    (NoSeed(), TypeError, "must accept seed"),
    (Odd(first=0), TypeError, "observation, info"),
    (Odd(after=(0, 0.0, True, {})), TypeError, "got 4 values"),
    (Odd(after=None), TypeError, "NoneType"),
    (Odd(after=(0, np.nan, True, False, {})), ValueError, "finite reward, got nan"),
], ids=["no seed", "old reset", "old step", "nothing", "nan"])
def test_environments_of_another_time(env, kind, message):
    with pytest.raises(kind, match=message):
        rl.check_env_api(env)
    with pytest.raises(kind, match=message):
        rl.evaluate(env, [0, 0], 1)


def test_a_reward_that_turns_nan_is_noticed():
    class Late(rl.ShortCorridor):
        def step(self, action):
            o, r, over, cut, info = super().step(action)
            return o, np.nan if over else r, over, cut, info

    with pytest.raises(ValueError, match="finite"):
        rl.evaluate(Late(), [[0.5, 0.5]], 1)


@pytest.mark.parametrize("policy, options, message", [
    ([0] * 15, {}, "shape"), (np.zeros((16, 3)), {}, "shape"), (np.zeros((16, 4)), {}, "sum to 1"),
    ([0.0] * 16, {}, "shape"), ([0] * 16, {"seeds": [1]}, "2 seeds"), ([0] * 16, {"gamma": 1.1}, "gamma"),
    ([0] * 16, {"max_steps": 0}, "max_steps"), ([0] * 16, {"gamma": -0.1}, "gamma"),
], ids=range(8))
def test_evaluate_says_what_is_wrong(policy, options, message):
    with pytest.raises(ValueError, match=message):
        rl.evaluate(gym.make("FrozenLake-v1"), policy, 2, **options)


def test_no_table_for_a_continuous_space():
    with pytest.raises(TypeError, match="Box"):
        rl.evaluate(gym.make("CartPole-v1"), [0, 1], 1)
    with pytest.raises(ValueError, match="episodes"):
        rl.evaluate(gym.make("FrozenLake-v1"), [0] * 16, 0)


# --- MDPs that are none

GOOD = dict(P=[[[0.5, 0.5]], [[0, 1]]], R=[[1.0], [0.0]], terminal=[False, True], gamma=0.9)


@pytest.mark.parametrize("change, message", [
    ({"P": [[[0.5, 0.6]], [[0, 1]]]}, "state 0, action 0 .* sum 1.1"),
    ({"P": [[[1.5, -0.5]], [[0, 1]]]}, "state 0, action 0 .* entry -0.5"),
    ({"P": [[[np.nan, 0.5]], [[0, 1]]]}, "state 0, action 0"),
    ({"P": [[0.5, 0.5]]}, "shape"), ({"R": [1.0, 0.0]}, "R must have shape"),
    ({"R": [[np.nan], [0]]}, "state 0, action 0 has nan"), ({"terminal": [True]}, "terminal must have shape"),
    ({"gamma": 1.5}, "gamma"), ({"gamma": -0.1}, "gamma"), ({"gamma": np.nan}, "gamma"),
    ({"start": [0.5, 0.6]}, "distribution"), ({"start": [1.0]}, "distribution"),
], ids=range(12))
def test_mdp_says_what_is_wrong(change, message):
    assert rl.MDP(**GOOD).validate().gamma == 0.9
    with pytest.raises(ValueError, match=message):
        rl.MDP(**{**GOOD, **change})


def test_models_that_cannot_be_read():
    with pytest.raises(TypeError, match="no attribute P"):
        rl.mdp_from_env(gym.make("Blackjack-v1"))

    class Mixed:
        P = {0: {0: [(0.5, 1, 0.0, True), (0.5, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}

        @property
        def unwrapped(self):
            return self

    with pytest.raises(ValueError, match="state 1 ends the episode on some ways"):
        rl.mdp_from_env(Mixed())


def test_model_of_the_lake():
    assert np.allclose(LAKE.P.sum(axis=2), 1) and LAKE.start.tolist() == [1] + [0] * 15
    assert np.isclose(LAKE.P[0, 0, 0], 2 / 3)
    assert sorted(set(CLIFF.R[36])) == [-100, -1]
    moved = CLIFF.with_gamma(0.5)
    assert moved.gamma == 0.5 and CLIFF.gamma == 0.99


@pytest.mark.parametrize("policy, message", [
    ([0, 0, 0], "shape"), ([0.0, 0, 0, 0], "integer actions"), ([0, 0, 0, 2], "integer actions"), ([[1.0, 0.1]] * 4, "state 0"),
    ([[1.0, 0], [1.2, -0.2], [1, 0], [1, 0]], "state 1"), ([[np.nan, 1]] * 4, "probabilities"),
], ids=range(6))
def test_policies_that_are_none(policy, message):
    for call in (rl.policy_evaluation, rl.policy_iteration, lambda m, p: rl.finite_horizon(m, p, 3)):
        with pytest.raises(ValueError, match=message):
            call(CORRIDOR, policy)


@pytest.mark.parametrize("method", ["iterate", "solve"])
def test_a_policy_that_never_ends(method):
    with pytest.raises(ValueError, match="spectral radius 1"):
        rl.policy_evaluation(CORRIDOR, [1, 1, 1, 1], method=method)
    radius = np.abs(np.linalg.eigvals(CORRIDOR.P[[0, 1, 2], 1][:, :3])).max()
    assert np.isclose(radius, 1)
    assert np.isclose(rl.policy_evaluation(CORRIDOR.with_gamma(0.9), [1, 1, 1, 1], method=method)[0], -10)
    island = rl.MDP(np.eye(2)[:, None], [[1.0], [1.0]], [False, True], 1.0)
    for call in (rl.value_iteration, rl.policy_iteration):
        with pytest.raises(ValueError, match="some policy|must end"):
            call(island)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="iterate"):
        rl.policy_evaluation(LAKE, [0] * 16, method="guess")
    for call in (lambda: rl.policy_evaluation(LAKE, [0] * 16, tol=0), lambda: rl.value_iteration(LAKE, tol=-1)):
        with pytest.raises(ValueError, match="tol"):
            call()
    with pytest.raises(ValueError, match="max_iter"):
        rl.value_iteration(LAKE, max_iter=0)
    for T in (-1, 1.5, True):
        with pytest.raises(ValueError, match="T must be"):
            rl.finite_horizon(LAKE, None, T)
    with pytest.raises(ValueError, match="v must have shape"):
        rl.q_from_v(LAKE, np.zeros(15))
    with pytest.warns(ConvergenceWarning, match="max_iter=5"):
        rl.value_iteration(LAKE, max_iter=5)


def test_a_loop_that_pays_for_ever_is_refused():
    paid = rl.MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[1, 0], [0, 0]], [False, True], 1.0)
    with pytest.raises(ValueError, match="never does"):
        rl.policy_iteration(paid)
    with pytest.warns(ConvergenceWarning):
        rl.value_iteration(paid, max_iter=50)


# --- blackjack

def simulate(games, policy, sab=True, natural=False, seed=0):
    """A million games at once, written from the rules."""
    rng = np.random.default_rng(seed)
    deck = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10])
    draw = lambda n: deck[rng.integers(13, size=n)]  # noqa: E731
    score = lambda hard, ace: np.where(ace & (hard + 10 <= 21), hard + 10, hard)  # noqa: E731
    p1, p2, d1, d2 = (draw(games) for _ in range(4))
    hard, ace = p1 + p2, (p1 == 1) | (p2 == 1)
    lucky = score(hard, ace) == 21
    up, dealer, dealer_ace = d1, d1 + d2, (d1 == 1) | (d2 == 1)
    dealer_lucky = score(dealer, dealer_ace) == 21
    while True:
        now = score(hard, ace)
        usable = (ace & (hard + 10 <= 21)).astype(int)
        hit = (now <= 21) & ((now < 12) | (policy[np.clip(now, 12, 21) - 12, up - 1, usable] == 1))
        if not hit.any():
            break
        card = draw(hit.sum())
        hard[hit] += card
        ace[hit] |= card == 1
        lucky[hit] = False
    bust = hard > 21
    while (more := score(dealer, dealer_ace) < 17).any():
        card = draw(more.sum())
        dealer[more] += card
        dealer_ace[more] |= card == 1
    theirs = np.where(dealer > 21, 0, score(dealer, dealer_ace))
    reward = np.sign(score(hard, ace) - theirs).astype(float)
    if sab:
        reward[lucky & ~dealer_lucky] = 1
    elif natural:
        reward[lucky & (reward == 1)] = 1.5
    reward[bust] = -1
    return reward


@pytest.mark.parametrize("rules", [{}, {"sab": False}, {"sab": False, "natural": True}], ids=["sab", "plain", "natural"])
def test_blackjack_against_a_million_games(rules):
    value, policy, _ = rl.blackjack_exact(**rules)
    reward = simulate(1_000_000, policy, **rules)
    assert abs(reward.mean() - value) < 3 * reward.std() / 1000


def test_blackjack_published_numbers():
    value, policy, q = rl.blackjack_exact()
    assert round(value, 6) == -0.043113 and round(rl.blackjack_exact(sab=False)[0], 6) == -0.046556
    assert round(rl.blackjack_exact(hit_soft_17=True)[0], 5) == -0.04533
    hard, soft = policy[:, :, 0], policy[:, :, 1]
    stick_from = lambda table: [int(12 + np.argmin(column)) for column in table.T]  # noqa: E731
    assert stick_from(hard) == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert stick_from(soft) == [19, 18, 18, 18, 18, 18, 18, 18, 19, 19]
    assert all((np.diff(column) <= 0).all() for column in [*hard.T, *soft.T])
    assert round(abs(np.diff(q[0, 3, 0])[0]), 4) == 0.0025 and round(abs(np.diff(q[4, 9, 0])[0]), 4) == 0.0065


@pytest.mark.parametrize("total, value", [(17, -0.07585), (20, -0.35011)])
def test_blackjack_of_a_given_policy(total, value):
    policy = np.zeros((10, 10, 2), dtype=int)
    policy[: total - 12] = 1
    found, same, q = rl.blackjack_exact(policy=policy)
    assert round(found, 5) == value and np.array_equal(same, policy)
    if total == 20:
        assert round(q[1, 1, 1, 1], 5) == -0.27720
    reward = simulate(300_000, policy, seed=1)
    assert abs(reward.mean() - found) < 4 * reward.std() / np.sqrt(300_000)


def test_hitting_a_natural_gives_it_away():
    policy = rl.blackjack_exact()[1]
    foolish = policy.copy()
    foolish[9, :, 1] = 1
    value = rl.blackjack_exact(policy=foolish)[0]
    reward = simulate(300_000, foolish, seed=2)
    assert value < -0.05 and abs(reward.mean() - value) < 4 * reward.std() / np.sqrt(300_000)


@pytest.mark.parametrize("policy", [np.zeros((10, 10)), np.full((10, 10, 2), 2)], ids=["shape", "entry"])
def test_blackjack_refuses_other_policies(policy):
    with pytest.raises(ValueError, match="stick"):
        rl.blackjack_exact(policy=policy)


# --- without Gymnasium

def test_missing_gymnasium_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    spec = importlib.util.spec_from_file_location("without_gymnasium", rl.__file__)
    with pytest.raises(ImportError, match=r"pip install mlcheat\[rl\]"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
