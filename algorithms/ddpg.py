"""DDPG (Lillicrap et al. 2016): a learner without evolution, the control of ERL, with the settings of its 2018 code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from evorl import learners
from evorl.learning import DDPGConfig
from evorl.policies import NetworkConfig

_COMMON = DDPGConfig(
    critic=NetworkConfig(),
    critic_architecture="joint",
    batch_size=256,
    actor_learning_rate=3e-4,
    critic_learning_rate=3e-4,
    gradient_clip=None,
    tau=0.005,
)
_SMALL = NetworkConfig(hidden_sizes=(64, 64))
_QUICK = replace(_COMMON, critic=_SMALL, batch_size=128, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
_ACTOR = NetworkConfig(hidden_sizes=(128, 128), activation="tanh", layer_norm="unbiased", last_layer_scale=0.1)


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of DDPG; the defaults are those of the agent of ERL's 2018 code."""

    network: NetworkConfig = field(default_factory=lambda: _ACTOR)
    """The policy."""
    learner: DDPGConfig = field(default_factory=DDPGConfig)
    """The updates."""
    exploration: Literal["gaussian", "ornstein_uhlenbeck"] = "ornstein_uhlenbeck"
    """Noise on actions: independent from step to step, or that of ERL's agent, which remembers."""
    warmup_steps: int = 640
    """Random steps of a member before it acts and learns."""


class DDPG(learners.Learners[Config]):
    """Each member acts with noise and learns from its own replay after every step."""

    name = "ddpg"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig(), "learner": _COMMON, "warmup_steps": 10_000},
        "quick": {"network": _SMALL, "learner": _QUICK, "warmup_steps": 1_000},
    }


if __name__ == "__main__":
    from evorl.cli import script

    script(DDPG.name)
