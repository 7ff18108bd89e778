"""Members that act and learn by turns from a replay: TD3, DDPG, SAC, and the populations made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from evorl.budget import Ledger
from evorl.errors import require_at_least
from evorl.interaction import Collected, Collector, Replay
from evorl.learning.actor_critic import ActorCritic, FurtherLoss
from evorl.learning.records import count_updates, mean_losses, new_records, push_returns_
from evorl.learning.training import OnCopy
from evorl.policies import DeterministicPolicy, OrnsteinUhlenbeck
from evorl.population import Population
from evorl.streams import Streams


@dataclass(frozen=True, kw_only=True)
class ActingConfig:
    """How members with a replay act and how often they learn; learners without one read none of it."""

    exploration: Literal["gaussian", "ornstein_uhlenbeck"] = "gaussian"
    """Noise of deterministic policies: independent from step to step, or that of ERL's agent, which remembers."""
    exploration_noise: float = 0.1
    """Standard deviation of the Gaussian noise on actions in [-1, 1]."""
    warmup_steps: int = 10_000
    """Random steps of a member before it acts and learns."""
    updates_per_step: int = 1
    """Gradient updates of a member for each of its steps after the warm-up."""
    replay_size: int = 1_000_000
    """Transitions that a replay keeps."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        for name in ("warmup_steps", "updates_per_step", "replay_size"):
            require_at_least(name, getattr(self, name), 1)
        require_at_least("exploration_noise", self.exploration_noise, 0)


@dataclass(frozen=True)
class OffPolicy:
    """What acting and learning by turns needs.

    Attributes:
        learner: the updates.
        collector: the members' environments.
        replay: one ring a member, or one for all.
        streams: minibatches and target noise of each row.
        ledger: where steps, stored transitions and updates are counted.
        config: how members act and how often they learn.
        noise: of an exploring policy that remembers.
    """

    learner: ActorCritic
    collector: Collector
    replay: Replay
    streams: Streams
    ledger: Ledger
    config: ActingConfig
    noise: OrnsteinUhlenbeck | None = None

    @property
    def exact(self) -> bool:
        """Whether every episode that was resumed could be brought back to where it stood."""
        return self.collector.exact

    @property
    def tunable(self) -> Mapping[str, tuple[float, float]]:
        """What may differ from member to member, and the range in which it makes sense."""
        noise = {"exploration_noise": (0.0, 2.0)} if isinstance(self.collector.policy, DeterministicPolicy) else {}
        return {**self.learner.tunable, **noise}

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        """Let who copies begin a new episode, and its replay be as `replay` says."""
        rows = (plan != torch.arange(len(plan))).nonzero()[:, 0].tolist()
        self.collector.restart(rows)
        if replay == "copy":
            self.replay.follow(plan)
        elif replay == "clear":
            self.replay.clear(rows)

    def renew(self, rows: Sequence[int]) -> None:
        """Let the slots `rows` be as they were at first, for new members."""
        self.collector.restart(rows)
        self.collector.taken[list(rows)] = 0
        self.replay.clear(rows)
        if self.noise is not None:
            self.noise.clear(rows)

    def warm_up(self, candidates: Population, rows: Sequence[int], generation: int) -> Population:
        """Return the members after `warmup_steps` random steps of only `rows`, stored for the updates to come."""
        recent = candidates.traits["recent_returns"].clone()
        for _ in range(self.config.warmup_steps):
            self._store(self.collector.step_at_random(rows, generation), recent)
        return candidates.with_traits(recent_returns=recent)

    def _store(self, collected: Collected, recent: Tensor) -> None:
        """Store the transitions, and push returns to the windows (n, w), in place."""
        self.replay.add(collected.transitions)
        self.ledger.stored += len(collected.transitions)
        if collected.finished:
            push_returns_(recent, collected.finished, collected.returns)

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the traits of new members with parameters (n, d) in the slots `rows`."""
        return {**self.learner.init(params, self.streams, rows), **new_records(len(params))}

    def act_and_learn(
        self, candidates: Population, steps: int, generation: int, extra: FurtherLoss | None = None
    ) -> Population:
        """Return the members after `steps` steps of each, every step followed by its updates.

        Their traits hold the window of training returns and the mean losses of this call. `extra` is a further loss of
        the actors.
        """
        members = candidates.clone()
        recent = members.traits["recent_returns"]
        losses = []
        for _ in range(steps):
            warming = bool(self.collector.taken.min() < self.config.warmup_steps)
            self._store(self.collector.step(members, generation, uniform=warming), recent)
            if not warming:
                updates = self.config.updates_per_step
                losses.append(self.learner.update_(members, self.replay, updates, self.streams, extra))
        count_updates(self.ledger, candidates, members, self.learner.config.policy_delay)
        return members.with_params(members.params).with_traits(**mean_losses(losses, len(members)))

    def state_dict(self) -> dict[str, Any]:
        """Return environments in mid-episode, replay and noise."""
        noise = None if self.noise is None else self.noise.state_dict()
        return {"collector": self.collector.state_dict(), "replay": self.replay.state_dict(), "noise": noise}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.collector.load_state_dict(state["collector"])
        self.replay.load_state_dict(state["replay"])
        if self.noise is not None:
            self.noise.load_state_dict(state["noise"])
