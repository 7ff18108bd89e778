"""Stacked REINFORCE against as many separate ones, written with modules, laws and optimisers of torch."""

import copy

import numpy as np
import pytest
import torch
from plain_gradients import (
    TASKS,
    PlainPolicy,
    members_of,
    policy_of,
    rollout_of,
    row_of,
    standardised,
)
from support import same
from torch import Tensor

from evorl.learning.reinforce import Reinforce, ReinforceConfig
from evorl.population import Population
from evorl.streams import Streams

N, LENGTH = 3, 20
OWN: dict[str, list[float]] = {
    "learning_rate": [1e-2, 1e-3, 3e-3],
    "discount": [0.99, 0.0, 0.5],
    "entropy_coefficient": [0.0, 0.3, 1.0],
}


def learner_of(kind: str, **settings: float | bool) -> Reinforce:
    config = ReinforceConfig(**{"entropy_coefficient": 0.1, **settings})  # type: ignore[arg-type]
    return Reinforce(TASKS[kind], policy_of(TASKS[kind]), config)


class PlainReinforce:
    """One member: the discounted return of each step as its advantage."""

    def __init__(self, kind: str, row: Tensor, h: dict[str, float], standardise: bool) -> None:
        self.h, self.standardise = h, standardise
        self.policy = PlainPolicy(TASKS[kind], row)
        self.adam = torch.optim.Adam(self.policy.used(), lr=h["learning_rate"])

    def objective(self, steps: dict[str, Tensor]) -> Tensor:
        total, returns = 0.0, []
        for reward, ended in zip(reversed(steps["rewards"].tolist()), reversed(steps["ended"].tolist()), strict=True):
            total = reward + self.h["discount"] * (0 if ended else total)
            returns.append(total)
        advantages = torch.tensor(returns[::-1])
        if self.standardise:
            advantages = standardised(advantages)
        log_prob = self.policy.log_prob(steps["observations"], steps["actions"])
        entropy = self.policy.law(steps["observations"]).entropy()
        mean: Tensor = (log_prob * advantages + self.h["entropy_coefficient"] * entropy).mean()
        return mean

    def update(self, steps: dict[str, Tensor]) -> float:
        loss = -self.objective(steps)
        self.adam.zero_grad()
        torch.autograd.backward(loss)
        self.adam.step()
        return loss.item()


def settings_of(learner: Reinforce) -> list[dict[str, float]]:
    return [{name: getattr(learner.config, name) for name in OWN} for _ in range(N)]


def assert_equal_to_separate_ones(
    kind: str, learner: Reinforce, members: Population, h: list[dict[str, float]], padded: bool = True
) -> None:
    alone = [PlainReinforce(kind, members.params[r], h[r], learner.config.standardise_advantages) for r in range(N)]
    stacked = members.clone()
    for update in range(4):
        rollout = rollout_of(TASKS[kind], N, LENGTH, seed=update, padded=padded)
        critic, actor = learner.update_(stacked, rollout, Streams(2))
        assert critic.isnan().all()
        for row, plain in enumerate(alone):
            assert actor[row].item() == pytest.approx(plain.update(row_of(rollout, row)), rel=1e-4, abs=1e-5)
    for row, plain in enumerate(alone):
        np.testing.assert_allclose(stacked.params[row], plain.policy.row(), rtol=0, atol=1e-5)
    assert ((stacked.params - members.params).abs().amax(1) > 1e-3).all(), "the comparison must be about something"


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("kind", TASKS)
def test_members_with_one_setting_update_as_separate_learners(kind: str, standardise: bool) -> None:
    learner = learner_of(kind, standardise_advantages=standardise)
    assert_equal_to_separate_ones(kind, learner, members_of(learner, N), settings_of(learner))


@pytest.mark.parametrize("names", [list(OWN), *([name] for name in OWN)], ids="-".join)
def test_members_with_hyperparameters_of_their_own_update_as_separate_learners(names: list[str]) -> None:
    learner = learner_of("gaussian")
    members = members_of(learner, N, **{f"h.{name}": torch.tensor(OWN[name]) for name in names})
    h = [{**one, **{name: OWN[name][row] for name in names}} for row, one in enumerate(settings_of(learner))]
    assert_equal_to_separate_ones("gaussian", learner, members, h)


@pytest.mark.parametrize("kind", TASKS)
def test_the_gradient_is_that_of_each_members_own_mean_over_its_steps(kind: str) -> None:
    """What mixes gradients, as SVPG does, takes them from here: they are to be climbed."""
    learner = learner_of(kind)
    members, rollout = members_of(learner, N), rollout_of(TASKS[kind], N, LENGTH, seed=9, padded=True)
    h = learner.hyperparameters(members.traits)
    batch = learner.prepare(members.params, members.traits, rollout, h)
    gradient = learner.gradient(members.params, batch, h)
    for row in range(N):
        plain = PlainReinforce(kind, members.params[row], settings_of(learner)[row], standardise=True)
        torch.autograd.backward(plain.objective(row_of(rollout, row)))
        expected = torch.cat([p.grad.flatten() for p in plain.policy.used() if p.grad is not None])
        torch.testing.assert_close(gradient[row], expected, rtol=1e-4, atol=1e-6)


def test_what_fills_a_row_up_has_no_part_in_it() -> None:
    learner = learner_of("gaussian")
    members, rollout = members_of(learner, N), rollout_of(TASKS["gaussian"], N, LENGTH, seed=9, padded=True)
    other = copy.deepcopy(rollout)
    for column in (other.transitions.observations, other.transitions.actions, other.transitions.rewards):
        column[rollout.weights == 0] = 1e3
    first, second = members.clone(), members.clone()
    learner.update_(first, rollout, Streams(2))
    learner.update_(second, other, Streams(2))
    assert same(first.state_dict(), second.state_dict())


def test_by_default_it_is_that_of_svpgs_code() -> None:
    config = ReinforceConfig()
    assert (config.rollout_length, config.learning_rate, config.discount) == (5_000, 5e-3, 0.99)
    assert (config.standardise_advantages, config.normalise_observations) == (True, False)
    assert (config.entropy_coefficient, config.gradient_clip) == (0.0, None)
