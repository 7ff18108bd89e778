"""Stacked TD3 against as many separate ones, written with modules and optimisers of torch."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support import same
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evorl.errors import ConfigError
from evorl.interaction import Replay
from evorl.learning import TD3, TD3Config
from evorl.learning.traits import State
from evorl.policies import MLP, NetworkConfig
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS, ACTIONS, STORED = 3, 2, 50
NETWORK = NetworkConfig(hidden_sizes=(16, 8))
CONFIG = TD3Config(critic=NETWORK, batch_size=12, actor_learning_rate=1e-3, critic_learning_rate=2e-3, policy_delay=2)
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
ACTOR = MLP(OBSERVATIONS, ACTIONS, NETWORK, output="tanh")

#: What each of three members has for itself.
OWN: dict[str, list[float]] = {
    "actor_learning_rate": [1e-3, 3e-3, 2e-4],
    "critic_learning_rate": [3e-3, 1e-3, 4e-4],
    "discount": [0.99, 0.0, 0.5],
    "tau": [0.005, 0.2, 1.0],
    "target_noise": [0.3, 0.0, 1.5],
    "target_noise_clip": [0.05, 0.5, 2.0],  # the last reaches beyond the range of actions
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


def replay_of(n: int, shared: bool = False) -> Replay:
    replay = Replay(1 if shared else n, n * STORED, OBSERVATIONS, ACTIONS)
    replay.add(experience(n))
    return replay


def members_of(td3: TD3, n: int, **traits: Tensor) -> Population:
    streams = Streams(1)
    fresh = Population.fresh(ACTOR.init(streams.rows("initialise", range(n))), Identities(), "initial")
    return fresh.with_traits(**td3.init(fresh.params, streams), **traits)


def own_hyperparameters() -> dict[str, Tensor]:
    return {f"h.{name}": torch.tensor(values) for name, values in OWN.items()}


def sequential(sizes: list[int], *output: nn.Module) -> nn.Sequential:
    first, second, third, last = sizes
    hidden = [nn.Linear(first, second), nn.ReLU(), nn.Linear(second, third), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(third, last), *output)


class PlainTD3:
    """One member, as in the paper's algorithm 1: modules, optimisers, and minibatches drawn with plain NumPy."""

    def __init__(
        self, members: Population, row: int, config: TD3Config, h: dict[str, float], data: Transitions
    ) -> None:
        self.config, self.h, self.data = config, h, data
        self.actor = sequential([OBSERVATIONS, 16, 8, ACTIONS], nn.Tanh())
        self.critics = nn.ModuleList([sequential([OBSERVATIONS + ACTIONS, 16, 8, 1]) for _ in range(2)])
        vector_to_parameters(members.params[row].clone(), self.actor.parameters())
        vector_to_parameters(members.traits["critic"][row].clone(), self.critics.parameters())
        self.target_actor, self.target_critics = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=h["actor_learning_rate"])
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=h["critic_learning_rate"])
        self.updates = int(members.traits["updates"][row])
        streams = Streams(2)
        self.minibatch, self.noise = streams.generator("minibatch", row), streams.generator("target_noise", row)
        self.losses: dict[str, list[float]] = {"critic": [], "actor": []}

    def update(self) -> None:
        chosen = torch.from_numpy(self.minibatch.integers(len(self.data), size=self.config.batch_size))
        states, actions, rewards, following, terminated = (
            column[chosen] for name, column in vars(self.data).items() if name != "members"
        )
        normals = self.noise.standard_normal((self.config.batch_size, ACTIONS), dtype=np.float32)
        with torch.no_grad():
            clip = self.h["target_noise_clip"]
            smoothing = (torch.from_numpy(normals) * self.h["target_noise"]).clamp(-clip, clip)
            next_actions = (self.target_actor(following) + smoothing).clamp(-1, 1)
            first, second = (q(torch.cat([following, next_actions], 1)).squeeze(1) for q in self.target_critics)
            targets = rewards + self.h["discount"] * (1 - terminated) * torch.minimum(first, second)
        values = [q(torch.cat([states, actions], 1)).squeeze(1) for q in self.critics]
        loss = nn.functional.mse_loss(values[0], targets) + nn.functional.mse_loss(values[1], targets)
        self.critic_adam.zero_grad()
        torch.autograd.backward(loss)
        self.critic_adam.step()
        self.losses["critic"].append(loss.item())
        self.updates += 1
        if self.updates % self.config.policy_delay == 0:
            self._delayed(states)

    def _delayed(self, states: Tensor) -> None:
        loss = -self.critics[0](torch.cat([states, self.actor(states)], 1)).mean()
        self.actor_adam.zero_grad()
        torch.autograd.backward(loss)
        self.actor_adam.step()
        self.losses["actor"].append(loss.item())
        pairs = [(self.actor, self.target_actor), (self.critics, self.target_critics)]
        for network, target in pairs:
            for param, slow in zip(network.parameters(), target.parameters(), strict=True):
                slow.data.copy_(self.h["tau"] * param.data + (1 - self.h["tau"]) * slow.data)

    def tensors(self) -> dict[str, Tensor]:
        networks: dict[str, nn.Module] = {
            "actor": self.actor,
            "critic": self.critics,
            "target_actor": self.target_actor,
            "target_critic": self.target_critics,
        }
        return {name: parameters_to_vector(network.parameters()).detach() for name, network in networks.items()}


