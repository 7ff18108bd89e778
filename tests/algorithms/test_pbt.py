"""PBT: who learns under what, who copies and explores, and controls without evolution."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, same

import evorl
from evorl import tuned
from evorl.algorithms import td3
from evorl.algorithms.pbt import PBT, Config
from evorl.algorithms.td3 import TD3
from evorl.errors import ConfigError, Diverged
from evorl.learning import OffPolicy, TD3Config
from evorl.learning.ddpg import DDPGConfig
from evorl.learning.ppo import PPOConfig
from evorl.learning.training import OnCopy
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(4,))
WARMUP, INTERVAL, LIMIT = 4, 12, 4
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999"}
ALL = {"bottom_fraction": 0.5, "donor_fraction": 0.5}


def learner(**settings: Any) -> TD3Config:
    return TD3Config(
        critic=TINY, batch_size=8, **{"actor_learning_rate": 1e-2, "critic_learning_rate": 1e-2, **settings}
    )


def config(n: int = 4, **settings: Any) -> Config:
    given = {"learner": learner(), "space": SPACE, "burn_in": 0, **settings}
    common = {"warmup_steps": WARMUP, "interval": INTERVAL, "window": 2, "total_timesteps": 2_000}
    return Config(
        env_id=ORACLE, env_kwargs={"max_episode_steps": LIMIT}, population_size=n, network=TINY, **{**common, **given}
    )


def generations(run: PBT[Any], turns: int) -> list[Population]:
    """Return the evaluated members of each generation."""
    seen, select = [], run.select

    def watch(evaluated: Population) -> Population:
        seen.append(evaluated)
        return select(evaluated)

    run.select = watch  # type: ignore[method-assign]
    for _ in range(turns):
        run.step()
    return seen


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"exploit": "tournament", "explore": "both", "fitness": "fresh", "window": 2, "replay_on_copy": "copy"},
        {"exploit": "t_test", "alpha": 1.0, "explore": "resample", "replay_on_copy": "shared", "copy": "weights"},
        {
            "exploit": "deap.tools:selTournament:tournsize=2",
            "replay_on_copy": "clear",
            "copy": "h",
            "burn_in_unit": "updates",
        },
        {
            "explore": "deap.tools:mutGaussian:mu=0,sigma=0.2,indpb=0.5",
            "perturb_weights": 0.1,
            "fitness": "fresh",
            **ALL,
        },
    ],
)
def test_the_contract_of_the_loop_is_kept(settings: dict[str, Any]) -> None:
    evorl.check_algorithm(PBT, config(**settings))


@pytest.mark.parametrize("settings", [{"learner": PPOConfig(rollout_length=12, minibatches=2, epochs=1), "space": {}}])
def test_the_contract_is_kept_by_a_learner_without_a_replay(settings: dict[str, Any]) -> None:
    evorl.check_algorithm(PBT, config(**settings, window=2))


def test_whose_weights_are_perturbed_has_no_fitness_until_it_is_evaluated_again() -> None:
    run = PBT(config(8, perturb_weights=0.1, **ALL))
    generations(run, 1)
    copied = run.population.traits["copied"]
    candidates = run.vary(run.population)
    assert copied.any()
    assert torch.equal(candidates.fitness.isnan(), copied)
    (evaluated,) = generations(run, 1)
    assert evaluated.fitness.isfinite().all()


def test_who_copied_starts_from_its_donor_and_explores_and_the_others_go_on() -> None:
    run = PBT(config(8, bottom_fraction=0.25, donor_fraction=0.25))
    before = run.population
    copies = 0
    for _ in range(4):
        (evaluated,) = generations(run, 1)
        parents = run.population
        order = evaluated.fitness.argsort(descending=True, stable=True).tolist()
        copied = parents.traits["copied"].nonzero()[:, 0].tolist()
        assert set(copied) <= set(order[-2:])
        candidates = run.vary(parents)
        for row in range(8):
            if row not in copied:
                assert parents.id[row] == evaluated.id[row]
                assert same(
                    candidates[[row]].state_dict(),
                    evaluated[[row]]
                    .with_traits(copied=parents.traits["copied"][[row]], copied_at=parents.traits["copied_at"][[row]])
                    .state_dict(),
                )
                continue
            (donor,) = (evaluated.id == parents.parent[row]).nonzero()[0].tolist()
            assert donor in order[:2]
            assert torch.equal(candidates.params[row], evaluated.params[donor])
            for name in ("critic", "target_critic", "actor_adam.mean", "updates", "recent_returns"):
                assert same(candidates.traits[name][row], evaluated.traits[name][donor])
            rate = (
                candidates.traits["h.actor_learning_rate"][row] / evaluated.traits["h.actor_learning_rate"][donor]
            ).item()
            inside = 1e-4 < candidates.traits["h.actor_learning_rate"][row] < 1e-2
            assert not inside or rate == pytest.approx(0.8) or rate == pytest.approx(1.25)
            copies += 1
    assert copies
    assert torch.equal(before.params[0], PBT(config(8)).population.params[0])


def test_the_next_update_uses_the_hyperparameters_that_were_explored() -> None:
    run = PBT(config(4, **ALL))
    generations(run, 2)
    candidates = run.vary(run.population)
    assert run.population.traits["copied"].any()
    assert isinstance(run.training, OffPolicy)
    h = run.training.learner.hyperparameters(candidates.traits)
    state = run.state_dict()
    learned = run.learn(candidates)
    for row in run.population.traits["copied"].nonzero()[:, 0].tolist():
        rate, discount = (h[name][row].item() for name in ("actor_learning_rate", "discount"))  # type: ignore[index]
        assert rate == pytest.approx(candidates.traits["h.actor_learning_rate"][row].item())
        fixed = config(
            4, **ALL, learner=learner(actor_learning_rate=rate, discount=discount), space={"tau": "0.005:0.005"}
        )
        alone = PBT(fixed, state)
        plain = Population(
            **{**vars(candidates), "traits": {k: v for k, v in candidates.traits.items() if not k.startswith("h.")}}
        )
        again = alone.learn(plain)
        torch.testing.assert_close(again.params[row], learned.params[row], rtol=1e-4, atol=1e-6)
        other = next(r for r in range(4) if not torch.isclose(h["discount"][r], h["discount"][row]))  # type: ignore[index]
        assert not torch.allclose(again.traits["critic"][other], learned.traits["critic"][other], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("settings", [{"bottom_fraction": 0.0}, {"burn_in": 10**6}])
def test_without_copying_it_is_the_same_as_learners_that_drew_their_hyperparameters(settings: dict[str, Any]) -> None:
    run = PBT(config(3, **settings))
    shared = {field.name: getattr(run.config, field.name) for field in dataclasses.fields(tuned.Config)}
    plain = tuned.TunedLearners(tuned.Config(**shared))
    for _ in range(4):
        run.step()
        plain.step()
    ours, theirs = run.population.state_dict(), plain.population.state_dict()
    assert same({name: ours["traits"][name] for name in theirs["traits"]}, theirs["traits"])
    assert all(same(ours[name], theirs[name]) for name in ("params", "fitness", "id", "parent", "origin"))


def test_frozen_hyperparameters_without_copying_are_those_of_the_settings() -> None:
    run = PBT(config(3, space={"actor_learning_rate": "log:3e-3:3e-3", "discount": "0.98:0.98"}, bottom_fraction=0.0))
    settings = {field.name: getattr(run.config, field.name) for field in dataclasses.fields(td3.Config)}
    plain = TD3(td3.Config(**{**settings, "learner": learner(actor_learning_rate=3e-3, discount=0.98)}))
    for _ in range(4):
        run.step()
        plain.step()
    torch.testing.assert_close(run.population.params, plain.population.params, rtol=1e-5, atol=1e-7)
    assert run.population.traits["h.discount"].tolist() == [0.98] * 3


def test_one_alone_never_copies() -> None:
    run = PBT(config(1, bottom_fraction=0.0))
    generations(run, 3)
    assert run.population.id.tolist() == [0]
    with pytest.raises(ConfigError, match="population_size must be at least 2, as one alone copies nobody"):
        config(1)


def test_first_hyperparameters_are_those_of_any_algorithm_with_the_same_seed() -> None:
    one, other = PBT(config(4)), PBT(config(4, exploit="tournament", explore="resample"))
    for name in SPACE:
        assert torch.equal(one.population.traits[f"h.{name}"], other.population.traits[f"h.{name}"])


@pytest.mark.parametrize("choice", ["keep", "copy", "clear", "shared"])
def test_the_replay_does_what_was_asked(choice: OnCopy) -> None:
    run = PBT(config(4, **ALL, replay_on_copy=choice, warmup_steps=1))
    generations(run, 1)
    assert isinstance(run.training, OffPolicy)
    copied = run.population.traits["copied"].tolist()
    assert sum(copied) == 2
    sizes = run.training.replay.sizes
    if choice == "shared":
        assert sizes == [4 * INTERVAL]
    else:
        assert sizes == [0 if choice == "clear" and is_copy else INTERVAL for is_copy in copied]
    if choice in ("keep", "copy"):
        records = run.training.replay.take(torch.arange(INTERVAL).expand(4, -1)).actions
        for row in np.flatnonzero(copied):
            (donor,) = (run.population.id == run.population.parent[row]).nonzero()[0].tolist()
            assert torch.equal(records[row], records[donor]) == (choice == "copy")


def test_who_copied_begins_a_new_episode_and_the_others_go_on_with_theirs() -> None:
    run = PBT(config(4, **ALL, interval=2 * LIMIT + 2, window=1))
    generations(run, 1)
    copied, before = run.population.traits["copied"], run.population.traits["recent_returns"]
    after = run.training.act_and_learn(run.population, 2, 1).traits["recent_returns"]
    ended = [not same(one, other) for one, other in zip(before, after, strict=True)]
    assert ended == (~copied).tolist()
    assert any(ended)
    assert not all(ended)


def test_fitness_is_the_mean_of_the_latest_returns_or_of_fresh_episodes() -> None:
    run = PBT(config(3, window=2))
    (evaluated,) = generations(run, 1)
    assert torch.equal(evaluated.fitness, evaluated.traits["recent_returns"][:, -2:].mean(1))
    assert run.ledger.steps["fitness"] == 0
    fresh = PBT(config(3, window=2, fitness="fresh"))
    (evaluated,) = generations(fresh, 1)
    assert fresh.ledger.steps["fitness"] == 3 * 2 * LIMIT
    assert evaluated.traits["fitness_returns"].shape == (3, 2)
    assert torch.equal(evaluated.fitness, evaluated.traits["fitness_returns"].mean(1))


def test_the_answer_is_the_best_before_the_last_copying() -> None:
    best = []
    for seed in range(4):
        run = PBT(config(4, seed=seed))
        assert len(run.answer()) == 1
        (evaluated,) = generations(run, 1)
        best.append(int(evaluated.fitness.argmax()))
        assert torch.equal(run.answer().params[0], evaluated.params[best[-1]])
    assert len(set(best)) > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {"batch_size": "int:1:9"}}, "space must name some of .*got 'batch_size': the minibatches"),
        ({"space": {"discont": "0:1"}}, "space must name some of .*got 'discont'; did you mean 'discount'"),
        ({"space": {"discount": "0.9:1"}}, "space of discount must be wider to be perturbed"),
        ({"space": {"discount": "0.5:2"}}, "space of discount must lie between 0.0 and 1.0"),
        (
            {"exploit": "t-test"},
            "exploit must be one of truncation, tournament, t_test, or .*got 't-test'; did you mean 't_test'",
        ),
        ({"explore": "purturb"}, "explore must be one of none, perturb, .*got 'purturb'; did you mean 'perturb'"),
        ({"window": 1, "exploit": "t_test"}, "window must be at least 2, got 1"),
        ({"bottom_fraction": 0.7}, "bottom_fraction must be between 0 and 0.5, got 0.7"),
        (
            {"window": 4},
            "interval must be at least 16, window = 4 episodes of 4 steps, got 12; or take a smaller window",
        ),
        ({"warmup_steps": 0}, "warmup_steps must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PBT.check(config(**settings))


def test_usual_spaces_are_used_if_none_is_given() -> None:
    ddpg = DDPGConfig(batch_size=4)
    assert set(PBT(config(space={}, learner=ddpg)).space) == {"actor_learning_rate", "critic_learning_rate", "discount"}
    assert config(learner=PPOConfig(rollout_length=12, minibatches=2), space={}).fresh_episodes == 2


def test_nobody_copies_before_anybody_has_learned() -> None:
    """Until the warm-up is over all returns are of random actions, and say nothing of a member's h."""
    run = PBT(config(4, warmup_steps=2 * INTERVAL, **ALL))
    copies = []
    for _ in range(4):
        run.step()
        copies.append(int(run.population.traits["copied"].sum()))
    assert copies[:2] == [0, 0]
    assert sum(copies[2:]) > 0


