"""PPO (Schulman et al. 2017): a learner from long rollouts without evolution, for Box and Discrete actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl import learners
from evorl.learning import PPOConfig
from evorl.policies import NetworkConfig

_QUICK = PPOConfig(rollout_length=1_000, minibatches=20, discount=0.95, learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of PPO; it has no replay and reads none of the settings of one."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(64, 64), activation="tanh"))
    """The policy."""
    learner: PPOConfig = field(default_factory=PPOConfig)
    """The updates."""
    interval: int = 2_048
    """Steps of a member in a generation; whole rollouts."""


class PPO(learners.Learners[Config]):
    """A rollout is passed through several times while the policy stays near the one that acted."""

    name = "ppo"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig(), "learner": PPOConfig(critic=NetworkConfig())},
        "quick": {"learner": _QUICK, "interval": 1_000},
    }


if __name__ == "__main__":
    from evorl.cli import script

    script(PPO.name)
