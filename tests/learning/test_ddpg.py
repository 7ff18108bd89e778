"""Stacked DDPG against as many separate ones, written with modules, optimisers and clipping of torch."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support import same
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters

from evorl.errors import ConfigError
from evorl.interaction import Replay
from evorl.learning import DDPG, DDPGConfig
from evorl.policies import MLP, NetworkConfig
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS, ACTIONS, STORED, BATCH = 3, 2, 40, 8
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
ACTOR = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=(8, 8), activation="tanh"), output="tanh")
CONFIG = DDPGConfig(
    critic=NetworkConfig(hidden_sizes=(8, 6), activation="elu"),
    batch_size=BATCH,
    actor_learning_rate=1e-3,
    critic_learning_rate=2e-3,
    tau=0.01,
    gradient_clip=0.5,
)
JOINT = replace(CONFIG, critic_architecture="joint", critic=NetworkConfig(hidden_sizes=(8, 8), activation="leaky_relu"))

#: What each of three members has for itself.
OWN: dict[str, list[float]] = {
    "actor_learning_rate": [1e-3, 3e-3, 2e-4],
    "critic_learning_rate": [3e-3, 1e-3, 4e-4],
    "discount": [0.99, 0.0, 0.5],
    "tau": [0.005, 0.2, 1.0],
}


def experience(n: int) -> Transitions:
    """Return STORED transitions of each of n members, a third of them terminal, with large rewards."""
    generator = torch.Generator().manual_seed(5)
    m = n * STORED
    return Transitions(
        torch.randn(m, OBSERVATIONS, generator=generator),
        torch.rand(m, ACTIONS, generator=generator) * 2 - 1,
        torch.randn(m, generator=generator),
        torch.randn(m, OBSERVATIONS, generator=generator),
        (torch.rand(m, generator=generator) < 1 / 3).float(),
        torch.arange(n).repeat_interleave(STORED),
    )


def replay_of(n: int) -> Replay:
    replay = Replay(n, STORED, OBSERVATIONS, ACTIONS)
    replay.add(experience(n))
    return replay


def members_of(ddpg: DDPG, n: int, **traits: Tensor) -> Population:
    streams = Streams(1)
    fresh = Population.fresh(ACTOR.init(streams.rows("initialise", range(n))), Identities(), "initial")
    return fresh.with_traits(**ddpg.init(fresh.params, streams), **traits)


class PlainNorm(nn.Module):
    """ERL's layer norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, hidden: Tensor) -> Tensor:
        spread = hidden.std(-1, keepdim=True, unbiased=True) + 1e-6
        return self.gain * (hidden - hidden.mean(-1, keepdim=True)) / spread + self.shift


class Branched(nn.Module):
    """ERL's critic."""

    def __init__(self, branch: int, joined: int) -> None:
        super().__init__()
        self.observation, self.action = nn.Linear(OBSERVATIONS, branch), nn.Linear(ACTIONS, branch)
        self.rest = nn.Sequential(
            nn.ELU(), nn.Linear(2 * branch, joined), PlainNorm(joined), nn.ELU(), nn.Linear(joined, 1)
        )

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        values: Tensor = self.rest(torch.cat([self.observation(observations), self.action(actions)], 1))
        return values.squeeze(1)


