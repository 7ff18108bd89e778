"""`check_algorithm` lets the algorithms pass and names the rule that a broken subclass breaks."""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from support import ORACLE
from torch import Tensor

from evorl import check_algorithm
from evorl.algorithms import cem, erl, td3
from evorl.budget import Ledger
from evorl.conformance import ConformanceError, small_config
from evorl.errors import ConfigError
from evorl.evaluation import Report
from evorl.interaction import Episodes
from evorl.learning import TD3Config
from evorl.policies import DeterministicPolicy, NetworkConfig, Policy, deterministic_policy
from evorl.population import Population
from evorl.running import registry
from evorl.streams import RowStreams
from evorl.task import Task
from evorl.template import Config, EvoRL

TINY = NetworkConfig(hidden_sizes=(3,))
SHORT: dict[str, int | float | bool | str] = {"max_episode_steps": 3}
CONFIG = cem.Config(env_id=ORACLE, env_kwargs=SHORT, population_size=4, total_timesteps=1_000, network=TINY)
#: What an installed algorithm needs beyond the small config, so that all its parts have something to do.
QUARTERS = {"bottom_fraction": 0.25, "donor_fraction": 0.25}
FURTHER: dict[str, dict[str, Any]] = {"pbt": QUARTERS, "pbt-es": QUARTERS}


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
            return self.fresh(range(4)).with_traits(steps=torch.zeros(4))

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


@pytest.mark.parametrize("draw", [random.random, _from_numpy, _from_torch], ids=["random", "numpy", "torch"])
def test_global_random_states_must_not_be_used_and_put_back(draw: Callable[[], float]) -> None:
    class Broken(Sound):
        def select(self, evaluated: Population) -> Population:
            before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
            drawn = draw()
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            torch.set_rng_state(before[2])
            return evaluated.with_params(evaluated.params + drawn)

    expect(Broken, "^the seed must decide everything, and global random states nothing; use self.streams, .* differ$")


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


def test_without_a_config_a_small_one_is_made_of_the_quick_preset() -> None:
    made: Any = small_config(erl.ERL)
    assert made.preset == "quick"
    assert (made.population_size, made.network.hidden_sizes, made.learner.critic.hidden_sizes) == (4, (8, 8), (8, 8))
    assert (made.start_steps, made.learner.batch_size) == (5, 5)
    assert small_config(td3.TD3).population_size == 1, "nothing is made larger"


@pytest.mark.parametrize("name", sorted(registry.installed()))
def test_every_installed_algorithm_conforms(name: str) -> None:
    algorithm = registry.find(name)
    check_algorithm(algorithm, dataclasses.replace(small_config(algorithm), **FURTHER.get(name, {})))


def test_a_small_config_may_be_impossible() -> None:
    class Odd(Sound):
        @classmethod
        def preset(cls, name: str, **settings: Any) -> Config:
            raise ConfigError("population_size must be odd")

    with pytest.raises(ConfigError, match=r"^population_size must be odd$"):
        check_algorithm(Odd)


class TestLedger:
    def test_a_ledger_of_ones_own_leaves_steps_uncounted(self) -> None:
        class Broken(Sound):
            def build(self) -> None:
                self.hidden = Episodes(self.make_envs(4), self.policy, Ledger())

            def learn(self, candidates: Population) -> Population:
                self.hidden.play(candidates, range(4), "train")
                return candidates

        expect(Broken, "^the ledger must count every step of an environment once, got 24 counted of 48 taken$")

    def test_environments_of_ones_own_make_are_not_counted_and_must_not_be_stepped(self) -> None:
        class Broken(Sound):
            def learn(self, candidates: Population) -> Population:
                with gymnasium.make(ORACLE) as env:
                    env.reset(seed=0)
                    for _ in range(5):
                        env.step(np.zeros(2, np.float32))
                return candidates

        expect(Broken, "^environments must be self.make_envs's, whose steps count, and others were stepped 20 times$")

    def test_a_step_must_not_be_counted_twice(self) -> None:
        class Broken(Sound):
            def learn(self, candidates: Population) -> Population:
                self.ledger.count_steps("train", 1)
                return candidates

        expect(Broken, "^the ledger must count every step of an environment once, got 26 counted of 24 taken$")

    def test_what_initialise_takes_is_counted_too(self) -> None:
        class Broken(Sound):
            def initialise(self) -> Population:
                envs = self.make_envs(1)
                envs.reset([0], [0])
                envs.step([0], np.zeros((1, 2), np.float32))
                return super().initialise()

        expect(Broken, "^the ledger must count every step of an environment once, got 24 counted of 25 taken$")

    def test_steps_of_a_generation_must_not_pass_for_tests(self) -> None:
        class Broken(Sound):
            def learn(self, candidates: Population) -> Population:
                self.episodes.play(candidates, range(4), "test")
                return candidates

        expect(Broken, "^steps of a generation must count against the budget, not as tests$")


