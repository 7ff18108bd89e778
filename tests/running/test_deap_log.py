"""DEAP's book-keeping as a sink: its own objects, told of every generation, and nothing of the run changed by it."""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deap import tools
from support import ORACLE, same

import evorl
from evorl.algorithms import cem, td3
from evorl.errors import ConfigError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import FitnessMax, Identities, Individual, Population
from evorl.running import DeapLog, checkpoint
from evorl.template import Config, EvoRL

PAGE = Path(__file__).parent.parent.parent / "docs" / "deap.md"
TINY = NetworkConfig(hidden_sizes=(4,))
N, LENGTH, GENERATIONS = 4, 10, 5
STEPS = N * LENGTH
CONFIG = cem.Config(
    env_id="Pendulum-v1",
    env_kwargs={"max_episode_steps": LENGTH},
    population_size=N,
    network=TINY,
    total_timesteps=GENERATIONS * STEPS,
)


def running(folder: Path, **settings: Any) -> evorl.Running:
    given = {"checkpoint_seconds": 0, "test_interval": 0, "progress": False, **settings}
    return evorl.Running(runs=str(folder), **given)


def statistics(key: Any = lambda individual: individual.fitness.values) -> Any:
    found = tools.Statistics(key)
    found.register("mean", np.mean)
    found.register("max", np.max)
    return found


def deap_log(**given: Any) -> DeapLog:
    return DeapLog(**{"hall_of_fame": tools.HallOfFame(3), "statistics": statistics(), **given})


def members(*fitness: float, first: float = 0) -> Population:
    """Return members whose genes tell their row, counted from `first`."""
    params = torch.arange(len(fitness), dtype=torch.float32)[:, None] + torch.tensor([[first, first + 10]])
    return Population.fresh(params, Identities(), "x").with_fitness(torch.tensor(fitness))


def fitnesses(sink: DeapLog) -> list[float]:
    return [individual.fitness.values[0] for individual in sink.hall_of_fame]


def evaluated_by_hand(config: cem.Config) -> list[Population]:
    """Return what each generation of a run evaluates."""
    run, seen = cem.CEM(config), list[Population]()
    while not run.finished:
        run.step(lambda evaluated: seen.append(evaluated.clone()))
    run.close()
    return seen


def test_the_logbook_and_the_hall_of_fame_are_those_of_every_evaluated_generation(tmp_path: Path) -> None:
    sink = deap_log()
    evorl.train(CONFIG, running(tmp_path), sinks=[sink])
    generations = evaluated_by_hand(CONFIG)
    lines = [
        {
            "gen": number,
            "nevals": N,
            "steps": number * STEPS,
            "mean": pytest.approx(population.fitness.mean().item()),
            "max": population.fitness.max().item(),
        }
        for number, population in enumerate(generations, start=1)
    ]
    assert list(sink.logbook) == lines
    fitness = torch.cat([population.fitness for population in generations])
    params = torch.cat([population.params for population in generations])
    best = fitness.argsort(descending=True)[:3]
    assert fitnesses(sink) == fitness[best].tolist()
    assert [individual.genome.tolist() for individual in sink.hall_of_fame] == params[best].tolist()
    assert isinstance(sink.hall_of_fame[0], Individual)
    assert isinstance(sink.hall_of_fame[0].fitness, FitnessMax)


def test_the_run_is_the_same_with_and_without_it(tmp_path: Path) -> None:
    states = []
    for name, sinks in (("with", [deap_log()]), ("without", [])):
        folder = evorl.train(CONFIG, running(tmp_path / name), sinks=sinks).folder
        content = checkpoint.read(folder / "state.pt")
        content["state"]["ledger"].pop("seconds")
        states.append([content["state"], content["answer"]])
    assert same(*states)


def test_the_table_is_deaps_with_its_columns_in_order() -> None:
    sink = deap_log()
    sink.write_population(members(1.0, 2.0), 1, 20)
    sink.write_population(members(5.0, 2.5), 2, 40)
    table = [line.split() for line in str(sink.logbook).splitlines()]
    assert table == [
        ["gen", "nevals", "steps", "mean", "max"],
        ["1", "2", "20", "1.5", "2"],
        ["2", "2", "40", "3.75", "5"],
    ]


