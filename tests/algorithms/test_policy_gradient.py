"""Policy gradients against loops, exact means and differences; imitation; bad input."""
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.tree import DecisionTreeClassifier

from mlcheat.algorithms import policy_gradient as ours
from mlcheat.algorithms.reinforcement_learning import ShortCorridor, evaluate

RULE = np.array([0.1, 0.2, 3.0, 1.0])


def expert(states):
    return (np.asarray(states) @ RULE > 0).astype(np.int64)


def carts(n=4):
    return gym.make_vec("CartPole-v1", num_envs=n)


class Strange(gym.Env):
    """One state, ends after three steps; what it returns can be spoilt."""

    observation_space, action_space = gym.spaces.Discrete(1), gym.spaces.Discrete(2)

    def __init__(self, reward=1.0, bad_at=None, old=False):
        self.reward, self.bad_at, self.old = reward, bad_at, old

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {}

    def step(self, action):
        self.t += 1
        reward = np.nan if self.t == self.bad_at else self.reward
        return (0, reward, self.t == 3, {}) if self.old else (0, reward, self.t == 3, False, {})


# --- the policy

@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 10**6))
def test_probabilities_and_scores(k, actions, seed):
    rng = np.random.default_rng(seed)
    theta, states = 5 * rng.normal(size=(k + 1, actions)), rng.normal(size=(6, k))
    policy = ours.SoftmaxPolicy(theta, random_state=0)
    p = policy.probabilities(states)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for i in range(6):
        np.testing.assert_allclose(policy.probabilities(states[i]), p[i])
        mean = sum(p[i, a] * policy.score(states[i], a) for a in range(actions))
        np.testing.assert_allclose(mean, 0, atol=1e-12)      # the score has mean 0
    drawn = policy(states)
    assert drawn.shape == (6,) and drawn.min() >= 0 and drawn.max() < actions
    assert policy.greedy(states[0]) == p[0].argmax()


def test_stable_for_huge_scores_and_theta_is_copied():
    theta = np.array([[1e4, -1e4, 0.0]])
    policy = ours.SoftmaxPolicy(theta)
    theta[:] = 0
    assert policy.probabilities(0).tolist() == [1, 0, 0]


