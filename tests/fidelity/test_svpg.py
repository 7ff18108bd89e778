"""The Stein part of SVPG against a trace of the authors' code (golden/svpg.npz)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evorl.learning import adam_, adam_state
from evorl.learning.stein import SteinConfig, bandwidth, direction, kernel, repulsion, squared_distances

TRACE = np.load(Path(__file__).parent / "golden" / "svpg.npz", allow_pickle=False)
TEMPERATURES = {"temp1": 1.0, "temp10": 10.0}

every_size = pytest.mark.parametrize("n", ["n2", "n4", "n16"])
every_temperature = pytest.mark.parametrize("temperature", sorted(TEMPERATURES))


def traced(name: str) -> Tensor:
    return torch.from_numpy(TRACE[name])


def assert_exact(ours: Tensor, theirs: Tensor, tolerance: float = 1e-12) -> None:
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


@every_size
def test_median_bandwidth_kernel_and_repulsion_are_theirs(n: str) -> None:
    particles = traced(f"{n}_particles")
    squares = squared_distances(particles)
    h = bandwidth(squares, SteinConfig())
    assert_exact(h, traced(f"{n}_bandwidth"))
    assert_exact(h * 2 * np.log(len(particles) + 1), traced(f"{n}_median"))
    assert_exact(kernel(squares, h), traced(f"{n}_kernel"))
    assert_exact(repulsion(particles, squares, h), traced(f"{n}_repulsion"))


@every_size
@every_temperature
def test_five_steps_go_where_theirs_went(n: str, temperature: str) -> None:
    particles = traced(f"{n}_particles").clone()
    state = adam_state("actor", particles)
    for step, gradients in enumerate(traced(f"{n}_gradients")):
        alpha = TEMPERATURES[temperature]
        upwards, h = direction(particles, gradients, alpha, SteinConfig())
        assert_exact(upwards, traced(f"{n}_{temperature}_directions")[step])
        assert_exact(h * 2 * np.log(len(particles) + 1), traced(f"{n}_{temperature}_medians")[step])
        adam_("actor", particles, -upwards, state, float(TRACE["learning_rate"]))
        assert_exact(particles, traced(f"{n}_{temperature}_adam_particles")[step])


@every_size
@every_temperature
def test_in_single_precision_the_directions_are_near(n: str, temperature: str) -> None:
    particles, gradients = traced(f"{n}_particles").float(), traced(f"{n}_gradients")[0].float()
    upwards, h = direction(particles, gradients, TEMPERATURES[temperature], SteinConfig())
    assert upwards.dtype == torch.float32
    torch.testing.assert_close(upwards.double(), traced(f"{n}_{temperature}_directions")[0], rtol=0, atol=2e-5)
    single = kernel(squared_distances(particles), h)
    torch.testing.assert_close(single, traced(f"{n}_kernel"), rtol=0, atol=2e-5)


@every_size
def test_without_repulsion_theirs_is_ours_at_temperature_one(n: str) -> None:
    """Their switch leaves out the temperature too; under Adam that makes no difference."""
    config = SteinConfig(repulsion=False)
    upwards, _ = direction(traced(f"{n}_particles"), traced(f"{n}_gradients")[0], 1.0, config)
    assert_exact(upwards, traced(f"{n}_norepulsion_direction"))
