"""Faults: what each says, what it is a kind of, and where the bounds of a setting lie."""

import math
from typing import Any

import pytest

from evorl.algorithms import cem_rl, erl, p3s_td3, svpg, td3
from evorl.algorithms.cem import CEM
from evorl.errors import (
    ConfigError,
    Diverged,
    EnvironmentFault,
    EvorlError,
    Interrupted,
    OperatorFault,
    RunFolderError,
    nearest,
    require_above,
    require_at_least,
    require_between,
    require_installed,
)
from evorl.learning import A2CConfig, DDPGConfig, PPOConfig, SACConfig, TD3Config
from evorl.policies import NetworkConfig


@pytest.mark.parametrize(
    ("fault", "exit_code", "builtin"),
    [
        (ConfigError, 2, ValueError),
        (RunFolderError, 2, Exception),
        (EnvironmentFault, 1, RuntimeError),
        (OperatorFault, 1, RuntimeError),
        (Diverged, 1, RuntimeError),
        (Interrupted, 130, Exception),
    ],
)
def test_every_fault_has_its_exit_code_and_its_builtin_kind(
    fault: type[EvorlError], exit_code: int, builtin: type[Exception]
) -> None:
    assert fault.exit_code == exit_code
    assert issubclass(fault, EvorlError)
    assert issubclass(fault, builtin)


def test_the_nearest_word_is_proposed() -> None:
    assert (
        nearest("HalfCheeta-v5", ["Hopper-v5", "HalfCheetah-v5", "Pendulum-v1"]) == "; did you mean 'HalfCheetah-v5'?"
    )


def test_nothing_is_proposed_for_a_word_like_no_other() -> None:
    assert nearest("xyzzy", iter(["Hopper-v5", "Pendulum-v1"])) == ""


def test_at_least_accepts_its_bound_and_refuses_what_is_below_and_nan() -> None:
    require_at_least("size", 1, 1)
    for value in (0, 0.999, -math.inf, math.nan):
        with pytest.raises(ConfigError, match=f"^size must be at least 1, got {value}$"):
            require_at_least("size", value, 1)


def test_above_refuses_its_bound_infinity_and_nan() -> None:
    require_above("rate", 1e-300, 0)
    for value in (0, -1e-300, math.inf, math.nan):
        with pytest.raises(ConfigError, match=f"^rate must be above 0, got {value}$"):
            require_above("rate", value, 0)


def test_between_accepts_both_ends_and_refuses_what_lies_beyond_and_nan() -> None:
    require_between("share", 0, 0, 1)
    require_between("share", 1, 0, 1)
    for value in (-1e-9, 1.5, math.nan):
        with pytest.raises(ConfigError, match=f"^share must be between 0 and 1, got {value}$"):
            require_between("share", value, 0, 1)


def test_a_missing_package_is_named_with_the_command_that_brings_it() -> None:
    require_installed("pb2", "math", "mathematics", "numbers")
    with pytest.raises(ConfigError, match=r"^pb2 needs mathematics; pip install 'evorl-torch\[numbers\]'$"):
        require_installed("pb2", "no_such_module", "mathematics", "numbers")


def test_an_integer_is_an_integer() -> None:
    with pytest.raises(ConfigError, match=r"^total_timesteps must be an integer, got 100000\.0$"):
        CEM.preset("quick", env_id="Pendulum-v1", total_timesteps=1e5)
    with pytest.raises(ConfigError, match=r"^batch_size must be an integer, got 128\.0$"):
        TD3Config(batch_size=128.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (cem_rl, {"learner": SACConfig()}, "learner must be TD3Config or DDPGConfig, got SACConfig"),
        (erl, {"learner": A2CConfig()}, "learner must be TD3Config or DDPGConfig, got A2CConfig"),
        (p3s_td3, {"learner": DDPGConfig()}, "learner must be TD3Config, got DDPGConfig"),
        (svpg, {"learner": PPOConfig()}, "learner must be ReinforceConfig or A2CConfig, got PPOConfig"),
        (td3, {"network": (64, 64)}, "network must be NetworkConfig, got tuple"),
    ],
)
def test_parts_of_a_config_are_of_the_kinds_that_it_names(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        kind.Config(env_id="Pendulum-v1", **settings)
    assert kind.Config(env_id="Pendulum-v1", network=NetworkConfig()).network == NetworkConfig()
