"""ERL: the agent's episodes and updates, its injections, and the elites that outlive them."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, number_of, same, total_steps

from evorl import check_algorithm
from evorl.algorithms.erl import ERL, Config
from evorl.errors import ConfigError
from evorl.learning import DDPGConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(8, 8), activation="tanh", layer_norm="unbiased")
LENGTHS: dict[str, Any] = {"terminate_at": 3, "spread": 7}
LEARNER = DDPGConfig(
    critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=8, actor_learning_rate=1e-3, critic_learning_rate=1e-3
)
N = 6


def config(**settings: Any) -> Config:
    given = {
        "env_id": ORACLE,
        "env_kwargs": LENGTHS,
        "network": TINY,
        "learner": LEARNER,
        "start_steps": 20,
        **settings,
    }
    return Config(**{"population_size": N, "total_timesteps": 5_000, **given})


def length(seed: int) -> int:
    return 3 + seed % 7


def played(run: ERL, generation: int, name: str = "fitness") -> int:
    """Return the steps of the members' episodes in a generation; what precedes it are those called initial."""
    n, episodes = run.config.population_size, run.config.episodes_per_member
    keys = [(row, trial) for row in range(n) for trial in range(episodes)]
    return sum(length(run.streams.episode_seed(name, generation, *key)) for key in keys)


def agents_episode(run: ERL, generation: int) -> int:
    return length(run.streams.episode_seed("agent_episode", generation))


class Turn:
    """What passed between the parts in one generation."""

    def __init__(self, run: ERL) -> None:
        self.agent_before = run.agent
        self.parents = run.population
        self.candidates = run.vary(run.population)
        self.learned = run.learn(self.candidates)
        self.agent = run.agent
        self.evaluated = run.evaluate(self.learned)
        run.population = run.select(self.evaluated)
        run.generation += 1
        self.report = run.report(self.evaluated)


def turns(run: ERL, n: int) -> Iterator[Turn]:
    for _ in range(n):
        yield Turn(run)


@pytest.mark.parametrize("interval", [1, 2, 3])
def test_the_agent_joins_every_so_many_generations_counted_from_one(interval: int) -> None:
    run = ERL(config(injection_interval=interval))
    for generation, turn in enumerate(turns(run, 7), start=1):
        came = [row for row, origin in enumerate(turn.learned.origin) if origin == "agent"]
        new = [row for row in came if turn.candidates.origin[row] != "agent"]
        equal = (turn.learned.params == turn.agent.params).all(1).tolist()
        if generation % interval == 0:
            assert equal == [False] * (N - 1) + [True]
        else:
            assert not new
            assert torch.equal(turn.learned.params, turn.candidates.params)


@pytest.mark.parametrize("elite_fraction", [0.1, 0.34])
@pytest.mark.parametrize("seed", [0, 1])
def test_who_is_evaluated_after_an_injection_is_the_agent_bit_for_bit_after_its_updates(
    seed: int, elite_fraction: float
) -> None:
    run = ERL(config(injection_interval=1, seed=seed, elite_fraction=elite_fraction, mutation_probability=1.0))
    for turn in turns(run, 8):
        assert not torch.equal(turn.agent.params, turn.agent_before.params), "it has learned before it joins"
        slot = N - 1
        assert torch.equal(turn.evaluated.params[slot], turn.agent.params[0]), "nor was it mutated"
        assert turn.evaluated.fitness[slot].isfinite()
        assert turn.evaluated.id[slot] == turn.candidates.id[slot]
        assert turn.evaluated.parent[slot] == turn.agent.id[0]
        assert turn.evaluated.origin[slot] == "agent"
        assert turn.evaluated.traits["from_agent"][slot]
        assert not turn.parents.traits["protected"][slot]
        assert turn.learned.fitness[slot].isnan()
        others = slice(0, slot)
        assert torch.equal(turn.learned.params[others], turn.candidates.params[others])
        assert turn.learned.origin[others] == turn.candidates.origin[others]
        assert torch.equal(turn.agent.id, turn.agent_before.id)
        assert turn.agent.id[0] not in turn.evaluated.id


def test_the_injected_row_has_the_return_of_the_agents_network_without_noise() -> None:
    run = ERL(config(injection_interval=1))
    for generation in range(3):
        turn = Turn(run)
        seed = run.streams.episode_seed("fitness", generation, N - 1, 0)
        again = run.episodes.play(turn.agent, [seed], "test").returns
        assert turn.evaluated.fitness[-1].item() == pytest.approx(again[0], rel=1e-6)


