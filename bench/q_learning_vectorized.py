"""Tabular Q-learning on the taxi, 64 environments at once, against a dictionary loop; the same number of steps."""
import gymnasium as gym
import numpy as np

from bench.harness import Case, Item
from bench.q_learning import dictionary_loop, mean_value
from mlcheat.algorithms.tabular import TabularVectorEnv, learn_vectorized


def make(steps: int) -> Case:
    env = gym.make("Taxi-v4")
    envs = TabularVectorEnv(env, 64)

    def compare(found, q):
        theirs = np.array([max(q.get(s, [0.0])) for s in range(500)])
        a, b = mean_value(found.v, env), mean_value(theirs, env)
        return [] if a > b - 0.5 else [f"our greedy value of the start is {a:.2f}, theirs {b:.2f}"]

    return Case(lambda: learn_vectorized(envs, steps, alpha=0.5, gamma=0.99, epsilon=0.1, random_state=0),
                lambda: dictionary_loop(env, 64 * steps), compare)


ITEM = Item("q_learning_vectorized", "Q-learning on the taxi, 64 environments, a step", "a loop over a dictionary", 0.07,
            {"small": {"steps": 200}, "standard": {"steps": 1500}, "large": {"steps": 10_000}}, make, needs="gymnasium",
            note="64 environments a step share one array call.")
