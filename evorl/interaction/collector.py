"""Collector: one environment a row, kept in mid-episode between calls, for members that learn while they act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evorl.budget import Ledger, Purpose
from evorl.envs import MemberEnvs
from evorl.interaction.acting import act
from evorl.policies import Policy
from evorl.population import Population, Transitions
from evorl.streams import Streams
from evorl.task import Task


@dataclass(frozen=True)
class Collected:
    """What one step of all rows, or of some, brought.

    Attributes:
        transitions: a step of each of these rows.
        finished: rows whose episode ended with this step.
        returns: (len(finished),) float64 their undiscounted returns.
    """

    transitions: Transitions
    finished: list[int]
    returns: NDArray[np.float64]


class Collector:
    """Steps each member's own environment with exploration; an ended episode is followed by a newly seeded one.

    Args:
        envs: n rows.
        task: sizes of observation and action.
        policy: what acts.
        streams: `explore` of each row draws its noise, `episode` gives the seeds of its starts.
        ledger: where every step is counted.

    Attributes:
        exact: False once an episode could not be restored as it was, because its environment does not repeat.
        taken: (n,) steps each row has taken so far.
    """

    def __init__(self, envs: MemberEnvs, n: int, task: Task, policy: Policy, streams: Streams, ledger: Ledger) -> None:
        self.envs = envs
        self.policy = policy
        self.streams = streams
        self.ledger = ledger
        self.exact = True
        self.taken = np.zeros(n, np.int64)
        self._explore = streams.rows("explore", range(n))
        self._action_size, self._choices = task.action_size, task.choices
        self._started = np.zeros(n, np.int64)
        self._seeds = np.zeros(n, np.int64)
        self._in_episode = np.zeros(n, bool)
        self._returns = np.zeros(n)
        self._observations = np.zeros((n, task.observation_size), np.float32)
        self._actions = np.empty((n, 0, task.action_size), np.float32)
        self._lengths = np.zeros(n, np.int64)

    def step(self, members: Population, generation: int, uniform: bool = False) -> Collected:
        """Let every member take one step.

        Args:
            members: n rows.
            generation: the present one; part of the key of the seeds drawn.
            uniform: act uniformly at random instead, counted as warm-up.

        Raises:
            EnvironmentFault: an environment raised, or returned something that is not finite.
        """
        rows = range(len(self._observations))
        if uniform:
            return self.step_at_random(rows, generation)
        self._start(rows, generation)
        actions, failed = act(self.policy, members, self._observations, self._explore)
        self._returns[failed] = -np.inf
        return self._advance(rows, actions, "train")

    def step_at_random(self, rows: Sequence[int], generation: int) -> Collected:
        """Let only the members of `rows` take one step, uniformly at random, counted as warm-up."""
        self._start(rows, generation)
        return self._advance(rows, self._random_actions(rows), "warmup")

    def _advance(self, rows: Sequence[int], actions: NDArray[np.float32], purpose: Purpose) -> Collected:
        """Step the environments of `rows` with an action each."""
        acting = np.array(rows)
        before = self._observations[acting]  # a copy
        following, rewards, terminated, truncated = self.envs.step(list(rows), actions)
        self.ledger.count_steps(purpose, len(rows))
        self.taken[acting] += 1
        self._returns[acting] += rewards
        self._observations[acting] = following
        self._remember(acting, actions)
        ended = acting[terminated | truncated]
        self._in_episode[ended] = False
        self.ledger.episodes += len(ended)
        columns = (before, actions, np.float32(rewards), following, np.float32(terminated), acting)
        return Collected(Transitions(*map(torch.from_numpy, columns)), ended.tolist(), self._returns[ended])

    def restart(self, rows: Sequence[int]) -> None:
        """Let these members begin a new episode at their next step; the one under way is given up."""
        self._in_episode[list(rows)] = False

    def _random_actions(self, rows: Sequence[int]) -> NDArray[np.float32]:
        own = self._explore[rows]
        if self._choices is None:
            drawn = own.uniform(-1, 1, self._action_size)
        else:
            drawn = own.integers([self._choices] * len(own), 1).float()
        actions: NDArray[np.float32] = drawn.numpy()
        return actions

    def _remember(self, acting: NDArray[np.int64], actions: NDArray[np.float32]) -> None:
        """Put actions (k, a) behind those of the episodes of the rows `acting`; room grows in doublings."""
        n, room, width = self._actions.shape
        if self._lengths.max() == room:
            more = np.empty((n, max(room, 64), width), np.float32)
            self._actions = np.concatenate([self._actions, more], axis=1)
        self._actions[acting, self._lengths[acting]] = actions
        self._lengths[acting] += 1

    def _start(self, rows: Sequence[int], generation: int) -> None:
        """Begin an episode for whoever of `rows` is in none."""
        rows = [row for row in rows if not self._in_episode[row]]
        for row in rows:
            self._seeds[row] = self.streams.episode_seed("episode", generation, row, int(self._started[row]))
        if rows:
            self._lengths[rows] = 0
            self._observations[rows] = self.envs.reset(rows, self._seeds[rows].tolist())
            self._returns[rows] = 0.0
            self._started[rows] += 1
            self._in_episode[rows] = True

    def state_dict(self) -> dict[str, Any]:
        """Return where each row stands: the seed of its episode and its actions since."""
        return {
            "exact": self.exact,
            "taken": torch.from_numpy(self.taken.copy()),
            "started": torch.from_numpy(self._started.copy()),
            "seeds": torch.from_numpy(self._seeds.copy()),
            "in_episode": torch.from_numpy(self._in_episode.copy()),
            "returns": torch.from_numpy(self._returns.copy()),
            "observations": torch.from_numpy(self._observations.copy()),
            "actions": [
                torch.from_numpy(actions[:length].copy()) if length else None
                for actions, length in zip(self._actions, self._lengths.tolist(), strict=True)
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Bring every row back to where it stood, by repeating its episode; the steps are counted as restored.

        A row whose environment does not come to the same observation starts a new episode, and `exact` is False.
        """
        self.exact = state["exact"]
        self.taken, self._started = state["taken"].numpy().copy(), state["started"].numpy().copy()
        self._seeds, self._in_episode = state["seeds"].numpy().copy(), state["in_episode"].numpy().copy()
        self._returns, self._observations = state["returns"].numpy().copy(), state["observations"].numpy().copy()
        self._lengths[:] = [0 if actions is None else len(actions) for actions in state["actions"]]
        self._actions = np.empty((len(self._lengths), int(self._lengths.max()), self._action_size), np.float32)
        for row, actions in enumerate(state["actions"]):
            if actions is not None:
                self._actions[row, : len(actions)] = actions.numpy()
        for row in np.flatnonzero(self._in_episode).tolist():
            if not self._repeat(row):
                self.exact = False
                self._in_episode[row] = False

    def _repeat(self, row: int) -> bool:
        observation = self.envs.reset([row], [int(self._seeds[row])])
        for action in self._actions[row, : self._lengths[row]]:
            observation, _, terminated, truncated = self.envs.step([row], action[None])
            self.ledger.count_steps("restored", 1)
            if terminated[0] or truncated[0]:
                return False
        return bool(np.array_equal(observation[0], self._observations[row]))
