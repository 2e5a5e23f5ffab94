"""Deep Q-networks: targets by hand, the memory, the compiled step, health warnings, one short training, bad input."""
import os
import warnings

import gymnasium as gym
import numpy as np
import pytest
import scipy.stats
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from mlcheat.algorithms.policy_gradient import ClonedPolicy, SoftmaxPolicy, dagger, reinforce
from mlcheat.algorithms.reinforcement_learning import Agent, evaluate, mdp_from_env
from mlcheat.algorithms.tabular import Result, q_learning
from mlcheat.architectures.dqn import (
    DQN,
    BairdStar,
    ReplayBuffer,
    dqn_targets,
    q_network,
    semi_gradient_sweeps,
)
from mlcheat.architectures.runtime import Runtime, max_difference, to_numpy

SMALL = {"hidden": (16,), "batch_size": 8, "start": 16, "buffer": 500}


class Clock(gym.Env):
    """Reward 1 a step; cut after `limit` steps, or ended there if `ends`; the state is the time."""

    observation_space, action_space = gym.spaces.Box(0, 100, (1,)), gym.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, limit=5, ends=False, bad_at=None, reward=1.0, render_mode=None):
        self.limit, self.ends, self.bad_at, self.reward = limit, ends, bad_at, reward
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        self.t += 1
        over, reward = self.t == self.limit, np.nan if self.t == self.bad_at else self.reward
        return np.float32([self.t / 5]), reward, over and self.ends, over and not self.ends, {}

    def render(self):
        return None if self.render_mode is None else np.full((4, 3, 3), self.t, dtype=np.uint8)


# --- Baird's star and linear values

@pytest.mark.parametrize("mode", [None, "rgb_array"])
def test_the_star_is_a_proper_environment(mode):
    check_env(BairdStar(render_mode=mode), skip_render_check=mode is None)


def test_the_star_moves_as_its_table_says():
    env, star = BairdStar(), mdp_from_env(BairdStar())
    env.reset(seed=0)
    seen = np.bincount([env.step(0)[0] for _ in range(6000)], minlength=7)
    assert seen[6] == 0 and scipy.stats.chisquare(seen[:6]).pvalue > 1e-3
    assert np.allclose(star.P[:, 0], [1 / 6] * 6 + [0]) and np.allclose(star.P[:, 1], np.eye(7)[6])
    with pytest.raises(ValueError, match="dashed"):
        env.step(2)
    with pytest.raises(gym.error.ResetNeeded):
        BairdStar().step(0)
    with pytest.raises(ValueError, match="render_mode"):
        BairdStar("human")


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_a_table_converges_to_the_solution_of_the_linear_system(seed):
    rng = np.random.default_rng(seed)
    P, r = rng.dirichlet(np.ones(4), size=4), rng.normal(size=4)
    path = semi_gradient_sweeps(np.eye(4), P, np.zeros(4), 400, alpha=4.0, gamma=0.8, rewards=r)
    np.testing.assert_allclose(path[-1], np.linalg.solve(np.eye(4) - 0.8 * P, r), atol=1e-8)


@pytest.mark.parametrize("options, message", [
    ({"weights": [0.0]}, "expected features"), ({"sweeps": 0}, "sweeps"), ({"alpha": 0.0}, "alpha"), ({"gamma": 1.5}, "gamma"),
    ({"visits": [0.5, 0.6]}, "sum to 1"), ({"rewards": [1.0]}, "2 entries")],
    ids=["weights", "sweeps", "alpha", "gamma", "visits", "rewards"])
def test_sweeps_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        semi_gradient_sweeps(**{"features": np.eye(2), "transitions": np.eye(2), "weights": [0, 0], "sweeps": 1} | options)


# --- memory

def test_every_transition_is_drawn_equally_often_and_stays_together():
    memory, rng = ReplayBuffer(40, (2,)), np.random.default_rng(0)
    for i in range(100):
        memory.add([i, -i], i % 2, i / 2, [i + 1, 0], i % 3 == 0)
    counts = np.zeros(100, dtype=int)
    for _ in range(300):
        s, a, r, s2, d = memory.sample(16, rng)
        i = s[:, 0].astype(int)
        assert (s[:, 1] == -i).all() and (a == i % 2).all() and (r == i / 2).all() and (s2[:, 0] == i + 1).all() and (d == (i % 3 == 0)).all()
        counts += np.bincount(i, minlength=100)
    assert not counts[:60].any() and scipy.stats.chisquare(counts[60:]).pvalue > 1e-3


def test_the_memory_refuses():
    memory = ReplayBuffer(10, (2,))
    with pytest.raises(ValueError, match="0 transitions"):
        memory.sample(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="shape"):
        memory.add([1.0], 0, 1.0, [1.0, 2.0], False)
    with pytest.raises(ValueError, match="finite"):
        memory.add([1.0, 2.0], 0, np.nan, [1.0, 2.0], False)
    with pytest.raises(ValueError, match="capacity"):
        ReplayBuffer(0, (2,))


