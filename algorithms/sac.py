"""SAC (Haarnoja et al. 2018): a learner of a stochastic policy without evolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl import learners
from evorl.learning import SACConfig
from evorl.policies import NetworkConfig

_SMALL = NetworkConfig(hidden_sizes=(64, 64))
_QUICK = SACConfig(
    critic=_SMALL,
    batch_size=128,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    temperature_learning_rate=1e-3,
)


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of SAC; the defaults are the paper's, with the warm-up of its authors' code."""

    learner: SACConfig = field(default_factory=SACConfig)
    """The updates."""


class SAC(learners.Learners[Config]):
    """Twin critics and a policy that is paid for its entropy, at a temperature that is learned."""

    name = "sac"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {},
        "quick": {"network": _SMALL, "learner": _QUICK, "warmup_steps": 1_000},
    }


if __name__ == "__main__":
    from evorl.cli import script

    script(SAC.name)
