"""Spaces to begin with: each learner can vary what its space names, and is told by its own setting."""

from typing import Any

import pytest

from evorl.errors import ConfigError
from evorl.hyperparameters import DEFAULTS, Categorical, Float, Space, space_for
from evorl.hyperparameters.spaces import EXPLORING
from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.ppo import PPO, PPOConfig
from evorl.learning.sac import SAC, SACConfig
from evorl.learning.td3 import TD3, TD3Config
from evorl.streams import Streams
from evorl.variation import ExploreConfig, make_explore

LEARNERS: dict[str, tuple[Any, Any]] = {
    "a2c": (A2C, A2CConfig()),
    "ddpg": (DDPG, DDPGConfig()),
    "ppo": (PPO, PPOConfig()),
    "sac": (SAC, SACConfig()),
    "td3": (TD3, TD3Config()),
}


def test_every_learner_has_a_space() -> None:
    assert set(DEFAULTS) == set(LEARNERS)
    assert all(DEFAULTS.values())


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_learner_can_vary_what_its_space_names(name: str) -> None:
    learner, _ = LEARNERS[name]
    DEFAULTS[name].require_tunable(learner.tunable)
    assert Space.parse(DEFAULTS[name].forms()) == DEFAULTS[name]
    make_explore(ExploreConfig(), DEFAULTS[name], Streams(0))  # wide enough to be perturbed


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_the_priors_are_of_settings_and_hold_no_choices(name: str) -> None:
    _, settings = LEARNERS[name]
    for hyperparameter, kind in DEFAULTS[name].items():
        assert isinstance(getattr(settings, hyperparameter), float)
        assert not isinstance(kind, Categorical)


def test_a_space_that_is_given_is_preferred_and_a_learner_unknown_here_needs_one() -> None:
    assert space_for("ppo", {}) == DEFAULTS["ppo"]
    for learner in ("ppo", "mine"):
        assert space_for(learner, {"x": "0:1"}) == Space({"x": Float(0, 1)})
    with pytest.raises(ConfigError, match=r"^space must be given unless the learner is one of ddpg, .*, got mine$"):
        space_for("mine", {})


def test_what_changes_exploration_is_known_by_the_names_of_learners() -> None:
    tunable = {name for learner, _ in LEARNERS.values() for name in learner.tunable}
    assert EXPLORING - tunable == {"exploration_noise"}, "which is of how members act, not of a learner"
    assert {name for name, space in DEFAULTS.items() if space.changes_exploration} == {"a2c", "ppo", "sac"}
