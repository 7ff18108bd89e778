"""Many updates: on written-out derivatives against autograd of single operations, in bfloat16 against float32."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from plain_networks import PlainBranched, PlainMLP
from torch import Tensor

from evorl.errors import ConfigError
from evorl.interaction import Replay
from evorl.learning import DDPG, SAC, TD3, ActorCritic, DDPGConfig, SACConfig, TD3Config
from evorl.policies import MLP, BranchedCritic, Ensemble, NetworkConfig
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

N, STORED, OBSERVATIONS, ACTIONS = 2, 40, 3, 2
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
NETWORK = NetworkConfig(hidden_sizes=(8, 8), layer_norm="torch")
OWN = {"h.tau": torch.tensor([0.005, 0.1]), "h.actor_learning_rate": torch.tensor([1e-3, 3e-4])}


def td3() -> tuple[ActorCritic, ActorCritic, dict[str, Tensor]]:
    actor, config = MLP(OBSERVATIONS, ACTIONS, NETWORK, "tanh"), TD3Config(critic=NETWORK, batch_size=8)
    plain = TD3(TASK, PlainMLP(actor, "tanh"), config)
    plain.critic = Ensemble(PlainMLP(MLP(OBSERVATIONS + ACTIONS, 1, NETWORK)), 2)
    return TD3(TASK, actor, config), plain, {**OWN, "updates": torch.tensor([0, 1])}  # due by turns


def sac() -> tuple[ActorCritic, ActorCritic, dict[str, Tensor]]:
    actor, config = MLP(OBSERVATIONS, 2 * ACTIONS, NETWORK), SACConfig(critic=NETWORK, batch_size=8)
    plain = SAC(TASK, PlainMLP(actor), config)
    plain.critic = Ensemble(PlainMLP(MLP(OBSERVATIONS + ACTIONS, 1, NETWORK)), 2)
    return SAC(TASK, actor, config), plain, OWN


def ddpg() -> tuple[ActorCritic, ActorCritic, dict[str, Tensor]]:
    network = NetworkConfig(hidden_sizes=(8, 8), activation="tanh", layer_norm="unbiased")
    config = DDPGConfig(critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=8, critic_learning_rate=1e-3)
    actor = MLP(OBSERVATIONS, ACTIONS, network, "tanh")
    plain = DDPG(TASK, PlainMLP(actor, "tanh"), config)
    plain.critic = Ensemble(PlainBranched(BranchedCritic(OBSERVATIONS, ACTIONS, (8, 8)), OBSERVATIONS), 1)
    return DDPG(TASK, actor, config), plain, {}


def replay() -> Replay:
    generator, m = torch.Generator().manual_seed(5), N * STORED
    filled = Replay(N, STORED, OBSERVATIONS, ACTIONS)
    filled.add(
        Transitions(
            torch.randn(m, OBSERVATIONS, generator=generator),
            torch.rand(m, ACTIONS, generator=generator) * 2 - 1,
            torch.randn(m, generator=generator),
            torch.randn(m, OBSERVATIONS, generator=generator),
            (torch.rand(m, generator=generator) < 1 / 3).float(),
            torch.arange(N).repeat_interleave(STORED),
        )
    )
    return filled


@pytest.mark.slow
@pytest.mark.parametrize("made", [td3, ddpg, sac])
def test_a_thousand_updates_are_those_of_single_operations(made: Any) -> None:
    ours, plain, traits = made()
    streams = Streams(1)
    fresh = Population.fresh(ours.actor.init(streams.rows("initialise", range(N))), Identities(), "initial")
    first = fresh.with_traits(**ours.init(fresh.params, streams)).with_traits(**traits)
    after = []
    for learner in (ours, plain):
        members = first.clone()
        losses = learner.update_(members, replay(), 1_000, Streams(2))
        after.append({"params": members.params, **members.traits, "critic loss": losses[0], "actor loss": losses[1]})
    assert after[0].keys() == after[1].keys()
    for name, expected in after[1].items():
        torch.testing.assert_close(after[0][name], expected, rtol=1e-5, atol=1e-5)
    assert ((after[0]["params"] - first.params).abs().amax(1) > 1e-2).all(), "the comparison must be about something"


@pytest.mark.parametrize(
    ("kind", "outputs", "config"),
    [
        (TD3, ACTIONS, TD3Config(critic=NETWORK, batch_size=16)),
        (DDPG, ACTIONS, DDPGConfig(critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=16)),
        (SAC, 2 * ACTIONS, SACConfig(critic=NETWORK, batch_size=16)),
    ],
)
def test_updates_in_bfloat16_go_where_those_in_float32_go(kind: Any, outputs: int, config: Any) -> None:
    """How far the two end from each other is a small share of how far they went, and all that is kept is float32."""
    actor = MLP(OBSERVATIONS, outputs, NETWORK, "identity" if kind is SAC else "tanh")
    after: list[dict[str, Tensor]] = []
    for precision in ("fp32", "bf16"):
        learner, streams = kind(TASK, actor, replace(config, precision=precision)), Streams(1)
        fresh = Population.fresh(actor.init(streams.rows("initialise", range(N))), Identities(), "initial")
        members = fresh.with_traits(**learner.init(fresh.params, streams)).clone()
        first = {"params": members.params.clone(), "critic": members.traits["critic"].clone()}
        learner.update_(members, replay(), 300, Streams(2))
        after.append({"params": members.params, **members.traits})
    single, low = after
    assert {name: tensor.dtype for name, tensor in low.items()} == {name: t.dtype for name, t in single.items()}
    for name, begun in first.items():
        apart, went = (single[name] - low[name]).norm(), (single[name] - begun).norm()
        assert 0 < apart < 0.1 * went


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of fp32, bf16, got 'bf61'; did you mean 'bf16'"):
        TD3Config(precision="bf61")  # type: ignore[arg-type]
