"""Stable-Baselines3's TD3: `UPDATES` updates of one agent of 256-256 with batches of 256, HalfCheetah's sizes."""

from importlib.metadata import version

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from serving import serve
from stable_baselines3 import TD3
from stable_baselines3.common.logger import Logger

UPDATES, STORED = 40, 20_000


class Sizes(gymnasium.Env):
    """Nothing but the sizes of HalfCheetah-v5: only updates are measured."""

    observation_space = Box(-np.inf, np.inf, (17,), np.float32)
    action_space = Box(-1.0, 1.0, (6,), np.float32)

    def reset(self, *, seed=None, options=None):
        """Return zeros."""
        return np.zeros(17, np.float32), {}

    def step(self, _action):
        """Return zeros."""
        return np.zeros(17, np.float32), 0.0, False, False, {}


def main() -> None:
    """Fill the replay with random transitions and serve."""
    sizes = {"net_arch": [256, 256]}
    agent = TD3("MlpPolicy", Sizes(), batch_size=256, buffer_size=STORED, policy_kwargs=sizes, device="cpu", seed=0)
    agent.set_logger(Logger(None, []))
    random, replay = np.random.default_rng(0), agent.replay_buffer
    for array in (replay.observations, replay.next_observations, replay.actions, replay.rewards):
        array[:] = random.standard_normal(array.shape)
    replay.actions.clip(-1, 1, out=replay.actions)
    replay.full = True

    def work(threads: int) -> None:
        torch.set_num_threads(threads)
        agent.train(gradient_steps=UPDATES, batch_size=256)

    serve(work, version=version("stable-baselines3"), updates=UPDATES)


main()
