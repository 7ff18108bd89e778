"""PBT and PB2 without an environment: the page's example is the paper's, runs as it stands, and needs both parts."""

import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import evorl
from evorl import cli
from evorl.algorithms import pb2, pbt
from evorl.population import Population
from evorl.task import Task

PAGES = Path(__file__).parents[2] / "docs/algorithms"
PAGE = (PAGES / "pbt.md").read_text()
(MODULE,) = re.findall(r"```python\n(# quadratic.py\n.*?)```", PAGE, flags=re.DOTALL)
(COMMAND,) = re.findall(r"```sh\n(.*?)\n```", PAGE, flags=re.DOTALL)
SEEDS = 12


@pytest.fixture
def quadratic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the module of the page into an empty folder, work there, and return the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "quadratic.py").write_text(MODULE)
    yield importlib.import_module("quadratic")
    del sys.modules["quadratic"]


def ends(kind: type[pbt.PBT[Any]], config: type[Any], seeds: int = SEEDS, **settings: Any) -> NDArray[np.float64]:
    """Return Q of the better worker at the end of the run of each seed, (seeds,)."""
    found = []
    for seed in range(seeds):
        run = kind(config(seed=seed, **settings))
        while not run.finished:
            run.step()
        found.append(1.2 - run.answer().params.square().sum().item())
    return np.array(found)


def exploit_only(kind: type[pbt.PBT[Any]]) -> type[pbt.PBT[Any]]:
    """Who copies keeps the h that came with the copy."""

    class ExploitOnly(kind):  # type: ignore[misc, valid-type]
        def vary(self, parents: Population) -> Population:
            return parents

    return ExploitOnly


def explore_only(kind: type[pbt.PBT[Any]]) -> type[pbt.PBT[Any]]:
    """Everyone changes h in every generation."""

    class ExploreOnly(kind):  # type: ignore[misc, valid-type]
        def select(self, evaluated: Population) -> Population:
            everyone = torch.ones(len(evaluated), dtype=torch.bool)
            kept: Population = super().select(evaluated)
            return kept.with_traits(copied=everyone)

    return ExploreOnly


def test_exploit_and_explore_together_beat_either_and_neither(quadratic: Any) -> None:
    """As in figure 2 of the paper, at the same number of steps."""
    none: dict[str, Any] = {"bottom_fraction": 0.0}
    both = ends(quadratic.Quadratic, quadratic.Config)
    exploit = ends(exploit_only(quadratic.Quadratic), quadratic.Config)
    explore = ends(explore_only(quadratic.Quadratic), quadratic.Config, **none)
    grid = ends(quadratic.Quadratic, quadratic.Config, **none)
    one_direction = 1.2 - 0.9**2
    assert (grid < one_direction).all()
    assert (exploit < one_direction).all()
    assert (exploit >= grid - 1e-6).all()
    assert explore.min() > one_direction
    assert both.min() > explore.max()
    assert f"Q = {both.mean():.2f} ± {both.std(ddof=1):.2f}" in PAGE.replace("\n", " ")
    assert f"at {explore.mean():.2f} ± {explore.std(ddof=1):.2f}" in PAGE.replace("\n", " ")
    assert f"at {grid.mean():.2f}," in PAGE.replace("\n", " ")


def test_pb2_is_higher_than_pbt_and_needs_both_parts_too(quadratic: Any) -> None:
    """The same figure with the explore of a Gaussian process, over the first seeds."""

    @dataclass(frozen=True, kw_only=True)
    class Config(quadratic.Config, pb2.Config):  # type: ignore[misc]
        explore: str = "gaussian_process"

    class Both(quadratic.Quadratic, pb2.PB2[Config]):  # type: ignore[misc]
        pass

    halves: dict[str, Any] = {"bottom_fraction": 0.5, "donor_fraction": 0.5}
    none: dict[str, Any] = {"bottom_fraction": 0.0}
    both = ends(Both, Config, 3, **halves)
    assert (ends(Both, Config, 3, **none) < 1.2 - 0.9**2).all()
    assert (ends(exploit_only(Both), Config, 3, **halves) < 1.2 - 0.9**2).all()
    assert both.min() > ends(explore_only(Both), Config, 3, **none).max()
    assert both.min() > ends(quadratic.Quadratic, quadratic.Config).max()
    page = (PAGES / "pb2.md").read_text().replace("\n", " ")
    assert f"at Q = {both.mean():.2f}" in page


def test_learning_climbs_the_surrogate_and_fitness_is_what_counts(quadratic: Any) -> None:
    run = quadratic.Quadratic(quadratic.Config(interval=1))
    theta = run.population.params.clone().requires_grad_()
    h = torch.eye(2)
    (gradient,) = torch.autograd.grad((1.2 - (h * theta.square()).sum(1)).sum(), theta)
    learned = run.learn(run.population)
    torch.testing.assert_close(learned.params, theta.detach() + 0.01 * gradient)
    x, y = learned.params.unbind(1)
    torch.testing.assert_close(run.evaluate(learned).fitness.float(), 1.2 - x**2 - y**2)


def test_the_contract_of_the_loop_is_kept_without_an_environment(quadratic: Any) -> None:
    evorl.check_algorithm(quadratic.Quadratic, quadratic.Config())


def test_the_command_of_the_page_trains_and_a_cut_run_goes_on(
    quadratic: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(COMMAND)
    cli.main([*words[1:], "--no-progress"])
    folder = tmp_path / "runs/quadratic/quadratic/s0"
    assert capsys.readouterr().out.strip() == "runs/quadratic/quadratic/s0: not tested at 200 steps"
    x, y = evorl.load(folder).member.params[0].tolist()
    assert 1.2 - x**2 - y**2 > 1.1
    lineage = [json.loads(line) for line in (folder / "lineage.jsonl").read_text().splitlines()]
    assert {"first", "second"} <= {name.removeprefix("h.") for line in lineage for name in line.get("h", line)}
    (folder / "answer.pt").unlink()
    cli.main(["train", "--resume", str(folder)])
    assert evorl.load(folder).member.params[0].tolist() == [x, y]


def test_members_without_an_environment_must_learn_in_a_way_of_their_own() -> None:
    class Idle(pbt.PBT[pbt.Config]):
        @classmethod
        def describe(cls, config: pbt.Config) -> Task:
            return Task.without_environment(config.env_id)

        def fresh(self, rows: Sequence[int]) -> Population:
            return self.members(np.zeros((len(rows), 1)), "initial")

    run = Idle(pbt.Config(env_id="nothing", space={"anything": "0:1"}))
    with pytest.raises(NotImplementedError, match="learn must be overridden where there is no environment"):
        run.step()