# --- targets and networks

def test_targets_by_hand():
    q, online = [[1.0, 3.0], [5.0, 2.0], [0.0, 4.0]], [[9.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    np.testing.assert_allclose(dqn_targets([1, 2, 3], [0, 0, 1], q, gamma=0.5), [2.5, 4.5, 3])
    np.testing.assert_allclose(dqn_targets([1, 2, 3], [0, 0, 1], q, gamma=0.5, q_online=online), [1.5, 3, 3])
    for bad in ({"rewards": [1]}, {"q_online": [[1.0]]}, {"gamma": 2.0}, {"q_target": [1.0, 2, 3]}):
        with pytest.raises(ValueError):
            dqn_targets(**{"rewards": [1, 2, 3], "terminated": [0, 0, 1], "q_target": q} | bad)


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
@pytest.mark.parametrize("dueling", [False, True])
def test_the_network_its_numpy_copy_and_the_fast_copy_agree(hidden, dueling):
    agent = DQN(Clock(), **SMALL | {"hidden": hidden, "dueling": dueling, "seed": 4})
    x = np.random.default_rng(0).normal(size=(20, 1)).astype("float32")
    assert max_difference(agent.model, to_numpy(agent.model), x) < 1e-5
    np.testing.assert_allclose(agent.predict(x), agent.model(x), atol=1e-5)
    np.testing.assert_allclose(agent.predict(x[0]), agent.predict(x)[0], atol=1e-6)
    assert agent(x[0]) == agent.predict(x[0]).argmax()


def test_dueling_values_have_the_state_value_as_mean():
    model = q_network(3, 4, dueling=True, seed=1)
    before = [w.copy() for w in model.get_weights()]
    assert len(model.trainable_variables) == len(before) - 2
    assert all(np.array_equal(a, b) for a, b in zip(before, q_network(3, 4, dueling=True, seed=1).get_weights()))


# --- the agent

def test_the_target_network_is_copied_when_it_should():
    agent = DQN(Clock(), **SMALL, train_every=2, target_every=50)
    start = [w.copy() for w in agent.target.get_weights()]
    same = lambda a, b: all(np.array_equal(v, w) for v, w in zip(a, b))  # noqa: E731
    agent.fit(49, evaluate_every=49, games=1)
    assert same(agent.target.get_weights(), start) and not same(agent.model.get_weights(), start)
    agent.fit(1, evaluate_every=1, games=1)
    assert agent.steps == 50 and same(agent.target.get_weights(), agent.model.get_weights())


@pytest.mark.parametrize("ends, terminated", [(True, 1.0), (False, 0.0)])
def test_truncation_bootstraps(ends, terminated):
    agent = DQN(Clock(ends=ends), **SMALL)
    agent.fit(30, evaluate_every=30, games=1)
    last = np.isclose(agent.memory.states[:30, 0], 4 / 5)
    assert last.sum() == 6 and (agent.memory.terminated[:30][last] == terminated).all()
    assert not agent.memory.terminated[:30][~last].any()
    y = agent.targets([1.0], [[1.0]], [terminated])
    ahead = 0.99 * agent.target(np.float32([[1.0]])).numpy().max()
    np.testing.assert_allclose(y, 1 + (1 - terminated) * ahead, rtol=1e-5)


def test_same_seed_same_run_for_any_runtime_given():
    runs = [DQN(Clock(), **SMALL, seed=2, runtime=runtime).fit(80, evaluate_every=40, games=2).history
            for runtime in (None, Runtime(strategy="none", precision="float32"))]
    assert runs[0] == runs[1] and len(runs[0]["return"]) == 2 and runs[0]["return"] == [5.0, 5.0]
    assert set(runs[0]) == {"return", "train_return", "loss", "max_q", "epsilon"}


def test_it_warns_when_values_diverge():
    agent = DQN(Clock(limit=50, reward=0.001), **SMALL, learning_rate=5.0, train_every=1, target_every=None)
    with pytest.warns(RuntimeWarning, match=r"diverge: \|Q\| is"):
        agent.fit(60, evaluate_every=60, games=1)


def test_a_healthy_run_is_silent_and_callbacks_stop_it(capsys):
    calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = DQN(Clock(), **SMALL).fit(100, evaluate_every=20, games=1,
                                           callback=lambda agent, row: calls.append(row) or len(calls) == 2)
    assert record.epoch == [20, 40] and [row["return"] for row in calls] == record.history["return"]
    assert capsys.readouterr() == ("", "")
    assert DQN(Clock(), **SMALL).fit(100, evaluate_every=20, games=1, stop_at=5.0).epoch == [20]
    DQN(Clock(), **SMALL).fit(20, games=1, verbose=1)
    assert "20/20" in capsys.readouterr().err


def test_settings_and_weights_are_kept(tmp_path):
    agent = DQN(Clock(), **SMALL, dueling=True, seed=7, kernel_initializer="he_normal")
    agent.fit(60, evaluate_every=60, games=1)
    path, x = agent.save(tmp_path / "agent.npz"), np.linspace(0, 1, 9).reshape(-1, 1)
    again = DQN.load(path, Clock())
    assert np.array_equal(again.predict(x), agent.predict(x)) and again.settings == agent.settings
    with pytest.raises(ValueError, match="this environment needs"):
        DQN.load(path, gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="1 inputs and 2 actions does not fit"):
        agent.replay(gym.make("CartPole-v1"))


# --- one interface for all agents: here, because only this part may load TensorFlow

LAKE, CART = (gym.make(name, render_mode="rgb_array") for name in ("FrozenLake-v1", "CartPole-v1"))
CARTS = gym.make_vec("CartPole-v1", num_envs=2)


def expert(states):
    return (np.asarray(states) @ np.array([0.1, 0.2, 3.0, 1.0]) > 0).astype(np.int64)


AGENTS = {
    "table": lambda: (LAKE, q_learning(LAKE, 50, random_state=0), {}),
    "softmax": lambda: (LAKE, reinforce(LAKE, iterations=2, batch=2, random_state=0).policy, {"random_state": 1}),
    "cloned": lambda: (CART, dagger(CARTS, expert, DecisionTreeClassifier(max_depth=3), rounds=1, random_state=0).policy, {}),
    "network": lambda: (CART, DQN(CART, **SMALL, seed=1), {"env": CART}),
}


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_acts_replays_saves_and_loads(name, tmp_path):
    env, agent, options = AGENTS[name]()
    assert isinstance(agent, Agent)
    path = agent.save(str(tmp_path / name))
    assert path == tmp_path / name and path.is_file()
    one, two = (type(agent).load(path, **options) for _ in range(2))
    episode, again = (player.replay(env, seed=5, max_steps=20) for player in (one, two))
    assert episode.actions == again.actions and episode.observations[0] == pytest.approx(env.reset(seed=5)[0])
    assert len(episode.frames) == len(episode.actions) + 1 == len(episode.observations)
    film = episode.film(2)
    assert film.ndim == 3 and film.dtype == np.uint8 and film.std() > 0
    if name == "softmax":
        assert np.array_equal(one.theta, agent.theta)
    else:
        assert all(one(seen) == agent.act(seen) for seen in episode.observations)
    assert len(evaluate(env, one, 2, max_steps=20)) == 2
    for other in {Result, SoftmaxPolicy, ClonedPolicy, DQN} - {type(agent)}:
        with pytest.raises(ValueError, match=f"of class {type(agent).__name__}, expected {other.__name__}"):
            other.load(path, **({"env": env} if other is DQN else {}))
    broken = tmp_path / "broken"
    broken.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="holds no agent"):
        type(agent).load(broken, **options)
    wrong = gym.make("CliffWalking-v1") if env is CART else CART
    with pytest.raises(ValueError, match="fit|stands for"):
        agent.replay(wrong)


@pytest.mark.skipif(not os.environ.get("MLCHEAT_SLOW"), reason="20 s a seed, and the notebook trains one: set MLCHEAT_SLOW=1")
@pytest.mark.parametrize("seed", range(4))
def test_cartpole_is_solved_with_the_defaults(seed):
    agent = DQN(gym.make("CartPole-v1"), seed=seed)
    agent.fit(120_000, stop_at=475)
    assert evaluate(gym.make("CartPole-v1"), agent, 100, seeds=50_000).mean() >= 475


# --- bad input

@pytest.mark.parametrize("env, message", [("Pendulum-v1", "Discrete action space"), ("FrozenLake-v1", "reads vectors")])
def test_spaces_that_do_not_fit(env, message):
    with pytest.raises(TypeError, match=message):
        DQN(gym.make(env))


@pytest.mark.parametrize("options, message", [
    ({"buffer": 4}, "at least batch_size"), ({"start": 4}, "at least batch_size"), ({"gamma": 1.01}, "gamma"),
    ({"learning_rate": 0.0}, "learning_rate"), ({"epsilon": (1.0, 0.1)}, "epsilon"), ({"epsilon": (1.0, -0.1, 0.5)}, "epsilon"),
    ({"train_every": 0}, "train_every"), ({"updates": 1.5}, "updates"), ({"target_every": 0}, "target_every"),
    ({"huber": -1.0}, "huber"), ({"kernel_initializer": "zeros"}, "kernel_initializer"), ({"hidden": (0,)}, "hidden"), ({"seed": -1}, "seed")],
    ids=["buffer", "start", "gamma", "rate", "two", "epsilon", "every", "updates", "target", "huber", "initializer", "hidden", "seed"])
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        DQN(Clock(), **SMALL | options)


def test_rewards_and_states_that_are_no_numbers():
    with pytest.raises(ValueError, match="finite"):
        DQN(Clock(bad_at=3), **SMALL).fit(20, games=1)
    with pytest.raises(ValueError, match="states must have shape"):
        DQN(Clock(), **SMALL).predict(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="steps"):
        DQN(Clock(), **SMALL).fit(0)
