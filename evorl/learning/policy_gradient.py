"""Policy gradients on stacked members: what REINFORCE, A2C and PPO share.

A learner has no state of its own and knows nothing of evolution. Its state is a mapping of (n, ...) tensors: the traits
of the members that it trains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import require_above, require_at_least, require_between, require_fields
from evorl.interaction import Rollout
from evorl.learning.adam import adam_, adam_state
from evorl.learning.advantages import standardise, weighted_mean
from evorl.learning.traits import Hyperparameter, Hyperparameters, State, column, own_or_set
from evorl.policies import StochasticPolicy, new_normaliser, update_normaliser_
from evorl.population import Population
from evorl.streams import Streams
from evorl.task import Task


@dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig:
    """Settings that every policy gradient has."""

    rollout_length: int
    """Steps of a member between two updates."""
    learning_rate: float
    """Of Adam."""
    discount: float = 0.99
    """Weight of the next step's return."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's mean entropy, in nats, beside the objective."""
    standardise_advantages: bool
    """Whether the advantages of a batch get mean 0 and standard deviation 1."""
    normalise_observations: bool
    """Whether a member sees observations less their running mean, over their running standard deviation."""
    gradient_clip: float | None
    """Norm to which the gradient is clipped; None for no clipping."""

    def __post_init__(self) -> None:
        require_fields(self)
        require_at_least("rollout_length", self.rollout_length, 1)
        require_above("learning_rate", self.learning_rate, 0)
        require_between("discount", self.discount, 0, 1)
        require_at_least("entropy_coefficient", self.entropy_coefficient, 0)
        if self.gradient_clip is not None:
            require_above("gradient_clip", self.gradient_clip, 0)


@dataclass(frozen=True)
class PolicyBatch:
    """What a policy gradient is computed from.

    Attributes:
        observations: (n, b, o) as the policy sees them, normalised.
        actions: (n, b, a).
        advantages: (n, b), not yet standardised.
        targets: (n, b) what a value network learns.
        weights: (n, b) 1, or 0 where a row is only filled up.
        log_probs: (n, b) of the actions under the policy that took them; None unless the objective compares with it.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    targets: Tensor
    weights: Tensor
    log_probs: Tensor | None = None


class PolicyGradient(ABC):
    """The updates of a stochastic policy; a subclass says what its advantages are.

    Args:
        task: size of observation.
        policy: what acts.
        config: settings; those in `tunable` may differ from member to member through traits `h.<name>`.
    """

    #: What may differ by row, and the range in which it makes sense.
    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {
        "learning_rate": (1e-6, 1e-1),
        "discount": (0.0, 1.0),
        "entropy_coefficient": (0.0, 1.0),
    }

    def __init__(self, task: Task, policy: StochasticPolicy, config: PolicyGradientConfig) -> None:
        self.policy = policy
        self.config = config
        self._observation_size = task.observation_size

    @property
    def updates(self) -> int:
        """Gradient updates of a member in one call of `update_`."""
        return 1

    @abstractmethod
    def prepare(self, params: Tensor, state: State, rollout: Rollout, h: Hyperparameters) -> PolicyBatch:
        """Return the batch of a rollout that was acted with `params` (n, d) and `state`."""

    def surrogate(self, log_probs: Tensor, advantages: Tensor, batch: PolicyBatch, h: Hyperparameters) -> Tensor:
        """Return what is to be raised at each step, (n, b): `log pi(a|s) A`, whose gradient is the policy's.

        Args:
            log_probs: (n, b) of the actions, with gradient.
            advantages: (n, b), standardised if they are to be.
            batch: where they are from.
            h: hyperparameters.
        """
        return log_probs * advantages

    def init(self, params: Tensor, streams: Streams, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Return the learner's traits for new members with parameters (n, d): moments, normaliser."""
        traits = adam_state("actor", params)
        if self.config.normalise_observations:
            traits |= new_normaliser(len(params), self._observation_size, params.device)
        return traits

    def hyperparameters(self, state: State) -> dict[str, Hyperparameter]:
        """Return what the next update uses: a member's own trait `h.<name>` if there is one, else the setting."""
        return own_or_set(state, self.config, self.tunable)

    def objective(self, params: Tensor, batch: PolicyBatch, h: Hyperparameters) -> Tensor:
        """Return J (n,), the mean over a member's steps of the surrogate and the weighted entropy."""
        distribution = self.policy.distribution(params, batch.observations)
        advantages = batch.advantages
        if self.config.standardise_advantages and advantages.shape[1] > 1:  # one alone would become 0
            advantages = standardise(advantages, batch.weights)
        surrogate = self.surrogate(distribution.log_prob(batch.actions), advantages, batch, h)
        return weighted_mean(surrogate + column(h["entropy_coefficient"]) * distribution.entropy(), batch.weights)

    def gradient(self, params: Tensor, batch: PolicyBatch, h: Hyperparameters) -> Tensor:
        """Return the gradient of each member's own J, to be climbed: (n, d)."""
        return self.objective_and_gradient(params, batch, h)[1]

    def objective_and_gradient(self, params: Tensor, batch: PolicyBatch, h: Hyperparameters) -> tuple[Tensor, Tensor]:
        """Return J (n,) and its gradient (n, d)."""
        leaves = params.detach().requires_grad_()
        objective = self.objective(leaves, batch, h)
        (gradient,) = torch.autograd.grad(objective.sum(), leaves)
        return objective.detach(), gradient

    def apply_(self, params: Tensor, gradient: Tensor, state: State, h: Hyperparameters) -> None:
        """Climb a gradient (n, d) by one step of Adam, in place on params (n, d) and on the moments in `state`."""
        descent = -gradient
        clip_together_([descent], self.config.gradient_clip)
        adam_("actor", params, descent, state, h["learning_rate"])

    def update_(self, members: Population, rollout: Rollout, streams: Streams) -> tuple[Tensor, Tensor]:
        """Learn from what the members have just done, in place on their tensors; then their normaliser learns too.

        So a rollout is learned from under the statistics that it was acted with, and log-probabilities are exact.

        Args:
            members: n rows, changed.
            rollout: of these members, as they are.
            streams: `minibatch` of each row, for learners that take some.

        Returns:
            The mean losses of critic, NaN if there is none, and actor, (n,) each.
        """
        on_device = rollout.to(members.params.device)
        h = self.hyperparameters(members.traits)
        losses = self.learn_(members, self.prepare(members.params, members.traits, on_device, h), h, streams)
        update_normaliser_(members.traits, on_device.transitions.observations, on_device.weights)
        return losses

    def learn_(
        self, members: Population, batch: PolicyBatch, h: Hyperparameters, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """Take the gradient steps of one batch, in place; return the mean losses of critic and actor, (n,) each."""
        objective, gradient = self.objective_and_gradient(members.params, batch, h)
        self.apply_(members.params, gradient, members.traits, h)
        return torch.full_like(objective, torch.nan), -objective


def clip_together_(gradients: Sequence[Tensor], norm: float | None) -> None:
    """Scale the rows of gradients (n, d) in place so that the norm of a row of all together is at most `norm`.

    It is as torch clips the parameters of one network; None clips nothing.
    """
    if norm is None:
        return
    squares = torch.stack([gradient.square().sum(1) for gradient in gradients]).sum(0)
    factor = (norm / (squares.sqrt() + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor[:, None])
