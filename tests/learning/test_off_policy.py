"""Acting and learning by turns, against a loop written out by hand."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from support import counted, members_of, oracle, same, small_policy, total_steps

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs
from evorl.interaction import Collector, Replay
from evorl.learning import TD3, ActingConfig, OffPolicy, TD3Config, new_records
from evorl.learning.records import WINDOW
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.streams import Streams

TASK = oracle(9, terminate_at=3, spread=4)
CONFIG = TD3Config(critic=NetworkConfig(hidden_sizes=(8,)), batch_size=6, actor_learning_rate=3e-3, policy_delay=3)
WARMUP = 5


@dataclass
class Side:
    """Everything that n members need to act and learn, and the members."""

    n: int
    updates_per_step: int = 1

    def __post_init__(self) -> None:
        policy = small_policy(TASK, exploration_noise=0.2)
        self.streams, self.ledger = Streams(3), Ledger()
        self.collector = Collector(GymnasiumEnvs(TASK, self.n), self.n, TASK, policy, self.streams, self.ledger)
        self.replay = Replay(self.n, 1_000, TASK.observation_size, TASK.action_size)
        self.learner = TD3(TASK, policy.network, CONFIG)
        acting = ActingConfig(warmup_steps=WARMUP, updates_per_step=self.updates_per_step)
        self.training = OffPolicy(self.learner, self.collector, self.replay, self.streams, self.ledger, acting)
        fresh = members_of(policy, self.n)
        traits = self.learner.init(fresh.params, self.streams) | new_records(self.n)
        self.members = fresh.with_traits(**traits).with_fitness(torch.arange(self.n))


def by_hand(side: Side, steps: int) -> tuple[Population, list[list[float]], dict[str, torch.Tensor]]:
    """Return the members, each one's finished returns, and the losses (updates, n), after `steps` steps of each."""
    members = side.members.clone()
    returns: list[list[float]] = [[] for _ in range(side.n)]
    running = [0.0] * side.n
    critic, actor = [], []
    for step in range(steps):
        collected = side.collector.step(members, 0, uniform=step < WARMUP)
        side.replay.add(collected.transitions)
        for row, reward in enumerate(collected.transitions.rewards.tolist()):
            running[row] += reward
            if collected.transitions.terminated[row]:
                returns[row].append(running[row])
                running[row] = 0.0
        for _ in range(side.updates_per_step if step >= WARMUP else 0):
            losses = side.learner.update_(members, side.replay, 1, side.streams)
            critic.append(losses[0])
            actor.append(losses[1])
    return members, returns, {"critic": torch.stack(critic), "actor": torch.stack(actor)}


@pytest.mark.parametrize("updates_per_step", [1, 2])
def test_members_act_store_and_update_by_turns_after_a_uniform_warm_up(updates_per_step: int) -> None:
    side, other = Side(3, updates_per_step), Side(3, updates_per_step)
    learned = side.training.act_and_learn(side.members, 30, generation=0)
    expected, returns, losses = by_hand(other, 30)
    assert same(side.replay.state_dict(), other.replay.state_dict())
    assert same(side.streams.state_dict(), other.streams.state_dict())
    assert torch.equal(learned.params, expected.params)
    assert (learned.params != side.members.params).any(dim=1).all()
    for name in set(learned.traits) - {"recent_returns", "loss.critic", "loss.actor"}:
        assert torch.equal(learned.traits[name], expected.traits[name]), name
    for row in range(3):
        latest = returns[row][-WINDOW:]
        window = learned.traits["recent_returns"][row]
        assert window[: WINDOW - len(latest)].isnan().all()
        np.testing.assert_allclose(window[WINDOW - len(latest) :], latest, rtol=1e-5)
        assert latest
    for part, values in losses.items():
        np.testing.assert_allclose(learned.traits[f"loss.{part}"], values.nanmean(0), rtol=1e-4)


def test_what_is_handed_in_is_left_alone() -> None:
    side = Side(2)
    kept = copy.deepcopy(side.members.state_dict())
    side.training.act_and_learn(side.members, 20, generation=0)
    assert same(side.members.state_dict(), kept)


def test_members_keep_their_ids_and_lose_their_fitness() -> None:
    side = Side(2)
    learned = side.training.act_and_learn(side.members, 6, generation=0)
    assert torch.equal(learned.id, side.members.id)
    assert learned.fitness.isnan().all()


