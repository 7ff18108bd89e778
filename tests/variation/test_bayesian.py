"""BayesianExplore: what it remembers, what it proposes, and that it follows an optimum that moves."""

from typing import Any

import numpy as np
import pytest
import torch

from evorl.hyperparameters import Space, traits_of
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.variation import BayesianExplore, Categories

SPACE = Space.parse({"x": "0:1", "rate": "log:1e-4:1e-2"})
MIXED = Space.parse({"x": "0:1", "kind": "categorical:0,1,2"})


def members(
    space: Space,
    values: dict[str, list[float]],
    before: list[float],
    fitness: list[float] | None = None,
    copied: list[bool] | None = None,
) -> Population:
    n = len(before)
    made = Population.fresh(torch.zeros(n, 1), Identities(), "initial")
    h = traits_of({name: torch.tensor(values[name], dtype=torch.float64) for name in space})
    flags = torch.tensor(copied or [False] * n)
    made = made.with_traits(**h, return_before=torch.tensor(before, dtype=torch.float64), copied=flags)
    return made if fitness is None else made.with_fitness(torch.tensor(fitness))


def explorer(space: Space = SPACE, categories: Categories = "none", seed: int = 0) -> BayesianExplore:
    return BayesianExplore(space, categories, 10, 50, Streams(seed))


def taught(explore: BayesianExplore, rounds: int = 3, scale: float = 1.0, shift: float = 0.0) -> BayesianExplore:
    """Return it after rounds in which x near 0.7 brought most; returns are `scale` times that, plus `shift`."""
    rng = np.random.default_rng(0)
    for turn in range(rounds):
        x, before = rng.random(4), rng.normal(size=4)
        after = before + 1 - 4 * (x - 0.7) ** 2
        low, high = explore.space["rate"].bounds
        values = {"x": x.tolist(), "rate": (low * (high / low) ** rng.random(4)).tolist()}
        returns = [(scale * part + shift).tolist() for part in (before, after)]
        explore.observe(members(explore.space, values, *returns), turn)
    return explore


PARENTS: dict[str, Any] = {"values": {"x": [0.1, 0.2, 0.3, 0.4], "rate": [1e-3] * 4}, "before": [0.0, 1, 2, 3]}


def test_it_remembers_every_interval_of_every_member_whose_returns_are_known() -> None:
    explore = explorer()
    nan = float("nan")
    values = {"x": [0.1, 0.2, 0.3, 0.4], "rate": [1e-4, 1e-3, 1e-2, 1e-2]}
    explore.observe(members(SPACE, values, [1, 2, nan, 4], [5, 7, 6, float("inf")]), 8)
    expected = [[8, 1, 5, 0.1, 0], [8, 2, 7, 0.2, 0.5]]
    np.testing.assert_allclose(explore.record.numpy(), expected, atol=1e-12)
    explore.observe(members(SPACE, values, [5, 7, 6, 4], [5, 7, 6, 8]), 9)
    assert len(explore.record) == 6
    assert explore.report()["intervals"] == 6
    assert explore.report()["improvement"] == pytest.approx(4 / 4 / 10)


def test_without_any_interval_it_draws_from_the_prior() -> None:
    explore = explorer()
    drawn = explore.propose(members(SPACE, **PARENTS), [1, 3], 0)
    prior = SPACE.from_unit(Streams(0).rows("explore_h", [1, 3]).uniform(0, 1, 11, 2)[:, 0].double())
    for name in SPACE:
        torch.testing.assert_close(drawn[name], prior[name])
    assert explore.report()["fallbacks"] == 0


def test_proposals_are_within_the_bounds_near_what_brought_most_and_different() -> None:
    explore = taught(explorer(), rounds=6)
    values = explore.propose(members(SPACE, **PARENTS), [0, 1], 6)
    assert ((values["x"] - 0.7).abs() < 0.3).all()
    assert ((values["rate"] >= 1e-4) & (values["rate"] <= 1e-2)).all()
    cube = SPACE.to_unit(values)
    assert (cube[0] - cube[1]).abs().max() > 0.01
    report = explore.report()
    assert report["acquisition"] >= report["mean"]
    assert 0 < report["forgetting"] < 1
    assert [made[0] for made in explore.slices] == [6], "one slice a round"


