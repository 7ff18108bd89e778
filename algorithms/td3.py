"""TD3 (Fujimoto, van Hoof, Meger 2018): learners without evolution, the control of every hybrid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evorl.algorithms import ddpg
from evorl.errors import require_at_least
from evorl.learning import AnyLearnerConfig, TD3Config
from evorl.policies import DeterministicPolicy, NetworkConfig, Policy
from evorl.template import EvoRL

_PAPER, _QUICK = NetworkConfig(hidden_sizes=(400, 300)), NetworkConfig(hidden_sizes=(64, 64))


def _with_rates_of_the_paper(critic: NetworkConfig, batch_size: int) -> TD3Config:
    return TD3Config(critic=critic, batch_size=batch_size, actor_learning_rate=1e-3, critic_learning_rate=1e-3)


@dataclass(frozen=True, kw_only=True)
class Config(ddpg.Config):
    """Settings of TD3; the defaults are those of the authors' current code, with a shorter warm-up."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The policy."""
    learner: AnyLearnerConfig = field(default_factory=TD3Config)
    """The updates."""
    exploration_noise: float = 0.1
    """Standard deviation of the noise on actions in [-1, 1]."""
    warmup_steps: int = 10_000
    """Random steps of a member before it acts and learns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("exploration_noise", self.exploration_noise, 0)


class TD3(ddpg.DDPG[Config]):
    """DDPG with twin critics, smoothed target actions and delayed policy updates (algorithm 1 of the paper)."""

    name = "td3"
    state = (*EvoRL.state, "collector", "replay")
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

    def explorer(self) -> Policy:
        """Return the policy with which members act while they learn: Gaussian noise."""
        return DeterministicPolicy(self.policy.network, self.config.exploration_noise)


if __name__ == "__main__":
    from evorl.cli import script

    script(TD3.name)