def test_an_injection_never_overwrites_an_elites_protected_copy() -> None:
    run = ERL(config(injection_interval=1, elite_fraction=0.34, population_size=N, seed=5))
    elites = 2
    for turn in turns(run, 40):
        protected = turn.parents.traits["protected"]
        assert protected.sum() == elites
        assert torch.equal(turn.evaluated.params[protected], turn.parents.params[protected])
        assert torch.equal(turn.evaluated.id[protected], turn.parents.id[protected])


@pytest.mark.parametrize(("elite_fraction", "elites"), [(0.1, 1), (0.34, 2)])
@pytest.mark.parametrize("interval", [1, 1_000])
def test_the_best_vectors_are_bit_identical_among_the_next_candidates(
    elite_fraction: float, elites: int, interval: int
) -> None:
    run = ERL(config(injection_interval=interval, elite_fraction=elite_fraction))
    before = None
    for turn in turns(run, 12):
        if before is not None:
            best = before.fitness.argsort(descending=True)[:elites]
            for row in best.tolist():
                assert (turn.evaluated.params == before.params[row]).all(1).any()
        before = turn.evaluated


@pytest.mark.parametrize("episodes", [1, 3])
def test_a_generation_takes_the_steps_of_all_members_episodes_and_one_of_the_agent(episodes: int) -> None:
    with counted() as made:
        run = ERL(config(episodes_per_member=episodes))
        assert run.ledger.steps["fitness"] == run.ledger.spent == played(run, 0, "initial")
        for generation in range(4):
            before, count = dict(run.ledger.steps), run.ledger.episodes
            run.step()
            after = run.ledger.steps
            assert after["fitness"] - before["fitness"] == played(run, generation)
            assert after["train"] - before["train"] == agents_episode(run, generation)
            assert run.ledger.episodes - count == N * episodes + 1
            assert run.ledger.spent == run.ledger.stored == total_steps(made)
            assert run.replay is not None
            assert run.replay.sizes == [run.ledger.stored]


@pytest.mark.parametrize("start_steps", [0, 60, 100])
def test_the_agent_updates_as_often_as_steps_were_stored_in_the_generation_once_enough_are_and_never_before(
    start_steps: int,
) -> None:
    run = ERL(config(start_steps=start_steps))
    updates, waited, stored = 0, 0, played(run, 0, "initial")
    new = stored
    for generation in range(5):
        new += agents_episode(run, generation)
        stored += agents_episode(run, generation)
        if stored > start_steps:
            updates += new
        else:
            waited += 1
        run.step()
        assert run.ledger.updates == {"critic": {-1: updates}, "actor": {-1: updates}}
        assert run.agent.traits["updates"].item() == updates
        new = played(run, generation)
        stored += new
    assert updates > 0
    assert (waited > 0) == (start_steps > 0)


def test_the_agent_acts_with_noise_from_its_own_start_and_the_noise_goes_on_between_episodes() -> None:
    run = ERL(config(start_steps=10_000))
    state, steps = torch.zeros(2, dtype=torch.float64), 0
    drawn = ERL(config(start_steps=10_000)).streams.rows("explore", [0])
    for generation in range(4):
        before = run.ledger.stored
        run.learn(run.population)
        assert run.replay is not None
        stored = run.replay.take(torch.arange(before, run.ledger.stored)[None])
        seed = run.streams.episode_seed("agent_episode", generation)
        assert (stored.observations[0, :, 0] == number_of(seed)).all()
        assert len(stored.actions[0]) == length(seed)
        plain = run.acting.learner.actor(run.agent.params, stored.observations)[0].double()
        for action, mean in zip(stored.actions[0].double(), plain, strict=True):
            state = 0.85 * state + 0.2 * drawn.normal(2)[0].double()
            steps += 1
            torch.testing.assert_close(action, (mean + 0.3 * state).clamp(-1, 1), rtol=0, atol=1e-6)
        run.generation += 1
    assert steps == sum(agents_episode(run, generation) for generation in range(4))


