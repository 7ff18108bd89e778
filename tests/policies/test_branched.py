"""The branched critic against modules of torch, and the law of its first parameters."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters

from evorl.policies import BranchedCritic
from evorl.streams import Streams

OBSERVATIONS, ACTIONS, BRANCH, JOINED = 3, 2, 8, 6


class PlainNorm(nn.Module):
    """ERL's layer norm: the standard deviation has n - 1 in its divisor, and epsilon is added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor) -> Tensor:
        centred = hidden - hidden.sum(-1, keepdim=True) / hidden.shape[-1]
        std = (centred.pow(2).sum(-1, keepdim=True) / (hidden.shape[-1] - 1)).sqrt()
        return self.gain * centred / (std + 1e-6) + self.shift


class PlainCritic(nn.Module):
    """One critic, its tensors in the order of a flat row."""

    def __init__(self) -> None:
        super().__init__()
        self.observation, self.action = nn.Linear(OBSERVATIONS, BRANCH), nn.Linear(ACTIONS, BRANCH)
        self.joined, self.norm = nn.Linear(2 * BRANCH, JOINED), PlainNorm(JOINED)
        self.last = nn.Linear(JOINED, 1)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        elu = nn.functional.elu
        both = torch.cat([elu(self.observation(observations)), elu(self.action(actions))], -1)
        values: Tensor = self.last(elu(self.norm(self.joined(both))))
        return values


def critic(last_layer_scale: float = 0.1) -> BranchedCritic:
    return BranchedCritic(OBSERVATIONS, ACTIONS, (BRANCH, JOINED), last_layer_scale)


def rows(n: int, seed: int = 0) -> Tensor:
    """Return parameters away from their first law, so that no gain is 1 and no shift 0."""
    return torch.randn(n, critic().size, generator=torch.Generator().manual_seed(seed)) * 0.5


def inputs(n: int, batch: int = 7) -> Tensor:
    return torch.randn(n, batch, OBSERVATIONS + ACTIONS, generator=torch.Generator().manual_seed(9))


def test_stacked_critics_equal_as_many_modules() -> None:
    params, given = rows(4), inputs(4)
    values = critic()(params, given)
    assert values.shape == (4, 7, 1)
    for row in range(4):
        plain = PlainCritic()
        assert sum(tensor.numel() for tensor in plain.parameters()) == critic().size
        vector_to_parameters(params[row].clone(), plain.parameters())
        expected = plain(given[row, :, :OBSERVATIONS], given[row, :, OBSERVATIONS:])
        torch.testing.assert_close(values[row], expected.detach(), rtol=1e-5, atol=1e-6)


def test_gradients_of_parameters_and_actions_equal_those_of_the_modules() -> None:
    params, given = rows(2).requires_grad_(), inputs(2).requires_grad_()
    got = torch.autograd.grad(critic()(params, given).square().sum(), [params, given])
    for row in range(2):
        plain, own = PlainCritic(), given.detach()[row].clone().requires_grad_()
        vector_to_parameters(params.detach()[row].clone(), plain.parameters())
        loss = plain(own[:, :OBSERVATIONS], own[:, OBSERVATIONS:]).square().sum()
        expected = torch.autograd.grad(loss, [*plain.parameters(), own])
        flat = torch.cat([part.flatten() for part in expected[:-1]])
        torch.testing.assert_close(got[0][row], flat, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got[1][row], expected[-1], rtol=1e-4, atol=1e-4)


def test_one_row_serves_many_inputs() -> None:
    one, given = rows(1), inputs(5)
    torch.testing.assert_close(critic()(one, given), critic()(one.expand(5, -1), given), rtol=1e-5, atol=1e-6)


def test_the_layout_names_what_every_number_of_a_row_is() -> None:
    shapes = [tuple(tensor.shape) for tensor in PlainCritic().parameters()]
    layout = critic().layout
    assert [block.shape for block in layout] == shapes
    kinds = ["weight", "bias", "weight", "bias", "weight", "bias", "norm", "norm", "weight", "bias"]
    assert [block.kind for block in layout] == kinds
    assert [block.slice.start for block in layout] == [0, *[block.slice.stop for block in layout[:-1]]]


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_first_parameters_are_uniform_within_one_over_the_root_of_the_fan_in(scale: float) -> None:
    drawn = critic(scale).init(Streams(0).rows("critic", range(600))).numpy()
    fan_in = {"observation": OBSERVATIONS, "action": ACTIONS, "2": 2 * BRANCH, "3": JOINED}
    for block in critic().layout:
        values = drawn[:, block.slice].ravel()
        if block.kind == "norm":
            assert (values == (1.0 if block.name == "gain2" else 0.0)).all()
            continue
        name = block.name.removeprefix("weight").removeprefix("bias").removeprefix("_")
        bound = (scale if name == "3" else 1.0) / math.sqrt(fan_in[name])
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-4, block.name


def test_rows_are_drawn_each_from_its_own_stream() -> None:
    many, alone = critic().init(Streams(0).rows("critic", range(3))), critic().init(Streams(0).rows("critic", [2]))
    assert torch.equal(many[2], alone[0])
    assert not torch.equal(many[0], many[1])