def test_multi_statistics_become_chapters() -> None:
    several = tools.MultiStatistics(fitness=statistics(), first=statistics(lambda individual: float(individual[0])))
    sink = deap_log(statistics=several)
    sink.write_population(members(1.0, 2.0), 1, 20)
    sink.write_population(members(5.0, 2.5, first=7), 2, 40)
    assert sink.logbook.chapters["fitness"].select("max") == [2.0, 5.0]
    assert sink.logbook.chapters["first"].select("mean") == [0.5, 7.5]
    above, rule, *table = str(sink.logbook).splitlines()
    assert above.split() == ["first", "fitness"]
    assert set(rule.split()) <= {"-" * len(part) for part in rule.split()}
    assert [line.split() for line in table] == [
        ["gen", "nevals", "steps", "mean", "max", "mean", "max"],
        ["1", "2", "20", "0.5", "1", "1.5", "2"],
        ["2", "2", "40", "7.5", "8", "3.75", "5"],
    ]


def test_a_header_of_the_users_own_is_left_alone() -> None:
    logbook = tools.Logbook()
    logbook.header = ["max", "gen"]
    sink = deap_log(logbook=logbook)
    sink.write_population(members(1.0, 2.0), 1, 20)
    assert sink.logbook is logbook
    assert str(logbook).splitlines()[0].split() == ["max", "gen"]


def test_each_of_the_three_may_be_left_out() -> None:
    sink = DeapLog()
    sink.write_population(members(1.0, math.nan), 1, 20)
    assert list(sink.logbook) == [{"gen": 1, "nevals": 1, "steps": 20}]
    assert str(sink.logbook).splitlines()[0].split() == ["gen", "nevals", "steps"]
    assert fitnesses(sink) == [1.0]


def test_what_is_in_the_hall_of_fame_does_not_change_with_the_population() -> None:
    sink, population = deap_log(), members(1.0, 2.0)
    sink.write_population(population, 1, 20)
    population.params.fill_(-1)
    population.fitness.fill_(-1)
    assert [individual.genome.tolist() for individual in sink.hall_of_fame] == [[1, 11], [0, 10]]
    assert fitnesses(sink) == [2.0, 1.0]


def test_unknown_fitness_enters_neither_the_hall_of_fame_nor_the_statistics() -> None:
    sink = deap_log()
    sink.write_population(members(math.nan, 3.0, math.nan, 1.0), 1, 20)  # DEAP takes the first of all unseen
    assert fitnesses(sink) == [3.0, 1.0]
    assert [individual.row for individual in sink.hall_of_fame] == [1, 3], "the slot in the whole population"
    assert list(sink.logbook) == [{"gen": 1, "nevals": 2, "steps": 20, "mean": 2.0, "max": 3.0}]


@pytest.mark.parametrize("several", [False, True])
def test_a_generation_of_which_nothing_is_known_has_a_line_of_nan(several: bool) -> None:
    ours = statistics()
    sink = deap_log(statistics=tools.MultiStatistics(fitness=ours) if several else ours)
    for generation, fitness in enumerate([math.nan, 2.0, math.nan], start=1):
        sink.write_population(members(fitness), generation, 10 * generation)
    chapter = sink.logbook.chapters["fitness"] if several else sink.logbook
    assert np.array_equal(chapter.select("max"), [math.nan, 2.0, math.nan], equal_nan=True)
    assert sink.logbook.select("nevals") == [0, 1, 0]
    assert [line.split()[-1] for line in str(sink.logbook).splitlines()[-3:]] == ["nan", "2", "nan"]
    assert fitnesses(sink) == [2.0]


