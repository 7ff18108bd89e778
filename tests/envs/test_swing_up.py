"""Cart-pole swing-up: its physics against Lagrange's equations, and rows against single environments, bit for bit."""

from math import pi

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.functional import hessian

from evorl.envs import GymnasiumEnvs, SwingUpEnvs, describe, make, swing_up
from evorl.envs.member_envs import MemberEnvs
from evorl.envs.swing_up import SWING_UP, SwingUp, advance, derivative, judge, observe, start
from evorl.errors import EnvironmentFault

Array = NDArray[np.float64]

TASK = describe(SWING_UP)
NO_FORCE = np.zeros(())


def states(n: int, seed: int = 0) -> Array:
    """Return states (4, n) that cover all angles and fast motion."""
    high = np.array([3.0, 5.0, 2 * pi, 10.0])
    return np.random.default_rng(seed).uniform(-high, high, (n, 4)).T


def energies(position: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
    """Return kinetic and potential energy, in joules, from where the centres of the two boxes are and how they move."""
    (_, angle), (speed, spin) = position, velocity
    across, up = speed + 0.5 * spin * angle.cos(), -0.5 * spin * angle.sin()
    cart, pole = speed.square(), across.square() + up.square()
    turning = 0.1 * (1.0**2 + 0.1**2) / 12 * spin.square()
    return 0.5 * (1.0 * cart + 0.1 * pole + turning), 0.1 * 10 * 0.5 * angle.cos()


def lagrangian(position: Tensor, velocity: Tensor) -> Tensor:
    kinetic, potential = energies(position, velocity)
    return kinetic - potential


def energy(state: Array) -> float:
    both = torch.from_numpy(state)
    return float(sum(energies(both[[0, 2]], both[[1, 3]])))


def of_lagrange(state: Array, force: float) -> Array:
    """Solve `d/dt dL/dv - dL/dq = (force, 0)` for the accelerations, all derivatives taken by torch."""
    both = torch.from_numpy(state)
    position, velocity = both[[0, 2]], both[[1, 3]]
    mixed, mass = hessian(lagrangian, (position, velocity))[1]  # type: ignore[no-untyped-call]
    (uphill,) = torch.autograd.grad(lagrangian(position.requires_grad_(), velocity), position)
    pushed = torch.tensor([force, 0.0], dtype=torch.float64) + uphill - mixed @ velocity
    acceleration, angular = torch.linalg.solve(mass, pushed)
    return np.array([velocity[0], acceleration, velocity[1], angular])


# Physics.


def test_the_equations_of_motion_are_those_of_lagrange() -> None:
    drawn, forces = states(40), np.random.default_rng(1).uniform(-10, 10, 40)
    moved = derivative(drawn, forces)
    for row in range(40):
        expected = of_lagrange(drawn[:, row].copy(), float(forces[row]))
        np.testing.assert_allclose(moved[:, row], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_without_a_force_energy_and_momentum_stay(seed: int) -> None:
    state = start(np.random.default_rng(seed))

    def momentum(state: Array) -> float:
        return float(1.1 * state[1] + 0.05 * state[3] * np.cos(state[2]))

    before = energy(state), momentum(state)
    for _ in range(500):
        state = advance(state, NO_FORCE)
    assert energy(state) == pytest.approx(before[0], abs=1e-3)
    assert momentum(state) == pytest.approx(before[1], abs=1e-4)


def test_the_error_of_a_step_is_that_of_the_fourth_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def after_a_second(steps: int) -> Array:
        monkeypatch.setattr(swing_up, "TIME_STEP", 1.0 / steps)
        state = np.array([0.0, 1.0, 2.0, -3.0])
        for _ in range(steps):
            state = advance(state, np.array(4.0))
        return state

    exact = after_a_second(2_000)
    errors = [np.abs(after_a_second(steps) - exact).max() for steps in (20, 40, 80)]
    assert errors[0] < 1e-4
    assert 12 < errors[0] / errors[1] < 20
    assert 12 < errors[1] / errors[2] < 20


@pytest.mark.parametrize("angle", [0.0, pi])
def test_a_pole_that_stands_or_hangs_still_stays_so(angle: float) -> None:
    state = np.array([0.7, 0.0, angle, 0.0])
    np.testing.assert_allclose(advance(state, NO_FORCE), state, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("angle", "grows"), [(0.0, True), (pi, False)])
def test_upright_is_unstable_and_hanging_is_not(angle: float, grows: bool) -> None:
    state = np.array([0.0, 0.0, angle + 1e-3, 0.0])
    farthest = 0.0
    for _ in range(40):
        state = advance(state, NO_FORCE)
        farthest = max(farthest, abs(float(state[2]) - angle))
    assert (farthest > 0.1) is grows
    assert farthest < 0.1 or grows


def test_the_mirror_image_of_a_motion_is_a_motion() -> None:
    drawn, forces = states(30), np.random.default_rng(1).uniform(-10, 10, 30)
    np.testing.assert_array_equal(advance(-drawn, -forces), -advance(drawn, forces))
    np.testing.assert_array_equal(judge(-drawn), judge(drawn))
    np.testing.assert_array_equal(observe(-drawn), observe(drawn) * np.array([-1, -1, 1, -1, -1], np.float32))


def test_where_on_the_track_it_is_does_not_matter_to_the_motion() -> None:
    drawn, force = states(30), np.full(30, 2.0)
    moved = advance(drawn + np.array([[5.0], [0.0], [0.0], [0.0]]), force)
    np.testing.assert_allclose(moved[0] - 5.0, advance(drawn, force)[0], rtol=0, atol=1e-14)
    np.testing.assert_array_equal(moved[1:], advance(drawn, force)[1:])


def test_a_push_to_the_right_moves_the_cart_there_and_leaves_a_standing_pole_behind() -> None:
    moved = advance(np.zeros(4), np.array(10.0))
    assert moved[0] > 0
    assert moved[1] > 0
    assert moved[2] < 0


# The task.


def test_starts_are_uniform_in_the_ranges_of_rllab() -> None:
    drawn = np.stack([start(np.random.default_rng(seed)) for seed in range(2_000)])
    middle, half = np.array([0, 0, pi, 0]), np.array([1, 2, 1, 3])
    unit = (drawn - middle) / half
    assert (np.abs(unit) <= 1).all()
    np.testing.assert_allclose(unit.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(unit.std(0), 1 / np.sqrt(3), atol=0.03)


def test_the_reward_is_the_cosine_of_the_angle_and_the_end_of_the_track_costs_a_hundred() -> None:
    state = np.array([[0.0, 2.99, 3.01, -3.01], [0.0] * 4, [0.0, pi, 0.0, pi / 3], [0.0] * 4])
    rewards, off = judge(state)
    np.testing.assert_allclose(rewards, [1, -1, -100, -100])
    assert off.tolist() == [False, False, True, True]


def test_observed_are_position_velocity_cosine_sine_and_angular_velocity() -> None:
    np.testing.assert_allclose(observe(np.array([1.0, 2.0, pi / 6, 4.0])), [1, 2, np.sqrt(0.75), 0.5, 4], rtol=1e-6)


def test_the_task_is_registered_with_a_time_limit_of_500_and_ten_newtons() -> None:
    assert (TASK.observation_size, TASK.action_low, TASK.action_high, TASK.time_limit) == (5, (-10.0,), (10.0,), 500)
    spec = gymnasium.spec(SWING_UP)
    swing_up.register()
    assert gymnasium.spec(SWING_UP) is spec


def test_it_passes_the_checker_of_gymnasium() -> None:
    environment = gymnasium.make(SWING_UP)
    first, _ = environment.reset(seed=3)
    for _ in range(5):
        observation, *_ = environment.step(environment.action_space.sample())
        assert environment.observation_space.contains(observation)
    np.testing.assert_array_equal(environment.reset(seed=3)[0], first)
    assert not np.array_equal(environment.reset()[0], first)


def test_a_force_beyond_the_bounds_is_cut_to_them() -> None:
    moved = []
    for force in (10.0, 1e9):
        environment = SwingUp()
        environment.reset(seed=0)
        moved.append(environment.step(np.array([force], np.float32))[0])
    np.testing.assert_array_equal(moved[0], moved[1])


# Rows against single environments.


def test_the_task_is_played_by_rows_and_every_other_one_by_environments() -> None:
    assert isinstance(make(TASK, 3), SwingUpEnvs)
    assert isinstance(make(describe(SWING_UP, {"max_episode_steps": 9}), 3), SwingUpEnvs)
    assert isinstance(make(describe("Pendulum-v1"), 3), GymnasiumEnvs)


def chosen(observations: NDArray[np.float32], rows: list[int], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return random actions, some beyond the bounds; rows with odd numbers also hold the cart in the middle."""
    odd = np.array(rows, np.float32)[:, None] % 2
    held: NDArray[np.float32] = -odd * (observations[:, :1] + observations[:, 1:2]) + drawn * (1.5 - 1.2 * odd)
    return held


def play(envs: MemberEnvs, rows: list[int], seed: int) -> list[tuple[NDArray[np.generic], ...]]:
    """Play an episode with each row until it ends; return all that came, step by step."""
    drawn = {row: np.random.default_rng([seed, row]) for row in rows}
    observations = envs.reset(rows, [seed + row for row in rows])
    came: list[tuple[NDArray[np.generic], ...]] = [(np.array(rows), observations)]
    while rows:
        noise = np.array([drawn[row].uniform(-1, 1, 1) for row in rows], np.float32)
        stepped = envs.step(rows, chosen(observations, rows, noise))
        came.append((np.array(rows), *stepped))
        living = np.flatnonzero(~(stepped[2] | stepped[3]))
        rows, observations = [rows[index] for index in living], stepped[0][living]
    return came


@pytest.mark.parametrize("seed", [0, 100, 200])
def test_rows_do_bit_for_bit_what_single_environments_do_over_full_episodes(seed: int) -> None:
    rows = [4, 1, 0, 7, 3, 5, 6, 2]
    ours, theirs = play(SwingUpEnvs(TASK, 8), rows, seed), play(GymnasiumEnvs(TASK, 8), rows, seed)
    assert len(ours) == len(theirs) == 501
    assert any(stepped[3].any() for stepped in ours[1:]), "an episode that leaves the track"
    for one, other in zip(ours, theirs, strict=True):
        for column, expected in zip(one, other, strict=True):
            assert column.dtype == expected.dtype
            np.testing.assert_array_equal(column, expected)


def test_a_row_does_the_same_alone_and_among_others() -> None:
    together = play(SwingUpEnvs(TASK, 33), list(range(33)), 0)
    for row in (0, 17, 32):
        for one, (rows, *columns) in zip(play(SwingUpEnvs(TASK, 33), [row], 0), together, strict=False):
            index = rows.tolist().index(row)
            for column, expected in zip(one[1:], columns, strict=True):
                np.testing.assert_array_equal(column[0], expected[index])


@pytest.mark.parametrize(("limit", "truncated"), [(3, True), (-1, False)])
def test_the_time_limit_is_that_of_the_task_and_counts_from_the_reset(limit: int, truncated: bool) -> None:
    task = describe(SWING_UP, {"max_episode_steps": limit})
    for envs in (SwingUpEnvs(task, 2), GymnasiumEnvs(task, 2)):
        envs.reset([1], [0])
        envs.step([1], np.zeros((1, 1), np.float32))
        envs.reset([1], [0])
        ends = [bool(envs.step([1], np.zeros((1, 1), np.float32))[3][0]) for _ in range(3)]
        assert ends == [False, False, truncated]


def test_only_the_rows_named_move() -> None:
    envs, action = SwingUpEnvs(TASK, 3), np.ones((1, 1), np.float32)
    envs.reset([0, 1, 2], [5, 5, 5])
    first = envs.step([1], action)[0]
    for _ in range(4):
        envs.step([1], action)
    np.testing.assert_array_equal(envs.step([0], action)[0], first)
    envs.reset([1], [5])
    np.testing.assert_array_equal(envs.step([2, 1], np.repeat(action, 2, 0))[0], np.repeat(first, 2, 0))


def test_what_was_returned_does_not_change_with_the_next_step() -> None:
    envs, action = SwingUpEnvs(TASK, 1), np.ones((1, 1), np.float32)
    first = envs.reset([0], [5])
    kept = first.copy()
    envs.step([0], action)
    np.testing.assert_array_equal(first, kept)


def test_a_row_must_be_reset_before_it_is_stepped_and_again_after_closing() -> None:
    envs, actions = SwingUpEnvs(TASK, 2), np.zeros((2, 1), np.float32)
    assert len(envs) == 2
    envs.reset([0], [1])
    with pytest.raises(RuntimeError, match="row 1 must be reset before it is stepped"):
        envs.step([0, 1], actions)
    envs.close()
    with pytest.raises(RuntimeError, match="row 0 must be reset before it is stepped"):
        envs.step([0], actions[:1])
    envs.reset([0, 1], [1, 2])
    envs.step([0, 1], actions)


def test_every_reset_needs_a_seed_for_each_row() -> None:
    with pytest.raises(ValueError, match="shorter"):
        SwingUpEnvs(TASK, 2).reset([0, 1], [5])


def test_an_action_that_is_not_a_number_is_a_fault_of_its_member_at_its_step() -> None:
    message = rf"^{SWING_UP}, member 2, step 2 of its episode: its observation must be finite, got NaN or infinity$"
    for envs in (SwingUpEnvs(TASK, 4), GymnasiumEnvs(TASK, 4)):
        envs.reset([1, 2], [0, 0])
        envs.step([1, 2], np.zeros((2, 1), np.float32))
        envs.reset([1], [0])
        with pytest.raises(EnvironmentFault, match=message):
            envs.step([1, 2], np.array([[0], [np.nan]], np.float32))
