"""TD3's updates against 20 updates of the authors' code (golden/td3.npz)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evorl.learning import TD3, TD3Config, adam_state
from evorl.policies import MLP, NetworkConfig
from evorl.population import Transitions
from evorl.task import Task

TRACE = np.load(Path(__file__).parent / "golden" / "td3.npz", allow_pickle=False)
UPDATES = len(TRACE["critic_losses"])
NETWORK = NetworkConfig(hidden_sizes=(16, 16))


def learner() -> TD3:
    config = TD3Config(
        critic=NETWORK,
        batch_size=8,
        actor_learning_rate=float(TRACE["learning_rate"]),
        critic_learning_rate=float(TRACE["learning_rate"]),
        discount=float(TRACE["discount"]),
        tau=float(TRACE["tau"]),
        target_noise=float(TRACE["target_noise"]),
        target_noise_clip=float(TRACE["target_noise_clip"]),
        policy_delay=int(TRACE["policy_delay"]),
    )
    return TD3(Task("none", 5, (-1.0, -1.0), (1.0, 1.0), None), MLP(5, 2, NETWORK, output="tanh"), config)


def rows(name: str, k: int = 0) -> torch.Tensor:
    return torch.from_numpy(TRACE[name][k])[None].clone()


def minibatch(update: int) -> Transitions:
    names = ("observations", "actions", "rewards", "next_observations", "dones")
    return Transitions(*(torch.tensor(TRACE[f"replay_{n}"][TRACE["indices"][update]]).float()[None] for n in names))


def test_twenty_updates_are_reproduced() -> None:
    td3 = learner()
    actor = rows("actor")
    state = {name: rows(name) for name in ("critic", "target_critic", "target_actor")}
    state |= adam_state("actor", actor) | adam_state("critic", state["critic"])
    h = td3.hyperparameters(state)
    for k in range(UPDATES):
        noise = torch.from_numpy(TRACE["standard_normals"][k])[None]
        loss = td3.critic_step(state, state["target_actor"], minibatch(k), noise, h)
        assert loss.item() == pytest.approx(TRACE["critic_losses"][k], abs=2e-5)
        if (k + 1) % td3.config.policy_delay == 0:
            loss = td3.actor_step(actor, state, minibatch(k), h)
            assert loss.item() == pytest.approx(TRACE["actor_losses"][k], abs=2e-5)
            td3.target_step(actor, state, h)
        for name, ours in {"actor": actor, **state}.items():
            if name in ("actor", "target_actor", "critic", "target_critic"):
                np.testing.assert_allclose(ours, rows(name, k + 1), rtol=0, atol=1e-6, err_msg=f"{name}, update {k}")
    for name, ours in (("actor", actor), ("critic", state["critic"])):
        moved = ours - rows(name)
        np.testing.assert_allclose(moved, rows(name, UPDATES) - rows(name), rtol=0, atol=1e-6)
        assert moved.abs().max() > 2.5e-3
