"""PB2: what an interval counts for, who explores how, what bad settings get, and problems without an environment."""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from climbing import INTERVAL, climbing, settings, steady
from support import ORACLE, same
from torch import Tensor

import evorl
from evorl import tuned
from evorl.algorithms.pb2 import PB2, Config
from evorl.errors import ConfigError
from evorl.interaction import Episodes
from evorl.learning import OffPolicy, TD3Config
from evorl.learning.ppo import PPOConfig
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(4,))
LIMIT = 4
SPACE = {"actor_learning_rate": "log:1e-4:1e-2", "discount": "complement:0.9:0.999"}


def config(n: int = 4, **further: Any) -> Config:
    common = {"warmup_steps": 4, "interval": 12, "burn_in": 0, "total_timesteps": 2_000, "window": 1, "space": SPACE}
    learner = TD3Config(critic=TINY, batch_size=8)
    task = {"env_id": ORACLE, "env_kwargs": {"max_episode_steps": LIMIT}, "population_size": n, "network": TINY}
    return Config(**{"learner": learner, **common, **task, **further})


@pytest.mark.parametrize(
    "further",
    [
        {"bottom_fraction": 0.5, "donor_fraction": 0.5},
        {"explore": "perturb", "fitness": "training", "copy": "h"},
    ],
)
def test_the_contract_of_the_loop_is_kept(further: dict[str, Any]) -> None:
    evorl.check_algorithm(PB2, config(**further))


def test_no_two_evaluations_play_the_same_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the noise of the first interval would be another one than that of the later ones."""
    starts: list[int] = []
    play = Episodes.play

    def listening(episodes: Episodes, members: Any, seeds: Any, *rest: Any, **further: Any) -> Any:
        starts.extend(seeds)
        return play(episodes, members, seeds, *rest, **further)

    monkeypatch.setattr(Episodes, "play", listening)
    run = PB2(config(3, window=2))
    for _ in range(2):
        run.step()
    assert len(starts) == 3 * 3 * 2
    assert len(set(starts)) == len(starts)


def test_members_are_evaluated_before_they_learn_and_that_is_counted() -> None:
    run = PB2(config(3, window=2))
    assert run.ledger.steps["fitness"] == 3 * 2 * LIMIT
    assert run.population.fitness.isfinite().all()
    assert torch.equal(run.population.traits["return_before"], run.population.fitness)
    run.step()
    assert run.ledger.spent == PB2.first_steps(run.config, run.task)
    without = PB2(config(3, window=2, initial_evaluation=False))
    assert without.ledger.spent == 0
    without.step()
    assert len(without.bayesian.record) == 0
    assert without.ledger.spent == PB2.first_steps(without.config, without.task)
    without.step()
    assert len(without.bayesian.record) == 3


def test_intervals_of_the_warm_up_do_not_count() -> None:
    run = PB2(config(3, warmup_steps=24))
    for expected in (0, 0, 3):
        run.step()
        assert len(run.bayesian.record) == expected
    assert run.bayesian.record[:, 0].tolist() == [2, 2, 2]
    learner = PPOConfig(rollout_length=12, minibatches=2, epochs=1)
    on_policy = PB2(config(3, warmup_steps=24, learner=learner, space={}))
    on_policy.step()
    assert len(on_policy.bayesian.record) == 3


def test_the_first_exploit_explores_where_the_process_says() -> None:
    run = PB2(config())
    run.step()
    (row,) = run.population.traits["copied"].nonzero()[:, 0].tolist()
    state, candidates = run.state_dict(), run.vary(run.population)
    copies = PB2(run.config, state)
    expected = copies.bayesian.propose(copies.population, [row], 1)
    donor = (run.population.id == run.population.parent[row]).nonzero()[0, 0]
    for name in SPACE:
        assert candidates.traits[f"h.{name}"][row] == expected[name][0]
        assert candidates.traits[f"h.{name}"][row] != run.population.traits[f"h.{name}"][donor]
        others = [other for other in range(4) if other != row]
        assert torch.equal(candidates.traits[f"h.{name}"][others], run.population.traits[f"h.{name}"][others])
    assert run.bayesian.report()["fallbacks"] == 0
    assert torch.equal(candidates.params, run.population.params)
    assert isinstance(run.training, OffPolicy)
    h = run.training.learner.hyperparameters(candidates.traits)
    for name in SPACE:  # what the next update reads
        read, written = torch.as_tensor(h[name]), candidates.traits[f"h.{name}"]
        torch.testing.assert_close(read, written, check_dtype=False, rtol=1e-6, atol=0)


def test_what_a_copy_gained_by_copying_is_not_credited_to_its_hyperparameters() -> None:
    """Members begin 100 apart and gain 1 a round: the copies' leaps would stand out."""
    run = climbing(PB2, steady, begin=100.0, noise=0.01)(Config(**settings(4, 20)))
    copies = 0
    for turn in range(10):
        copies += int(run.population.traits["copied"].sum())
        run.step()
        record = run.bayesian.record
        gains = (record[:, 2] - record[:, 1])[record[:, 0] == turn]
        assert gains.tolist() == pytest.approx([1.0] * 4, abs=0.1)
    assert copies >= 3


