"""A2C (Mnih et al. 2016, in step): a learner from short rollouts without evolution, for Box and Discrete actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl import learners
from evorl.learning import A2CConfig
from evorl.policies import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of A2C; it has no replay and reads none of the settings of one."""

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig(hidden_sizes=(64, 64), activation="tanh"))
    """The policy."""
    learner: A2CConfig = field(default_factory=A2CConfig)
    """The updates."""


class A2C(learners.Learners[Config]):
    """Policy and value network take one step on every rollout."""

    name = "a2c"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig(), "learner": A2CConfig(critic=NetworkConfig())},
        "quick": {},
    }


if __name__ == "__main__":
    from evorl.cli import script

    script(A2C.name)
