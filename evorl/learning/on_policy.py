"""Members that act for a while and then learn from just that: A2C, PPO, and the populations made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evorl.budget import Ledger
from evorl.interaction import Collector, Rollout
from evorl.learning.a2c import A2C
from evorl.learning.records import mean_losses, new_records, push_returns_
from evorl.learning.training import OnCopy
from evorl.population import Population
from evorl.streams import Streams


@dataclass(frozen=True)
class OnPolicy:
    """What acting and learning from rollouts needs.

    Attributes:
        learner: the updates; A2C, or PPO, which is one.
        collector: the members' environments, acted in by the learner's policy.
        streams: minibatches of each row.
        ledger: where steps and updates are counted.
    """

    learner: A2C
    collector: Collector
    streams: Streams
    ledger: Ledger

    @property
    def exact(self) -> bool:
        """Whether every episode that was resumed could be brought back to where it stood."""
        return self.collector.exact

    @property
    def tunable(self) -> Mapping[str, tuple[float, float]]:
        """What may differ from member to member, and the range in which it makes sense."""
        return self.learner.tunable

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        """Let who copies begin a new episode; there is no replay."""
        self.collector.restart((plan != torch.arange(len(plan))).nonzero()[:, 0].tolist())

    def renew(self, rows: Sequence[int]) -> None:
        """Let new members begin with an episode; there is no replay."""
        self.collector.restart(rows)

    def warm_up(self, candidates: Population, rows: Sequence[int], generation: int) -> Population:
        """Return the members; there is no warm-up."""
        return candidates

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the traits of new members with parameters (n, d) in the slots `rows`."""
        return {**self.learner.init(params, self.streams, rows), **new_records(len(params))}

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        """Return the members after `steps` steps of each, every rollout followed by its updates.

        Their traits hold the window of training returns and the mean losses of this call.

        Raises:
            ValueError: the steps are not those of whole rollouts.
        """
        length = self.learner.config.rollout_length
        if steps % length:
            raise ValueError(f"steps must be a multiple of rollout_length = {length}, got {steps}")
        members, losses = candidates.clone(), []
        for _ in range(steps // length):
            collected = [self.collector.step(members, generation) for _ in range(length)]
            for step in collected:
                if step.finished:
                    push_returns_(members.traits["recent_returns"], step.finished, step.returns)
            losses.append(self.learner.update_(members, Rollout.of_steps(collected), self.streams))
            for part in ("critic", "actor"):
                self.ledger.count_updates(part, range(len(members)), self.learner.updates)
        return members.with_params(members.params).with_traits(**mean_losses(losses, len(members)))

    def state_dict(self) -> dict[str, Any]:
        """Return environments in mid-episode."""
        return {"collector": self.collector.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.collector.load_state_dict(state["collector"])
