"""The gradient step of SVPG: particles climb by each other's policy gradients; what else they learn is their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import tyro
from torch import Tensor

from evorl.errors import require_at_least
from evorl.interaction import Rollout
from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.policy_gradient import PolicyGradient
from evorl.learning.reinforce import Reinforce, ReinforceConfig
from evorl.learning.stein import SteinConfig, direction
from evorl.policies import StochasticPolicy, update_normaliser_
from evorl.population import Population
from evorl.task import Task

#: Learners whose gradients can be mixed before they are applied.
ParticleLearnerConfig = (
    Annotated[ReinforceConfig, tyro.conf.subcommand("reinforce")] | Annotated[A2CConfig, tyro.conf.subcommand("a2c")]
)


@dataclass(frozen=True, kw_only=True)
class ParticlesConfig(SteinConfig):
    """How particles play and act on each other."""

    environments: int = 1
    """In which a particle plays its batch side by side, an equal share of the steps in each."""

    def check(self) -> None:
        """Raise ConfigError if a setting cannot work."""
        super().check()
        require_at_least("environments", self.environments, 1)


def make_particle_learner(task: Task, policy: StochasticPolicy, config: ParticleLearnerConfig) -> A2C | Reinforce:
    """Return the learner that `config` is of.

    Args:
        task: size of observation.
        policy: what acts.
        config: its settings.
    """
    return A2C(task, policy, config) if isinstance(config, A2CConfig) else Reinforce(task, policy, config)


def climb_(
    learner: PolicyGradient, members: Population, rollout: Rollout, alpha: float, config: SteinConfig
) -> tuple[Tensor, Tensor, float]:
    """Move particles one step of Adam along the Stein direction, in place on their tensors.

    Value networks, where there are any, take a step on their own particle's batch; then normalisers learn too.

    Args:
        learner: of the policy gradients.
        members: n rows, changed.
        rollout: of these members, as they are.
        alpha: the present temperature.
        config: how particles act on each other.

    Returns:
        The losses before the step of critic, NaN if there is none, and actor, (n,) each, and the bandwidth.
    """
    params, traits = members.params, members.traits
    played, h = rollout.to(params.device), learner.hyperparameters(traits)
    batch = learner.prepare(params, traits, played, h)
    objective, gradients = learner.objective_and_gradient(params, batch, h)
    upwards, bandwidth = direction(params, gradients, alpha, config)
    learner.apply_(params, upwards, traits, h)
    critic_loss = torch.full_like(objective, torch.nan)
    if isinstance(learner, A2C):
        critic_loss = learner.critic_step(traits, batch, h)
    update_normaliser_(traits, played.transitions.observations, played.weights)
    return critic_loss, -objective, bandwidth.item()