class TestUnknownFitness:
    def test_it_must_not_rank_first(self) -> None:
        class Broken(Sound):
            def select(self, evaluated: Population) -> Population:
                return evaluated[evaluated.fitness.argsort(descending=True)[:2]]  # torch sorts NaN as the largest

            def vary(self, parents: Population) -> Population:
                return super().vary(parents.descend([0, 0, 1, 1], "copy"))

        expect(Broken, "^NaN fitness must rank last, answer is whoever has it$")

    def test_a_copy_of_who_has_it_is_no_better(self) -> None:
        class Broken(Sound):
            def select(self, evaluated: Population) -> Population:
                return evaluated.descend(evaluated.fitness.argsort(descending=True), "copy")

        expect(Broken, "^NaN fitness must rank last, answer is whoever has it$")

    def test_who_descends_from_one_that_has_it_may_be_the_best(self) -> None:
        class Late(Sound):
            state = (*EvoRL.state, "champion")

            def build(self) -> None:
                self.champion: Population | None = None

            def vary(self, parents: Population) -> Population:
                if self.generation != 2:
                    return parents
                children = parents.descend([0, 3], "child")
                return parents.put([1, 2], children)

            def select(self, evaluated: Population) -> Population:
                self.champion = evaluated[[2 if evaluated.fitness[3].isnan() else 1]]
                return evaluated

            def answer(self) -> Population:
                return self.population[[0]] if self.champion is None else self.champion

        check_algorithm(Late, settings())

    def test_it_must_not_become_parameters(self) -> None:
        class Broken(Sound):
            def select(self, evaluated: Population) -> Population:
                weights = (evaluated.fitness - evaluated.fitness.max()).exp()
                mean = (weights / weights.sum()).float() @ evaluated.params
                return evaluated.with_params(mean.expand_as(evaluated.params).clone())

        expect(Broken, "^NaN fitness must be survived, parameters became NaN$")

    def test_a_generation_of_it_must_be_survived(self) -> None:
        class Broken(Sound):
            def select(self, evaluated: Population) -> Population:
                known = (~evaluated.fitness.isnan()).nonzero()[:, 0].tolist()
                return evaluated.descend([known[0]] * 4, "copy")

        expect(Broken, "^NaN fitness must be survived, got IndexError: list index out of range$")

    def test_whoever_ignores_fitness_may_answer_anyone(self) -> None:
        class Stubborn(Sound):
            def answer(self) -> Population:
                return self.population[[len(self.population) - 1]]

        check_algorithm(Stubborn, settings())


class TestTests:
    def test_an_answer_must_not_draw_what_training_draws(self) -> None:
        class Broken(Sound):
            def answer(self) -> Population:
                return self.population[[int(self.streams.generator("answer").integers(4))]]

        expect(Broken, r"^tests must not influence training, \['streams'\] differ$")

    def test_who_else_is_tested_must_not_change_training(self) -> None:
        class Broken(Sound):
            def tested(self) -> dict[str, Population]:
                self.population.params.mul_(0.9)
                return {"broken/test": self.population}

        expect(Broken, r"^tests must not influence training, \['population'\] differ$")

    def test_a_policy_must_not_learn_while_it_is_tested(self) -> None:
        class Drifting(DeterministicPolicy):
            seen = 0

            def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
                self.seen += 1
                return super().act(members, observations, streams) * (1 - 0.01 * (self.seen % 7))

        class Broken(Sound):
            def select(self, evaluated: Population) -> Population:
                return evaluated.with_params(evaluated.params * (1 + vars(self.policy).get("seen", 0)))

            def evaluate(self, candidates: Population) -> Population:
                return candidates

            @classmethod
            def make_policy(cls, config: Config, task: Task) -> Policy:
                return Drifting(deterministic_policy(task, config.network).network)

        expect(Broken, r"^tests must not influence training, \['population'\] differ$")


class TestConfig:
    def test_it_must_be_of_plain_values(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Own(Config):
            schedule: Callable[[float], float] = abs

        class Broken(EvoRL[Own]):
            pass

        with pytest.raises(ConformanceError, match=r"^config must be the same when written and read again, but Object"):
            check_algorithm(Broken)

    def test_it_must_be_read_as_it_was_written(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Own(Config):
            sizes: frozenset[int] | tuple[int, ...] = (1,)

            def __post_init__(self) -> None:
                super().__post_init__()
                object.__setattr__(self, "sizes", (*self.sizes, 1))

        class Broken(EvoRL[Own]):
            pass

        rule = r"^config must be the same when written and read again, \['sizes'\] differ$"
        with pytest.raises(ConformanceError, match=rule):
            check_algorithm(Broken)

    def test_the_class_must_name_it(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Own(Config):
            strength: float = 0.1

        given = Own(env_id=ORACLE, env_kwargs=SHORT, total_timesteps=1_000, network=TINY)
        rule = "^config must be the same when written and read again, but Config has no setting 'strength'$"
        with pytest.raises(ConformanceError, match=rule):
            check_algorithm(Sound, given)


def test_two_runs_from_one_seed_must_begin_alike() -> None:
    class Broken(Sound):
        def initialise(self) -> Population:
            fresh = super().initialise()
            return fresh.with_params(fresh.params + float(np.random.default_rng().random()))

    expect(Broken, r"^two runs from one seed must begin alike, \['population'\] differ$")


@pytest.mark.parametrize("name", ["play_fitness", "make_envs", "finished"])
def test_what_the_loop_relies_on_must_not_be_overridden(name: str) -> None:
    class Broken(Sound):
        pass

    setattr(Broken, name, getattr(Sound, name))
    check_algorithm(Broken, settings())  # its own is no harm
    setattr(Broken, name, lambda self, *given: None)
    expect(Broken, f"^{name} must be EvoRL's own, not overridden$")