@pytest.mark.parametrize("slope", [0.0, 9.0])
def test_it_reports_which_share_of_a_proposal_is_on_bounds(slope: float) -> None:
    explore, rng = explorer(Space.parse({"x": "0:1", "y": "0:1", "same": "0.5:0.5"})), np.random.default_rng(0)
    for turn in range(3):
        x, y, before = rng.random(4), rng.random(4), rng.normal(size=4)
        values = {"x": x.tolist(), "y": y.tolist(), "same": [0.5] * 4}
        after = before + slope * x - 9 * (y - 0.5) ** 2
        explore.observe(members(explore.space, values, before.tolist(), after.tolist()), turn)
    parents = members(explore.space, {name: [0.5] * 4 for name in explore.space}, [0.0, 1, 2, 3])
    proposed = explore.propose(parents, [0], 3)
    ends = [proposed[name].item() in (0.0, 1.0) for name in ("x", "y")]
    assert explore.report()["on_bounds"] == np.mean(ends)
    assert ends[0] or not slope


@pytest.mark.parametrize(("scale", "shift"), [(1, 1_000), (250.0, -3.0), (1e-3, 0.1)])
def test_returns_of_another_scale_make_the_same_proposal(scale: float, shift: float) -> None:
    ours = taught(explorer()).propose(members(SPACE, **PARENTS), [0], 3)
    before = [scale * value + shift for value in PARENTS["before"]]
    parents = members(SPACE, PARENTS["values"], before)
    theirs = taught(explorer(), scale=scale, shift=shift).propose(parents, [0], 3)
    torch.testing.assert_close(SPACE.to_unit(ours), SPACE.to_unit(theirs), rtol=0, atol=1e-3)