def mean(losses: list[float]) -> float:
    return sum(losses) / len(losses) if losses else float("nan")


def assert_equal_to_separate_ones(
    config: TD3Config, members: Population, h: list[dict[str, float]], calls: list[int], shared: bool = False
) -> None:
    """Update a stack and its members one by one, and compare networks, targets, counts and losses."""
    n, td3, streams = len(members), TD3(TASK, ACTOR, config), Streams(2)
    replay, data = replay_of(n, shared), experience(n)
    alone = []
    for row in range(n):
        mine = slice(None) if shared else slice(row * STORED, (row + 1) * STORED)
        own = Transitions(*(getattr(data, name)[mine] for name in vars(data)))
        alone.append(PlainTD3(members, row, config, h[row], own))
    stacked = members.clone()
    for updates in calls:
        losses = td3.update_(stacked, replay, updates, streams)
        for row, plain in enumerate(alone):
            plain.losses = {"critic": [], "actor": []}
            for _ in range(updates):
                plain.update()
            for loss, part in zip(losses, ("critic", "actor"), strict=True):
                assert loss[row].item() == pytest.approx(mean(plain.losses[part]), rel=1e-4, abs=1e-6, nan_ok=True)
    for row, plain in enumerate(alone):
        ours = {"actor": stacked.params, **stacked.traits}
        for name, expected in plain.tensors().items():
            np.testing.assert_allclose(ours[name][row], expected, rtol=0, atol=3e-6, err_msg=f"{name} of member {row}")
        assert stacked.traits["updates"][row] == plain.updates
    moved = (stacked.params - members.params).abs().amax(1)
    assert (moved > 1e-4).all(), "the comparison must be about something"


def settings_of(config: TD3Config, n: int) -> list[dict[str, float]]:
    return [{name: getattr(config, name) for name in OWN} for _ in range(n)]


@pytest.mark.parametrize("shared", [False, True])
def test_members_with_one_setting_update_as_separate_learners(shared: bool) -> None:
    members = members_of(TD3(TASK, ACTOR, CONFIG), 3)
    assert_equal_to_separate_ones(CONFIG, members, settings_of(CONFIG, 3), [7], shared)


def test_members_with_hyperparameters_of_their_own_update_as_separate_learners() -> None:
    members = members_of(TD3(TASK, ACTOR, CONFIG), 3, **own_hyperparameters())
    h = [{name: values[row] for name, values in OWN.items()} for row in range(3)]
    assert_equal_to_separate_ones(CONFIG, members, h, [8])


@pytest.mark.parametrize("name", OWN)
def test_every_tunable_hyperparameter_is_read_from_its_own_trait_alone(name: str) -> None:
    trait = torch.tensor(OWN[name])
    members = members_of(TD3(TASK, ACTOR, CONFIG), 3, **{f"h.{name}": trait})
    h = [{**settings, name: OWN[name][row]} for row, settings in enumerate(settings_of(CONFIG, 3))]
    assert_equal_to_separate_ones(CONFIG, members, h, [6])


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_members_whose_counts_differ_follow_each_its_own_delay(delay: int) -> None:
    """Copies of members that have learned longer bring their counts along; members 0 and 1 are never due together."""
    config = TD3Config(critic=NETWORK, batch_size=12, policy_delay=delay)
    members = members_of(TD3(TASK, ACTOR, config), 3, **own_hyperparameters())
    members = members.with_traits(updates=torch.tensor([0, 1, 5]))
    h = [{name: values[row] for name, values in OWN.items()} for row in range(3)]
    assert_equal_to_separate_ones(config, members, h, [1, 1, 4, 5])


