"""The normaliser against NumPy on all that was seen."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evorl.policies import new_normaliser, normalise, update_normaliser_

N, OBSERVATIONS = 3, 2


def batches() -> list[tuple[Tensor, Tensor]]:
    """Return three batches of different length, location and scale, and which of their steps count."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for length, place, scale in ((7, 1e4, 1.0), (1, -3.0, 5.0), (30, 0.0, 100.0)):
        observations = place + scale * torch.randn(N, length, OBSERVATIONS, generator=generator)
        weights = torch.ones(N, length)
        weights[1, length // 2 + 1 :] = 0
        made.append((observations, weights))
    return made


def test_statistics_are_those_of_everything_that_was_seen() -> None:
    traits = new_normaliser(N, OBSERVATIONS)
    for observations, weights in batches():
        update_normaliser_(traits, torch.where(weights[..., None] > 0, observations, 777.0), weights)
    for row in range(N):
        seen = np.concatenate([o[row][w[row] > 0].double().numpy() for o, w in batches()])
        assert traits["normaliser.count"][row] == len(seen) == (21 if row == 1 else 38)
        np.testing.assert_allclose(traits["normaliser.mean"][row], seen.mean(0), rtol=1e-12)
        np.testing.assert_allclose(traits["normaliser.variance"][row], seen.var(0), rtol=1e-9)


def test_normalised_observations_have_mean_zero_and_deviation_one_and_are_bounded() -> None:
    traits, (observations, weights) = new_normaliser(N, OBSERVATIONS), batches()[2]
    update_normaliser_(traits, observations, torch.ones_like(weights))
    seen = normalise(traits, observations)
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen.mean(1), torch.zeros(N, OBSERVATIONS), rtol=0, atol=1e-6)
    torch.testing.assert_close(seen.std(1, correction=0), torch.ones(N, OBSERVATIONS), rtol=1e-5, atol=0)
    far = normalise(traits, torch.tensor([[1e9, -1e9]] * N))
    assert far.tolist() == [[10, -10]] * N


def test_every_member_uses_its_own_statistics_and_one_serves_many() -> None:
    traits = new_normaliser(N, OBSERVATIONS)
    for observations, weights in batches():
        update_normaliser_(traits, observations, weights)
    observations = batches()[2][0]
    together = normalise(traits, observations)
    for row in range(N):
        mean, std = traits["normaliser.mean"][row], (traits["normaliser.variance"][row] + 1e-8).sqrt()
        torch.testing.assert_close(together[row], ((observations[row] - mean) / std).float())
        own = {name: trait[[row]] for name, trait in traits.items()}
        assert torch.equal(normalise(own, observations[row]), together[row]), "(n, o) of one member"
    torch.testing.assert_close(normalise(traits, observations[:, 0]), together[:, 0])


def test_before_anything_was_seen_observations_are_only_bounded() -> None:
    observations = torch.tensor([[3.0, -50.0]])
    assert normalise(new_normaliser(1, OBSERVATIONS), observations).tolist() == [[3, -10]]


def test_a_coordinate_that_never_changes_is_zero_and_then_bounded() -> None:
    traits = new_normaliser(1, OBSERVATIONS)
    update_normaliser_(traits, torch.full((1, 9, OBSERVATIONS), 5.0), torch.ones(1, 9))
    assert normalise(traits, torch.tensor([[5.0, 6.0]])).tolist() == [[0, 10]]


@pytest.mark.parametrize("traits", [{}, {"critic": torch.ones(N, 4)}])
def test_without_the_traits_nothing_happens(traits: dict[str, Tensor]) -> None:
    observations, weights = batches()[0]
    assert normalise(traits, observations) is observations
    update_normaliser_(traits, observations, weights)
    assert not any("normaliser" in name for name in traits)