class Joint(nn.Module):
    """CEM-RL's critic of DDPG."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        layers = [nn.Linear(OBSERVATIONS + ACTIONS, first), nn.LeakyReLU(), nn.Linear(first, second), nn.LeakyReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(second, 1))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        values: Tensor = self.layers(torch.cat([observations, actions], 1))
        return values.squeeze(1)


class PlainDDPG:
    """One member: modules, optimisers, and minibatches drawn with plain NumPy, without replacement."""

    def __init__(self, members: Population, row: int, config: DDPGConfig, h: dict[str, float]) -> None:
        self.config, self.h = config, h
        self.data = [getattr(experience(len(members)), name)[row * STORED : (row + 1) * STORED] for name in COLUMNS]
        layers = [nn.Linear(OBSERVATIONS, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, ACTIONS), nn.Tanh()]
        self.actor = nn.Sequential(*layers)
        kind = Branched if config.critic_architecture == "branched" else Joint
        self.critic: nn.Module = kind(*config.critic.hidden_sizes)
        vector_to_parameters(members.params[row].clone(), self.actor.parameters())
        vector_to_parameters(members.traits["critic"][row].clone(), self.critic.parameters())
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=h["actor_learning_rate"])
        self.critic_adam = torch.optim.Adam(self.critic.parameters(), lr=h["critic_learning_rate"])
        self.minibatch = Streams(2).generator("minibatch", row)
        self.norms: list[float] = []
        self.losses: dict[str, list[float]] = {"critic": [], "actor": []}

    def update(self) -> None:
        chosen = self.minibatch.choice(STORED, size=BATCH, replace=False, shuffle=False)
        states, actions, rewards, following, terminated = (column[torch.from_numpy(chosen)] for column in self.data)
        with torch.no_grad():
            later = self.target_critic(following, self.target_actor(following))
            targets = rewards + self.h["discount"] * (1 - terminated) * later
        loss = nn.functional.mse_loss(self.critic(states, actions), targets)
        self.critic_adam.zero_grad()
        torch.autograd.backward(loss)
        if self.config.gradient_clip is not None:
            self.norms.append(float(clip_grad_norm_(self.critic.parameters(), self.config.gradient_clip)))
        self.critic_adam.step()
        self.losses["critic"].append(loss.item())
        loss = -self.critic(states, self.actor(states)).mean()
        self.actor_adam.zero_grad()
        torch.autograd.backward(loss)
        if self.config.clip_actor_gradient and self.config.gradient_clip is not None:
            clip_grad_norm_(self.actor.parameters(), self.config.gradient_clip)
        self.actor_adam.step()
        self.losses["actor"].append(loss.item())
        for network, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            for param, slow in zip(network.parameters(), target.parameters(), strict=True):
                slow.data.copy_(self.h["tau"] * param.data + (1 - self.h["tau"]) * slow.data)

    def tensors(self) -> dict[str, Tensor]:
        names = ("actor", "critic", "target_actor", "target_critic")
        return {name: parameters_to_vector(getattr(self, name).parameters()).detach() for name in names}


COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminated")


def assert_equal_to_separate_ones(
    config: DDPGConfig, members: Population, h: list[dict[str, float]], updates: int
) -> list[PlainDDPG]:
    ddpg = DDPG(TASK, ACTOR, config)
    alone = [PlainDDPG(members, row, config, h[row]) for row in range(len(members))]
    stacked = members.clone()
    losses = ddpg.update_(stacked, replay_of(len(members)), updates, Streams(2))
    for row, plain in enumerate(alone):
        for _ in range(updates):
            plain.update()
        for loss, part in zip(losses, ("critic", "actor"), strict=True):
            assert loss[row].item() == pytest.approx(np.mean(plain.losses[part]), rel=1e-4, abs=1e-6)
        ours = {"actor": stacked.params, **stacked.traits}
        for name, expected in plain.tensors().items():
            np.testing.assert_allclose(ours[name][row], expected, rtol=0, atol=5e-6, err_msg=f"{name} of member {row}")
        assert stacked.traits["updates"][row] == updates
    assert ((stacked.params - members.params).abs().amax(1) > 1e-4).all(), "the comparison must be about something"
    return alone


def settings_of(config: DDPGConfig, n: int) -> list[dict[str, float]]:
    return [{name: getattr(config, name) for name in OWN} for _ in range(n)]


@pytest.mark.parametrize("config", [CONFIG, JOINT], ids=["branched", "joint"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_members_update_as_separate_learners(config: DDPGConfig, clip: float | None) -> None:
    config = replace(config, gradient_clip=clip)
    members = members_of(DDPG(TASK, ACTOR, config), 3)
    alone = assert_equal_to_separate_ones(config, members, settings_of(config, 3), 8)
    if clip:
        norms = [norm for plain in alone for norm in plain.norms]
        assert min(norms) < clip < max(norms), "some gradients are clipped and some are not"


def test_members_with_hyperparameters_of_their_own_update_as_separate_learners() -> None:
    traits = {f"h.{name}": torch.tensor(values) for name, values in OWN.items()}
    members = members_of(DDPG(TASK, ACTOR, CONFIG), 3, **traits)
    assert_equal_to_separate_ones(CONFIG, members, [{k: v[row] for k, v in OWN.items()} for row in range(3)], 8)


def clipped_actor_gradient(clip_actor: bool, clip: float) -> float:
    """Return the norm of the first gradient that the actor's Adam saw: ten times its first moment."""
    config = replace(CONFIG, gradient_clip=clip, clip_actor_gradient=clip_actor)
    ddpg = DDPG(TASK, ACTOR, config)
    members = members_of(ddpg, 1).clone()
    ddpg.update_(members, replay_of(1), 1, Streams(2))
    return 10 * float(members.traits["actor_adam.mean"].norm())