def test_a_window_of_more_returns_than_are_kept_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^window must be at most 10, the returns in training that are kept, got 11"):
        config(window=11)
    assert config(window=11, fitness="fresh").fresh_episodes == 11


@pytest.mark.parametrize("settings", [{}, {"fitness": "fresh"}], ids=["training", "fresh"])
def test_a_member_that_diverges_is_worth_nothing_and_copies_another(settings: dict[str, Any]) -> None:
    run = PBT(config(4, **ALL, **settings))
    run.step()
    params = run.population.params.clone()
    params[2] = torch.nan
    run.population = run.population.with_params(params, fitness=run.population.fitness)
    (evaluated,) = generations(run, 1)
    assert evaluated.fitness.isneginf().tolist() == [False, False, True, False]
    assert int(run.population.parent[2]) in (set(evaluated.id.tolist()) - {int(evaluated.id[2])})
    assert run.population.params.isfinite().all()


def test_a_population_of_which_nobody_is_left_says_so() -> None:
    run = PBT(config(2))
    run.step()
    run.population = run.population.with_params(torch.full_like(run.population.params, torch.nan))
    with pytest.raises(
        Diverged, match=r"^generation 1: no member has finite parameters any more; the learner has diverged"
    ):
        run.step()


@pytest.mark.parametrize(("fitness", "first"), [("training", 2), ("fresh", 1)])
def test_fitness_is_of_what_was_learned_once_a_window_of_episodes_lies_behind_the_warm_up(
    fitness: str, first: int
) -> None:
    run = PBT(config(4, fitness=fitness, window=3))
    assert [run.has_learned(turn * INTERVAL) for turn in range(4)] == [turn >= first for turn in range(4)]


def test_an_episode_that_began_at_random_is_none_of_the_window() -> None:
    run = PBT(config(4, window=2, warmup_steps=LIMIT + 1))
    whole = 4 * LIMIT  # the second episode begins at random, and the window is of the third and the fourth
    assert [run.has_learned(steps) for steps in (3 * LIMIT + 1, whole - 1, whole)] == [False, False, True]
