"""Stacked SAC against as many separate ones, written with modules, optimisers and distributions of torch."""

import copy
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from support import same
from torch import Tensor, nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evorl.budget import Ledger
from evorl.envs import describe, make
from evorl.envs.analytic import QUADRATIC, Quadratic
from evorl.errors import ConfigError
from evorl.interaction import Collector, Replay
from evorl.learning import ActingConfig, OffPolicy
from evorl.learning.sac import SAC, SACConfig
from evorl.learning.traits import State
from evorl.policies import MLP, NetworkConfig
from evorl.policies.squashed import SquashedGaussianPolicy
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS, ACTIONS, STORED, BATCH = 3, 2, 50, 12
NETWORK = NetworkConfig(hidden_sizes=(16, 8))
CONFIG = SACConfig(
    critic=NETWORK,
    batch_size=BATCH,
    actor_learning_rate=1e-3,
    critic_learning_rate=2e-3,
    temperature_learning_rate=3e-3,
)
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
ACTOR = MLP(OBSERVATIONS, 2 * ACTIONS, NETWORK)

#: What each of three members has for itself.
OWN: dict[str, list[float]] = {
    "actor_learning_rate": [1e-3, 3e-3, 2e-4],
    "critic_learning_rate": [3e-3, 1e-3, 4e-4],
    "temperature_learning_rate": [1e-3, 1e-2, 3e-2],
    "target_entropy_scale": [1.0, -0.4, 3.0],
    "discount": [0.99, 0.0, 0.5],
    "tau": [0.005, 0.2, 1.0],
}


def experience(n: int) -> Transitions:
    """Return STORED transitions of each of n members, a third of them terminal."""
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


def members_of(sac: SAC, n: int, **traits: Tensor) -> Population:
    streams = Streams(1)
    fresh = Population.fresh(ACTOR.init(streams.rows("initialise", range(n))), Identities(), "initial")
    return fresh.with_traits(**sac.init(fresh.params, streams), **traits)


def own_hyperparameters() -> dict[str, Tensor]:
    return {f"h.{name}": torch.tensor(values) for name, values in OWN.items()}


def settings_of(config: SACConfig, n: int) -> list[dict[str, float]]:
    return [{name: getattr(config, name) for name in OWN} for _ in range(n)]


def sequential(*sizes: int) -> nn.Sequential:
    first, second, third, last = sizes
    hidden = [nn.Linear(first, second), nn.ReLU(), nn.Linear(second, third), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(third, last))


