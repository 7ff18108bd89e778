"""Stein directions against the sums as they are written, finite differences, and what must not change them."""

import re
import statistics
from collections.abc import Callable, Mapping
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from evorl.errors import ConfigError
from evorl.learning.stein import SteinConfig, bandwidth, direction, kernel, repulsion, squared_distances

CODE = SteinConfig()


def drawn(n: int, d: int = 12, seed: int = 0, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return particles and gradients, (n, d) float64."""
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    return spread * normals[0], normals[1]


def by_pairs(particles: Tensor, gradients: Tensor, alpha: float, h: float) -> Tensor:
    """Sum `k(j, i) gradient_j / alpha + d k(j, i) / d theta_j` over j, with torch's own derivative of k."""
    rows = []
    for here in particles:
        total = torch.zeros_like(here)
        for there, gradient in zip(particles, gradients, strict=True):
            leaf = there.clone().requires_grad_()
            k = torch.exp(-(leaf - here).square().sum() / h)
            (slope,) = torch.autograd.grad(k, leaf)
            total += k.detach() * gradient / alpha + slope
        rows.append(total / len(particles))
    return torch.stack(rows)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
@pytest.mark.parametrize("alpha", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("config", [CODE, SteinConfig(bandwidth="svgd"), SteinConfig(adaptive_bandwidth=True)], ids=str)
def test_the_direction_is_the_sum_over_pairs(n: int, alpha: float, config: SteinConfig) -> None:
    particles, gradients = drawn(n)
    ours, h = direction(particles, gradients, alpha, config)
    torch.testing.assert_close(ours, by_pairs(particles, gradients, alpha, h.item()), rtol=1e-12, atol=1e-13)


def test_the_gradient_of_the_kernel_agrees_with_finite_differences() -> None:
    particles, _ = drawn(4, 3)
    squares = squared_distances(particles)
    h = bandwidth(squares, CODE)
    differences = torch.zeros_like(particles)
    for j in range(4):
        for coordinate in range(3):
            moved = particles.clone(), particles.clone()
            for sign, one in zip((1, -1), moved, strict=True):
                one[j, coordinate] += sign * 1e-5
            rise = (kernel(squared_distances(one), h) for one in moved)
            slope = (next(rise) - next(rise)) / 2e-5
            others = torch.arange(4) != j
            differences[others, coordinate] += slope[others, j] / 4
    torch.testing.assert_close(repulsion(particles, squares, h), differences, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("where", ["particles", "gradients"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_particle_that_diverged_leaves_the_others_as_if_it_were_not_there(where: str, value: float) -> None:
    particles, gradients = drawn(4)
    {"particles": particles, "gradients": gradients}[where][1, 3] = value
    ours, h = direction(particles, gradients, 2.0, CODE)
    others = [0, 2, 3]
    without, expected = direction(particles[others], gradients[others], 2.0, CODE)
    assert torch.equal(ours[others], without)
    assert torch.equal(h, expected)
    assert ours[1].isnan().all()


def test_without_a_sound_particle_nothing_is_raised() -> None:
    particles, gradients = drawn(2)
    assert direction(particles * torch.nan, gradients, 1.0, CODE)[0].isnan().all()


# The kernel and its bandwidth.


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16])
def test_squared_distances_are_exact_for_near_particles_far_from_the_origin(n: int) -> None:
    particles = 1e3 + 1e-3 * drawn(n)[0].float()
    doubles = particles.double()
    expected = torch.stack([(doubles - here).square().sum(1) for here in doubles])
    squares = squared_distances(particles)
    torch.testing.assert_close(squares, expected, rtol=1e-13, atol=0)
    assert (squares.diagonal() == 0).all()


@pytest.mark.parametrize("n", [3, 4, 16])
def test_the_kernel_is_symmetric_and_one_on_its_diagonal(n: int) -> None:
    squares = squared_distances(drawn(n)[0])
    k = kernel(squares, bandwidth(squares, CODE))
    assert (k.diagonal() == 1).all()
    assert torch.equal(k, k.T)


def test_between_two_particles_the_kernel_is_one_81st() -> None:
    particles, gradients = drawn(2)
    squares = squared_distances(particles)
    h = bandwidth(squares, CODE)
    assert kernel(squares, h)[0, 1].item() == pytest.approx(1 / 81, rel=1e-12)
    apart = particles[0] - particles[1]
    torch.testing.assert_close(repulsion(particles, squares, h)[0], 0.5 * (1 / 81) * (2 / h) * apart)
    mixed = 0.5 * (gradients[0] + gradients[1] / 81) / 3
    no_repulsion, _ = direction(particles, gradients, 3.0, SteinConfig(repulsion=False))
    torch.testing.assert_close(no_repulsion[0], mixed)


@pytest.mark.parametrize(("convention", "power"), [("svpg", 2), ("svgd", 1)])
@pytest.mark.parametrize("n", [2, 3, 4, 7, 16])
def test_at_the_median_the_kernel_is_a_power_of_the_number_of_particles(n: int, convention: Any, power: int) -> None:
    squares = squared_distances(drawn(n)[0])
    in_order = squares.flatten().sort().values
    middle = in_order[(n * n - 1) // 2], in_order[n * n // 2]
    h = bandwidth(squares, SteinConfig(bandwidth=convention))
    assert kernel(sum(middle, torch.tensor(0.0)) / 2, h).item() == pytest.approx((n + 1.0) ** -power, rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 16])
def test_the_median_may_leave_the_diagonal_out(n: int) -> None:
    squares = squared_distances(drawn(n)[0])
    between = [squares[i, j].item() for i in range(n) for j in range(n) if i != j]
    h = bandwidth(squares, SteinConfig(median_diagonal=False))
    assert h.item() == pytest.approx(statistics.median(between) / (2 * log(n + 1)), rel=1e-12)


@pytest.mark.parametrize("diagonal", [True, False])
def test_one_particle_has_the_least_bandwidth(diagonal: bool) -> None:
    config = SteinConfig(median_diagonal=diagonal, bandwidth_floor=0.25)
    assert bandwidth(torch.zeros(1, 1), config).item() == 0.25


@pytest.mark.parametrize("convention", ["svpg", "svgd"])
@pytest.mark.parametrize(("n", "d"), [(2, 50), (6, 2), (16, 50), (40, 3)])
def test_the_adaptive_bandwidth_is_the_best_of_twenty(n: int, d: int, convention: Any) -> None:
    squares = squared_distances(drawn(n, d)[0])
    plain = bandwidth(squares, SteinConfig(bandwidth=convention)).item()
    best, least = 0.0, float("inf")
    for step in range(20):
        h = plain / (0.1 + 0.1 * step)
        loss = sum((sum(row) - 2) ** 2 for row in torch.exp(-squares / h).tolist()) / n
        if loss < least - 1e-12:
            best, least = h, loss
    chosen = bandwidth(squares, SteinConfig(bandwidth=convention, adaptive_bandwidth=True))
    assert chosen.item() == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bandwidth": "median"}, "bandwidth must be one of svpg, svgd, got 'median'"),
        ({"annealing": "tan"}, "annealing must be one of none, linear, tanh, cyclic, got 'tan'; did you mean 'tanh'?"),
        ({"alpha": 0.0}, "alpha must be above 0, got 0.0"),
        ({"bandwidth_floor": 0.0}, "bandwidth_floor must be above 0, got 0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    SteinConfig().check()
    with pytest.raises(ConfigError, match=re.escape(message)):
        SteinConfig(**settings).check()


# What it comes to for particles that are alone, equal or far apart.

every_kernel = pytest.mark.parametrize(
    "config", [CODE, SteinConfig(bandwidth="svgd"), SteinConfig(adaptive_bandwidth=True)], ids=str
)
every_precision = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


@every_kernel
@every_precision
def test_one_particle_climbs_its_own_gradient_over_alpha(config: SteinConfig, dtype: torch.dtype) -> None:
    particles, gradients = (one.to(dtype) for one in drawn(1))
    torch.testing.assert_close(direction(particles, gradients, 4.0, config)[0], gradients / 4, rtol=1e-15, atol=0)


@every_kernel
@every_precision
def test_equal_particles_climb_the_mean_gradient_over_alpha(config: SteinConfig, dtype: torch.dtype) -> None:
    particles, gradients = (one.to(dtype) for one in drawn(6, spread=100.0))
    equal = particles[:1].repeat(6, 1)
    mean = (gradients.mean(0) / 4).repeat(6, 1)
    torch.testing.assert_close(direction(equal, gradients, 4.0, config)[0], mean, rtol=1e-6, atol=1e-7)
    assert direction(equal, 0 * gradients, 4.0, config)[0].abs().max() == 0


@every_precision
def test_a_cluster_of_equal_particles_is_not_torn_apart_by_rounding(dtype: torch.dtype) -> None:
    """Most distances being zero the bandwidth is its floor, and the one that is elsewhere is out of reach."""
    particles = drawn(1, 5_000, spread=100.0)[0].repeat(8, 1).to(dtype)
    particles[0] += 1.0
    assert bandwidth(squared_distances(particles), CODE).item() == 1e-8
    assert direction(particles, torch.zeros_like(particles), 1.0, CODE)[0].abs().max() == 0


def test_the_same_gradient_for_all_is_followed_by_near_particles() -> None:
    particles, gradients = drawn(5)
    near = particles[:1] + 1e-9 * particles
    common = gradients[:1].repeat(5, 1)
    config = SteinConfig(repulsion=False)
    torch.testing.assert_close(direction(near, common, 2.0, config)[0], common / 2, rtol=1e-7, atol=0)


# Controls.


def test_without_sharing_and_repulsion_particles_are_independent() -> None:
    particles, gradients = drawn(7)
    alone, _ = direction(particles, gradients, 4.0, SteinConfig(sharing=False, repulsion=False))
    torch.testing.assert_close(alone, gradients / 4 / 7, rtol=1e-15, atol=0)


def test_each_control_leaves_out_its_own_term() -> None:
    particles, gradients = drawn(7)
    squares = squared_distances(particles)
    h = bandwidth(squares, CODE)
    apart = repulsion(particles, squares, h)
    unshared, _ = direction(particles, gradients, 4.0, SteinConfig(sharing=False))
    torch.testing.assert_close(unshared, gradients / 28 + apart)
    whole, unrepelled = (direction(particles, gradients, 4.0, one)[0] for one in (CODE, SteinConfig(repulsion=False)))
    torch.testing.assert_close(whole, unrepelled + apart)
    torch.testing.assert_close(unrepelled, kernel(squares, h) @ gradients / 28)


# Symmetries.


def test_forces_between_particles_cancel() -> None:
    particles, _ = drawn(9)
    squares = squared_distances(particles)
    forces = repulsion(particles, squares, bandwidth(squares, CODE))
    assert forces.abs().max() > 1e-3
    assert forces.sum(0).abs().max() < 1e-15


def test_permuted_particles_get_permuted_directions() -> None:
    particles, gradients = drawn(6)
    order = [3, 0, 5, 1, 4, 2]
    before, after = (
        direction(particles, gradients, 2.0, CODE)[0],
        direction(particles[order], gradients[order], 2.0, CODE)[0],
    )
    torch.testing.assert_close(after, before[order], rtol=1e-12, atol=1e-14)


def test_where_the_particles_are_does_not_matter() -> None:
    particles, gradients = drawn(6)
    moved = particles + torch.linspace(-50, 50, 12, dtype=torch.float64)
    torch.testing.assert_close(
        direction(moved, gradients, 2.0, CODE)[0], direction(particles, gradients, 2.0, CODE)[0], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-2, 7.0, 1e3])
def test_a_larger_scale_leaves_the_kernel_and_weakens_repulsion(scale: float) -> None:
    particles, _ = drawn(6)
    small, large = squared_distances(particles), squared_distances(scale * particles)
    of_small, of_large = bandwidth(small, CODE), bandwidth(large, CODE)
    torch.testing.assert_close(kernel(large, of_large), kernel(small, of_small), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        repulsion(scale * particles, large, of_large), repulsion(particles, small, of_small) / scale, rtol=1e-10, atol=0
    )


def test_at_a_high_temperature_particles_only_part() -> None:
    particles, gradients = drawn(6)
    upwards, _ = direction(particles, gradients, 1e12, CODE)
    before, after = squared_distances(particles), squared_distances(particles + upwards)
    others = ~torch.eye(6, dtype=torch.bool)
    assert (after[others] > before[others]).all()
    torch.testing.assert_close((particles + upwards).mean(0), particles.mean(0), rtol=0, atol=1e-10)


def test_an_infinite_temperature_is_repulsion_alone() -> None:
    particles, gradients = drawn(6)
    squares = squared_distances(particles)
    apart = repulsion(particles, squares, bandwidth(squares, CODE))
    torch.testing.assert_close(direction(particles, gradients, float("inf"), CODE)[0], apart, rtol=1e-15, atol=0)


# Memory and inputs.


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the numbers in the largest tensor that an operation returned."""

    numbers = 0

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@every_kernel
def test_nothing_is_larger_than_the_particles_or_twenty_kernels(config: SteinConfig) -> None:
    n, d = 64, 1_500
    particles, gradients = drawn(n, d)
    with Largest() as largest:  # type: ignore[no-untyped-call]
        direction(particles, gradients, 1.0, config)
    assert largest.numbers == n * d


def test_what_was_handed_in_does_not_change() -> None:
    particles, gradients = drawn(6)
    kept = particles.clone(), gradients.clone()
    direction(particles, gradients, 2.0, CODE)
    assert torch.equal(particles, kept[0])
    assert torch.equal(gradients, kept[1])
