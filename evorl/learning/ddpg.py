"""DDPG (Lillicrap et al. 2016) on stacked members; the defaults are those of ERL's 2018 code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from evorl.errors import ConfigError, require_above
from evorl.learning.actor_critic import ActorCritic, LearnerConfig
from evorl.learning.traits import Hyperparameters, State, per_sample
from evorl.policies import MLP, BranchedCritic, Ensemble, Network, NetworkConfig
from evorl.population import Transitions
from evorl.task import Task

_ERL_CRITIC = NetworkConfig(hidden_sizes=(200, 300), activation="elu", layer_norm="unbiased", last_layer_scale=0.1)


@dataclass(frozen=True, kw_only=True)
class DDPGConfig(LearnerConfig):
    """Settings of DDPG; the defaults are those of ERL's 2018 code."""

    critic: NetworkConfig = field(default_factory=lambda: _ERL_CRITIC)
    """The critic's hidden layers; a branched critic has two, the width of each branch and of the layer that joins them,
    and its activation and norm are ERL's."""
    critic_architecture: Literal["branched", "joint"] = "branched"
    """Whether observation and action enter through branches of their own, or side by side."""
    batch_size: int = 128
    """Transitions in a minibatch of a member."""
    actor_learning_rate: float = 5e-5
    """Of the actor's Adam."""
    critic_learning_rate: float = 5e-4
    """Of the critic's Adam."""
    tau: float = 1e-3
    """Share of the network that its target takes over when it moves."""
    gradient_clip: float | None = 10.0
    """Norm to which the critic's gradient is clipped; None for no clipping."""
    clip_actor_gradient: bool = False
    """Whether the actor's gradient is clipped too: ERL's code means to, but clips the critic's a second time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient_clip is not None:
            require_above("gradient_clip", self.gradient_clip, 0)
        if self.critic_architecture == "branched" and len(self.critic.hidden_sizes) != 2:
            raise ConfigError(f"critic.hidden_sizes must be two widths if branched, got {self.critic.hidden_sizes}")


class DDPG(ActorCritic):
    """One critic, no target noise, no delay.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: settings.
    """

    def __init__(self, task: Task, actor: Network, config: DDPGConfig) -> None:
        inputs = task.observation_size, task.action_size
        network: Network = MLP(sum(inputs), 1, config.critic)
        if config.critic_architecture == "branched":
            branch, joined = config.critic.hidden_sizes
            network = BranchedCritic(*inputs, (branch, joined), config.critic.last_layer_scale)
        super().__init__(actor, Ensemble(network, copies=1), config)
        self.replacement = False
        if config.gradient_clip is not None:
            self.critic_clip = config.gradient_clip
            self.actor_clip = config.gradient_clip if config.clip_actor_gradient else self.actor_clip

    def targets(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor | None, h: Hyperparameters
    ) -> Tensor:
        """Return `r + discount (1 - terminated) Q'(s', actor(s'))`, (n, b)."""
        actions = self.actor(actors, batch.next_observations)
        values = self.critic(critic["target_critic"], torch.cat([batch.next_observations, actions], -1))
        return batch.rewards + (1 - batch.terminated) * per_sample(h["discount"], 2) * values[:, 0, :, 0]