def test_the_actors_gradient_is_clipped_only_if_asked() -> None:
    free = clipped_actor_gradient(clip_actor=False, clip=1e-4)
    assert free > 2e-4
    assert clipped_actor_gradient(clip_actor=True, clip=1e-4) == pytest.approx(1e-4, rel=1e-2)
    config = replace(CONFIG, clip_actor_gradient=True, gradient_clip=1e-3)
    members = members_of(DDPG(TASK, ACTOR, config), 2)
    assert_equal_to_separate_ones(config, members, settings_of(config, 2), 5)


def test_minibatches_are_drawn_without_replacement() -> None:
    """A minibatch as large as the replay holds every transition once: its loss is that of the whole replay."""
    config = replace(CONFIG, batch_size=STORED)
    ddpg = DDPG(TASK, ACTOR, config)
    members = members_of(ddpg, 1)
    whole = Transitions(*(getattr(experience(1), name)[None] for name in COLUMNS))
    critic = {name: tensor.clone() for name, tensor in members.traits.items()}
    expected = ddpg.critic_step(critic, members.traits["target_actor"], whole, None, ddpg.hyperparameters({}))
    for seed in range(3):
        loss, _ = ddpg.update_(members.clone(), replay_of(1), 1, Streams(seed))
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_updates_of_a_clone_leave_what_was_handed_in() -> None:
    ddpg, replay = DDPG(TASK, ACTOR, CONFIG), replay_of(2)
    members = members_of(ddpg, 2)
    kept, stored = copy.deepcopy(members.state_dict()), replay.state_dict()
    clone = members.clone()
    ddpg.update_(clone, replay, 3, Streams(2))
    assert same(members.state_dict(), kept)
    assert same(replay.state_dict(), stored)
    for name in ("critic", "target_critic", "target_actor", "actor_adam.mean", "critic_adam.square", "updates"):
        assert not torch.equal(clone.traits[name], members.traits[name]), name


def test_the_defaults_are_those_of_the_authors_code() -> None:
    config = DDPGConfig()
    assert (config.batch_size, config.discount, config.tau, config.gradient_clip) == (128, 0.99, 1e-3, 10.0)
    assert (config.actor_learning_rate, config.critic_learning_rate, config.policy_delay) == (5e-5, 5e-4, 1)
    assert not config.clip_actor_gradient
    actor = MLP(17, 6, NetworkConfig(hidden_sizes=(128, 128), activation="tanh", layer_norm="unbiased"), output="tanh")
    assert actor.size == 20_102, "HalfCheetah's"
    assert DDPG(Task("none", 17, (-1.0,) * 6, (1.0,) * 6, None), actor, config).critic.size == 126_201


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gradient_clip": 0.0}, "gradient_clip must be above 0, got 0.0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"tau": 1.5}, "tau must be between 0 and 1, got 1.5"),
        (
            {"critic": NetworkConfig(hidden_sizes=(8, 8, 8))},
            "critic.hidden_sizes must be two widths if branched, got (8, 8, 8)",
        ),
        (
            {"critic_architecture": "joined"},
            "critic_architecture must be one of branched, joint, got 'joined'; did you mean 'joint'?",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        DDPGConfig(**settings)
    assert str(raised.value) == message


def test_a_joint_critic_may_have_any_number_of_layers() -> None:
    config = DDPGConfig(critic_architecture="joint", critic=NetworkConfig(hidden_sizes=(8,)))
    assert DDPG(TASK, ACTOR, config).critic.size == 8 * (OBSERVATIONS + ACTIONS) + 8 + 8 + 1