def test_the_delay_goes_on_over_many_short_calls() -> None:
    members = members_of(TD3(TASK, ACTOR, CONFIG), 2)
    assert_equal_to_separate_ones(CONFIG, members, settings_of(CONFIG, 2), [1] * 5)


def test_a_hyperparameter_written_between_calls_is_what_the_next_update_uses() -> None:
    td3, replay = TD3(TASK, ACTOR, CONFIG), replay_of(1)
    one = members_of(td3, 1, **{"h.actor_learning_rate": torch.tensor([1e-3])})
    td3.update_(one, replay, 2, Streams(2))
    before = one.params.clone()
    one = one.with_traits(**{"h.actor_learning_rate": torch.tensor([0.0])})
    td3.update_(one, replay, 2, Streams(2))
    assert torch.equal(one.params, before)


def test_updates_of_a_clone_leave_what_was_handed_in() -> None:
    td3 = TD3(TASK, ACTOR, CONFIG)
    members = members_of(td3, 3, **own_hyperparameters()).with_traits(updates=torch.tensor([0, 1, 2]))
    kept, replay = copy.deepcopy(members.state_dict()), replay_of(3)
    stored = replay.state_dict()
    clone = members.clone()
    td3.update_(clone, replay, 3, Streams(2))
    assert same(members.state_dict(), kept)
    assert same(replay.state_dict(), stored)
    for name in ("critic", "target_critic", "target_actor", "actor_adam.mean", "critic_adam.square", "updates"):
        assert not torch.equal(clone.traits[name], members.traits[name]), name
    for name in own_hyperparameters():
        assert torch.equal(clone.traits[name], members.traits[name])


def test_no_gradient_is_recorded_on_the_members() -> None:
    td3 = TD3(TASK, ACTOR, CONFIG)
    members = members_of(td3, 2)
    losses = td3.update_(members, replay_of(2), 2, Streams(2))
    assert not any(tensor.requires_grad for tensor in [members.params, *members.traits.values(), *losses])


def test_a_member_updates_the_same_alone_and_in_a_stack_and_in_one_call_or_two() -> None:
    td3 = TD3(TASK, ACTOR, CONFIG)
    together, alone = members_of(td3, 3), members_of(td3, 1)
    td3.update_(together, replay_of(3), 6, Streams(2))
    ring = Replay(1, STORED, OBSERVATIONS, ACTIONS)
    ring.add(Transitions(*(getattr(experience(3), name)[:STORED] for name in vars(experience(3)))))
    streams = Streams(2)
    for updates in (1, 5):
        td3.update_(alone, ring, updates, streams)
    torch.testing.assert_close(alone.params[0], together.params[0], rtol=0, atol=3e-6)


def test_members_with_a_normaliser_learn_from_normalised_observations() -> None:
    """They update as members without one do from transitions that were normalised beforehand."""
    td3, data = TD3(TASK, ACTOR, CONFIG), experience(2)
    mean, std = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]), torch.tensor([[2.0, 1.0, 3.0], [0.5, 4.0, 0.7]])
    statistics = {"mean": mean.double(), "variance": std.double().square(), "count": torch.ones(2).double()}
    own = {f"normaliser.{name}": trait.clone() for name, trait in statistics.items()}
    ours = members_of(td3, 2, **own).clone()
    td3.update_(ours, replay_of(2), 4, Streams(2))
    done = {
        name: ((getattr(data, name) - mean[data.members]) / std[data.members]).clamp(-10, 10)
        for name in ("observations", "next_observations")
    }
    replay, plain = Replay(2, STORED, OBSERVATIONS, ACTIONS), members_of(td3, 2).clone()
    replay.add(replace(data, **done))
    td3.update_(plain, replay, 4, Streams(2))
    for name, trait in plain.traits.items():
        torch.testing.assert_close(ours.traits[name], trait, rtol=0, atol=3e-6, msg=name)
    torch.testing.assert_close(ours.params, plain.params, rtol=0, atol=3e-6)
    for name, trait in own.items():
        assert torch.equal(ours.traits[name], trait), "learning leaves the statistics"


def test_a_new_learner_has_its_targets_equal_to_its_networks_and_everything_else_zero() -> None:
    td3 = TD3(TASK, ACTOR, CONFIG)
    members = members_of(td3, 3)
    traits = dict(members.traits)
    assert torch.equal(traits.pop("target_actor"), members.params)
    assert torch.equal(traits.pop("target_critic"), traits["critic"])
    assert traits["critic"].shape == (3, td3.critic.size)
    assert len(set(map(tuple, traits.pop("critic").view(6, -1).tolist()))) == 6, "no critic equals another"
    assert not any(trait.any() for trait in traits.values())
    assert all(len(trait) == 3 for trait in traits.values())