def test_with_an_irrelevant_hyperparameter_the_first_interval_brings_what_later_ones_do() -> None:
    run = climbing(PB2, steady, begin=100.0, noise=0.05)(Config(**settings(8, 10)))
    while not run.finished:
        run.step()
    gains = (run.bayesian.record[:, 2] - run.bayesian.record[:, 1]).numpy()
    first, later = gains[:8], gains[8:]
    error = np.sqrt(first.var(ddof=1) / 8 + later.var(ddof=1) / len(later))
    assert abs(first.mean() - later.mean()) < 3 * error
    assert later.mean() == pytest.approx(1, abs=0.1)


def drifting(members: Population, generation: int) -> Tensor:
    """The best x moves upwards from 0.2."""
    return 1 - 4 * (members.traits["h.x"] - 0.2 - 0.6 * generation / 50).square()


@pytest.mark.parametrize("seed", range(4))
def test_its_proposals_follow_an_optimum_that_drifts_closer_than_random_search(seed: int) -> None:
    """Hyperparameters, invariant 25: y = -(h - h*)^2 with a linear drift of h*, over 30 proposals."""
    distances, by_chance, rng = list[float](), list[float](), np.random.default_rng(seed)

    def watched(members: Population, generation: int) -> Tensor:
        best = 0.2 + 0.6 * generation / 50
        proposed = members.traits["h.x"][members.traits["copied"].bool()]
        distances.extend((proposed - best).abs().tolist())
        by_chance.extend(np.abs(rng.random(100) - best))
        return drifting(members, generation)

    run = climbing(PB2, watched, noise=0.1)(Config(**settings(4, 31, seed=seed)))
    while not run.finished:
        run.step()
    assert len(distances) == 30
    assert np.median(distances) < 0.5 * np.median(by_chance)


def test_it_climbs_higher_than_members_whose_first_hyperparameters_stay() -> None:
    reached = {}
    for name, further in {"pb2": {}, "fixed": {"bottom_fraction": 0.0}}.items():
        run = climbing(PB2, drifting)(Config(**settings(4, 12, **further)))
        while not run.finished:
            run.step()
        reached[name] = run.answer().fitness.item()
    assert reached["pb2"] > reached["fixed"]
    assert reached["pb2"] > 0.85 * 12


def test_a_resumed_run_is_the_one_that_was_not_cut() -> None:
    algorithm = climbing(PB2, drifting, noise=0.1)
    whole = algorithm(Config(**settings(4, 50)))
    for _ in range(3):
        whole.step()
    rest = algorithm(whole.config, whole.state_dict())
    for _ in range(2):
        whole.step()
        rest.step()
    assert same(str(whole.state_dict()["bayesian"]), str(rest.state_dict()["bayesian"]))
    assert same(whole.state_dict()["population"], rest.state_dict()["population"])


def test_without_copying_it_is_the_same_as_learners_that_drew_their_hyperparameters() -> None:
    run = PB2(config(3, bottom_fraction=0.0))
    shared = {name: getattr(run.config, name) for name in tuned.Config.__dataclass_fields__}
    plain = tuned.TunedLearners(tuned.Config(**shared))
    for _ in range(3):
        run.step()
        plain.step()
    ours, theirs = run.population.state_dict(), plain.population.state_dict()
    assert same({name: ours["traits"][name] for name in theirs["traits"]}, theirs["traits"])
    assert all(same(ours[name], theirs[name]) for name in ("params", "fitness", "id", "parent", "origin"))


def test_reports_have_what_was_fitted_and_proposed() -> None:
    run = climbing(PB2, drifting)(Config(**settings(4, 50)))
    first = run.step()
    assert np.isnan(first["pb2/length"])
    assert first["pb2/intervals"] == 4
    second = run.step()
    assert second["pb2/acquisition"] >= second["pb2/mean"]
    assert second["pb2/improvement"] == pytest.approx(float(drifting(run.population, 1).mean()) / INTERVAL, abs=0.2)
    assert second["pb2/fallbacks"] == 0
    assert {"pb2/length", "pb2/forgetting", "pb2/noise", "pb2/variance", "pb2/fit_warnings"} < set(second)
    ((turn, cut),) = run.bayesian.slices
    assert turn == 1
    assert cut.shape == (1, 4, 33)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"space": {"tau": "categorical:0.1,0.2"}}, "space of tau must be of numbers, or use pb2-mix, got categorical"),
        ({"population_size": 1}, "population_size must be at least 2, as one alone copies nobody"),
        ({"interval": 501}, "interval must be at most 500, a member's share of the budget, got 501"),
        ({"interval": 500}, "total_timesteps must be at least 2032, which one generation can take, got 2000"),
        ({"perturb_weights": 0.1}, "perturb_weights must be 0, as an improvement is of h alone, got 0.1"),
        ({"explore": "gaussian"}, "explore must be one of none, perturb, resample, both, or an operator"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(further: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        PB2.check(config(**further))


def test_one_alone_is_allowed_where_nobody_copies() -> None:
    PB2.check(config(1, bottom_fraction=0.0))


def test_without_scikit_learn_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name))
    with pytest.raises(ConfigError, match=r"^pb2 needs scikit-learn; pip install 'evorl-torch\[pb2\]'$"):
        PB2.check(config())
    PB2.check(config(explore="perturb"))
