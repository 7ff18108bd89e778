"""`check_algorithm` lets the algorithms pass and names the rule that a broken subclass breaks."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE

from evorl import check_algorithm
from evorl.algorithms import cem, td3
from evorl.conformance import ConformanceError
from evorl.evaluation import Report
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.template import Config, EvoRL

TINY = NetworkConfig(hidden_sizes=(3,))
SHORT: dict[str, int | float | bool | str] = {"max_episode_steps": 3}
CONFIG = cem.Config(env_id=ORACLE, env_kwargs=SHORT, population_size=4, total_timesteps=1_000, network=TINY)


def small_td3(n: int) -> td3.Config:
    settings: dict[str, Any] = {"total_timesteps": 1_000, "warmup_steps": 6, "interval": 5, "network": TINY}
    learner = TD3Config(critic=TINY, batch_size=4)
    return td3.Config(env_id=ORACLE, env_kwargs=SHORT, population_size=n, learner=learner, **settings)


class Sound(EvoRL[Config]):
    """Keeps the contract; the broken ones below differ from it in one part."""

    def vary(self, parents: Population) -> Population:
        noise = self.streams.rows("vary", range(len(parents))).normal(parents.params.shape[1])
        return parents.with_params(parents.params + noise)

    def evaluate(self, candidates: Population) -> Population:
        return self.play_fitness(candidates)


def settings() -> Config:
    return Config(env_id=ORACLE, env_kwargs=SHORT, population_size=4, total_timesteps=1_000, network=TINY)


def expect(broken: type[EvoRL[Any]], rule: str) -> None:
    with pytest.raises(ConformanceError, match=rule):
        check_algorithm(broken, settings())


def test_cem_conforms() -> None:
    check_algorithm(cem.CEM, CONFIG)


@pytest.mark.parametrize("n", [1, 2])
def test_td3_conforms(n: int) -> None:
    check_algorithm(td3.TD3, small_td3(n))


def test_an_algorithm_that_overrides_nothing_conforms() -> None:
    class Nothing(EvoRL[Config]):
        pass

    check_algorithm(Nothing, settings())


def test_the_sound_one_conforms() -> None:
    check_algorithm(Sound, settings())


@pytest.mark.parametrize("rows", [3, 5])
def test_vary_must_return_population_size_rows(rows: int) -> None:
    class Broken(Sound):
        def vary(self, parents: Population) -> Population:
            return parents.descend(torch.arange(rows) % len(parents), "copy")

    expect(Broken, rf"^vary must return population_size = 4 rows, got {rows}$")


def test_vary_must_not_return_a_row_twice() -> None:
    class Broken(Sound):
        def vary(self, parents: Population) -> Population:
            return parents[[0, 1, 2, 2]]

    expect(Broken, "^vary must return rows with different ids$")


def test_learn_must_keep_the_order() -> None:
    class Broken(Sound):
        def learn(self, candidates: Population) -> Population:
            return candidates[[1, 0, 2, 3]]

    expect(Broken, "^learn must keep the ids and their order$")


def test_learn_must_keep_the_ids() -> None:
    class Broken(Sound):
        def learn(self, candidates: Population) -> Population:
            return candidates.descend(range(len(candidates)), "learned")

    expect(Broken, "^learn must keep the ids and their order$")


@pytest.mark.parametrize("part", ["learn", "evaluate"])
def test_learn_and_evaluate_must_keep_the_rows(part: str) -> None:
    class Broken(Sound):
        pass

    setattr(Broken, part, lambda self, candidates: candidates[:3])
    expect(Broken, f"^{part} must keep the rows, got 3 of 4$")


def test_evaluate_must_keep_the_ids() -> None:
    class Broken(Sound):
        def evaluate(self, candidates: Population) -> Population:
            return self.play_fitness(candidates)[[3, 2, 1, 0]]

    expect(Broken, "^evaluate must keep the ids and their order$")


@pytest.mark.parametrize("part", ["vary", "learn", "evaluate", "select"])
def test_no_part_may_change_parameters_that_it_was_handed(part: str) -> None:
    class Broken(Sound):
        pass

    sound = getattr(Sound, part)

    def in_place(self: Broken, handed: Population) -> Population:
        handed.params.mul_(0.9)
        returned: Population = sound(self, handed)
        return returned

    setattr(Broken, part, in_place)
    expect(Broken, f"^{part} must not change the population that it is handed$")


def test_no_part_may_change_a_trait_that_it_was_handed() -> None:
    class Broken(Sound):
        def initialise(self) -> Population:
            return self.fresh(4).with_traits(steps=torch.zeros(4))

        def learn(self, candidates: Population) -> Population:
            candidates.traits["steps"].add_(1)
            return candidates

    expect(Broken, "^learn must not change the population that it is handed$")


def test_select_must_return_someone() -> None:
    class Broken(Sound):
        def select(self, evaluated: Population) -> Population:
            return evaluated[[]]

    expect(Broken, "^select must return at least one row, got none$")


def test_a_part_must_return_a_population() -> None:
    class Broken(Sound):
        def evaluate(self, candidates: Population) -> Population:
            return candidates.fitness  # type: ignore[return-value]

    expect(Broken, "^evaluate must return a Population, got Tensor$")


def test_only_the_loop_sets_the_population() -> None:
    class Broken(Sound):
        def select(self, evaluated: Population) -> Population:
            self.population = evaluated
            return evaluated

    expect(Broken, "^select must not set self.population; the loop does$")


class Counter(Sound):
    def build(self) -> None:
        self.turns = 0

    def select(self, evaluated: Population) -> Population:
        self.turns += 1
        return evaluated


def test_state_must_name_what_a_generation_changes() -> None:
    expect(Counter, r"^state must name every attribute that a generation changes, \['turns'\] is missing$")


def test_state_must_name_a_tensor_that_a_generation_changes_in_place() -> None:
    class Broken(Sound):
        def build(self) -> None:
            self.trace = torch.zeros(2)

        def select(self, evaluated: Population) -> Population:
            self.trace += 1
            return evaluated

    expect(Broken, r"^state must name every attribute that a generation changes, \['trace'\] is missing$")


def test_state_must_name_a_generator_of_ones_own() -> None:
    class Broken(Sound):
        def build(self) -> None:
            self.rng = np.random.default_rng(0)

        def select(self, evaluated: Population) -> Population:
            self.rng.random()
            return evaluated

    expect(Broken, r"^state must name every attribute that a generation changes, \['rng'\] is missing$")


def test_what_state_names_may_change() -> None:
    class Named(Counter):
        state = (*EvoRL.state, "turns")

    check_algorithm(Named, settings())


def test_state_must_extend_that_of_the_template() -> None:
    class Broken(Counter):
        state = ("identities", "streams", "ledger", "turns")

    expect(Broken, "^state must extend EvoRL.state$")


def test_what_is_hidden_in_an_object_shows_in_the_resumed_run() -> None:
    class Memory:
        turns = 0

    class Broken(Sound):
        def build(self) -> None:
            self.memory = Memory()

        def select(self, evaluated: Population) -> Population:
            self.memory.turns += 1
            return evaluated.with_params(evaluated.params + self.memory.turns)

    expect(Broken, r"^a resumed run must equal the one that was not cut, \['population'\] differ$")


@pytest.mark.parametrize("name", ["step", "state_dict", "load_state_dict", "__init__"])
def test_the_loop_must_not_be_overridden(name: str) -> None:
    original: Callable[..., Any] = getattr(EvoRL, name)

    class Broken(Sound):
        pass

    def own(self: Broken, *given: Any) -> Any:
        return original(self, *given)

    setattr(Broken, name, own)
    expect(Broken, f"^{name} must be EvoRL's own, not overridden$")


def _from_torch() -> float:
    return float(torch.rand(()))


def _from_numpy() -> float:
    return float(np.random.random())  # noqa: NPY002


@pytest.mark.parametrize("draw", [random.random, _from_numpy, _from_torch], ids=["random", "numpy", "torch"])
@pytest.mark.parametrize("used", [False, True], ids=["thrown away", "used"])
def test_global_random_states_must_not_be_touched(draw: Callable[[], float], used: bool) -> None:
    class Broken(Sound):
        def select(self, evaluated: Population) -> Population:
            return evaluated.with_params(evaluated.params + draw() * used)

    expect(Broken, "^global random states must not be touched; use self.streams$")


def test_seeding_global_states_is_touching_them() -> None:
    class Broken(Sound):
        def build(self) -> None:
            torch.manual_seed(self.config.seed)

    expect(Broken, "^global random states must not be touched; use self.streams$")


def test_the_report_must_have_the_same_tags_at_every_generation() -> None:
    class Broken(Sound):
        def report(self, evaluated: Population) -> Report:
            return {"broken/first": 1.0} if self.generation == 1 else {}

    expect(Broken, "^report must have the same tags at every generation$")


def test_the_report_must_hold_plain_numbers() -> None:
    class Broken(Sound):
        def report(self, evaluated: Population) -> Report:
            return {"broken/tensor": evaluated.params.mean()}  # type: ignore[dict-item]

    expect(Broken, "^report must hold plain numbers$")


def test_the_answer_must_not_step_an_environment() -> None:
    class Broken(Sound):
        def answer(self) -> Population:
            return self.play_fitness(self.population)[[0]]

    expect(Broken, "^answer must not step an environment$")


def test_the_answer_must_be_one_row() -> None:
    class Broken(Sound):
        def answer(self) -> Population:
            return self.population

    expect(Broken, "^answer must return a Population of one row$")


def test_the_answer_must_work_from_construction_on() -> None:
    class Broken(Sound):
        def answer(self) -> Population:
            return self.population[[0] if self.generation else [0, 1]]

    expect(Broken, "^answer must work from construction on$")