def test_features_and_integers():
    square = ours.SoftmaxPolicy(np.ones((2, 2)), lambda s: np.column_stack([s[:, 0], s[:, 0] ** 2]))
    assert square.phi(np.array([[3.0]])).tolist() == [[3, 9]]
    rows = ours.SoftmaxPolicy(np.log([[1.0, 3.0], [1.0, 1.0]])).probabilities(np.array([0, 1]))
    np.testing.assert_allclose(rows, [[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize("theta", [[1.0, 2.0], [[np.nan, 0.0]], np.empty((0, 2))], ids=["vector", "nan", "empty"])
def test_theta_must_be_a_finite_matrix(theta):
    with pytest.raises(ValueError, match="theta"):
        ours.SoftmaxPolicy(theta)


@pytest.mark.parametrize("observation, message", [(3, "lie in 0..1"), ([1.0, 2.0, 3.0], "shape"), ("left", "observations"),
                                                  ([[[1.0]]], "observations")], ids=["row", "long", "text", "axes"])
def test_observations_that_do_not_fit(observation, message):
    with pytest.raises(ValueError, match=message):
        ours.SoftmaxPolicy(np.zeros((2, 2))).probabilities(observation)


# --- episodes

def test_one_after_another_equals_the_loop_of_evaluate():
    env = gym.make("CartPole-v1")
    run = ours.rollout(env, expert_once := lambda s: int(s[2] > 0), 3, random_state=0)
    seed = int(np.random.default_rng(0).integers(2**31 - 1))
    assert run.returns[0] == evaluate(env, expert_once, 1, seeds=seed)[0]
    states, actions = run.pairs
    assert len(states) == run.lengths.sum() == run.returns.sum()
    assert np.array_equal(actions, (states[:, 2] > 0).astype(int))
    assert not run.rewards[~run.alive].any()


def test_the_vector_environment_plays_the_same_number_of_whole_episodes():
    run = ours.rollout(carts(4), lambda s: (s[:, 2] > 0).astype(int), 6, random_state=1)
    assert run.alive.shape[1] == 6 and (run.alive[1:] <= run.alive[:-1]).all()
    again = ours.rollout(carts(4), lambda s: (s[:, 2] > 0).astype(int), 6, random_state=1)
    assert np.array_equal(run.states, again.states)
    cut = ours.rollout(carts(2), expert, 2, max_steps=7, random_state=1)
    assert cut.lengths.tolist() == [7, 7]


def test_truncated_games_count_to_their_end():
    assert ours.collect(carts(2), expert, 2, random_state=0)[2].tolist() == [500, 500]


@pytest.mark.parametrize("answer", [lambda s: 2, lambda s: 0.5, lambda s: np.array([0])], ids=["range", "float", "shape"])
def test_policies_that_give_no_action(answer):
    with pytest.raises(ValueError, match="action"):
        ours.rollout(gym.make("CartPole-v1"), answer, 1)


def test_environments_that_cannot_be_used():
    with pytest.raises(TypeError, match="Discrete"):
        ours.reinforce(gym.make("Pendulum-v1"))
    with pytest.raises(TypeError, match="observations"):
        ours.rollout(gym.make("Blackjack-v1"), lambda s: 0, 1)
    with pytest.raises(TypeError, match="old library gym"):
        ours.rollout(Strange(old=True), lambda s: 0, 1)
    with pytest.raises(ValueError, match="finite"):
        ours.rollout(Strange(bad_at=2), lambda s: 0, 1)
    with pytest.raises(TypeError, match="function"):
        ours.rollout(Strange(), [0, 1], 1)


# --- the gradient

@pytest.mark.parametrize("gamma", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("baseline", [None, "mean"])
def test_the_gradient_is_the_double_sum(gamma, baseline):
    policy = ours.SoftmaxPolicy(np.random.default_rng(0).normal(size=(5, 2)), random_state=2)
    run = ours.rollout(carts(4), policy, 4, random_state=3)
    total, n = np.zeros((5, 2)), 4
    G = lambda i, t: sum(gamma ** (k - t) * run.rewards[k, i] for k in range(t, len(run.rewards)))  # noqa: E731
    for i in range(n):
        for t in range(run.lengths[i]):
            b = sum(G(j, t) for j in range(n) if j != i) / (n - 1) if baseline else 0.0
            total += gamma**t * (G(i, t) - b) * policy.score(run.states[t, i], run.actions[t, i]) / n
    np.testing.assert_allclose(ours.reinforce_gradient(policy, run, gamma=gamma, baseline=baseline), total, atol=1e-9)


def test_the_corridor_is_learned():
    """Mean over the end of the run: the exact optimum is 2 - sqrt 2."""
    found = ours.reinforce(TimeLimit(ShortCorridor(), 200), iterations=120, batch=20, gamma=1.0, random_state=1)
    assert abs(found.policy.probabilities(0)[1] - (2 - np.sqrt(2))) < 0.1
    assert found.returns.shape == (120, 20) and found.returns[-30:].mean() > -14


def test_same_seed_same_run_and_features():
    run = lambda **o: ours.reinforce(carts(3), iterations=4, batch=3, random_state=5, **o)  # noqa: E731
    assert np.array_equal(run().theta, run().theta)
    assert run(features=lambda s: s[:, 2:]).theta.shape == (2, 2)
    with pytest.raises(ValueError, match="features must give a matrix"):
        run(features=lambda s: s[:, 2])


@pytest.mark.parametrize("options, message", [
    ({"gamma": 1.1}, "gamma"), ({"gamma": np.nan}, "gamma"), ({"learning_rate": 0.0}, "learning_rate"),
    ({"learning_rate": np.inf}, "learning_rate"), ({"iterations": 0}, "iterations"), ({"batch": 2.0}, "batch"),
    ({"batch": 1}, "at least 2"), ({"baseline": "median"}, "baseline"), ({"max_steps": 0}, "max_steps")],
    ids=["gamma", "nan", "rate", "infinite", "iterations", "batch", "alone", "baseline", "max_steps"])
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ours.reinforce(Strange(), **options)


def test_reinforce_can_be_watched_and_stopped(capsys):
    seen = []

    def watch(i, returns, policy):
        seen.append((i, returns.sum(), policy.theta.copy()))
        return i == 2

    found = ours.reinforce(Strange(), iterations=9, batch=2, random_state=0, callback=watch, verbose=True)
    assert found.returns.shape == (3, 2) and [row[0] for row in seen] == [0, 1, 2]
    assert found.returns.sum(axis=1).tolist() == [row[1] for row in seen] and np.array_equal(found.theta, seen[-1][2])
    assert "/9" in capsys.readouterr().err
    ours.reinforce(Strange(), iterations=2, batch=2, random_state=0)
    assert capsys.readouterr() == ("", "")


# --- agents

def test_features_are_given_again(tmp_path):
    cubes = lambda s: s[:, :2] ** 3  # noqa: E731
    with_some, without = ours.SoftmaxPolicy(np.ones((2, 2)), cubes), ours.SoftmaxPolicy(np.ones((5, 2)))
    some, none = with_some.save(tmp_path / "some.npz"), without.save(tmp_path / "none.npz")
    again = ours.SoftmaxPolicy.load(some, features=cubes, random_state=3)
    assert again(np.ones((9, 4))).tolist() == ours.SoftmaxPolicy(np.ones((2, 2)), cubes, random_state=3)(np.ones((9, 4))).tolist()
    with pytest.raises(ValueError, match="give it as features="):
        ours.SoftmaxPolicy.load(some)
    with pytest.raises(ValueError, match="without features"):
        ours.SoftmaxPolicy.load(none, features=cubes)


def test_agents_refuse_environments_that_do_not_fit():
    lake, cart = gym.make("FrozenLake-v1"), gym.make("CartPole-v1")
    table, line = ours.SoftmaxPolicy(np.zeros((16, 4))), ours.SoftmaxPolicy(np.zeros((5, 2)))
    copy = ours.behaviour_cloning(DecisionTreeClassifier(), [0, 1, 2], [0, 3, 3])
    assert len(evaluate(lake, table, 2)) == len(evaluate(cart, line, 2)) == len(evaluate(lake, copy, 2)) == 2
    for agent, env in ((table, cart), (line, lake), (copy, cart), (line, gym.make("Acrobot-v1"))):
        for use in (lambda a, e: a.replay(e), lambda a, e: evaluate(e, a, 1)):
            with pytest.raises(ValueError, match="does not fit the environment"):
                use(agent, env)


# --- imitation

def test_cloning_needs_both_actions_and_a_classifier():
    tree = DecisionTreeClassifier()
    with pytest.raises(ValueError, match="one action only"):
        ours.behaviour_cloning(tree, np.zeros((5, 2)), np.ones(5, dtype=int))
    with pytest.raises(ValueError, match="expected 3 states"):
        ours.behaviour_cloning(tree, np.zeros((5, 2)), [0, 1, 0])
    with pytest.raises(ValueError, match="integers"):
        ours.behaviour_cloning(tree, np.zeros((2, 2)), [0.5, 1.0])
    with pytest.raises(TypeError, match="classifier"):
        ours.behaviour_cloning("tree", np.zeros((2, 2)), [0, 1])


def test_the_estimator_is_not_changed_and_integers_are_states_too():
    tree = DecisionTreeClassifier()
    copy = ours.behaviour_cloning(tree, [0, 1, 2, 3], [0, 0, 1, 1])
    assert not hasattr(tree, "tree_") and copy(3) == 1 and copy(np.array([0, 3])).tolist() == [0, 1]


def test_dagger_labels_with_the_expert_and_repeats():
    tree = DecisionTreeClassifier(max_depth=4, random_state=0)
    run = lambda: ours.dagger(carts(2), expert, tree, rounds=2, episodes=2, random_state=0)  # noqa: E731
    one, two = run(), run()
    assert len(one.policies) == len(one.sizes) == 3 and len(one.states) == one.sizes[-1]
    assert np.array_equal(one.states, two.states) and np.array_equal(one.actions, expert(one.states))
    last = ours.behaviour_cloning(tree, one.states, one.actions)
    assert np.array_equal(last(one.states), one.policies[-1](one.states))
    assert one.policy is one.policies[-1] and [len(earned) for earned in one.returns] == [1, 2, 2]
    assert one.returns[0].tolist() == [500] and sum(earned.sum() for earned in one.returns) == len(one.states)
    rounds = []
    stopped = ours.dagger(carts(2), expert, tree, rounds=9, episodes=2, random_state=0,
                          callback=lambda k, earned, copy: rounds.append((k, earned.sum(), copy)) or k == 1)
    assert len(stopped.policies) == 2 and rounds == [(1, stopped.returns[1].sum(), stopped.policy)]
    plain = ours.dagger(carts(2), expert, tree, rounds=0, random_state=0)
    assert len(plain.policies) == 1 and plain.sizes == one.sizes[:1]


def test_dagger_refuses():
    with pytest.raises(ValueError, match="rounds"):
        ours.dagger(carts(2), expert, DecisionTreeClassifier(), rounds=-1)
    moody = lambda s: expert(s) if len(s) in (1, 2, 500) else np.zeros(3, dtype=int)  # noqa: E731
    with pytest.raises(ValueError, match="integer actions of shape"):
        ours.dagger(carts(2), moody, DecisionTreeClassifier(max_depth=2), rounds=1, random_state=0)


def test_a_copy_that_gives_classes_out_of_range():
    wrong = ours.ClonedPolicy(DummyClassifier(strategy="constant", constant=7).fit([[0.0]], [7]))
    with pytest.raises(ValueError, match="lie in 0..1"):
        ours.rollout(carts(2), wrong, 2)
