"""PBT-ES: the contract, who explores and from what, what bad settings get."""

from typing import Any

import pytest
import torch
from support import ORACLE, same

import evorl
from evorl.algorithms.pbt_es import PBTES, Config
from evorl.errors import ConfigError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(4,))
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999", "tau": "categorical:0.005,0.01"}
EACH = pytest.mark.parametrize("how", ["blend", "cma"])


def config(n: int = 8, **settings: Any) -> Config:
    common: dict[str, Any] = {"warmup_steps": 4, "interval": 12, "window": 3, "total_timesteps": 4_000, "burn_in": 0}
    common |= {"learner": TD3Config(critic=TINY, batch_size=8), "space": SPACE, "network": TINY}
    return Config(env_id=ORACLE, env_kwargs={"max_episode_steps": 4}, population_size=n, **{**common, **settings})


@EACH
def test_the_contract_of_the_loop_is_kept(how: str) -> None:
    evorl.check_algorithm(PBTES, config(4, evolution=how))
    noisy = {"perturb_weights": 0.1, "fitness": "fresh"}
    evorl.check_algorithm(PBTES, config(4, evolution=how, exploit="tournament", copy="weights", **noisy))


@EACH
def test_who_copied_has_new_hyperparameters_and_everyone_else_their_own(how: str) -> None:
    run = PBTES(config(evolution=how))
    copies = 0
    for _ in range(4):
        run.step()
        parents = run.population
        candidates, copied = run.vary(parents), parents.traits["copied"]
        for name in SPACE:
            before, after = parents.traits[f"h.{name}"], candidates.traits[f"h.{name}"]
            assert torch.equal(after[~copied], before[~copied])
            if name != "tau":
                assert (after[copied] != before[copied]).all()
        assert torch.equal(candidates.params, parents.params)
        copies += int(copied.sum())
    assert copies


@EACH
def test_a_resumed_run_equals_the_one_that_was_not_cut(how: str) -> None:
    whole = PBTES(config(evolution=how))
    whole.step()
    whole.step()
    resumed = PBTES(config(evolution=how), whole.state_dict())
    for run in (whole, resumed):
        run.step()
        run.step()
    assert same(whole.population.state_dict(), resumed.population.state_dict())
    assert same(whole.state_dict()["evolution_step"], resumed.state_dict()["evolution_step"])


def test_without_copying_the_kinds_of_evolution_do_not_differ() -> None:
    blend, gaussian = (PBTES(config(4, evolution=how, bottom_fraction=0.0)) for how in ("blend", "cma"))
    for run in (blend, gaussian):
        run.step()
        run.step()
    assert same(blend.population.state_dict(), gaussian.population.state_dict())


class Peak(PBTES):
    """Fitness is how near the rate is to the middle of its range; nobody learns."""

    def learn(self, candidates: Population) -> Population:
        self.ledger.count_steps("train", len(candidates))
        return candidates

    def evaluate(self, candidates: Population) -> Population:
        place = candidates.traits["h.actor_learning_rate"].log10() + 3
        return candidates.with_fitness(-place.abs())


@EACH
def test_hyperparameters_go_where_fitness_is(how: str) -> None:
    distances = []
    for seed in range(5):
        run = Peak(config(16, seed=seed, evolution=how, space={"actor_learning_rate": "log:1e-5:1e-1"}))
        for _ in range(30):
            run.step()
        distances.append((run.population.traits["h.actor_learning_rate"].log10() + 3).abs().median().item())
    assert sorted(distances)[2] < 0.25, "of 2 on either side"


def test_settings_that_cannot_work_are_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="evolution must be one of blend, cma, got 'cmaes'; did you mean 'cma'"):
        config(evolution="cmaes")
    with pytest.raises(ConfigError, match="mutation_std must be between 0 and 1, got -1"):
        config(mutation_std=-1)
    with pytest.raises(ConfigError, match="perturb_factors must be two, below 1 and above 1"):
        config(perturb_factors=(1.0, 2.0))


def test_the_frozen_preset_never_changes_hyperparameters() -> None:
    run = PBTES(config(explore="none", bottom_fraction=0.5, donor_fraction=0.5))
    drawn = {name: set(run.population.traits[f"h.{name}"].tolist()) for name in SPACE}
    copies = 0
    for _ in range(4):
        run.step()
        copies += int(run.population.traits["copied"].sum())
        assert all(set(run.population.traits[f"h.{name}"].tolist()) <= drawn[name] for name in SPACE)
    assert copies
    assert PBTES.preset("frozen", env_id="Pendulum-v1").explore == "none"