@pytest.mark.parametrize("other", [{"discount": 0.3}, {"tau": 0.5}, {"actor_learning_rate": 0.1}])
def test_fitness_does_not_depend_on_the_learner_without_injections(other: dict[str, Any]) -> None:
    base = config(injection_interval=1_000)
    varied = dataclasses.replace(base, learner=dataclasses.replace(LEARNER, **other))
    one, two = ERL(base), ERL(varied)
    for ours, theirs in zip(turns(one, 4), turns(two, 4), strict=True):
        assert torch.equal(ours.evaluated.fitness, theirs.evaluated.fitness)
        assert torch.equal(ours.evaluated.params, theirs.evaluated.params)
    assert not torch.equal(one.agent.params, two.agent.params)


def test_fitness_is_the_undiscounted_return() -> None:
    """Of what was stored: the sum of the rewards of each member's episode."""
    run = ERL(config())
    before = run.ledger.stored + agents_episode(run, 0)
    turn = Turn(run)
    assert run.replay is not None
    rewards = run.replay.take(torch.arange(before, run.ledger.stored)[None]).rewards[0].double()
    lengths = [length(run.streams.episode_seed("fitness", 0, row, 0)) for row in range(N)]
    sums = [part.sum().item() for part in torch.split(rewards, lengths)]
    np.testing.assert_allclose(turn.evaluated.fitness, sums, rtol=1e-5)


def test_the_answer_is_the_champion_of_the_last_evaluated_generation() -> None:
    run = ERL(config(injection_interval=2))
    assert len(run.answer()) == 1
    for turn in turns(run, 5):
        best = int(turn.evaluated.fitness.argmax())
        assert torch.equal(run.answer().params[0], turn.evaluated.params[best])
        assert run.answer().id.item() == turn.evaluated.id[best].item()


def test_the_report_tells_the_agents_return_its_share_of_the_elites_and_whether_it_became_one() -> None:
    run = ERL(config(injection_interval=2, elite_fraction=0.34, seed=1))
    shares, kept = [], []
    for generation, turn in enumerate(turns(run, 30), start=1):
        first = turn.report["erl/agent_return"]
        assert first == turn.agent.traits["recent_returns"][0, -1].item()
        elites = turn.evaluated.fitness.argsort(descending=True, stable=True)[:2]
        share = turn.evaluated.traits["from_agent"][elites].double().mean().item()
        assert turn.report["erl/agent_share"] == share
        shares.append(share)
        if generation % 2 == 0:
            assert turn.report["erl/injection_kept"] == float(N - 1 in elites.tolist())
            kept.append(turn.report["erl/injection_kept"])
    assert 0 < np.mean(shares) < 1
    assert set(kept) == {0.0, 1.0}


def test_whether_an_injection_was_kept_is_unknown_when_there_was_none() -> None:
    """A member that was injected earlier and was not changed since is no injection of this generation."""
    run = ERL(config(injection_interval=2, mutation_probability=0.0, seed=1))
    for generation, turn in enumerate(turns(run, 20), start=1):
        assert np.isnan(turn.report["erl/injection_kept"]) == (generation % 2 == 1)


def test_copies_of_the_agent_know_that_they_descend_from_it_and_fresh_members_do_not() -> None:
    run = ERL(config(injection_interval=1, seed=1))
    assert not run.population.traits["from_agent"].any()
    family: set[int] = set()
    for turn in turns(run, 15):
        family.add(int(turn.agent.id[0]))
        for row in range(N):
            if int(turn.parents.parent[row]) in family and turn.parents.traits["from_agent"][row]:
                family.add(int(turn.parents.id[row]))
        family.add(int(turn.evaluated.id[-1]))
        for row in range(N - 1):
            member, parent = int(turn.evaluated.id[row]), int(turn.evaluated.parent[row])
            if turn.evaluated.traits["from_agent"][row]:
                assert member in family or parent in family
                family.add(member)
            else:
                assert member not in family
                assert parent not in family
    assert len(family) > 20


def test_the_first_agent_is_its_own_network_with_a_small_last_layer() -> None:
    run = ERL(config())
    layout = run.policy.network.layout
    assert not (run.population.params == run.agent.params).all(1).any()
    last = [block.slice for block in layout if block.name in ("weight3", "bias3")]
    agent = max(run.agent.params[0, part].abs().max().item() for part in last)
    assert 0.05 / 8**0.5 < agent <= 0.1 / 8**0.5
    assert ERL(config()).agent.params.equal(run.agent.params)


