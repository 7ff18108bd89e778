"""What cannot work in a search of hyperparameters is said in one line, before a run begins and a folder is made."""

import importlib.util
from pathlib import Path

import pytest

import evorl
from evorl.cli import main
from evorl.errors import ConfigError
from evorl.running import registry
from evorl.running.run import Run

TASK = ["--env-id", "Pendulum-v1", "--preset", "quick"]
SEARCHES = ["pbt", "pbt-es", "random-search", "bayesian-search", "successive-halving"]
EXTRA = "pip install 'evorl-torch[tune]'"


def refused(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line with which the command ends; no run may begin."""

    def began(*_: object) -> None:
        raise RuntimeError("a run began")

    monkeypatch.setattr(Run, "__init__", began)
    with pytest.raises(SystemExit) as raised:
        main(["train", *words])
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line.removeprefix("evorl: ")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize(
    ("form", "line"),
    [
        (
            "tau=0.1:0.01",
            "space of tau: low must not be above high, and both must be finite, got low 0.1",
        ),
        ("tau=nan:1", "space of tau: low must not be above high, and both must be finite, got low nan"),
        ("tau=", "space of tau must be [log:|complement:]LOW:HIGH, int:"),
        ("tau=categorical:", "space of tau: a number was needed"),
        ("actor_learning_rate=log:0:1e-3", "space of actor_learning_rate: low must be above 0 on a log scale, got 0"),
        ("discount=complement:0.9:1", "space of discount: high must be below 1 on a complement scale, got 1"),
        ("batch_size=int:32:256", "got 'batch_size': the minibatches of all members are one tensor"),
        ("interval=0:1", "got 'interval': all members evolve at the same time"),
        ("population_size=0:1", "got 'population_size': members have hyperparameters, the population has none"),
        ("hidden_sizes=0:1", "got 'hidden_sizes': the policies of all members are one tensor"),
        ("total_timesteps=0:1", "got 'total_timesteps': it is one setting for all members"),
        ("precision=0:1", "got 'precision': the networks of all members are computed together"),
        ("network=0:1", "got 'network': the policies of all members are one tensor"),
        ("discuont=0.9:0.99", "got 'discuont'; did you mean 'discount'?"),
        ("discount=0.9:2", "space of discount must lie between 0.0 and 1.0, got 0.9:2"),
        ("discount", "space must be words NAME=FORM"),
    ],
)
def test_spaces(
    name: str, form: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in refused([name, *TASK, "--space", form], monkeypatch, capsys)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["pbt", *TASK, "--population-size", "1"], "population_size must be at least 2, as one alone copies nobody"),
        (
            ["mf-pbt", *TASK, "--population-size", "10"],
            "population_size must be a multiple of 8, for 2",
        ),
        (["mf-pbt", *TASK, "--ratios", "2", "5"], "ratios must begin with 1 and rise strictly, got (2, 5)"),
        (
            ["grid-search", *TASK, "--population-size", "10"],
            "population_size must be 4, one for each point of",
        ),
        (
            ["pbt", *TASK, "--total-timesteps", "9999"],
            "total_timesteps must be at least 10000, which one generation can take, got 9999",
        ),
        (
            ["pbt", *TASK, "--interval", "999"],
            "interval must be at least 1000, window = 5 episodes of 200 steps, got 999; or take a smaller window, or",
        ),
        (
            ["pbt-es", *TASK, "--window", "6"],
            "interval must be at least 1200, window = 6 episodes of 200 steps, got 1000",
        ),
        (
            ["random-search", *TASK, "--total-timesteps", "7000", "--interval", "500", "--population-size", "8"],
            "total_timesteps / population_size must be at least 1000, window = 5 episodes of 200 steps, got 875",
        ),
        (["successive-halving", *TASK, "--interval", "400"], "first_rung * interval must be at least 1000, window = 5"),
        (
            ["bayesian-search", *TASK, "--total-timesteps", "7999"],
            "total_timesteps / trials must leave a trial at least one interval = 1000 with its fresh",
        ),
        (["bayesian-search", *TASK, "--trials", "6"], "trials must be a multiple of population_size = 4"),
    ],
)
def test_populations_intervals_and_budgets(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(words, monkeypatch, capsys).startswith(line)
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["bayesian-search", "successive-halving"])
def test_an_extra_that_is_not_installed(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda module, *_: None if module == "optuna" else find(module))
    assert refused([name, *TASK], monkeypatch, capsys) == f"{name} needs optuna; {EXTRA}"
    assert not Path("runs").exists()
    algorithm = registry.find(name)
    with pytest.raises(ConfigError, match=f"^{name} needs optuna"):
        evorl.train(algorithm.preset("quick", env_id="Pendulum-v1"))
    assert not Path("runs").exists()


def test_a_fresh_fitness_needs_no_window_of_training_returns() -> None:
    pbt = registry.find("pbt")
    pbt.check(pbt.preset("quick", env_id="Pendulum-v1", interval=100, fitness="fresh"))
    with pytest.raises(ConfigError, match="interval must be at least 1000"):
        pbt.check(pbt.preset("quick", env_id="Pendulum-v1", interval=100))