class PlainSAC:
    """One member, in the order of Stable-Baselines3: the policy is sampled and the temperature steps first, but the
    losses of critics and actor use the temperature as it was. Minibatches and normals are drawn with plain NumPy.
    """

    def __init__(self, members: Population, row: int, config: SACConfig, h: dict[str, float]) -> None:
        self.config, self.h = config, h
        mine = slice(row * STORED, (row + 1) * STORED)
        self.data = [column[mine] for name, column in vars(experience(len(members))).items() if name != "members"]
        self.actor = sequential(OBSERVATIONS, 16, 8, 2 * ACTIONS)
        self.critics = nn.ModuleList([sequential(OBSERVATIONS + ACTIONS, 16, 8, 1) for _ in range(2)])
        vector_to_parameters(members.params[row].clone(), self.actor.parameters())
        vector_to_parameters(members.traits["critic"][row].clone(), self.critics.parameters())
        self.target_critics = copy.deepcopy(self.critics)
        self.log_temperature = torch.tensor(log(config.temperature), requires_grad=True)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=h["actor_learning_rate"])
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=h["critic_learning_rate"])
        self.temperature_adam = torch.optim.Adam([self.log_temperature], lr=h["temperature_learning_rate"])
        self.updates = int(members.traits["updates"][row])
        names = ("minibatch", "target_noise", "actor_noise")
        self.minibatch, self.next_noise, self.noise = (Streams(2).generator(name, row) for name in names)
        self.losses: dict[str, list[float]] = {"critic": [], "actor": []}

    def act(self, states: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        mean, log_std = self.actor(states).split(ACTIONS, dim=1)
        normals = torch.from_numpy(generator.standard_normal((BATCH, ACTIONS), dtype=np.float32))
        std = log_std.clamp(-20, 2).exp()
        squashed = TransformedDistribution(Normal(mean, std), [TanhTransform(cache_size=1)])
        actions = squashed.transforms[0](mean + std * normals)
        return actions, squashed.log_prob(actions).sum(1)  # type: ignore[no-untyped-call]

    def values(self, critics: nn.ModuleList, states: Tensor, actions: Tensor) -> list[Tensor]:
        return [critic(torch.cat([states, actions], 1)).squeeze(1) for critic in critics]

    def update(self) -> None:
        chosen = torch.from_numpy(self.minibatch.integers(STORED, size=BATCH))
        states, actions, rewards, following, terminated = (column[chosen] for column in self.data)
        self.updates += 1
        due = self.updates % self.config.policy_delay == 0
        temperature = self.log_temperature.detach().exp()
        sampled, log_prob = self.act(states, self.noise) if due else (None, None)
        if log_prob is not None and self.config.learn_temperature:
            target_entropy = -ACTIONS * self.h["target_entropy_scale"]
            self.step(self.temperature_adam, -(self.log_temperature * (log_prob + target_entropy).detach()).mean())
        with torch.no_grad():
            next_actions, next_log_prob = self.act(following, self.next_noise)
            later = torch.minimum(*self.values(self.target_critics, following, next_actions))
            targets = rewards + self.h["discount"] * (1 - terminated) * (later - temperature * next_log_prob)
        losses = [nn.functional.mse_loss(values, targets) for values in self.values(self.critics, states, actions)]
        self.losses["critic"].append(self.step(self.critic_adam, losses[0] + losses[1]))
        if sampled is not None and log_prob is not None:
            best = torch.minimum(*self.values(self.critics, states, sampled))
            self.losses["actor"].append(self.step(self.actor_adam, (temperature * log_prob - best).mean()))
            for param, slow in zip(self.critics.parameters(), self.target_critics.parameters(), strict=True):
                slow.data.copy_(self.h["tau"] * param.data + (1 - self.h["tau"]) * slow.data)

    @staticmethod
    def step(adam: torch.optim.Adam, loss: Tensor) -> float:
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        return loss.item()

    def tensors(self) -> dict[str, Tensor]:
        networks: dict[str, nn.Module] = {
            "actor": self.actor,
            "critic": self.critics,
            "target_critic": self.target_critics,
        }
        tensors = {name: parameters_to_vector(network.parameters()).detach() for name, network in networks.items()}
        return {**tensors, "log_temperature": self.log_temperature.detach()}


def mean(losses: list[float]) -> float:
    return sum(losses) / len(losses) if losses else float("nan")


def assert_equal_to_separate_ones(
    config: SACConfig, members: Population, h: list[dict[str, float]], calls: list[int]
) -> Population:
    """Update a stack and its members one by one, and compare networks, temperatures, counts and losses."""
    n, sac, streams = len(members), SAC(TASK, ACTOR, config), Streams(2)
    replay, alone = replay_of(n), [PlainSAC(members, row, config, h[row]) for row in range(n)]
    stacked = members.clone()
    for updates in calls:
        losses = sac.update_(stacked, replay, updates, streams)
        for row, plain in enumerate(alone):
            plain.losses = {"critic": [], "actor": []}
            for _ in range(updates):
                plain.update()
            for loss, part in zip(losses, ("critic", "actor"), strict=True):
                assert loss[row].item() == pytest.approx(mean(plain.losses[part]), rel=1e-4, abs=1e-5, nan_ok=True)
    for row, plain in enumerate(alone):
        ours = {"actor": stacked.params, **stacked.traits}
        for name, expected in plain.tensors().items():
            np.testing.assert_allclose(ours[name][row], expected, rtol=0, atol=1e-5, err_msg=f"{name} of member {row}")
        assert stacked.traits["updates"][row] == plain.updates
    moved = (stacked.params - members.params).abs().amax(1)
    assert (moved > 1e-3).all(), "the comparison must be about something"
    return stacked


def test_members_with_one_setting_update_as_separate_learners() -> None:
    members = members_of(SAC(TASK, ACTOR, CONFIG), 3)
    stacked = assert_equal_to_separate_ones(CONFIG, members, settings_of(CONFIG, 3), [25])
    assert (stacked.traits["log_temperature"] < -0.05).all()


def test_members_with_hyperparameters_of_their_own_update_as_separate_learners() -> None:
    members = members_of(SAC(TASK, ACTOR, CONFIG), 3, **own_hyperparameters())
    h = [{name: values[row] for name, values in OWN.items()} for row in range(3)]
    assert_equal_to_separate_ones(CONFIG, members, h, [20, 1, 4])


@pytest.mark.parametrize("name", OWN)
def test_every_tunable_hyperparameter_is_read_from_its_own_trait_alone(name: str) -> None:
    members = members_of(SAC(TASK, ACTOR, CONFIG), 3, **{f"h.{name}": torch.tensor(OWN[name])})
    h = [{**settings, name: OWN[name][row]} for row, settings in enumerate(settings_of(CONFIG, 3))]
    assert_equal_to_separate_ones(CONFIG, members, h, [10])


def test_what_is_tunable_is_what_the_comparison_varies() -> None:
    assert set(SAC.tunable) == set(OWN)


def test_a_fixed_temperature_stays() -> None:
    config = replace(CONFIG, learn_temperature=False, temperature=0.3)
    members = members_of(SAC(TASK, ACTOR, config), 2)
    assert not any(name.startswith("temperature_adam") for name in members.traits)
    stacked = assert_equal_to_separate_ones(config, members, settings_of(config, 2), [20])
    assert torch.equal(stacked.traits["log_temperature"], torch.full((2,), log(0.3)))


def test_members_whose_counts_differ_follow_each_its_own_delay() -> None:
    """Members 0 and 1 are never due together, and draw for their actors only when they are."""
    config = replace(CONFIG, policy_delay=2)
    members = members_of(SAC(TASK, ACTOR, config), 3, **own_hyperparameters())
    members = members.with_traits(updates=torch.tensor([0, 1, 5]))
    h = [{name: values[row] for name, values in OWN.items()} for row in range(3)]
    assert_equal_to_separate_ones(config, members, h, [1, 1, 18])


def test_the_temperature_rises_below_the_target_entropy_and_falls_above_it() -> None:
    """A standard deviation of exp(-3) has an entropy of about -1.6 nats a coordinate."""
    sac = SAC(TASK, ACTOR, CONFIG)
    members = members_of(sac, 2, **{"h.target_entropy_scale": torch.tensor([1.0, 2.2])}).clone()
    members.params.zero_()
    members.params[:, ACTOR.layout[-1].slice] = torch.tensor([0.0, 0.0, -3.0, -3.0])
    sac.update_(members, replay_of(2), 1, Streams(2))
    torch.testing.assert_close(members.traits["log_temperature"], torch.tensor([3e-3, -3e-3]))


def test_a_further_loss_is_added_to_the_actors() -> None:
    """Critics of zeros and a temperature of next to nothing leave the further loss alone."""
    config = replace(CONFIG, learn_temperature=False, temperature=1e-20)
    sac = SAC(TASK, ACTOR, config)
    push = torch.tensor([1.0, -1.0])
    members = members_of(sac, 2, push=push).clone()
    members.traits["critic"].zero_()
    batch = replay_of(2).sample(Streams(2).rows("minibatch", range(2)), BATCH)
    before, seen = members.params.clone(), []

    def loss(params: Tensor, traits: State, observations: Tensor) -> Tensor:
        seen.append(observations)
        return traits["push"] * params[:, 0]

    noise = torch.zeros(2, BATCH, ACTIONS)
    found = sac.actor_step(members.params, members.traits, batch, sac.hyperparameters({}), extra=loss, noise=noise)
    expected = before.clone()
    expected[:, 0] -= 1e-3 * push
    torch.testing.assert_close(members.params, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found, push * before[:, 0])
    assert torch.equal(seen[0], batch.observations)


def test_a_new_learner_has_no_target_actor_and_the_temperature_that_was_set() -> None:
    sac = SAC(TASK, ACTOR, replace(CONFIG, temperature=0.5))
    traits = dict(members_of(sac, 3).traits)
    assert "target_actor" not in traits
    assert torch.equal(traits.pop("target_critic"), traits["critic"])
    assert traits.pop("critic").shape == (3, sac.critic.size)
    assert torch.equal(traits.pop("log_temperature"), torch.full((3,), log(0.5)))
    assert not any(trait.any() for trait in traits.values())
    assert all(len(trait) == 3 for trait in traits.values())


def test_updates_of_a_clone_leave_what_was_handed_in() -> None:
    sac, replay = SAC(TASK, ACTOR, CONFIG), replay_of(2)
    members = members_of(sac, 2)
    kept, stored = copy.deepcopy(members.state_dict()), replay.state_dict()
    clone = members.clone()
    losses = sac.update_(clone, replay, 3, Streams(2))
    assert same(members.state_dict(), kept)
    assert same(replay.state_dict(), stored)
    for name in ("critic", "target_critic", "log_temperature", "temperature_adam.mean", "actor_adam.square"):
        assert not torch.equal(clone.traits[name], members.traits[name]), name
    assert not any(tensor.requires_grad for tensor in [clone.params, *clone.traits.values(), *losses])


def test_a_member_updates_the_same_alone_and_in_a_stack_and_in_one_call_or_two() -> None:
    sac = SAC(TASK, ACTOR, CONFIG)
    together, alone = members_of(sac, 3), members_of(sac, 1)
    sac.update_(together, replay_of(3), 6, Streams(2))
    ring = Replay(1, STORED, OBSERVATIONS, ACTIONS)
    ring.add(Transitions(*(getattr(experience(3), name)[:STORED] for name in vars(experience(3)))))
    streams = Streams(2)
    for updates in (1, 5):
        sac.update_(alone, ring, updates, streams)
    torch.testing.assert_close(alone.params[0], together.params[0], rtol=0, atol=3e-6)
    torch.testing.assert_close(alone.traits["log_temperature"][0], together.traits["log_temperature"][0])


def test_noise_must_be_given() -> None:
    sac = SAC(TASK, ACTOR, CONFIG)
    members, batch = members_of(sac, 1), replay_of(1).sample(Streams(2).rows("minibatch", [0]), BATCH)
    h = sac.hyperparameters({})
    with pytest.raises(ValueError, match=r"noise must be standard normals \(n, b, a\), got None"):
        sac.critic_step(members.traits, members.params, batch, None, h)
    with pytest.raises(ValueError, match=r"noise must be standard normals \(n, b, a\), got None"):
        sac.actor_step(members.params, members.traits, batch, h)


def test_the_defaults_are_the_papers() -> None:
    config = SACConfig()
    assert (config.batch_size, config.discount, config.tau, config.policy_delay) == (256, 0.99, 0.005, 1)
    rates = config.actor_learning_rate, config.critic_learning_rate, config.temperature_learning_rate
    assert rates == (3e-4, 3e-4, 3e-4)
    assert (config.learn_temperature, config.temperature, config.target_entropy_scale) == (True, 1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("temperature", 0.0, "temperature must be above 0, got 0.0"),
        ("temperature_learning_rate", 0.0, "temperature_learning_rate must be above 0, got 0.0"),
        ("target_entropy_scale", -0.7, "target_entropy_scale must be above -0.69.*, got -0.7"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SACConfig(**{name: value})


def test_members_find_the_best_action_of_a_bandit() -> None:
    task, streams, ledger = describe(QUADRATIC), Streams(4), Ledger()
    network = MLP(task.observation_size, 2 * task.action_size, NETWORK)
    config = replace(CONFIG, batch_size=64, actor_learning_rate=3e-3, critic_learning_rate=3e-3)
    sac, policy = SAC(task, network, config), SquashedGaussianPolicy(network)
    collector = Collector(make(task, 2), 2, task, policy, streams, ledger)
    replay = Replay(2, 1_000, task.observation_size, task.action_size)
    training = OffPolicy(sac, collector, replay, streams, ledger, ActingConfig(warmup_steps=100))
    members = Population.fresh(network.init(streams.rows("initialise", range(2))), Identities(), "initial")
    members = members.with_traits(**training.init(members.params, range(2)))
    members = training.act_and_learn(members, 600, generation=0)
    actions = policy.act(members, torch.ones(2, 1))
    np.testing.assert_allclose(actions, np.stack([Quadratic.target] * 2), atol=0.1)
