"""Many actors and one critic: who changes, how often, and whose optimiser goes on."""

import copy
from typing import Literal

import numpy as np
import pytest
import torch
from support import same
from torch import Tensor

from evorl.interaction import Replay
from evorl.learning import DDPG, TD3, ActorCritic, DDPGConfig, SharedCritic, TD3Config, adam_state
from evorl.policies import MLP, NetworkConfig
from evorl.population import Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS, ACTIONS, BATCH, N = 3, 2, 8, 3
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
NETWORK = NetworkConfig(hidden_sizes=(8, 8), activation="tanh")
ACTOR = MLP(OBSERVATIONS, ACTIONS, NETWORK, output="tanh")
CONFIG = TD3Config(critic=NETWORK, batch_size=BATCH, actor_learning_rate=1e-3, critic_learning_rate=2e-3, tau=0.1)
Schedule = Literal["sequential", "joint"]


def replay() -> Replay:
    generator = torch.Generator().manual_seed(5)
    filled = Replay(1, 100, OBSERVATIONS, ACTIONS)
    filled.add(
        Transitions(
            torch.randn(100, OBSERVATIONS, generator=generator),
            torch.rand(100, ACTIONS, generator=generator) * 2 - 1,
            torch.randn(100, generator=generator),
            torch.randn(100, OBSERVATIONS, generator=generator),
            (torch.rand(100, generator=generator) < 1 / 3).float(),
        )
    )
    return filled


def shared(schedule: Schedule = "sequential", learner: ActorCritic | None = None, seed: int = 2) -> SharedCritic:
    return SharedCritic(learner or TD3(TASK, ACTOR, CONFIG), replay(), Streams(seed), schedule)


def actors(n: int = N) -> Tensor:
    return ACTOR.init(Streams(1).rows("initialise", range(n)))


def started(gradient: SharedCritic) -> dict[str, Tensor]:
    """Return a critic whose target and moments are not those of a new one."""
    critic = gradient.init()
    return {**critic, "target_critic": critic["target_critic"] * 0.5, "critic_adam.mean": critic["critic"] * 1e-3}


@pytest.mark.parametrize("schedule", ["sequential", "joint"])
def test_nothing_that_is_handed_in_changes(schedule: Schedule) -> None:
    gradient, members = shared(schedule), actors()
    critic = started(gradient)
    kept, stored = copy.deepcopy((members, critic)), gradient.replay.state_dict()
    trained, after, _ = gradient.train(members, critic, 7)
    assert same((members, critic), kept)
    assert same(gradient.replay.state_dict(), stored)
    assert (trained != members).any(1).all()
    assert all(not torch.equal(after[name], critic[name]) for name in critic)


@pytest.mark.parametrize("schedule", ["sequential", "joint"])
def test_without_updates_everything_stays_and_no_stream_moves(schedule: Schedule) -> None:
    gradient, members = shared(schedule), actors()
    critic = started(gradient)
    before = gradient.streams.state_dict()
    trained, after, losses = gradient.train(members, critic, 0)
    assert torch.equal(trained, members)
    assert same(after, critic)
    assert set(losses) == {"loss.critic", "loss.actor"}
    assert all(loss.isnan() for loss in losses.values())
    assert gradient.streams.state_dict()["live"] == before["live"]
    assert gradient.critic_updates(N, 0) == 0


class Counted(TD3):
    """TD3 that notes the size of what it updates."""

    def __init__(self) -> None:
        super().__init__(TASK, ACTOR, CONFIG)
        self.calls: list[tuple[str, int]] = []

    def critic_step(self, critic, actors, batch, noise, h):  # type: ignore[no-untyped-def]
        self.calls.append(("critic", len(actors)))
        return super().critic_step(critic, actors, batch, noise, h)

    def critic_target_step(self, state, h):  # type: ignore[no-untyped-def]
        self.calls.append(("target", len(state["critic"])))
        super().critic_target_step(state, h)

    def actor_step(self, actors, critic, batch, h, moments=None, extra=None, noise=None):  # type: ignore[no-untyped-def]
        self.calls.append(("actor", len(actors)))
        return super().actor_step(actors, critic, batch, h, moments, extra, noise)


@pytest.mark.parametrize("updates", [1, 2, 3, 7, 12])
def test_the_critic_trains_as_often_as_there_are_updates_rounded_down_and_every_actor_exactly_as_often(
    updates: int,
) -> None:
    learner = Counted()
    gradient = shared(learner=learner)
    _, after, _ = gradient.train(actors(), gradient.init(), updates)
    each = updates // N
    assert learner.calls == [("critic", 1), ("target", 1)] * (N * each) + [("actor", N)] * updates
    assert after["critic_adam.step"].item() == gradient.critic_updates(N, updates) == N * each


@pytest.mark.parametrize("updates", [1, 5])
def test_with_the_joint_schedule_critic_and_actors_take_turns_all_at_once(updates: int) -> None:
    learner = Counted()
    gradient = shared("joint", learner)
    _, after, _ = gradient.train(actors(), gradient.init(), updates)
    assert learner.calls == [("critic", N), ("target", 1), ("actor", N)] * updates
    assert after["critic_adam.step"].item() == gradient.critic_updates(N, updates) == updates


