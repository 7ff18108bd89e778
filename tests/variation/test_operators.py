"""Operators by name: what is bound, and faults that name the argument."""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deap import tools

from evorl.errors import ConfigError, OperatorFault
from evorl.policies import MLP, NetworkConfig
from evorl.population import Individual
from evorl.streams import Streams
from evorl.toolbox import operator
from evorl.variation import GeneticConfig, genetic_toolbox, mate_rows, mutate_sparse

LAYOUT = MLP(2, 2, NetworkConfig(hidden_sizes=(4,))).layout
SIZE = LAYOUT[-1].slice.stop


def configured(**settings: Any) -> Any:
    return genetic_toolbox(GeneticConfig(**settings), LAYOUT, np.random.default_rng(0))


def test_a_name_without_arguments_is_the_function_itself() -> None:
    found = operator("mate", "deap.tools:cxTwoPoint")
    assert found.function is tools.cxTwoPoint
    assert found.keywords == {}


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("deap.tools:selTournament:tournsize=3", {"tournsize": 3}),
        ("deap.tools:mutGaussian:mu=0.0,sigma=1e-3,indpb=-1", {"mu": 0.0, "sigma": 1e-3, "indpb": -1}),
        ("deap.tools:selTournament:tournsize=7,fit_attr='fitness'", {"tournsize": 7, "fit_attr": "fitness"}),
        ("builtins:dict:a=True,b=None", {"a": True, "b": None}),
        ("builtins:dict:", {}),
    ],
)
def test_arguments_are_plain_values_bound_by_name(text: str, bound: dict[str, Any]) -> None:
    found = operator("mutate" if "mut" in text else "select", text)
    assert found.keywords == bound
    assert all(type(found.keywords[name]) is type(value) for name, value in bound.items())


@pytest.mark.parametrize(
    "text",
    [
        "roes",
        "",
        ":cxTwoPoint",
        "deap.tools",
        "deap.tools:",
        "deap.tools:cxTowPoint",
        "no.such.module:f",
        "deap.tools:selTournament:tournsize",
        "deap.tools:selTournament:tournsize=three",
        "deap.tools:selTournament:tournsize=__import__('os')",
        "deap.tools:selTournament:tournsize=3)",
    ],
)
@pytest.mark.parametrize("argument", ["mate", "mutate", "select"])
def test_a_fault_names_the_argument_what_was_needed_and_what_came(argument: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(**{argument: text})
    line, own = str(raised.value), {"mate": "rows", "mutate": "sparse"}.get(argument)
    operator = "an operator, module:function:name=value,..."
    if own and ":" not in text:
        hint = f"; did you mean {own!r}?" if (own, text) == ("rows", "roes") else ""
        assert line == f"{argument} must be one of {own}, or {operator}, got {text!r}{hint}"
    else:
        assert line.startswith(f"{argument} must name {operator}, got {text!r}: ")
    assert "\n" not in line


def test_an_operator_of_the_users_is_found_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_operators.py").write_text("def mutate(individual):\n    return (individual,)\n")
    (tmp_path / "broken_operators.py").write_text("raise RuntimeError('not today')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    assert configured(mutate="own_operators:mutate").mutate.func.function.__module__ == "own_operators"
    with pytest.raises(ConfigError, match=r"^mutate must name an operator, .*RuntimeError: not today$"):
        configured(mutate="broken_operators:mutate")


def test_something_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^mutate must name an operator, .* got 'deap.tools:mutation': "):
        configured(mutate="deap.tools:mutation")


@pytest.mark.parametrize("text", ["deap.tools:selTournament:tournsiz=3", "deap.tools:selTournament"])
def test_arguments_that_the_operator_does_not_take_or_lacks_are_refused_before_anything_runs(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^select must name an operator"):
        configured(select=text)


def test_what_an_operator_raises_is_said_in_one_line_with_its_name() -> None:
    toolbox = configured(select="deap.tools:selTournament:tournsize=0", mate="deap.tools:cxESBlend:alpha=0.1")
    rows = [Individual(row, 0, 1.0) for row in np.zeros((2, SIZE), np.float32)]
    with pytest.raises(
        OperatorFault, match=r"^select deap\.tools:selTournament:tournsize=0 .*: ValueError: ."
    ) as raised:
        toolbox.select(rows, 2)
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(OperatorFault, match=r"^mate deap\.tools:cxESBlend:alpha=0\.1 .*AttributeError.*strategy"):
        toolbox.mate(*rows)


def test_the_default_operators_are_those_of_the_paper_with_the_settings_of_the_config() -> None:
    config = GeneticConfig(mutation_fraction=0.7, super_probability=0.4)
    toolbox = genetic_toolbox(config, LAYOUT, np.random.default_rng(5))
    start = np.random.default_rng(1).standard_normal((2, SIZE)).astype(np.float32)
    ours, theirs = start.copy(), start.copy()
    generator = np.random.default_rng(5)
    for _ in range(5):
        toolbox.mate(*map(Individual, ours))
        mate_rows(Individual(theirs[0]), Individual(theirs[1]), LAYOUT, generator)
        toolbox.mutate(Individual(ours[0]))
        mutate_sparse(Individual(theirs[0]), LAYOUT, generator, config)
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, start)
    assert toolbox.select.func == operator("select", "deap.tools:selTournament:tournsize=3")


def test_clones_share_no_memory_with_their_originals() -> None:
    individual = Individual(np.arange(SIZE, dtype=np.float32), 3, 1.5)
    clone = configured().clone(individual)
    clone[0] = 99.0
    del clone.fitness.values
    assert individual[0] == 0
    assert individual.fitness.values == (1.5,)
    assert copy.deepcopy(individual) == individual


def test_every_operator_can_be_registered_anew() -> None:
    toolbox = configured()
    toolbox.register("mutate", lambda individual: (individual,))
    genome = np.ones(SIZE, np.float32)
    toolbox.mutate(Individual(genome))
    assert (genome == 1).all()


@pytest.mark.parametrize("size", [2, 5])
def test_a_tournament_of_another_size_wins_the_best_as_often_as_its_formula(size: int) -> None:
    n, draws = 6, 20_000
    toolbox = configured(select=f"deap.tools:selTournament:tournsize={size}")
    members = [Individual(np.zeros(1, np.float32), row, float(row)) for row in range(n)]
    with Streams(0).as_global("select"):
        winners = [winner.row for winner in toolbox.select(members, draws)]
    expected = 1 - (1 - 1 / n) ** size
    assert winners.count(n - 1) / draws == pytest.approx(expected, abs=4 * (expected * (1 - expected) / draws) ** 0.5)


@pytest.mark.parametrize(
    ("fraction", "members", "elites"),
    [(0.1, 10, 1), (0.3, 10, 3), (0.0, 10, 1), (0.25, 7, 1), (0.5, 7, 3), (0.1, 4, 1)],
)
def test_the_number_of_elites_is_rounded_down_and_at_least_one(fraction: float, members: int, elites: int) -> None:
    assert GeneticConfig(elite_fraction=fraction).elites(members) == elites


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"elite_fraction": 0.6}, "elite_fraction must be between 0 and 0.5, got 0.6"),
        ({"mutation_probability": 1.5}, "mutation_probability must be between 0 and 1, got 1.5"),
        ({"mutation_strength": -1.0}, "mutation_strength must be at least 0, got -1.0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        GeneticConfig(**settings).check()
    assert str(raised.value) == message
