"""What several questions measure on: members, a replay of random transitions, a learner, of HalfCheetah's sizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from evorl.interaction import Replay
from evorl.learning import TD3, TD3Config
from evorl.policies import MLP, NetworkConfig, Precision
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

#: Sizes and bounds of HalfCheetah-v5; nothing is simulated where only updates are measured.
CHEETAH = Task("HalfCheetah-v5", 17, (-1.0,) * 6, (1.0,) * 6, 1000)


@dataclass(frozen=True)
class Case:
    """n members with one architecture and batch size."""

    members: int
    hidden: tuple[int, ...]
    batch: int
    precision: Precision = "fp32"

    @property
    def name(self) -> str:
        """A line of a table."""
        noun = "member" if self.members == 1 else "members"
        return f"{self.members} {noun}, {'-'.join(map(str, self.hidden))}, batch {self.batch}"

    @property
    def config(self) -> TD3Config:
        """TD3 with the authors' settings at these sizes."""
        critic = NetworkConfig(hidden_sizes=self.hidden)
        return TD3Config(critic=critic, batch_size=self.batch, precision=self.precision)


@dataclass(frozen=True)
class Setup:
    """Members that can be updated."""

    case: Case
    learner: TD3
    members: Population
    replay: Replay
    streams: Streams

    def update(self, updates: int) -> None:
        """Update all members, in place."""
        self.learner.update_(self.members, self.replay, updates, self.streams)


def transitions(n: int, each: int, task: Task = CHEETAH) -> Transitions:
    """Return `each` random transitions of each of n members."""
    generator = torch.Generator().manual_seed(5)
    m = n * each
    return Transitions(
        torch.randn(m, task.observation_size, generator=generator),
        torch.rand(m, task.action_size, generator=generator) * 2 - 1,
        torch.randn(m, generator=generator),
        torch.randn(m, task.observation_size, generator=generator),
        (torch.rand(m, generator=generator) < 0.01).float(),
        torch.arange(n).repeat_interleave(each),
    )


def setup(case: Case, stored: Transitions) -> Setup:
    """Return fresh members, each with a replay of its share of `stored`."""
    n, streams = case.members, Streams(0)
    actor = MLP(CHEETAH.observation_size, CHEETAH.action_size, NetworkConfig(hidden_sizes=case.hidden), output="tanh")
    learner = TD3(CHEETAH, actor, case.config)
    members = Population.fresh(actor.init(streams.rows("initialise", range(n))), Identities(), "initial")
    replay = Replay(n, len(stored) // n, CHEETAH.observation_size, CHEETAH.action_size)
    replay.add(stored)
    return Setup(case, learner, members.with_traits(**learner.init(members.params, streams)), replay, streams)