@pytest.mark.parametrize(
    ("task", "elite_fraction", "episodes", "interval"),
    [
        ("halfcheetah", 0.1, 1, 10),
        ("swimmer", 0.1, 1, 10),
        ("reacher", 0.2, 5, 10),
        ("ant", 0.3, 1, 1),
        ("hopper", 0.3, 5, 1),
        ("walker2d", 0.2, 3, 10),
    ],
)
def test_the_presets_of_the_tasks_are_those_of_the_paper(
    task: str, elite_fraction: float, episodes: int, interval: int
) -> None:
    preset: Config = ERL.preset(task, env_id=ORACLE)
    assert (preset.elite_fraction, preset.episodes_per_member) == (elite_fraction, episodes)
    assert preset.injection_interval == interval
    differing = {"elite_fraction", "episodes_per_member", "injection_interval", "preset"}
    published = vars(ERL.preset("published", env_id=ORACLE))
    assert {name: value for name, value in vars(preset).items() if name not in differing} == {
        name: value for name, value in published.items() if name not in differing
    }


def test_the_defaults_are_those_of_the_authors_code() -> None:
    default = Config(env_id=ORACLE)
    assert default.network == NetworkConfig(hidden_sizes=(128, 128), activation="tanh", layer_norm="unbiased")
    assert default.learner == DDPGConfig()
    assert (default.population_size, default.start_steps, default.replay_size) == (10, 640, 1_000_000)
    assert (default.mutation_probability, default.mutation_fraction, default.mutation_strength) == (0.9, 0.1, 0.1)
    assert (default.super_strength, default.super_probability, default.reset_probability) == (10.0, 0.05, 0.05)
    common: Config = ERL.preset("common", env_id=ORACLE)
    assert (common.network, common.learner, common.start_steps) == (NetworkConfig(), TD3Config(), 10_000)


@pytest.mark.parametrize("interval", [1, 2])
@pytest.mark.parametrize("learner", [LEARNER, TD3Config(critic=TINY, batch_size=8)], ids=["ddpg", "td3"])
def test_it_conforms(learner: Any, interval: int) -> None:
    check_algorithm(ERL, config(learner=learner, injection_interval=interval))


def test_a_run_that_is_cut_and_resumed_equals_one_that_is_not_noise_included() -> None:
    settings = config(injection_interval=2, seed=2)
    whole, cut = ERL(settings), ERL(settings)
    for run in (whole, cut):
        for _ in range(3):
            run.step()
    resumed = ERL(settings, copy.deepcopy(cut.state_dict()))
    assert torch.equal(resumed.noise.state, cut.noise.state)
    assert resumed.noise.state.any()
    for _ in range(3):
        ours, theirs = resumed.step(), whole.step()
        assert list(ours) == list(theirs)
        assert same(np.array(list(ours.values())), np.array(list(theirs.values())))
    assert torch.equal(resumed.noise.state, whole.noise.state)
    assert not torch.equal(resumed.noise.state, cut.noise.state)
    assert same(resumed.state_dict(), whole.state_dict())


def test_a_resumed_run_answers_before_it_goes_on() -> None:
    run = ERL(config())
    run.step()
    answer: Any = ERL(run.config, copy.deepcopy(run.state_dict())).answer()
    assert isinstance(answer, Population)
    assert same(answer.state_dict(), run.answer().state_dict())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"injection_interval": 0}, "injection_interval must be at least 1, got 0"),
        ({"start_steps": -1}, "start_steps must be at least 0, got -1"),
        ({"population_size": 1}, "population_size must be at least 2, got 1"),
        ({"super_probability": 1.5}, "super_probability must be between 0 and 1, got 1.5"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(**settings)
    assert str(raised.value) == line


def test_an_agent_that_may_learn_before_a_minibatch_is_stored_either_waits_or_is_refused() -> None:
    """Minibatches are without replacement: a batch of 500 cannot be drawn from the first hundred transitions."""
    large = DDPGConfig(critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=500)
    try:
        run = ERL(config(learner=large, start_steps=0))
    except ConfigError:
        return
    run.step()
    assert run.ledger.updates == {"critic": {-1: 0}, "actor": {-1: 0}}


def test_the_smallest_budget_is_one_generation_with_the_agents_episode() -> None:
    limited: dict[str, Any] = {"env_kwargs": {"max_episode_steps": 5}, "episodes_per_member": 2}
    least = 2 * (2 * N * 5) + 5
    ERL(config(**limited, total_timesteps=least))
    with pytest.raises(ConfigError, match=rf"total_timesteps must be at least {least}, .* got {least - 1}"):
        ERL(config(**limited, total_timesteps=least - 1))
