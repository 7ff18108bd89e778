"""Settings as plain data, there and back."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from evorl.algorithms import cem, td3
from evorl.errors import ConfigError
from evorl.policies import NetworkConfig
from evorl.running import Running
from evorl.running.settings import differences, from_plain, to_plain
from evorl.template import EvoRL

ALGORITHMS: list[type[EvoRL[Any]]] = [cem.CEM, td3.TD3]
PRESETS = [(algorithm, preset) for algorithm in ALGORITHMS for preset in ("published", *algorithm.presets)]


@pytest.mark.parametrize(("algorithm", "preset"), PRESETS)
def test_every_preset_comes_back_from_json_as_it_was(algorithm: type[EvoRL[Any]], preset: str) -> None:
    config = algorithm.preset(preset, env_id="Pendulum-v1", env_kwargs={"g": 9.5, "deep": True, "name": "x"})
    back = from_plain(algorithm.config_type, json.loads(json.dumps(to_plain(config))))
    assert back == config
    assert to_plain(back) == to_plain(config)


def test_how_to_run_comes_back_from_json_as_it_was() -> None:
    running = Running(tag="x", test_interval=7, checkpoint_seconds=0.5, progress=False)
    assert from_plain(Running, json.loads(json.dumps(to_plain(running)))) == running
    assert from_plain(Running, json.loads(json.dumps(to_plain(Running())))) == Running()


def test_plain_data_are_what_json_holds() -> None:
    plain = to_plain(cem.Config(env_id="Pendulum-v1", network=NetworkConfig(hidden_sizes=(3, 2))))
    assert plain["network"]["hidden_sizes"] == [3, 2]
    assert json.loads(json.dumps(plain)) == plain


def test_plain_data_share_nothing_with_the_settings() -> None:
    kwargs: dict[str, int | float | bool | str] = {"g": 9.5}
    to_plain(cem.Config(env_id="Pendulum-v1", env_kwargs=kwargs))["env_kwargs"]["g"] = 0
    assert kwargs == {"g": 9.5}


@dataclass(frozen=True)
class Inner:
    width: int = 1


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    optional: tuple[int, ...] | None = None


def test_optional_tuples_come_back_as_tuples() -> None:
    for outer in (Outer(), Outer(Inner(3), (1, 2))):
        assert from_plain(Outer, to_plain(outer)) == outer


@pytest.mark.parametrize(
    ("plain", "line"),
    [
        ({"iner": {}}, "Outer has no setting 'iner'; did you mean 'inner'?"),
        ({"inner": {"widht": 2}}, "Inner has no setting 'widht'; did you mean 'width'?"),
        ({"zzz": 1}, "Outer has no setting 'zzz'"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(plain: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_plain(Outer, plain)
    assert str(raised.value) == line


def test_a_setting_out_of_range_is_refused_on_the_way_back() -> None:
    plain = to_plain(cem.Config(env_id="Pendulum-v1")) | {"population_size": 0}
    with pytest.raises(ConfigError, match=r"^population_size must be at least 1, got 0$"):
        from_plain(cem.Config, plain)


def test_differences_name_every_setting_in_which_two_differ() -> None:
    config = cem.Config(env_id="Pendulum-v1")
    other = replace(config, seed=3, network=NetworkConfig(hidden_sizes=(8,), activation="tanh"))
    assert differences(to_plain(config), to_plain(config)) == []
    found = differences(to_plain(config), to_plain(other))
    assert found == ["network.hidden_sizes: [400, 300] -> [8]", "seed: 0 -> 3"]


def test_a_setting_that_only_one_has_is_a_difference() -> None:
    assert differences({"a": 1}, {"b": {"c": 2}}) == ["a: 1 -> None", "b: None -> {'c': 2}"]
