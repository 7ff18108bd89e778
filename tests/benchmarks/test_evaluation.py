"""The plain loop and the bare physics play the episodes that the stacked members play."""

import numpy as np
import torch

from benchmarks.evaluation import BarePhysics, PlainLoop, measure, plain_actors, stacked_members
from evorl.envs import describe
from evorl.policies import NetworkConfig

NETWORK = NetworkConfig(hidden_sizes=(8,))
STEPS, N = 12, 3


def test_the_plain_loop_plays_the_same_episodes() -> None:
    task = describe("HalfCheetah-v5", {"max_episode_steps": STEPS})
    episodes, members = stacked_members(task, N, NETWORK)
    kept: list[tuple[object, ...]] = []
    returns = PlainLoop(task, plain_actors(task, members, NETWORK)).play(range(N), kept)
    played = episodes.play(members, range(N), "test", keep=True)
    episodes.envs.close()
    np.testing.assert_allclose(returns, played.returns, rtol=1e-3, atol=1e-4)
    assert played.transitions is not None
    assert len(kept) == N * STEPS
    first = torch.from_numpy(np.stack([np.asarray(kept[member * STEPS][1]) for member in range(N)]))
    torch.testing.assert_close(played.transitions.actions[::STEPS], first, rtol=1e-5, atol=1e-6)


def test_the_bare_physics_comes_to_the_same_states() -> None:
    task = describe("HalfCheetah-v5", {"max_episode_steps": STEPS})
    episodes, members = stacked_members(task, N, NETWORK)
    played = episodes.play(members, range(N), "test", keep=True).transitions
    episodes.envs.close()
    assert played is not None
    physics = BarePhysics(task, task.scale(played.actions.numpy()).reshape(N, STEPS, -1), range(N))
    physics.play()
    last = played.next_observations[STEPS - 1 :: STEPS].numpy()
    np.testing.assert_allclose(np.asarray(physics.positions)[:, 1:], last[:, :8], atol=1e-5)
    np.testing.assert_allclose(np.asarray(physics.velocities), last[:, 8:], atol=1e-4)


def test_the_question_is_answered_at_small_sizes() -> None:
    result = measure(N, STEPS, repeats=1, hidden=(8,))
    assert result.rows[0][0] == "this library"
    assert len(result.rows) == 3
    assert all(goal.measured > 0 for goal in result.goals)
