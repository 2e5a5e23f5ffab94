"""Tabular Q-learning on Gymnasium's taxi: q_learning against a dictionary loop."""
import gymnasium as gym
import numpy as np

from bench.harness import Case, Item
from mlcheat.algorithms.tabular import q_learning


def dictionary_loop(env, steps: int, alpha=0.5, gamma=0.99, epsilon=0.1, seed=0) -> dict:
    """What people write: a dictionary of lists, one step after the other."""
    rng, q, k = np.random.default_rng(seed), {}, int(env.action_space.n)
    draws = iter(rng.random(3 * steps + 10).tolist())
    state, done = env.reset(seed=seed)[0], False
    for _ in range(steps):
        row = q.setdefault(state, [0.0] * k)
        action = int(next(draws) * k) if next(draws) < epsilon else row.index(max(row))
        after, reward, terminated, truncated, _ = env.step(action)
        future = 0.0 if terminated else max(q.setdefault(after, [0.0] * k))
        row[action] += alpha * (reward + gamma * future - row[action])
        state = env.reset()[0] if terminated or truncated else after
    return q


def mean_value(table: np.ndarray, env) -> float:
    """Greedy value of the start states that the table claims."""
    return float(env.unwrapped.initial_state_distrib @ table)


def make(episodes: int) -> Case:
    env = gym.make("Taxi-v4")

    def ours():
        return q_learning(env, episodes, alpha=0.5, gamma=0.99, epsilon=0.1, random_state=0)

    steps = int(ours().lengths.sum())                                # the same number of steps for both

    def compare(found, q):
        theirs = np.array([max(q.get(s, [0.0])) for s in range(500)])
        a, b = mean_value(found.v, env), mean_value(theirs, env)
        return [] if a > b - 0.5 else [f"our greedy value of the start is {a:.2f}, theirs {b:.2f}"]

    return Case(ours, lambda: dictionary_loop(env, steps), compare)


ITEM = Item("q_learning", "Q-learning on the taxi, a step", "a loop over a dictionary", 1.0,
            {"small": {"episodes": 100}, "standard": {"episodes": 1500}, "large": {"episodes": 10_000}}, make,
            needs="gymnasium",
            note="A loop in Python on both sides: lists beat dictionaries by little.")
