"""Spaces to begin with, by the name of a learner; the ranges are those that papers on adaptation search in."""

from __future__ import annotations

from collections.abc import Mapping

from evorl.errors import ConfigError
from evorl.hyperparameters.kinds import Float
from evorl.hyperparameters.spaces import Space

_RATE = Float(3e-5, 3e-3, "log")
_OFF_POLICY = {
    "actor_learning_rate": _RATE,
    "critic_learning_rate": _RATE,
    "discount": Float(0.9, 0.999, "complement"),
}
_ON_POLICY = {
    "learning_rate": Float(1e-5, 5e-3, "log"),
    "entropy_coefficient": Float(1e-4, 1e-2, "log"),
    "discount": Float(0.95, 0.999, "complement"),
    "gae_lambda": Float(0.8, 0.99, "complement"),
}
#: A space for each learner.
DEFAULTS: Mapping[str, Space] = {
    "ddpg": Space(_OFF_POLICY),
    "td3": Space({**_OFF_POLICY, "target_noise": Float(0, 1), "target_noise_clip": Float(0, 1)}),
    "sac": Space({**_OFF_POLICY, "temperature_learning_rate": _RATE}),
    "a2c": Space(_ON_POLICY),
    "ppo": Space({**_ON_POLICY, "clip_range": Float(0.1, 0.5)}),
}


def space_for(learner: str, forms: Mapping[str, str]) -> Space:
    """Return the space of `forms` or, if there are none, that which is usual for a learner.

    Raises:
        ConfigError: a form cannot be a space, or there are none and the learner has no usual space.
    """
    if forms:
        return Space.parse(forms)
    if learner not in DEFAULTS:
        raise ConfigError(f"space must be given unless the learner is one of {', '.join(DEFAULTS)}, got {learner}")
    return DEFAULTS[learner]
