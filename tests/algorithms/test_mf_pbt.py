"""Multi-frequency PBT: the contract, who evolves when, migrants in a run, and PBT as a special case."""

import dataclasses
from typing import Any

import pytest
import torch
from support import ORACLE, same

import evorl
from evorl.algorithms import pbt
from evorl.algorithms.mf_pbt import MFPBT, Config
from evorl.errors import ConfigError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(4,))
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999"}


def config(n: int = 8, **settings: Any) -> Config:
    common: dict[str, Any] = {"warmup_steps": 4, "interval": 12, "window": 2, "total_timesteps": 4_000, "burn_in": 0}
    common |= {"learner": TD3Config(critic=TINY, batch_size=8), "space": SPACE, "network": TINY, "ratios": (1, 2)}
    return Config(env_id=ORACLE, env_kwargs={"max_episode_steps": 4}, population_size=n, **{**common, **settings})


def turn(run: MFPBT) -> tuple[Population, Population]:
    """Return the evaluated members and the parents of the next turn."""
    seen: list[Population] = []
    run.step(seen.append)
    return seen[0], run.population


def test_the_contract_of_the_loop_is_kept() -> None:
    evorl.check_algorithm(MFPBT, config())
    evorl.check_algorithm(MFPBT, config(4, ratios=(1,), fitness="fresh", window=2, replay_on_copy="copy"))


def test_the_slow_evolve_in_every_second_generation_only() -> None:
    run, came = MFPBT(config()), []
    for generation in range(6):
        evaluated, parents = turn(run)
        kept = parents.id == evaluated.id
        assert not kept[:4].all()
        assert kept[4:].all() or generation % 2
        came.append(int((~kept[4:]).sum()))
    assert came[0] == came[2] == came[4] == 0
    assert all(came[1::2])


def test_migrants_take_what_they_may_and_do_not_explore() -> None:
    seen = set()
    for seed in range(3):
        run = MFPBT(config(seed=seed))
        for _ in range(4):
            evaluated, parents = turn(run)
            candidates = run.vary(parents)
            for row in (parents.id != evaluated.id).nonzero()[:, 0].tolist():
                (donor,) = (evaluated.id == parents.parent[row]).nonzero()[0].tolist()
                assert torch.equal(candidates.params[row], evaluated.params[donor])
                assert torch.equal(candidates.traits["critic"][row], evaluated.traits["critic"][donor])
                ours, theirs = row // 4, donor // 4
                best = 4 * ours + int(evaluated.fitness[4 * ours : 4 * ours + 4].argmax())
                source = best if theirs < ours else donor
                rates = evaluated.traits["h.discount"][source], candidates.traits["h.discount"][row]
                assert (rates[0] == rates[1]) == (ours != theirs) or rates[1] in (0.9, 0.999)
                seen.add((theirs > ours) - (theirs < ours))
    assert seen == {-1, 0, 1}, "copies inside, and migrants in both directions"


def test_one_sub_population_is_pbt() -> None:
    run = MFPBT(config(4, ratios=(1,)))
    shared = {field.name: getattr(run.config, field.name) for field in dataclasses.fields(pbt.Config)}
    plain = pbt.PBT(pbt.Config(**shared))
    for _ in range(4):
        run.step()
        plain.step()
    assert same(run.population.state_dict(), plain.population.state_dict())


def test_a_resumed_run_equals_the_one_that_was_not_cut() -> None:
    whole = MFPBT(config())
    whole.step()
    resumed = MFPBT(config(), whole.state_dict())
    for run in (whole, resumed):
        run.step()
        run.step()
    assert same(whole.population.state_dict(), resumed.population.state_dict())


def test_without_copying_nobody_migrates() -> None:
    run = MFPBT(config(bottom_fraction=0.0))
    for _ in range(2):
        run.step()
    assert run.population.id.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 12}, "population_size must be a multiple of 8, for 2 sub-populations"),
        ({"ratios": (1, 1)}, "ratios must begin with 1 and rise strictly"),
        ({"copy": "weights"}, "copy must be one of both, got 'weights'"),
        ({"exploit": "t_test"}, "exploit must be one of truncation, got 't_test'"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config(), **settings)