def test_the_joint_schedule_is_the_alternation_written_out() -> None:
    gradient, other = shared("joint"), shared("joint")
    members, critic = actors(), started(gradient)
    trained, after, losses = gradient.train(members, critic, 4)
    learner, state, params = other.learner, {k: v.clone() for k, v in critic.items()}, members.clone()
    moments, h = adam_state("actor", params), other.learner.hyperparameters({})
    seen: list[Tensor] = []
    for _ in range(4):
        batch = other.replay.sample(other.streams.rows("critic_minibatch", range(N)), BATCH)
        noise = learner.noise(other.streams.rows("target_noise", range(N)), batch)
        seen.append(learner.critic_step(state, params, batch, noise, h).mean())
        learner.critic_target_step(state, h)
        batch = other.replay.sample(other.streams.rows("actor_minibatch", range(N)), BATCH)
        learner.actor_step(params, state, batch, h, moments)
    torch.testing.assert_close(trained, params, rtol=0, atol=0)
    torch.testing.assert_close(after["critic"], state["critic"], rtol=0, atol=0)
    assert losses["loss.critic"].item() == pytest.approx(torch.stack(seen).mean().item(), rel=1e-5)


def test_in_the_sequential_schedule_no_phase_of_the_critic_sees_a_trained_actor() -> None:
    """The critic ends the same whatever the actors' learning rate, and differs with the joint schedule."""
    ends: dict[str, list[Tensor]] = {"sequential": [], "joint": []}
    for schedule in ("sequential", "joint"):
        for rate in (1e-3, 1e-1):
            config = TD3Config(critic=NETWORK, batch_size=BATCH, actor_learning_rate=rate)
            gradient = shared(schedule, TD3(TASK, ACTOR, config))
            ends[schedule].append(gradient.train(actors(), gradient.init(), 9)[1]["critic"])
    assert torch.equal(*ends["sequential"])
    assert not torch.equal(*ends["joint"])


@pytest.mark.parametrize("schedule", ["sequential", "joint"])
def test_every_call_begins_with_new_moments_of_the_actors(schedule: Schedule) -> None:
    """The first step of a new Adam has the size of the learning rate, in every call and for every parameter."""
    gradient, members = shared(schedule), actors()
    critic = gradient.init()
    for _ in range(3):
        trained, critic, _ = gradient.train(members, critic, 1)
        moved = (trained - members).abs()
        assert moved.quantile(0.5).item() == pytest.approx(1e-3, rel=1e-3)
        assert moved.max().item() < 1.01e-3
        members = trained


def test_the_moments_of_the_critic_go_on_from_call_to_call() -> None:
    """Two calls equal one alternation in which the critic's Adam is never new; a new one would end elsewhere."""
    gradient, again = shared(), shared()
    members = actors()
    first = gradient.train(members, gradient.init(), 6)[1]
    second = gradient.train(members, first, 6)[1]
    assert second["critic_adam.step"].item() == 12
    forgotten = {**again.train(members, again.init(), 6)[1]}
    forgotten.update(adam_state("critic", forgotten["critic"]))
    assert not torch.allclose(again.train(members, forgotten, 6)[1]["critic"], second["critic"], rtol=0, atol=1e-5)


def test_the_actors_do_not_influence_each_other() -> None:
    """An actor trains alone as in a stack; the critic stands still, as there are fewer updates than actors."""
    stack, alone = shared(), shared()
    critic, members = stack.init(), actors(4)
    together = stack.train(members, critic, 3)[0]
    learner, params = alone.learner, members[2:3].clone()
    moments = adam_state("actor", params)
    for _ in range(3):
        batch = alone.replay.sample(alone.streams.rows("actor_minibatch", [2]), BATCH)
        learner.actor_step(params, critic, batch, learner.hyperparameters({}), moments)
    torch.testing.assert_close(together[2:3], params, rtol=0, atol=1e-6)


def test_ddpg_trains_against_one_critic_too() -> None:
    """Without noise: the target of the critic is that of one Q of the sampled actor."""
    config = DDPGConfig(critic=NETWORK, critic_architecture="joint", batch_size=BATCH, gradient_clip=None)
    learner = DDPG(TASK, ACTOR, config)
    gradient, other = shared(learner=learner), shared(learner=learner)
    members, critic = actors(1), started(gradient)
    after = gradient.train(members, critic, 1)[1]
    batch = other.replay.sample(other.streams.rows("critic_minibatch", [0]), BATCH)
    following = torch.cat([batch.next_observations, ACTOR(members, batch.next_observations)], -1)
    values = learner.critic.network(critic["target_critic"], following)[..., 0]
    targets = batch.rewards + 0.99 * (1 - batch.terminated) * values
    params = critic["critic"].clone().requires_grad_()
    own = learner.critic.network(params, torch.cat([batch.observations, batch.actions], -1))[..., 0]
    (slope,) = torch.autograd.grad((own - targets).square().mean(), params)
    mean = 0.9 * critic["critic_adam.mean"] + 0.1 * slope
    np.testing.assert_allclose(after["critic_adam.mean"], mean, rtol=0, atol=1e-6)
    expected = critic["critic"] - 5e-4 * (mean / 0.1) / (slope.abs() + 1e-8)
    big = slope.abs() > 1e-4
    np.testing.assert_allclose(after["critic"][big], expected[big].detach(), rtol=0, atol=1e-5)
    target = critic["target_critic"] + 1e-3 * (after["critic"] - critic["target_critic"])
    np.testing.assert_allclose(after["target_critic"], target, rtol=0, atol=1e-7)


def test_a_new_critic_has_its_target_equal_to_itself_and_no_moments() -> None:
    critic = shared().init()
    assert torch.equal(critic["critic"], critic["target_critic"])
    assert critic["critic"] is not critic["target_critic"]
    assert not any(critic[name].any() for name in critic if "adam" in name)
    assert torch.equal(critic["critic"], shared(seed=2).init()["critic"])
    assert not torch.equal(critic["critic"], shared(seed=3).init()["critic"])
