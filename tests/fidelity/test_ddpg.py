"""ERL's DDPG against 20 updates of the authors' 2018 code (golden/ddpg.npz)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evorl.learning import DDPG, DDPGConfig, adam_state
from evorl.policies import MLP, NetworkConfig
from evorl.population import Transitions
from evorl.task import Task

TRACE = np.load(Path(__file__).parent / "golden" / "ddpg.npz", allow_pickle=False)
UPDATES = len(TRACE["critic_losses"])


def learner(clip: float) -> DDPG:
    config = DDPGConfig(
        critic=NetworkConfig(hidden_sizes=(20, 12)),
        batch_size=8,
        actor_learning_rate=float(TRACE["actor_learning_rate"]),
        critic_learning_rate=float(TRACE["critic_learning_rate"]),
        discount=float(TRACE["discount"]),
        tau=float(TRACE["tau"]),
        gradient_clip=clip,
    )
    network = NetworkConfig(hidden_sizes=(16, 16), activation="tanh", layer_norm="unbiased")
    return DDPG(Task("none", 5, (-1.0, -1.0), (1.0, 1.0), None), MLP(5, 2, network, output="tanh"), config)


def rows(name: str, k: int = 0) -> torch.Tensor:
    return torch.from_numpy(TRACE[name][k])[None].clone()


def minibatch(update: int) -> Transitions:
    names = ("observations", "actions", "rewards", "next_observations", "dones")
    return Transitions(*(torch.tensor(TRACE[f"replay_{n}"][TRACE["indices"][update]]).float()[None] for n in names))


def test_the_rows_have_the_lengths_of_the_authors_networks() -> None:
    ddpg = learner(10.0)
    for network, name in ((ddpg.actor, "actor"), (ddpg.critic.network, "critic")):
        shapes = [tuple(int(n) for n in shape if n) for shape in TRACE[f"{name}_shapes"]]
        assert [block.shape for block in network.layout] == shapes


def test_twenty_updates_are_reproduced() -> None:
    ddpg = learner(float(TRACE["gradient_clip"]))
    actor = rows("actor")
    state = {name: rows(name) for name in ("critic", "target_critic", "target_actor")}
    state |= adam_state("actor", actor) | adam_state("critic", state["critic"])
    h = ddpg.hyperparameters(state)
    for k in range(UPDATES):
        loss = ddpg.critic_step(state, state["target_actor"], minibatch(k), None, h)
        assert loss.item() == pytest.approx(TRACE["critic_losses"][k], rel=1e-5)
        loss = ddpg.actor_step(actor, state, minibatch(k), h)
        assert loss.item() == pytest.approx(TRACE["actor_losses"][k], rel=1e-5)
        ddpg.target_step(actor, state, h)
        for name, ours in (("actor", actor), *((n, state[n]) for n in ("critic", "target_critic", "target_actor"))):
            np.testing.assert_allclose(ours, rows(name, k + 1), rtol=0, atol=3e-6, err_msg=f"{name}, update {k}")
    for name, ours, least in (("actor", actor, 9e-4), ("critic", state["critic"], 7e-3)):
        moved = ours - rows(name)
        np.testing.assert_allclose(moved, rows(name, UPDATES) - rows(name), rtol=0, atol=3e-6)
        assert moved.abs().max() > least


def test_the_critics_gradient_is_clipped_where_the_trace_says_so() -> None:
    """The first Adam moment after one step is a tenth of the clipped gradient."""
    norms = TRACE["critic_gradient_norms"]
    assert (norms > 10).sum() == 11
    ddpg = learner(10.0)
    for k in range(UPDATES):
        state = {name: rows(name, k) for name in ("critic", "target_critic", "target_actor")}
        state |= adam_state("critic", state["critic"])
        ddpg.critic_step(state, state["target_actor"], minibatch(k), None, ddpg.hyperparameters(state))
        assert 10 * state["critic_adam.mean"].norm().item() == pytest.approx(min(norms[k], 10.0), rel=1e-4)


def test_the_actors_gradient_is_clipped_only_when_asked() -> None:
    assert learner(10.0).actor_clip == float("inf")
    network = NetworkConfig(hidden_sizes=(16, 16), activation="tanh", layer_norm="unbiased")
    config = DDPGConfig(critic=NetworkConfig(hidden_sizes=(20, 12)), clip_actor_gradient=True, gradient_clip=1e-3)
    task = Task("none", 5, (-1.0, -1.0), (1.0, 1.0), None)
    ddpg = DDPG(task, MLP(5, 2, network, output="tanh"), config)
    actor = rows("actor")
    state = {"critic": rows("critic"), **adam_state("actor", actor)}
    ddpg.actor_step(actor, state, minibatch(0), ddpg.hyperparameters(state))
    assert 10 * state["actor_adam.mean"].norm().item() == pytest.approx(1e-3, rel=1e-3)
