"""TD3 (Fujimoto, van Hoof, Meger 2018): a learner without evolution, the control of every hybrid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl import learners
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig

_PAPER, _QUICK = NetworkConfig(hidden_sizes=(400, 300)), NetworkConfig(hidden_sizes=(64, 64))


def _with_rates_of_the_paper(critic: NetworkConfig, batch_size: int) -> TD3Config:
    return TD3Config(critic=critic, batch_size=batch_size, actor_learning_rate=1e-3, critic_learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(learners.Config):
    """Settings of TD3; the defaults are those of the authors' current code, with a shorter warm-up."""

    learner: TD3Config = field(default_factory=TD3Config)
    """The updates."""


class TD3(learners.Learners[Config]):
    """Twin critics, smoothed target actions and delayed policy updates (algorithm 1 of the paper)."""

    name = "td3"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {},
        "paper": {"network": _PAPER, "learner": _with_rates_of_the_paper(_PAPER, batch_size=100)},
        "quick": {
            "network": _QUICK,
            "learner": _with_rates_of_the_paper(_QUICK, batch_size=128),
            "warmup_steps": 1_000,
        },
    }


if __name__ == "__main__":
    from evorl.cli import script

    script(TD3.name)