def test_an_interval_in_two_calls_equals_one() -> None:
    at_once, in_two = Side(2), Side(2)
    whole = at_once.training.act_and_learn(at_once.members, 30, generation=0)
    halves = in_two.training.act_and_learn(in_two.members, 11, generation=0)
    halves = in_two.training.act_and_learn(halves, 19, generation=0)
    ours, theirs = whole.state_dict(), halves.state_dict()
    for state in (ours, theirs):
        for part in ("critic", "actor"):
            state["traits"].pop(f"loss.{part}")  # the mean over a call
    assert same(ours, theirs)
    assert same(at_once.ledger.state_dict(), in_two.ledger.state_dict())


def test_a_member_learns_the_same_alone_and_beside_others() -> None:
    together, alone = Side(3), Side(1)
    beside = together.training.act_and_learn(together.members, 25, generation=0)
    by_itself = alone.training.act_and_learn(alone.members, 25, generation=0)
    torch.testing.assert_close(beside.params[0], by_itself.params[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        beside.traits["recent_returns"][0], by_itself.traits["recent_returns"][0], equal_nan=True
    )


def test_the_ledger_counts_every_step_transition_and_update() -> None:
    with counted() as made:
        side = Side(3, updates_per_step=2)
        side.training.act_and_learn(side.members, 16, generation=0)
        assert total_steps(made) == side.ledger.spent == 48
    assert side.ledger.steps == {**Ledger().steps, "warmup": 3 * WARMUP, "train": 3 * (16 - WARMUP)}
    assert side.ledger.stored == sum(side.replay.sizes) == 48
    updates = 2 * (16 - WARMUP)
    assert side.ledger.updates["critic"] == dict.fromkeys(range(3), updates)
    assert side.ledger.updates["actor"] == dict.fromkeys(range(3), updates // CONFIG.policy_delay)


def test_actor_updates_are_counted_by_each_members_own_delay() -> None:
    """Over 4 updates with a delay of 3: from 0 it is due at 3; from 1 at 3; from 2 at 3 and at 6."""
    side = Side(3)
    side.training.act_and_learn(side.members, WARMUP, generation=0)
    members = side.members.with_traits(updates=torch.tensor([0, 1, 2]))
    learned = side.training.act_and_learn(members, 4, generation=0)
    assert learned.traits["updates"].tolist() == [4, 5, 6]
    assert side.ledger.updates["actor"] == {0: 1, 1: 1, 2: 2}
    assert side.ledger.updates["critic"] == {0: 4, 1: 4, 2: 4}


def test_losses_are_unknown_where_nothing_was_updated() -> None:
    side = Side(2)
    warmed = side.training.act_and_learn(side.members, WARMUP, generation=0)
    assert torch.equal(warmed.params, side.members.params)
    assert warmed.traits["loss.critic"].isnan().all()
    assert warmed.traits["loss.actor"].isnan().all()
    early = side.training.act_and_learn(warmed, CONFIG.policy_delay - 1, generation=0)
    assert early.traits["loss.critic"].isfinite().all()
    assert early.traits["loss.actor"].isnan().all()


def test_new_members_begin_in_slots_as_they_were_at_first_and_warm_up_alone() -> None:
    side = Side(3)
    learned = side.training.act_and_learn(side.members, 12, 0)
    side.training.renew([1])
    assert side.replay.sizes == [12, 0, 12]
    assert side.collector.taken.tolist() == [12, 0, 12]
    warm = side.training.warm_up(learned, [1], 1)
    assert side.replay.sizes == [12, WARMUP, 12]
    assert side.collector.taken.tolist() == [12, WARMUP, 12]
    assert side.ledger.steps["warmup"] == 4 * WARMUP
    assert side.ledger.stored == 3 * 12 + WARMUP
    assert torch.equal(warm.params, learned.params)
    others = [0, 2]
    returns, before = warm.traits["recent_returns"], learned.traits["recent_returns"]
    assert same(returns[others], before[others])
    after = side.training.act_and_learn(warm, 1, 1)
    assert (after.traits["updates"] == warm.traits["updates"] + 1).all(), "nobody waits for a warm-up any more"