def refused(config: Config, sink: DeapLog, folder: Path, algorithm: type[EvoRL[Any]] | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        evorl.train(config, running(folder), algorithm=algorithm, sinks=[sink])
    assert list(folder.iterdir()) == []
    return str(raised.value)


def test_an_algorithm_without_fitness_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Still(EvoRL[Config]):
        pass

    learner = TD3Config(critic=TINY, batch_size=4)
    config = td3.Config(env_id=ORACLE, env_kwargs={"max_episode_steps": 5}, network=TINY, learner=learner)
    needed = "sinks: DeapLog needs an algorithm that gives its members a fitness in `evaluate`"
    assert refused(config, deap_log(), tmp_path) == f"{needed}, got td3, which has none"
    assert refused(Config(env_id=ORACLE), deap_log(), tmp_path, Still) == f"{needed}, got still, which has none"


class Broken(Exception):
    """Stands for the end of a run."""


class Breaking(evorl.running.Sink):
    """Ends the run when a generation's record is written, which is before its checkpoint."""

    def __init__(self, generation: int) -> None:
        self.generation = generation

    def write(self, record: dict[str, float]) -> None:
        if record["generation"] == self.generation:
            raise Broken


def cut(folder: Path, sink: DeapLog, generation: int, checkpoint_seconds: float = 0) -> Path:
    """Let a run die when `generation` was seen and its checkpoint not written; return its folder."""
    with pytest.raises(Broken):
        evorl.train(CONFIG, running(folder, checkpoint_seconds=checkpoint_seconds), sinks=[sink, Breaking(generation)])
    (config,) = folder.rglob("config.json")
    return config.parent


def contents(sink: DeapLog) -> list[Any]:
    hall = [(individual.genome.tolist(), individual.row, individual.fitness.values) for individual in sink.hall_of_fame]
    chapters = {name: list(chapter) for name, chapter in sink.logbook.chapters.items()}
    return [hall, list(sink.logbook), chapters, str(sink.logbook)]


@pytest.mark.parametrize("checkpoint_seconds", [0, 1e9], ids=["one generation lost", "all generations lost"])
@pytest.mark.parametrize("several", [False, True])
def test_handed_on_after_an_interruption_it_ends_as_if_there_had_been_none(
    checkpoint_seconds: float, several: bool, tmp_path: Path
) -> None:
    def sink() -> DeapLog:
        return deap_log(statistics=tools.MultiStatistics(fitness=statistics()) if several else statistics())

    whole, ours = sink(), sink()
    evorl.train(CONFIG, running(tmp_path / "whole"), sinks=[whole])
    folder = cut(tmp_path / "cut", ours, 3, checkpoint_seconds)
    assert len(ours.logbook) == 3
    evorl.resume(folder, sinks=[ours])
    assert contents(ours) == contents(whole)


def test_a_new_one_knows_nothing_of_what_came_before_the_checkpoint(tmp_path: Path) -> None:
    folder = cut(tmp_path, deap_log(), 3)
    sink = deap_log()
    evorl.resume(folder, sinks=[sink])
    assert sink.logbook.select("gen") == [3, 4, 5]
    late = torch.cat([population.fitness for population in evaluated_by_hand(CONFIG)[2:]])
    assert fitnesses(sink) == late.sort(descending=True).values[:3].tolist()


def test_hall_of_fame_and_logbook_can_be_pickled_and_handed_to_a_new_one(tmp_path: Path) -> None:
    whole, ours = deap_log(), deap_log()
    evorl.train(CONFIG, running(tmp_path / "whole"), sinks=[whole])
    folder = cut(tmp_path / "cut", ours, 3)
    hall, logbook = pickle.loads(pickle.dumps((ours.hall_of_fame, ours.logbook)))  # noqa: S301
    sink = deap_log(hall_of_fame=hall, logbook=logbook)
    evorl.resume(folder, sinks=[sink])
    assert contents(sink)[:3] == contents(whole)[:3]


@pytest.mark.parametrize("streamed", [0, 1, 3])
def test_after_an_interruption_the_stream_goes_on_where_it_was(streamed: int) -> None:
    sink, lines = deap_log(), list[str]()
    for generation in (1, 2, 3):
        sink.write_population(members(1.0), generation, 10 * generation)
        lines += sink.logbook.stream.splitlines() if generation <= streamed else []
    sink.rewind(1)
    sink.write_population(members(4.0), 2, 20)
    lines += sink.logbook.stream.splitlines()
    told = [line.split()[0] for line in lines]
    assert told == ["gen", *map(str, range(1, streamed + 1)), *(["2"] if streamed else ["1", "2"])]
    assert lines[-1].split() == ["2", "1", "20", "4", "4"]


def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    first, second, third = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(first, names)  # noqa: S102
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["gen", "nevals", "steps", "mean", "max"]
    assert re.search(r"\s+".join(header.split()), PAGE.read_text())
    assert len(lines) == 10 + 1
    exec(second, names)  # noqa: S102
    assert re.search(r"^fitness -\d+, tested -\d+$", capsys.readouterr().out, flags=re.MULTILINE)
    assert names["returns"].mean() < names["best"].fitness.values[0]
    exec(third, names)  # noqa: S102
    evorl.train(names["config"], algorithm=names["CEM"], overwrite=True, sinks=[names["BestParameters"](tmp_path)])
    assert len(list(tmp_path.glob("best-*.pt"))) == 10
