"""Advantages against sums written out, and against cases that can be computed in the head."""

import numpy as np
import pytest
import torch
from plain_gradients import TASKS, advantages_by_hand, rollout_of, row_of, standardised

from evorl.learning.advantages import (
    accumulate,
    discounted_returns,
    generalised_advantages,
    standardise,
    weighted_mean,
)

N, LENGTH = 3, 25
ROLLOUT = rollout_of(TASKS["gaussian"], N, LENGTH, seed=0)
GENERATOR = torch.Generator().manual_seed(1)
VALUES, NEXT_VALUES = torch.randn(2, N, LENGTH, generator=GENERATOR)
OWN = torch.tensor([0.99, 0.5, 0.0]), torch.tensor([0.95, 0.0, 1.0])


def estimates(discount: float | torch.Tensor, gae_lambda: float | torch.Tensor) -> torch.Tensor:
    steps = ROLLOUT.transitions
    return generalised_advantages(
        steps.rewards, VALUES, NEXT_VALUES, steps.terminated, ROLLOUT.ended, discount, gae_lambda
    )


@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.99, 0.95), (1.0, 1.0), (0.9, 0.0), OWN])
def test_advantages_are_the_sums_of_the_paper(discount: float | torch.Tensor, gae_lambda: float | torch.Tensor) -> None:
    found = estimates(discount, gae_lambda)
    for row in range(N):
        own = (part[row].item() if isinstance(part, torch.Tensor) else part for part in (discount, gae_lambda))
        expected = advantages_by_hand(row_of(ROLLOUT, row), VALUES[row], NEXT_VALUES[row], *own)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)


def test_a_terminal_state_is_worth_nothing_and_a_time_limit_what_its_observation_is_worth() -> None:
    """Two steps of reward 1 to the end, then one more step of the next episode; discount and lambda one half."""
    ones, ended = torch.ones(2, 3), torch.tensor([[0.0, 1.0, 0.0]] * 2)
    terminated = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    values, following = torch.tensor([[0.0, 2.0, 3.0]] * 2), torch.tensor([[2.0, 8.0, 4.0]] * 2)
    found = generalised_advantages(ones, values, following, terminated, ended, 0.5, 0.5)
    # errors 1 + 1 - 0 = 2, then 1 - 2 = -1 or 1 + 4 - 2 = 3, then 1 + 2 - 3 = 0
    assert found.tolist() == [[2 - 0.25, -1, 0], [2 + 0.75, 3, 0]]


def test_with_lambda_one_and_no_values_they_are_the_discounted_returns() -> None:
    steps, zeros = ROLLOUT.transitions, torch.zeros(N, LENGTH)
    returns = discounted_returns(steps.rewards, ROLLOUT.ended, OWN[0])
    generalised = generalised_advantages(
        steps.rewards, zeros, zeros, steps.terminated, ROLLOUT.ended, OWN[0], torch.ones(N)
    )
    torch.testing.assert_close(returns, generalised)


def test_returns_begin_anew_after_an_end() -> None:
    rewards, ended = torch.tensor([[1.0, 2.0, 4.0, 8.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    assert discounted_returns(rewards, ended, 0.5).tolist() == [[2, 2, 8, 8]]


def test_accumulation_is_that_of_a_loop_from_the_end() -> None:
    decay = torch.rand(N, LENGTH, generator=GENERATOR)
    found = accumulate(VALUES, decay)
    total = np.zeros(N)
    for place in reversed(range(LENGTH)):
        total = VALUES[:, place].double().numpy() + decay[:, place].double().numpy() * total
        np.testing.assert_allclose(found[:, place], total, rtol=1e-5, atol=1e-6)


def test_means_and_deviations_are_over_the_steps_that_count() -> None:
    rollout = rollout_of(TASKS["gaussian"], N, LENGTH, seed=2, padded=True)
    values = torch.where(rollout.weights > 0, 5 + 3 * VALUES, 1e4)
    mean, scaled = weighted_mean(values, rollout.weights), standardise(values, rollout.weights)
    for row in range(N):
        count = LENGTH - row
        torch.testing.assert_close(mean[row], values[row, :count].mean())
        torch.testing.assert_close(scaled[row, :count], standardised(values[row, :count]), rtol=1e-4, atol=1e-5)
        assert not scaled[row, count:].any()


def test_equal_values_are_all_zero_when_standardised() -> None:
    assert not standardise(torch.full((2, 4), 7.0), torch.ones(2, 4)).any()
    assert weighted_mean(torch.ones(1, 3), torch.zeros(1, 3)).item() == 0
