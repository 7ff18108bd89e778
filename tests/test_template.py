"""The loop: the order of the parts, who holds what when, the report, the state."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from support import ORACLE, same

from evorl import learners
from evorl.envs import GymnasiumEnvs, MujocoBatchEnvs
from evorl.errors import ConfigError
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.selection.exploit import ExploitConfig
from evorl.task import Backend
from evorl.template import Config, EvoRL

N, LENGTH = 3, 4
TINY = NetworkConfig(hidden_sizes=(2,))


def config(**settings: Any) -> Config:
    given = {"population_size": N, "network": TINY, "total_timesteps": 1_000, **settings}
    return Config(env_id=ORACLE, env_kwargs={"max_episode_steps": LENGTH}, **given)


class Control(EvoRL[Config]):
    """No part is overridden."""


class Climber(EvoRL[Config]):
    """Mutants of the better half."""

    state = (*EvoRL.state, "best")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"small": {"population_size": 2, "network": TINY}}

    def build(self) -> None:
        self.best = -math.inf

    def vary(self, parents: Population) -> Population:
        rows = torch.arange(self.config.population_size) % len(parents)
        noise = self.streams.rows("vary", range(len(rows))).normal(parents.params.shape[1])
        children = parents.descend(rows, "mutant")
        return children.with_params(children.params + 0.1 * noise)

    def evaluate(self, candidates: Population) -> Population:
        return self.play_fitness(candidates)

    def select(self, evaluated: Population) -> Population:
        self.best = max(self.best, evaluated.fitness.max().item())
        return evaluated[evaluated.fitness.argsort(descending=True)[: (len(evaluated) + 1) // 2]]


class Watched(EvoRL[Config]):
    """Notes what each part is handed and what `self.population` is meanwhile."""

    def build(self) -> None:
        self.calls: list[tuple[str, Population, Population, Population]] = []

    def _note(self, part: str, handed: Population, origin: str) -> Population:
        returned = handed.descend(range(len(handed)), origin)
        self.calls.append((part, handed, self.population, returned))
        return returned

    def vary(self, parents: Population) -> Population:
        return self._note("vary", parents, "varied")

    def learn(self, candidates: Population) -> Population:
        return self._note("learn", candidates, "learned")

    def evaluate(self, candidates: Population) -> Population:
        return self._note("evaluate", candidates, "evaluated")

    def select(self, evaluated: Population) -> Population:
        return self._note("select", evaluated, "selected")


def test_the_parts_run_in_order_and_each_is_handed_what_the_one_before_returned() -> None:
    run = Watched(config())
    for _ in range(2):
        parents = run.population
        run.calls.clear()
        run.step()
        assert [part for part, *_ in run.calls] == ["vary", "learn", "evaluate", "select"]
        expected = parents
        for _, handed, _, returned in run.calls:
            assert handed is expected
            expected = returned
        assert run.population is expected


def test_self_population_is_the_parents_until_select_has_returned() -> None:
    run = Watched(config())
    parents = run.population
    run.step()
    assert all(meanwhile is parents for _, _, meanwhile, _ in run.calls)


def test_a_watcher_is_shown_what_evaluate_returned_once_the_generation_is_complete() -> None:
    run = Watched(config())
    seen: list[tuple[Population, int, Population]] = []
    run.step(lambda evaluated: seen.append((evaluated, run.generation, run.population)))
    returned = {part: population for part, _, _, population in run.calls}
    ((evaluated, generation, population),) = seen
    assert evaluated is returned["evaluate"]
    assert population is returned["select"]
    assert generation == 1


def test_a_watcher_leaves_no_trace() -> None:
    watched, alone = Climber(config()), Climber(config())
    reports = [(watched.step(lambda evaluated: None), alone.step()) for _ in range(2)]
    assert all(same(ours, theirs) for ours, theirs in reports)
    assert same(watched.state_dict(), alone.state_dict())
    assert set(vars(watched)) == set(vars(alone))


def test_every_part_is_the_identity_unless_overridden() -> None:
    run = Control(config())
    parents = run.population
    run.step()
    assert run.population is parents
    assert run.generation == 1
    assert run.ledger.spent == 0


def test_fresh_members_differ_and_do_not_depend_on_how_many_there_are() -> None:
    three, two = Control(config()).population, Control(config(population_size=2)).population
    assert len(three) == N
    assert not torch.equal(three.params[0], three.params[1])
    assert torch.equal(three.params[:2], two.params)
    assert not torch.equal(three.params, Control(config(seed=1)).population.params)


def test_the_config_type_is_read_off_the_base_and_inherited() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wider(Config):
        width: int = 3

    class Own(EvoRL[Wider]):
        pass

    class Child(Own):
        pass

    assert Climber.config_type is Config


def test_whatever_a_config_is_composed_of_checks_its_own_settings() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Mixed(ExploitConfig, learners.Config):
        pass

    given: tuple[tuple[dict[str, Any], str], ...] = (
        ({"updates_per_step": 0}, "updates_per_step must be at least 1, got 0"),
        ({"alpha": 2}, "alpha must be between 0 and 1, got 2"),
        ({"bottom_fraction": 0.6}, "bottom_fraction must be between 0 and 0.5, got 0.6"),
        ({"interval": 0}, "interval must be at least 1, got 0"),
    )
    for settings, line in given:
        with pytest.raises(ConfigError, match=f"^{line}$"):
            Mixed(env_id=ORACLE, **settings)


def test_the_name_is_that_of_the_class_in_words_unless_given() -> None:
    class HillClimber(EvoRL[Config]):
        pass

    class Named(HillClimber):
        name = "given"

    class NamedAgain(Named):
        pass

    assert HillClimber.name == "hill-climber"
    assert Named.name == "given"
    assert NamedAgain.name == "named-again"


def test_a_generation_reports_fitness_of_all_and_of_each_its_own_and_the_ledger() -> None:
    run = Climber(config())
    report = run.step()
    fitness = [report[f"population/members/{row:02d}/fitness"] for row in range(N)]
    assert report["fitness/best"] == max(fitness) > min(fitness) == report["fitness/worst"]
    assert report["fitness/mean"] == pytest.approx(sum(fitness) / N)
    assert report["fitness/median"] == sorted(fitness)[1]
    assert report["budget/fitness_steps"] == N * LENGTH == run.ledger.spent
    assert report["budget/episodes"] == N
    assert report["budget/fitness_share"] == 1


def test_fitness_is_reported_only_where_there_is_an_evaluate() -> None:
    assert not any("fitness/" in tag for tag in Control(config()).step())


def test_diversity_is_the_mean_distance_from_the_centroid() -> None:
    run = Control(config())
    params = run.population.params.numpy()
    expected = np.linalg.norm(params - params.mean(0), axis=1).mean()
    assert run.step()["population/diversity"] == pytest.approx(expected, rel=1e-5)


def test_members_whose_fitness_is_unknown_are_left_out_of_the_summary() -> None:
    class Some(Climber):
        def evaluate(self, candidates: Population) -> Population:
            return candidates.with_fitness(torch.tensor([1.0, torch.nan, 4.0]))

    report = Some(config()).step()
    assert [report[f"fitness/{tag}"] for tag in ("best", "mean", "median", "worst")] == [4.0, 2.5, 2.5, 1.0]
    assert math.isnan(report["population/members/01/fitness"])


def test_where_nothing_is_known_the_tags_are_there_and_nan() -> None:
    class Nobody(Climber):
        def evaluate(self, candidates: Population) -> Population:
            return candidates

        def select(self, evaluated: Population) -> Population:
            return evaluated

    report = Nobody(config()).step()
    assert all(math.isnan(report[f"fitness/{tag}"]) for tag in ("best", "mean", "median", "worst"))
    assert set(report) == set(Climber(config()).step())


def test_the_first_fitness_is_that_of_fresh_episodes_from_the_seeds_of_generation_and_row() -> None:
    run = Climber(config())
    starts: list[list[int]] = []
    play = run.episodes.play

    def noting(members: Population, seeds: list[int], *given: Any, **named: Any) -> Any:
        starts.append(list(seeds))
        return play(members, seeds, *given, **named)

    run.episodes.play = noting  # type: ignore[assignment,method-assign]
    run.step()
    run.step()
    seeds = [[run.streams.episode_seed("fitness", generation, row, 0) for row in range(N)] for generation in (0, 1)]
    assert starts == seeds
    assert len({seed for of_one in starts for seed in of_one}) == 2 * N


def test_ids_are_never_given_twice() -> None:
    run = Climber(config())
    seen = set(run.population.id.tolist())
    for _ in range(3):
        children = run.vary(run.population)
        assert not seen & set(children.id.tolist())
        seen |= set(children.id.tolist())
        assert set(children.parent.tolist()) <= seen


def test_the_answer_is_one_row_from_construction_on() -> None:
    run = Climber(config())
    assert len(run.answer()) == 1
    run.step()
    assert len(run.answer()) == 1


def test_a_run_is_finished_at_the_budget_and_not_before() -> None:
    run = Climber(config(total_timesteps=2 * N * LENGTH))
    run.step()
    assert not run.finished
    run.step()
    assert run.finished


def test_the_state_holds_exactly_what_the_class_names() -> None:
    run = Climber(config())
    named = {"identities", "population", "streams", "ledger", "generation", "best"}
    assert set(run.state_dict()) == set(Climber.state) == named


def test_an_algorithm_goes_on_from_a_state_as_if_it_had_never_been_cut() -> None:
    whole = Climber(config())
    whole.step()
    cut = Climber(config(), whole.state_dict())
    for _ in range(2):
        expected, found = whole.step(), cut.step()
        assert same(found, expected)
    ours, theirs = cut.state_dict(), whole.state_dict()
    assert same(ours, theirs)
    assert not same(ours["population"], Climber(config()).state_dict()["population"])


def test_a_second_population_is_restored_as_one() -> None:
    class Two(Climber):
        state = (*Climber.state, "agent")

        def build(self) -> None:
            super().build()
            self.agent = self.fresh([0])

    run = Two(config())
    run.agent = run.agent.with_params(run.agent.params + 1)
    restored = Two(config(), run.state_dict())
    assert isinstance(restored.agent, Population)
    assert torch.equal(restored.agent.params, run.agent.params)
    assert restored.agent.identities is restored.identities


@pytest.mark.parametrize("name", ["best", "generation"])
def test_a_state_with_other_names_is_refused(name: str) -> None:
    state = Climber(config()).state_dict()
    del state[name]
    with pytest.raises(ValueError, match=r"state must hold .* got"):
        Climber(config(), state)
    with pytest.raises(ValueError, match=r"state must hold .* got"):
        Climber(config(), {**Climber(config()).state_dict(), "more": 1})


def test_a_preset_is_the_named_settings_with_those_given_on_top() -> None:
    assert Climber.preset("published", env_id=ORACLE) == Config(env_id=ORACLE)
    small = Climber.preset("small", env_id=ORACLE, population_size=5)
    assert small == Config(env_id=ORACLE, population_size=5, network=TINY, preset="small")


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^preset of climber must be one of published, small, got 'smal'; did you mean 'small'\?$",
    ):
        Climber.preset("smal", env_id=ORACLE)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"total_timesteps": 0}, "total_timesteps must be at least 1, got 0"),
        ({"population_size": 0}, "population_size must be at least 1, got 0"),
        ({"device": "abacus"}, "device must be one that torch can use, got 'abacus'"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}"):
        config(**settings)


def test_a_budget_below_one_generation_is_refused_with_the_smallest() -> None:
    Climber(config(total_timesteps=N * LENGTH))
    with pytest.raises(ConfigError, match=rf"^total_timesteps must be at least {N * LENGTH}, .* got {N * LENGTH - 1}$"):
        Climber(config(total_timesteps=N * LENGTH - 1))


def test_the_budget_needs_no_bound_where_a_generation_has_none() -> None:
    Climber(Config(env_id=ORACLE, env_kwargs={"terminate_at": 2}, network=TINY, total_timesteps=1))


def test_nothing_is_stepped_by_construction() -> None:
    assert Climber(config()).ledger.spent == 0


def test_the_back_end_of_the_settings_steps_the_environments() -> None:
    settings: dict[str, Any] = {"env_id": "InvertedPendulum-v5", "population_size": 2, "network": TINY}
    kinds: dict[Backend, type[Any]] = {
        "gymnasium": GymnasiumEnvs,
        "mujoco-batch": MujocoBatchEnvs,
        "auto": MujocoBatchEnvs,
    }
    for backend, kind in kinds.items():
        run = Control(Config(backend=backend, **settings))
        assert isinstance(run.episodes.envs, kind)
        run.close()
    with pytest.raises(ConfigError, match="backend mujoco-batch cannot step Pendulum-v1"):
        Control.check(Config(backend="mujoco-batch", **{**settings, "env_id": "Pendulum-v1"}))
