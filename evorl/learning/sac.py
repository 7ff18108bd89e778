"""SAC with a learned temperature (Haarnoja et al. 2018, arXiv 1812.05905, algorithm 1) on stacked members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import require_above
from evorl.learning.actor_critic import ActorCritic, FurtherLoss, LearnerConfig
from evorl.learning.adam import adam_, adam_state
from evorl.learning.traits import Hyperparameters, State, per_sample
from evorl.policies import MLP, Ensemble, Network, NetworkConfig
from evorl.policies.squashed import SquashedGaussianPolicy
from evorl.population import Population, Transitions
from evorl.streams import RowStreams, Streams
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class SACConfig(LearnerConfig):
    """Settings of SAC; the defaults are the paper's."""

    critic: NetworkConfig = field(default_factory=NetworkConfig)
    """Both critics' hidden layers."""
    learn_temperature: bool = True
    """Whether the temperature, the weight of the entropy, follows a target entropy; otherwise it is fixed."""
    temperature: float = 1.0
    """Weight of the entropy: at the start if it is learned, else throughout."""
    temperature_learning_rate: float = 3e-4
    """Of the Adam of the temperature's logarithm."""
    target_entropy_scale: float = 1.0
    """Nats for each coordinate of an action in [-1, 1] that the entropy aimed at lies below 0; above -log 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above("temperature", self.temperature, 0)
        require_above("temperature_learning_rate", self.temperature_learning_rate, 0)
        require_above("target_entropy_scale", self.target_entropy_scale, -log(2))  # no policy has more entropy


class SAC(ActorCritic):
    """Twin critics and a stochastic policy that is paid for its entropy; each member has a temperature of its own.

    Args:
        task: sizes of observation and action.
        actor: the network of a squashed Gaussian policy, 2 a outputs.
        config: settings.
    """

    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {
        **ActorCritic.tunable,
        "temperature_learning_rate": (1e-6, 1e-1),
        "target_entropy_scale": (-0.5, 10.0),
    }

    def __init__(self, task: Task, actor: Network, config: SACConfig) -> None:
        critic = MLP(task.observation_size + task.action_size, 1, config.critic)
        super().__init__(actor, Ensemble(critic, copies=2), config)
        self.policy = SquashedGaussianPolicy(self.actor)
        self.temperature, self.learns_temperature = config.temperature, config.learn_temperature

    def init(self, actors: Tensor, streams: Streams, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Return the learner's traits for new actors (n, d): those of its kind, and the temperature, but no target."""
        traits = super().init(actors, streams, rows)
        del traits["target_actor"]
        traits["log_temperature"] = torch.full((len(actors),), log(self.temperature), device=actors.device)
        if self.learns_temperature:
            traits |= adam_state("temperature", traits["log_temperature"][:, None])
        return traits

    def target_actors(self, members: Population) -> Tensor:
        """Return the present policies (n, d): they have no targets."""
        return members.params

    def noise(self, streams: RowStreams, batch: Transitions) -> Tensor:
        """Draw the normals of the next actions, (n, b, a)."""
        return streams.normal(*batch.actions.shape[1:]).to(batch.actions.device)

    def actor_noise(self, streams: RowStreams, batch: Transitions) -> Tensor:
        """Draw the normals of the actions that the policy is judged by, (n, b, a)."""
        return self.noise(streams, batch)

    def targets(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor | None, h: Hyperparameters
    ) -> Tensor:
        """Return `r + discount (1 - terminated) (min_j Q'_j(s', a') - temperature log actor(a' | s'))`, (n, b)."""
        actions, log_prob = self.policy.sample(actors, batch.next_observations, _given(noise))
        values = self.critic(critic["target_critic"], torch.cat([batch.next_observations, actions], -1))
        soft = values[..., 0].amin(1) - critic["log_temperature"].exp()[:, None] * log_prob
        return batch.rewards + (1 - batch.terminated) * per_sample(h["discount"], 2) * soft

    def actor_step(
        self,
        actors: Tensor,
        critic: State,
        batch: Transitions,
        h: Hyperparameters,
        moments: State | None = None,
        extra: FurtherLoss | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Take one Adam step on `mean(temperature log actor(a | s) - min_j Q_j(s, a))` plus `extra`, in place.

        Then the temperature takes one, on the same actions. Arguments and result are those of the base class.
        """
        params = actors.detach().requires_grad_()
        actions, log_prob = self.policy.sample(params, batch.observations, _given(noise))
        values = self.critic(critic["critic"], torch.cat([batch.observations, actions], -1))
        loss = (critic["log_temperature"].exp()[:, None] * log_prob - values[..., 0].amin(1)).mean(-1)
        if extra is not None:
            loss = loss + extra(params, critic, batch.observations)
        (gradient,) = torch.autograd.grad(loss.sum(), params)
        self.descend(actors, gradient, critic if moments is None else moments, h)
        if self.learns_temperature:
            self._temperature_step(critic, actions.shape[-1], log_prob.detach().mean(-1), h)
        return loss.detach()

    def target_step(self, actors: Tensor, state: State, h: Hyperparameters) -> None:
        """Move the critics' target by tau towards the critics, in place."""
        self.critic_target_step(state, h)

    def _temperature_step(self, critic: State, action_size: int, log_prob: Tensor, h: Hyperparameters) -> None:
        """Take one Adam step on `-log temperature (log_prob + target entropy)` of the mean log_prob (n,), in place.

        The logarithm stands where equation 18 has the temperature itself, as in the authors' code.
        """
        gradient = action_size * h["target_entropy_scale"] - log_prob
        params = critic["log_temperature"][:, None]
        adam_("temperature", params, gradient[:, None], critic, h["temperature_learning_rate"])


def _given(noise: Tensor | None) -> Tensor:
    if noise is None:
        raise ValueError("noise must be standard normals (n, b, a), got None")
    return noise