def test_a_space_of_other_bounds_makes_the_rescaled_proposal() -> None:
    wide = Space.parse({"x": "0:1", "rate": "log:1e-2:1e0"})
    ours = taught(explorer()).propose(members(SPACE, **PARENTS), [0], 3)
    values = {"x": PARENTS["values"]["x"], "rate": [1e-1] * 4}
    theirs = taught(explorer(wide)).propose(members(wide, values, PARENTS["before"]), [0], 3)
    torch.testing.assert_close(theirs["x"], ours["x"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(theirs["rate"], 100 * ours["rate"], rtol=1e-3, atol=0)


def test_whole_numbers_are_remembered_as_they_were_tried() -> None:
    space = Space.parse({"x": "0:1", "rate": "int:1:4"})
    values = taught(explorer(space)).propose(members(space, {"x": [0.1] * 4, "rate": [1.0] * 4}, [0.0] * 4), [2], 3)
    assert values["rate"].item() in (1, 2, 3, 4)


def test_a_frozen_hyperparameter_stays() -> None:
    space = Space.parse({"x": "0:1", "rate": "log:1e-3:1e-3"})
    values = taught(explorer(space)).propose(members(space, **PARENTS), [2], 3)
    assert values["rate"].item() == pytest.approx(1e-3)


def test_a_fit_that_fails_is_a_draw_from_the_prior_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from evorl.hyperparameters import gaussian_process

    def fail(*_: Any) -> None:
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr(gaussian_process, "fit", fail)
    explore = taught(explorer())
    values = explore.propose(members(SPACE, **PARENTS), [1, 3], 3)
    prior = SPACE.from_unit(Streams(0).rows("explore_h", [1, 3]).uniform(0, 1, 11, 2)[:, 0].double())
    torch.testing.assert_close(values["x"], prior["x"])
    assert explore.report()["fallbacks"] == 2


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped() -> None:
    first = taught(explorer())
    first.propose(members(SPACE, **PARENTS), [0], 3)
    second = explorer()
    second.load_state_dict(first.state_dict())
    second.streams.load_state_dict(first.streams.state_dict())
    ours, theirs = (each.propose(members(SPACE, **PARENTS), [0, 2], 4) for each in (first, second))
    assert all(torch.equal(ours[name], theirs[name]) for name in SPACE)
    assert str(first.report()) == str(second.report())


def test_it_follows_an_optimum_that_drifts_closer_than_random_search() -> None:
    """One of four explores in each of 30 rounds; what a round brings is minus the squared distance."""
    space = Space.parse({"x": "0:1"})
    explore, rng = explorer(space), np.random.default_rng(0)
    x, distances, by_chance = rng.random(4), list[float](), list[float]()
    for turn in range(30):
        best = 0.2 + 0.6 * turn / 30
        if turn:
            row = int(np.abs(x - best).argmax())
            x[row] = explore.propose(members(space, {"x": x.tolist()}, [0.0] * 4), [row], turn)["x"].item()
            distances.append(abs(x[row] - best))
            by_chance.append(abs(rng.random() - best))
        explore.observe(members(space, {"x": x.tolist()}, [0.0] * 4, (-((x - best) ** 2)).tolist()), turn)
    assert np.median(distances) < 0.5 * np.median(by_chance)


def test_it_finds_an_optimum_of_five_numbers_and_keeps_off_their_bounds() -> None:
    """The one of four that is farthest explores in each of 16 rounds."""
    space = Space.parse(dict.fromkeys("abcde", "0:1"))
    explore, rng = explorer(space), np.random.default_rng(0)
    x, best, distances, on_bounds = rng.random((4, 5)), 0.3 + 0.4 * rng.random(5), list[float](), list[float]()
    for turn in range(16):
        away = ((x - best) ** 2).sum(axis=1)
        if turn:
            row = int(away.argmax())
            parents = members(space, dict(zip(space, x.T.tolist(), strict=True)), [0.0] * 4)
            x[row] = [value.item() for value in explore.propose(parents, [row], turn).values()]
            distances.append(float(np.linalg.norm(x[row] - best)))
            on_bounds.append(explore.report()["on_bounds"])
        gains = (-((x - best) ** 2).sum(axis=1)).tolist()
        explore.observe(members(space, dict(zip(space, x.T.tolist(), strict=True)), [0.0] * 4, gains), turn)
    by_chance = np.linalg.norm(rng.random((1_000, 5)) - best, axis=1)
    assert np.median(distances[-8:]) < 0.5 * np.median(by_chance)
    assert np.mean(on_bounds[-8:]) < 0.5


def with_kinds(
    kinds: list[float], before: list[float], fitness: list[float] | None = None, copied: list[bool] | None = None
) -> Population:
    return members(MIXED, {"x": np.linspace(0, 1, len(kinds)).tolist(), "kind": kinds}, before, fitness, copied)


@pytest.mark.parametrize("categories", ["joint", "apart"])
def test_a_bandit_learns_from_those_who_explored_alone(categories: Categories) -> None:
    explore = explorer(MIXED, categories)
    explore.observe(with_kinds([0, 1, 2], [0, 0, 0], [1, 2, 3]), 0)
    assert explore.weights["kind"].tolist() == [1, 1, 1]
    explore.observe(with_kinds([0, 1, 2], [1, 2, 3], [2, 4, 6], [False, False, True]), 1)
    weights = explore.weights["kind"]
    assert weights[2] > weights[0] == weights[1]
    shares = [explore.report()[f"kind/weight/{kind}"] for kind in (0, 1, 2)]
    assert shares == pytest.approx((weights / weights.sum()).tolist())


def test_separate_processes_know_only_their_own_category() -> None:
    explore = explorer(MIXED, "apart")
    explore.observe(with_kinds([0, 0, 1, 1], [0, 0, 0, 0], [1, 2, 3, 4]), 0)
    explore.weights = {"kind": torch.tensor([0.0, 0.0, 1e9], dtype=torch.float64)}
    parents = with_kinds([0, 0, 0, 0], [0, 0, 0, 0])
    explore.rounds = 10**9
    values = explore.propose(parents, [1], 1)
    assert values["kind"].item() == 2
    torch.testing.assert_close(values["x"], parents.traits["h.x"][[1]], msg="nothing known of it: the donor's")
    explore.weights = {"kind": torch.tensor([0.0, 1e9, 0.0], dtype=torch.float64)}
    seen, fit = list[Any](), explore._fit

    def watched(record: Any) -> Any:
        seen.append(record.copy())
        return fit(record)

    explore._fit = watched  # type: ignore[method-assign]
    explore.propose(parents, [1], 1)
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0][:, -1], 0.5)


def test_the_joint_process_sees_the_category() -> None:
    explore = explorer(MIXED, "joint")
    explore.observe(with_kinds([0, 1, 2, 1], [0, 0, 0, 0], [1, 2, 3, 4]), 0)
    explore.propose(with_kinds([0, 1, 2, 1], [1, 2, 3, 4]), [0], 1)
    assert 0 < explore.report()["mix"] < 1


def test_the_control_draws_categories_anew_half_of_the_time() -> None:
    explore = explorer(MIXED, "random")
    parents = with_kinds([0.0] * 400, [0.0] * 400)
    kinds = explore.propose(parents, list(range(400)), 0)["kind"]
    shares = [(kinds == kind).double().mean().item() for kind in (0, 1, 2)]
    assert shares == pytest.approx([4 / 6, 1 / 6, 1 / 6], abs=0.07)
    assert not explore.weights


def test_categories_alone_are_enough() -> None:
    space = Space.parse({"kind": "categorical:0,1"})
    explore = explorer(space, "joint")
    explore.observe(members(space, {"kind": [0, 1]}, [0, 0], [1, 2]), 0)
    assert explore.propose(members(space, {"kind": [0, 1]}, [1, 2]), [0], 1)["kind"].item() in (0, 1)
