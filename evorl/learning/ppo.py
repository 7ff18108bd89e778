"""PPO with the clipped objective (Schulman et al. 2017, algorithm 1 and equation 7) on stacked members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import ConfigError, require_above, require_at_least
from evorl.interaction import Rollout
from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.policy_gradient import PolicyBatch
from evorl.learning.traits import Hyperparameters, State, column
from evorl.policies import StochasticPolicy
from evorl.population import Population
from evorl.streams import RowStreams, Streams
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class PPOConfig(A2CConfig):
    """Settings of PPO; the defaults are those of Stable-Baselines3, with observations normalised as CleanRL does."""

    rollout_length: int = 2_048
    """Steps of a member between two updates."""
    learning_rate: float = 3e-4
    """Of the Adam of policy and value network."""
    standardise_advantages: bool = True
    """Whether the advantages of a minibatch get mean 0 and standard deviation 1."""
    clip_range: float = 0.2
    """How far the ratio of new to old probability may go from 1 before it earns nothing more."""
    epochs: int = 10
    """Passes through a rollout."""
    minibatches: int = 32
    """Equal parts into which a rollout is cut at random in each pass, with a step for each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("clip_range", self.clip_range, 0)
        require_at_least("epochs", self.epochs, 1)
        require_at_least("minibatches", self.minibatches, 1)
        if self.rollout_length % self.minibatches:
            got = self.rollout_length
            raise ConfigError(f"rollout_length must be a multiple of minibatches = {self.minibatches}, got {got}")


class PPO(A2C):
    """A rollout is passed through several times in minibatches, while the policy stays near the one that acted.

    Args:
        task: size of observation.
        policy: what acts.
        config: settings; those in `tunable` may differ from member to member through traits `h.<name>`.
    """

    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {**A2C.tunable, "clip_range": (0.0, 1.0)}

    def __init__(self, task: Task, policy: StochasticPolicy, config: PPOConfig) -> None:
        super().__init__(task, policy, config)
        self._epochs, self._minibatches = config.epochs, config.minibatches

    @property
    def updates(self) -> int:
        """Gradient updates of a member in one call of `update_`."""
        return self._epochs * self._minibatches

    def prepare(self, params: Tensor, state: State, rollout: Rollout, h: Hyperparameters) -> PolicyBatch:
        """Return the batch of a rollout, with the log-probabilities of its actions under the policy that took them."""
        batch = super().prepare(params, state, rollout, h)
        with torch.no_grad():
            return replace(batch, log_probs=self.policy.log_prob(params, batch.observations, batch.actions))

    def surrogate(self, log_probs: Tensor, advantages: Tensor, batch: PolicyBatch, h: Hyperparameters) -> Tensor:
        """Return `min(r A, clip(r, 1 - clip_range, 1 + clip_range) A)` (equation 7), (n, b)."""
        if batch.log_probs is None:
            raise ValueError("batch.log_probs must be those of the policy that acted, (n, b), got None")
        ratio, clip = (log_probs - batch.log_probs).exp(), torch.as_tensor(column(h["clip_range"])).to(log_probs)
        return torch.minimum(ratio * advantages, torch.clamp(ratio, 1 - clip, 1 + clip) * advantages)

    def learn_(
        self, members: Population, batch: PolicyBatch, h: Hyperparameters, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Pass through the batch in minibatches, in place; return the mean losses of critic and actor, (n,) each."""
        order = streams.rows("minibatch", range(len(members)))
        losses = [
            self.joint_step(members, minibatch, h) for _ in range(self._epochs) for minibatch in self.cut(batch, order)
        ]
        critic, actor = (torch.stack(part).mean(0) for part in zip(*losses, strict=True))
        return critic, actor

    def cut(self, batch: PolicyBatch, streams: RowStreams) -> Iterator[PolicyBatch]:
        """Yield the minibatches of one pass, each row in an order of its own."""
        n, size = batch.weights.shape
        keys = streams.integers([2**62] * n, size)  # sorted, they shuffle; two never meet
        order = keys.argsort(dim=1).to(batch.weights.device)
        rows = torch.arange(n, device=order.device)[:, None]
        parts = (column[rows, order].chunk(self._minibatches, dim=1) for column in vars(batch).values())
        for minibatch in zip(*parts, strict=True):
            yield PolicyBatch(*minibatch)
