"""TD3 (Fujimoto, van Hoof, Meger 2018, algorithm 1) on stacked members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import require_at_least
from evorl.learning.actor_critic import ActorCritic, LearnerConfig
from evorl.learning.traits import Hyperparameters, State, per_sample
from evorl.policies import MLP, Ensemble, Network, NetworkConfig
from evorl.population import Transitions
from evorl.streams import RowStreams
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class TD3Config(LearnerConfig):
    """Settings of TD3; the defaults are those of the authors' current code."""

    critic: NetworkConfig = field(default_factory=NetworkConfig)
    """Both critics' hidden layers."""
    policy_delay: int = 2
    """Critic updates for each update of actor and targets."""
    target_noise: float = 0.2
    """Standard deviation of the smoothing noise on the target action."""
    target_noise_clip: float = 0.5
    """Bound on that noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("target_noise", self.target_noise, 0)
        require_at_least("target_noise_clip", self.target_noise_clip, 0)


class TD3(ActorCritic):
    """Twin critics, smoothed target actions, delayed policy updates.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: settings.
    """

    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {
        **ActorCritic.tunable,
        "target_noise": (0.0, 2.0),
        "target_noise_clip": (0.0, 2.0),
    }

    def __init__(self, task: Task, actor: Network, config: TD3Config) -> None:
        critic = MLP(task.observation_size + task.action_size, 1, config.critic)
        super().__init__(actor, Ensemble(critic, copies=2), config)

    def noise(self, streams: RowStreams, batch: Transitions) -> Tensor:
        """Draw the smoothing noise before its scale, (n, b, a)."""
        return streams.normal(*batch.actions.shape[1:]).to(batch.actions.device)

    def targets(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor | None, h: Hyperparameters
    ) -> Tensor:
        """Return `r + discount (1 - terminated) min_j Q'_j(s', clip(actor(s') + clip(noise)))`, (n, b)."""
        if noise is None:
            raise ValueError("noise must be standard normals (n, b, a), got None")
        clip = per_sample(h["target_noise_clip"], 3)
        smoothing = torch.clamp(noise * per_sample(h["target_noise"], 3), -clip, clip)
        actions = (self.actor(actors, batch.next_observations) + smoothing).clamp_(-1, 1)
        values = self.critic(critic["target_critic"], torch.cat([batch.next_observations, actions], -1))
        return batch.rewards + (1 - batch.terminated) * per_sample(h["discount"], 2) * values[..., 0].amin(1)
