"""Stacked Adam against separate optimisers of torch."""

import pytest
import torch
from torch import Tensor

from evorl.learning import adam_, adam_state

RATES = [1e-1, 1e-3, 3e-5, 0.0]


def start(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(4, 7, generator=torch.Generator().manual_seed(0)).to(dtype)


def gradients(steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return gradients (steps, 4, 7) over many orders of magnitude, some of them exactly zero."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(steps, 4, 7, generator=generator) * 10 ** torch.randn(steps, 4, 7, generator=generator)
    drawn[:, :, 0] = 0
    return drawn.to(dtype)


def separately(rates: list[float], steps: list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Move each row by a `torch.optim.Adam` of its own, row i by the last `steps[i]` gradients."""
    moved = []
    for row, (rate, count) in enumerate(zip(rates, steps, strict=True)):
        param = start(dtype)[row].clone().requires_grad_()
        optimiser = torch.optim.Adam([param], lr=rate)
        for gradient in gradients(25, dtype)[25 - count :, row]:
            param.grad = gradient.clone()
            optimiser.step()
        moved.append(param.detach())
    return torch.stack(moved)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_rows_with_rates_of_their_own_move_as_separate_optimisers_would(dtype: torch.dtype, tolerance: float) -> None:
    params = start(dtype)
    state = adam_state("actor", params)
    for gradient in gradients(25, dtype):
        adam_("actor", params, gradient, state, torch.tensor(RATES, dtype=torch.float64))
    torch.testing.assert_close(params, separately(RATES, [25] * 4, dtype), rtol=tolerance, atol=tolerance)
    assert torch.equal(params[3], start(dtype)[3]), "a rate of zero moves nothing"
    assert torch.equal(params[:, 0], start(dtype)[:, 0]), "a gradient of zero moves nothing"


def test_one_rate_serves_all_rows() -> None:
    params = start()
    state = adam_state("actor", params)
    for gradient in gradients(25):
        adam_("actor", params, gradient, state, 1e-2)
    torch.testing.assert_close(params, separately([1e-2] * 4, [25] * 4), rtol=1e-6, atol=1e-6)


def test_rows_that_began_later_are_corrected_by_their_own_count() -> None:
    """Row i takes part in the last 25, 10, 1 and 0 of 25 steps, as rows do that are copied into a population."""
    params, began = start(), torch.tensor([0, 15, 24, 25])
    state = adam_state("actor", params)
    for step, gradient in enumerate(gradients(25)):
        alive = (began <= step).nonzero()[:, 0]
        some = {name: value[alive] for name, value in state.items()}
        moved = params[alive]
        adam_("actor", moved, gradient[alive], some, 1e-2)
        params[alive] = moved
        for name, value in some.items():
            state[name][alive] = value
    assert state["actor_adam.step"].tolist() == [25, 10, 1, 0]
    torch.testing.assert_close(params, separately([1e-2] * 4, [25, 10, 1, 0]), rtol=1e-6, atol=1e-6)


def test_a_rate_that_changes_between_steps_counts_from_the_next_step_on() -> None:
    params, alone = start()[:1], start()[0].clone().requires_grad_()
    state, optimiser = adam_state("actor", params), torch.optim.Adam([alone])
    for step, gradient in enumerate(gradients(25)):
        rate = 10.0 ** -(step % 4)
        adam_("actor", params, gradient[:1], state, torch.tensor([rate]))
        optimiser.param_groups[0]["lr"] = rate
        alone.grad = gradient[0].clone()
        optimiser.step()
    torch.testing.assert_close(params[0], alone.detach(), rtol=1e-5, atol=1e-6)


def test_a_step_changes_its_own_moments_in_place_and_nobody_elses() -> None:
    params, gradient = start(), gradients(1)[0]
    state = adam_state("actor", params) | adam_state("critic", params)
    tensors = dict(state)
    kept_gradient, kept = gradient.clone(), params
    adam_("critic", params, gradient, state, 0.1)
    assert params is kept
    assert all(state[name] is tensor for name, tensor in tensors.items())
    assert not any(tensor.any() for name, tensor in state.items() if name.startswith("actor"))
    assert all(tensor.any() for name, tensor in state.items() if name.startswith("critic"))
    assert torch.equal(gradient, kept_gradient)


def test_new_moments_are_zero_and_have_a_row_for_each_member() -> None:
    state = adam_state("actor", start())
    assert set(state) == {"actor_adam.mean", "actor_adam.square", "actor_adam.step"}
    assert all(len(tensor) == 4 and not tensor.any() for tensor in state.values())
    assert state["actor_adam.mean"].shape == state["actor_adam.square"].shape == (4, 7)
    assert state["actor_adam.mean"] is not state["actor_adam.square"]
