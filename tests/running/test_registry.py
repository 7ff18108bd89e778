"""Finding algorithms: those installed, those in a user's module, and what is said when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from evorl.algorithms import cem, td3
from evorl.errors import ConfigError
from evorl.running import registry
from evorl.template import Config, EvoRL

OWN = """
from evorl.template import Config, EvoRL


class Climber(EvoRL[Config]):
    name = "my-climber"


class Another(EvoRL[Config]):
    pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with two algorithms, in the working folder."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    return name


def refusal(name: str, *imports: str) -> str:
    with pytest.raises(ConfigError) as raised:
        registry.find(name, imports)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_installed_algorithms_are_found_by_name() -> None:
    assert registry.find("cem") is cem.CEM
    assert registry.find("td3") is td3.TD3
    assert registry.installed()["td3"] == "evorl.algorithms.td3:TD3"


def test_every_entry_point_carries_the_name_of_its_class() -> None:
    names = {name: {"pb2-multi": "pb2-mult"}.get(name, name) for name in registry.installed()}  # an alias
    assert {name: registry.find(name).name for name in names} == names


def test_an_unknown_algorithm_is_refused_with_the_nearest() -> None:
    names = ", ".join(sorted(registry.installed()))
    assert refusal("td") == f"algorithm must be one of {names}, got 'td'; did you mean 'td3'?"
    assert refusal("quicksort") == f"algorithm must be one of {names}, got 'quicksort'"


def test_the_working_folder_counts_for_imports(module: str) -> None:
    found = registry.find("my-climber", [module])
    assert issubclass(found, EvoRL)
    assert found.__module__ == module
    assert registry.find("another", [module]).__name__ == "Another"
    assert registry.find("cem", [module]) is cem.CEM


def test_ones_own_algorithms_are_among_the_nearest(module: str) -> None:
    line = refusal("my-climbr", module)
    assert "my-climber, " in line
    assert line.endswith("got 'my-climbr'; did you mean 'my-climber'?")


def test_an_own_algorithm_goes_before_an_installed_one_of_the_same_name(module: str) -> None:
    (Path.cwd() / f"{module}.py").write_text(OWN.replace("my-climber", "cem"))
    assert registry.find("cem", [module]).__module__ == module


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("raise ValueError('the first line\\nand the second')", "ValueError: the first line and the second"),
        ("1 +", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_does_not_import_is_refused_with_its_own_error(module: str, body: str, reason: str) -> None:
    (Path.cwd() / f"{module}.py").write_text(body)
    line = refusal("cem", module)
    assert line.startswith(f"--import must name a module that imports, got {module!r}: {reason}")


def test_a_module_that_is_not_there_is_refused() -> None:
    reason = "ModuleNotFoundError: No module named 'not_there_at_all'"
    assert refusal("cem", "not_there_at_all") == (
        f"--import must name a module that imports, got 'not_there_at_all': {reason}"
    )


def test_the_algorithm_of_a_config_is_the_installed_one_with_its_type() -> None:
    assert registry.of_config(cem.Config(env_id="Pendulum-v1")) is cem.CEM
    assert registry.of_config(td3.Config(env_id="Pendulum-v1")) is td3.TD3


def test_a_config_of_no_installed_algorithm_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^config must be of an installed algorithm unless `algorithm` is given"):
        registry.of_config(Config(env_id="Pendulum-v1"))


def test_a_path_leads_back_to_its_class(module: str) -> None:
    assert registry.path_of(cem.CEM) == "evorl.algorithms.cem:CEM"
    assert registry.from_path("evorl.algorithms.cem:CEM") is cem.CEM
    assert registry.path_of(registry.from_path(f"{module}:Climber")) == f"{module}:Climber"


@pytest.mark.parametrize("path", ["evorl.algorithms.cem:Gone", "evorl.algorithms.gone:CEM"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"Gone|gone"):
        registry.from_path(path)


def test_what_is_installed_is_known_without_importing_it() -> None:
    asked = "import sys; from evorl.running import registry; registry.installed(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