def test_one_critic_serves_many_actors_in_their_step() -> None:
    """Each actor climbs the same critic; compared with autograd on a loop of modules."""
    td3 = TD3(TASK, ACTOR, CONFIG)
    members, one = members_of(td3, 3), members_of(td3, 1)
    batch = replay_of(3).sample(Streams(2).rows("minibatch", range(3)), 12)
    actors = members.params.clone()
    loss = td3.actor_step(actors, one.traits, batch, td3.hyperparameters({}), moments=members.clone().traits)
    for row in range(3):
        plain = PlainTD3(members, row, CONFIG, settings_of(CONFIG, 1)[0], experience(1))
        vector_to_parameters(one.traits["critic"][0].clone(), plain.critics.parameters())
        plain._delayed(batch.observations[row])
        assert loss[row].item() == pytest.approx(plain.losses["actor"][0], rel=1e-4, abs=1e-6)
        torch.testing.assert_close(actors[row], plain.tensors()["actor"], rtol=0, atol=3e-6)
    assert torch.equal(one.traits["critic"], members_of(td3, 1).traits["critic"])


def test_a_further_loss_pulls_the_actors() -> None:
    """With a critic of zeros only the further loss is left: half the squared distance from the origin."""
    td3 = TD3(TASK, ACTOR, CONFIG)
    members = members_of(td3, 2).clone()
    members.traits["critic"].zero_()
    batch = replay_of(2).sample(Streams(2).rows("minibatch", range(2)), 12)
    seen: list[Any] = []

    def pull(params: Tensor, state: State, observations: Tensor) -> Tensor:
        seen.extend([state["critic"], observations])
        return params.square().sum(1) / 2

    before = members.params.clone()
    loss = td3.actor_step(members.params, members.traits, batch, td3.hyperparameters({}), extra=pull)
    torch.testing.assert_close(loss, before.square().sum(1) / 2)
    torch.testing.assert_close(members.params, before - 1e-3 * before.sign(), rtol=0, atol=1e-5)
    assert seen[0] is members.traits["critic"]
    assert torch.equal(seen[1], batch.observations)


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 1, 5]])
def test_a_further_loss_in_updates_is_asked_for_the_members_that_are_due(counts: list[int]) -> None:
    """It is nothing but a number that each member brings along: a push down the first parameter, and nothing else.

    The critics are zeros and stay so, since rewards are; so a member's Adam sees its own push and no other gradient.
    """
    config = TD3Config(critic=NETWORK, batch_size=12, actor_learning_rate=1e-3, policy_delay=2)
    td3, streams = TD3(TASK, ACTOR, config), Streams(2)
    push = torch.tensor([1.0, 0.0, -1.0])
    members = members_of(td3, 3, push=push).with_traits(updates=torch.tensor(counts)).clone()
    for name in ("critic", "target_critic"):
        members.traits[name].zero_()
    silent = replace(experience(3), rewards=torch.zeros(3 * STORED))
    replay = Replay(3, STORED, OBSERVATIONS, ACTIONS)
    replay.add(silent)
    before, seen = members.params.clone(), []

    def loss(params: Tensor, traits: State, observations: Tensor) -> Tensor:
        seen.append(traits["push"].tolist())
        return traits["push"] * params[:, 0]

    _, losses = td3.update_(members, replay, 2, streams, extra=loss)
    assert seen == ([push.tolist()] if counts[1] == 0 else [[0.0, -1.0], [1.0]])
    expected = before.clone()
    expected[:, 0] -= 1e-3 * push
    torch.testing.assert_close(members.params, expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(losses, push * before[:, 0])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size must be at least 1, got 0"),
        ("policy_delay", 0, "policy_delay must be at least 1, got 0"),
        ("actor_learning_rate", 0.0, "actor_learning_rate must be above 0, got 0.0"),
        ("critic_learning_rate", float("inf"), "critic_learning_rate must be above 0, got inf"),
        ("discount", 1.01, "discount must be between 0 and 1, got 1.01"),
        ("tau", -0.1, "tau must be between 0 and 1, got -0.1"),
        ("target_noise", -0.1, "target_noise must be at least 0, got -0.1"),
        ("target_noise_clip", -0.1, "target_noise_clip must be at least 0, got -0.1"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TD3Config(**{name: value})
