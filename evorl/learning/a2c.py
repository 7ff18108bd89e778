"""A2C: advantage actor-critic (Mnih et al. 2016) in step, with generalised advantages, on stacked members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import require_at_least, require_between
from evorl.interaction import Rollout
from evorl.learning.adam import adam_, adam_state
from evorl.learning.advantages import generalised_advantages, weighted_mean
from evorl.learning.policy_gradient import PolicyBatch, PolicyGradient, PolicyGradientConfig, clip_together_
from evorl.learning.traits import Hyperparameters, State, column
from evorl.policies import MLP, NetworkConfig, StochasticPolicy, normalise
from evorl.population import Population
from evorl.streams import Streams
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class A2CConfig(PolicyGradientConfig):
    """Settings of A2C; the defaults are those of Stable-Baselines3, but for what one environment a member asks for.

    There it is RMSprop, five steps of each of several environments, and gae_lambda 1, which is less steady here.
    """

    critic: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(64, 64), activation="tanh"))
    """The value network's hidden layers."""
    rollout_length: int = 20
    """Steps of a member between two updates."""
    learning_rate: float = 7e-4
    """Of the Adam of policy and value network."""
    gae_lambda: float = 0.95
    """Decay of the trace of advantages: 0 for one step, 1 for the whole rollout."""
    value_coefficient: float = 0.5
    """Weight of the value network's loss; it tells where policy and value network are clipped together."""
    standardise_advantages: bool = False
    """Whether the advantages of a rollout get mean 0 and standard deviation 1."""
    normalise_observations: bool = True
    """Whether a member sees observations less their running mean, over their running standard deviation."""
    gradient_clip: float | None = 0.5
    """Norm to which the gradient of policy and value network together is clipped; None for no clipping."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_between("gae_lambda", self.gae_lambda, 0, 1)
        require_at_least("value_coefficient", self.value_coefficient, 0)


class A2C(PolicyGradient):
    """Policy and value network, each its own, take one step on every rollout.

    Args:
        task: size of observation.
        policy: what acts.
        config: settings; those in `tunable` may differ from member to member through traits `h.<name>`.

    Attributes:
        critic: the value network.
    """

    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {
        **PolicyGradient.tunable,
        "gae_lambda": (0.0, 1.0),
        "value_coefficient": (0.0, 10.0),
    }

    def __init__(self, task: Task, policy: StochasticPolicy, config: A2CConfig) -> None:
        super().__init__(task, policy, config)
        self.critic = MLP(task.observation_size, 1, config.critic)

    def init(self, params: Tensor, streams: Streams, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Return the learner's traits for new members (n, d): value networks, moments, normaliser.

        Value networks are drawn from the streams of `rows`, the first n if not given.
        """
        drawn = streams.rows("critic", range(len(params)) if rows is None else rows)
        critic = self.critic.init(drawn).to(params.device)
        return {**super().init(params, streams, rows), "critic": critic, **adam_state("critic", critic)}

    def prepare(self, params: Tensor, state: State, rollout: Rollout, h: Hyperparameters) -> PolicyBatch:
        """Return the batch of a rollout, its advantages by the value network in `state`; a target is both together."""
        steps = rollout.transitions
        seen, following = (normalise(state, part) for part in (steps.observations, steps.next_observations))
        with torch.no_grad():
            both = self.critic(state["critic"], torch.cat([seen, following], 1))[..., 0]
        values, next_values = both.chunk(2, dim=1)
        advantages = generalised_advantages(
            steps.rewards, values, next_values, steps.terminated, rollout.ended, h["discount"], h["gae_lambda"]
        )
        return PolicyBatch(seen, steps.actions, advantages, advantages + values, rollout.weights)

    def critic_step(self, state: State, batch: PolicyBatch, h: Hyperparameters) -> Tensor:
        """Take one Adam step on the value networks alone, in place; return their loss before it, (n,).

        For those who mix the policies' gradients before they `apply_` them.
        """
        loss, gradient = self._critic_gradient(state, batch, h)
        clip_together_([gradient], self.config.gradient_clip)
        adam_("critic", state["critic"], gradient, state, h["learning_rate"])
        return loss

    def joint_step(self, members: Population, batch: PolicyBatch, h: Hyperparameters) -> tuple[Tensor, Tensor]:
        """Take one Adam step on policies and value networks, in place, clipped together.

        Returns:
            The losses before it of critic, the mean squared error, and actor, (n,) each.
        """
        params, state = members.params, members.traits
        objective, rising = self.objective_and_gradient(params, batch, h)
        loss, gradient = self._critic_gradient(state, batch, h)
        descents = [-rising, gradient]
        clip_together_(descents, self.config.gradient_clip)
        for name, network, descent in zip(("actor", "critic"), (params, state["critic"]), descents, strict=True):
            adam_(name, network, descent, state, h["learning_rate"])
        return loss, -objective

    def learn_(
        self, members: Population, batch: PolicyBatch, h: Hyperparameters, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Take one step, in place; return the losses before it of critic and actor, (n,) each."""
        return self.joint_step(members, batch, h)

    def _critic_gradient(self, state: State, batch: PolicyBatch, h: Hyperparameters) -> tuple[Tensor, Tensor]:
        """Return the mean squared error of the values, (n,), and the gradient of its weighted part in the loss."""
        critic = state["critic"].detach().requires_grad_()
        values = self.critic(critic, batch.observations)[..., 0]
        loss = weighted_mean((values - batch.targets).square(), batch.weights)
        (gradient,) = torch.autograd.grad(loss.sum(), critic)
        return loss.detach(), gradient * column(h["value_coefficient"])
