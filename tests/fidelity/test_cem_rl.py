"""CEM-RL's gradient part against one generation of the authors' code (golden/cem_rl.npz)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from evorl.interaction import Replay
from evorl.learning import TD3, SharedCritic, TD3Config, adam_state
from evorl.policies import MLP, NetworkConfig
from evorl.population import Transitions
from evorl.streams import RowStreams, Streams
from evorl.task import Task

TRACE = np.load(Path(__file__).parent / "golden" / "cem_rl.npz", allow_pickle=False)
MEMBERS, STEPS = int(TRACE["gradient_members"]), int(TRACE["steps"])
NAMES = ("observations", "actions", "rewards", "next_observations", "dones")


class Recorded(RowStreams):
    """Row streams that give the trace's draws of one kind, each row its own, in turn."""

    def __init__(self, queues: Sequence[list[np.ndarray]]) -> None:
        super().__init__([])
        self.queues = queues

    def __len__(self) -> int:
        return len(self.queues)

    def integers(self, highs: Sequence[int], *shape: int) -> Tensor:
        return torch.from_numpy(np.stack([queue.pop(0) for queue in self.queues]))

    def normal(self, *shape: int) -> Tensor:
        unscaled = np.stack([queue.pop(0) for queue in self.queues]) / float(TRACE["target_noise"])
        return torch.from_numpy(unscaled.astype(np.float32))


class RecordedStreams(Streams):
    """Streams whose minibatches and target noise are the trace's."""

    def __init__(self) -> None:
        super().__init__(0)
        names = {
            "critic_minibatch": "critic_indices",
            "target_noise": "critic_noise",
            "actor_minibatch": "actor_indices",
        }
        self.queues = {ours: [list(rows) for rows in TRACE[theirs]] for ours, theirs in names.items()}

    def rows(self, name: str, rows: Sequence[int]) -> RowStreams:
        return Recorded([self.queues[name][row] for row in rows])


def learner() -> TD3:
    hidden = (16, 12)
    config = TD3Config(
        critic=NetworkConfig(hidden_sizes=hidden, activation="leaky_relu"),
        batch_size=int(TRACE["batch_size"]),
        actor_learning_rate=float(TRACE["learning_rates"][0]),
        critic_learning_rate=float(TRACE["learning_rates"][1]),
        discount=float(TRACE["discount"]),
        tau=float(TRACE["tau"]),
        target_noise=float(TRACE["target_noise"]),
        target_noise_clip=float(TRACE["target_noise_clip"]),
    )
    actor = MLP(5, 2, NetworkConfig(hidden_sizes=hidden, activation="tanh"), output="tanh")
    return TD3(Task("none", 5, (-1.0, -1.0), (1.0, 1.0), None), actor, config)


def replay() -> Replay:
    filled = Replay(1, 64, 5, 2)
    filled.add(Transitions(*(torch.from_numpy(TRACE[f"replay_{name}"]) for name in NAMES)))
    return filled


def actors() -> Tensor:
    return torch.from_numpy(TRACE["population_before"][:MEMBERS]).float()


def critic() -> dict[str, Tensor]:
    row = torch.from_numpy(TRACE["critic_before"])[None]
    return {
        "critic": row,
        "target_critic": torch.from_numpy(TRACE["target_critic_before"])[None],
        **adam_state("critic", row),
    }


def test_the_gradient_part_of_a_generation_is_reproduced() -> None:
    before, members = critic(), actors()
    trained, after, losses = SharedCritic(learner(), replay(), RecordedStreams()).train(members, before, STEPS)
    np.testing.assert_allclose(trained, TRACE["population_after"][:MEMBERS], rtol=0, atol=1e-6)
    np.testing.assert_allclose(after["critic"][0], TRACE["critic_after"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(after["target_critic"][0], TRACE["target_critic_after_phase"][-1], rtol=0, atol=1e-6)
    assert losses["loss.critic"].item() == pytest.approx(TRACE["critic_losses"].mean(), abs=1e-5)
    assert losses["loss.actor"].item() == pytest.approx(TRACE["actor_losses"].mean(), abs=1e-5)
    assert (trained - members).abs().max() > 5e-3
    assert torch.equal(before["critic"], critic()["critic"]), "what was handed in must not change"
    assert torch.equal(members, actors())
    assert after["critic_adam.step"].item() == MEMBERS * (STEPS // MEMBERS)


def test_training_all_actors_against_snapshots_equals_the_alternating_loop() -> None:
    """The authors' order, member by member, written out with the same minibatches."""
    td3, memory, streams = learner(), replay(), RecordedStreams()
    state, members = critic(), actors()
    state = {name: tensor.clone() for name, tensor in state.items()}
    h = td3.hyperparameters(state)
    for row in range(MEMBERS):
        target_actor = members[row : row + 1].clone()
        for _ in range(STEPS // MEMBERS):
            batch = memory.sample(streams.rows("critic_minibatch", [row]), td3.config.batch_size)
            td3.critic_step(state, target_actor, batch, td3.noise(streams.rows("target_noise", [row]), batch), h)
            td3.critic_target_step(state, h)
        np.testing.assert_allclose(state["critic"][0], TRACE["critic_after_phase"][row], rtol=0, atol=1e-6)
        actor, moments = members[row : row + 1], adam_state("actor", members[row : row + 1])
        for _ in range(STEPS):
            batch = memory.sample(streams.rows("actor_minibatch", [row]), td3.config.batch_size)
            td3.actor_step(actor, state, batch, h, moments)
    factored, after, _ = SharedCritic(learner(), replay(), RecordedStreams()).train(actors(), critic(), STEPS)
    np.testing.assert_allclose(factored, members, rtol=0, atol=1e-7)
    np.testing.assert_allclose(after["critic"], state["critic"], rtol=0, atol=1e-7)


def test_a_joint_critic_learns_from_the_mean_over_actors() -> None:
    """One joint step equals plain torch on the concatenated minibatch."""
    td3 = learner()
    batch = replay().take(torch.from_numpy(TRACE["critic_indices"][:, 0]))
    noise = torch.from_numpy(TRACE["critic_noise"][:, 0] / float(TRACE["target_noise"])).float()
    state = critic()
    joint = {name: tensor.clone() for name, tensor in state.items()}
    td3.critic_step(joint, actors(), batch, noise, td3.hyperparameters(joint))
    with torch.no_grad():
        parts = [
            td3.targets(state, actors()[i : i + 1], _row(batch, i), noise[i : i + 1], td3.hyperparameters(state))
            for i in range(MEMBERS)
        ]
    params = torch.nn.Parameter(state["critic"].clone())
    inputs = torch.cat([batch.observations, batch.actions], -1).flatten(0, 1)[None]
    values = td3.critic(params, inputs)[..., 0]
    loss = torch.nn.functional.mse_loss(values, torch.cat(parts, 1)[:, None].expand_as(values)) * 2
    optimiser = torch.optim.Adam([params], lr=td3.config.critic_learning_rate)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    np.testing.assert_allclose(joint["critic"], params.detach(), rtol=0, atol=1e-7)


def _row(batch: Transitions, row: int) -> Transitions:
    pieces = (batch.observations, batch.actions, batch.rewards, batch.next_observations, batch.terminated)
    return Transitions(*(piece[row : row + 1] for piece in pieces))
