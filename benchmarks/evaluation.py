"""How fast are members evaluated, against a loop over Gymnasium's environments and against bare physics?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import mujoco.batch
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import vector_to_parameters

from benchmarks.plain_td3 import perceptron
from benchmarks.report import Cell, Goal, Result
from benchmarks.timing import interleaved
from evorl.budget import Ledger
from evorl.envs import describe, make
from evorl.interaction import Episodes
from evorl.policies import NetworkConfig, deterministic_policy
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

#: Threads of the bare physics.
PHYSICS_THREADS = 2

Environment = gymnasium.Env[NDArray[Any], NDArray[Any]]


class PlainLoop:
    """Members as modules, each with an environment of Gymnasium's, playing one after another.

    Args:
        task: what is played.
        actors: the members' policies, of actions in [-1, 1].
    """

    def __init__(self, task: Task, actors: Sequence[nn.Module]) -> None:
        self.task, self.actors = task, actors
        self.environments: list[Environment] = [
            gymnasium.make(task.env_id, disable_env_checker=True, **task.env_kwargs) for _ in actors
        ]

    def play(self, seeds: Sequence[int], keep: list[tuple[Any, ...]] | None = None) -> list[float]:
        """Return each member's return of the episode from its seed; put every transition into `keep`."""
        with torch.inference_mode():
            members = zip(self.actors, self.environments, seeds, strict=True)
            return [self._episode(*member, keep) for member in members]

    def _episode(
        self, actor: nn.Module, environment: Environment, seed: int, keep: list[tuple[Any, ...]] | None
    ) -> float:
        observation = environment.reset(seed=seed)[0].astype(np.float32)
        total, ended = 0.0, False
        while not ended:
            action = actor(torch.from_numpy(observation)).numpy()
            following, reward, terminated, truncated, _ = environment.step(self.task.scale(action))
            following = following.astype(np.float32)
            if keep is not None:
                keep.append((observation, action, reward, following, terminated))
            observation, total, ended = following, total + float(reward), terminated or truncated
        return total


class BarePhysics:
    """The physics alone of the same steps: every member's actions are known, nothing is observed or rewarded.

    Args:
        task: of MuJoCo.
        actions: (n, steps, a) in the bounds of the task.
    """

    def __init__(self, task: Task, actions: NDArray[np.float32], seeds: Sequence[int]) -> None:
        self.actions = actions.transpose(1, 0, 2).astype(np.float64)
        environment: Any = gymnasium.make(task.env_id, disable_env_checker=True, **task.env_kwargs).unwrapped
        self.frame_skip = environment.frame_skip
        self.batch = mujoco.batch.Batch(environment.model, len(actions), nthread=PHYSICS_THREADS, persistent=True)
        starts = []
        for seed in seeds:
            environment.reset(seed=seed)
            starts.append((environment.data.qpos.copy(), environment.data.qvel.copy()))
        self.starts = [np.stack(part) for part in zip(*starts, strict=True)]
        self.positions, self.velocities, self.control = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))

    def play(self) -> None:
        """Step through all actions."""
        self.batch.reset()
        self.positions[:], self.velocities[:] = self.starts
        for actions in self.actions:
            self.control[:] = actions
            self.batch.step(nstep=self.frame_skip)


def stacked_members(task: Task, n: int, network: NetworkConfig) -> tuple[Episodes, Population]:
    """Return what plays n fresh members side by side, and the members."""
    policy = deterministic_policy(task, network)
    params = policy.network.init(Streams(0).rows("initialise", range(n)))
    return Episodes(make(task, n), policy, Ledger()), Population.fresh(params, Identities(), "initial")


def plain_actors(task: Task, members: Population, network: NetworkConfig) -> list[nn.Module]:
    """Return the same members as modules."""
    hidden: type[nn.Module] = nn.Tanh if network.activation == "tanh" else nn.ReLU
    sizes = (task.observation_size, *network.hidden_sizes, task.action_size)
    actors: list[nn.Module] = [perceptron(sizes, hidden, output=nn.Tanh) for _ in range(len(members))]
    for actor, params in zip(actors, members.params, strict=True):
        vector_to_parameters(params.clone(), actor.parameters())
    return actors


def measure(n: int = 10, steps: int = 1000, repeats: int = 5, hidden: tuple[int, ...] = (256, 256)) -> Result:
    """Time one episode of every member."""
    task = describe("HalfCheetah-v5", {} if steps == 1000 else {"max_episode_steps": steps})
    network, seeds = NetworkConfig(hidden_sizes=hidden), range(n)
    episodes, members = stacked_members(task, n, network)
    plain = PlainLoop(task, plain_actors(task, members, network))
    played = episodes.play(members, seeds, "test", keep=True).transitions
    if played is None:
        raise RuntimeError("the transitions that were asked for must be returned")
    physics = BarePhysics(task, task.scale(played.actions.numpy()).reshape(n, steps, -1), seeds)
    works = {
        "this library": lambda: episodes.play(members, seeds, "test"),
        "loop over Gymnasium": lambda: plain.play(seeds),
        f"bare physics, {PHYSICS_THREADS} threads": physics.play,
    }
    timings = interleaved(works, repeats)
    episodes.envs.close()
    ours, loop, bare = (timing.best for timing in timings.values())
    rows: list[list[Cell]] = [
        [name, n * steps / timing.best, str(timing.threads), timing.best / ours] for name, timing in timings.items()
    ]
    compared = (
        f"{n} members of {'-'.join(map(str, hidden))} play one episode of {steps:,} steps each on HalfCheetah-v5. "
        "*Loop over Gymnasium*: one member after another, a module without autograd and an environment of its own. "
        "*Bare physics*: `mujoco.batch` steps through the very actions of those episodes, and nothing is observed, "
        f"rewarded or decided. Medians of {repeats} rounds by turns, each at its better number of torch's threads."
    )
    goals = [
        Goal("evaluating 10 members on HalfCheetah-v5: against the loop", 3.5, loop / ours),
        Goal("the same: share of bare physics on 2 threads", 0.55, bare / ours),
    ]
    columns = ("what", "steps a second", "torch threads", "time / this library's")
    return Result("Evaluation on HalfCheetah-v5", compared, columns, rows, goals)
