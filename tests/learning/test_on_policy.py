"""Acting and learning from rollouts, against a loop written out by hand."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from support import counted, oracle, same, total_steps

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs, describe
from evorl.interaction import Collector, Rollout
from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.on_policy import OnPolicy
from evorl.learning.ppo import PPO, PPOConfig
from evorl.policies import NetworkConfig, stochastic_policy
from evorl.population import Identities, Population
from evorl.streams import Streams
from evorl.task import Task

SMALL = NetworkConfig(hidden_sizes=(8,))
ORACLE = oracle(9, terminate_at=3, spread=4)
CARTPOLE = describe("CartPole-v1")
CONFIGS: dict[str, A2CConfig] = {
    "a2c": A2CConfig(critic=SMALL, rollout_length=6),
    "ppo": PPOConfig(critic=SMALL, rollout_length=6, minibatches=2, epochs=3),
}


@dataclass
class Side:
    """Everything that n members need to act and learn, and the members."""

    n: int
    kind: str
    task: Task = ORACLE

    def __post_init__(self) -> None:
        config, policy = CONFIGS[self.kind], stochastic_policy(self.task, SMALL)
        self.streams, self.ledger = Streams(3), Ledger()
        envs = GymnasiumEnvs(self.task, self.n)
        self.collector = Collector(envs, self.n, self.task, policy, self.streams, self.ledger)
        self.learner = A2C(self.task, policy, config)
        if isinstance(config, PPOConfig):
            self.learner = PPO(self.task, policy, config)
        self.training = OnPolicy(self.learner, self.collector, self.streams, self.ledger)
        params = policy.network.init(self.streams.rows("initialise", range(self.n)))
        fresh = Population.fresh(params, Identities(), "initial", self.training.init(params, range(self.n)))
        self.members = fresh.with_fitness(torch.arange(self.n))


@pytest.mark.parametrize("task", [ORACLE, CARTPOLE], ids=lambda task: task.env_id)
@pytest.mark.parametrize("kind", CONFIGS)
def test_members_act_for_a_rollout_and_then_learn_from_it(kind: str, task: Task) -> None:
    side, other = Side(3, kind, task), Side(3, kind, task)
    learned = side.training.act_and_learn(side.members, 24, generation=0)
    members, critic, actor = other.members.clone(), [], []
    running = [0.0] * 3
    returns: list[list[float]] = [[], [], []]
    for _ in range(4):
        collected = [other.collector.step(members, 0) for _ in range(6)]
        rollout = Rollout.of_steps(collected)
        for row in range(3):
            for reward, ended in zip(rollout.transitions.rewards[row], rollout.ended[row], strict=True):
                running[row] += reward.item()
                if ended:
                    returns[row].append(running[row])
                    running[row] = 0.0
        losses = other.learner.update_(members, rollout, other.streams)
        critic.append(losses[0])
        actor.append(losses[1])
    assert torch.equal(learned.params, members.params)
    assert (learned.params != side.members.params).any(dim=1).all()
    for name in set(learned.traits) - {"recent_returns", "loss.critic", "loss.actor"}:
        assert torch.equal(learned.traits[name], members.traits[name]), name
    for row in range(3):
        window = learned.traits["recent_returns"][row]
        latest = returns[row][-len(window) :]
        assert window.isnan().sum() == len(window) - len(latest)
        np.testing.assert_allclose(window[len(window) - len(latest) :], latest, rtol=1e-5)
    torch.testing.assert_close(learned.traits["loss.critic"], torch.stack(critic).mean(0).double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(learned.traits["loss.actor"], torch.stack(actor).mean(0).double(), rtol=1e-4, atol=1e-6)


def test_log_probabilities_are_those_of_the_actions_as_they_were_drawn() -> None:
    """Learning begins with the very policy that acted, its normaliser and all."""
    side = Side(2, "ppo")
    members = side.training.act_and_learn(side.members, 12, generation=0).clone()
    assert members.traits["normaliser.count"].tolist() == [12, 12]
    collected, expected = [], []
    for _ in range(6):
        collected.append(side.collector.step(members, 0))
        steps = collected[-1].transitions
        mean = side.learner.policy.act(members, steps.observations)
        normal: Any = torch.distributions.Normal(mean, members.params[:, -2:].exp())
        expected.append(normal.log_prob(steps.actions).sum(-1))
    h = side.learner.hyperparameters(members.traits)
    batch = side.learner.prepare(members.params, members.traits, Rollout.of_steps(collected), h)
    assert batch.log_probs is not None
    torch.testing.assert_close(batch.log_probs, torch.stack(expected, 1))


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_handed_in_is_left_alone_and_ids_are_kept(kind: str) -> None:
    side = Side(2, kind)
    kept = copy.deepcopy(side.members.state_dict())
    learned = side.training.act_and_learn(side.members, 12, generation=0)
    assert same(side.members.state_dict(), kept)
    assert torch.equal(learned.id, side.members.id)
    assert learned.fitness.isnan().all()


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_interval_in_two_calls_equals_one_also_after_a_resume(kind: str) -> None:
    at_once, in_two, resumed = Side(2, kind), Side(2, kind), Side(2, kind)
    whole = at_once.training.act_and_learn(at_once.members, 24, generation=0)
    half = in_two.training.act_and_learn(in_two.members, 6, generation=0)
    resumed.streams.load_state_dict(copy.deepcopy(in_two.streams.state_dict()))
    resumed.training.load_state_dict(copy.deepcopy(in_two.training.state_dict()))
    assert resumed.training.exact
    for side in (in_two, resumed):
        halves = side.training.act_and_learn(half, 18, generation=0)
        ours, theirs = whole.state_dict(), halves.state_dict()
        for state in (ours, theirs):
            for part in ("critic", "actor"):
                state["traits"].pop(f"loss.{part}")  # the mean over a call
        assert same(ours, theirs)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_member_learns_the_same_alone_and_beside_others(kind: str) -> None:
    together, alone = Side(3, kind), Side(1, kind)
    beside = together.training.act_and_learn(together.members, 18, generation=0)
    by_itself = alone.training.act_and_learn(alone.members, 18, generation=0)
    torch.testing.assert_close(beside.params[0], by_itself.params[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(
        beside.traits["recent_returns"][0], by_itself.traits["recent_returns"][0], equal_nan=True
    )


@pytest.mark.parametrize(("kind", "updates"), [("a2c", 1), ("ppo", 6)])
def test_the_ledger_counts_every_step_and_update(kind: str, updates: int) -> None:
    with counted() as made:
        side = Side(3, kind)
        side.training.act_and_learn(side.members, 12, generation=0)
        assert total_steps(made) == side.ledger.spent == 36
    assert side.ledger.steps == {**Ledger().steps, "train": 36}
    assert side.ledger.stored == 0
    for part in ("critic", "actor"):
        assert side.ledger.updates[part] == dict.fromkeys(range(3), 2 * updates)


def test_an_interval_that_cuts_a_rollout_is_refused_before_a_step() -> None:
    side = Side(2, "a2c")
    with pytest.raises(ValueError, match=r"^steps must be a multiple of rollout_length = 6, got 20$"):
        side.training.act_and_learn(side.members, 20, generation=0)
    assert side.ledger.spent == 0


def test_new_members_have_the_traits_of_learner_and_records() -> None:
    side = Side(2, "ppo")
    assert {"critic", "normaliser.mean", "recent_returns", "loss.actor", "actor_adam.mean"} <= set(side.members.traits)
    assert side.members.traits["recent_returns"].isnan().all()


@pytest.mark.slow
def test_a_member_learns_to_balance_the_pole() -> None:
    policy, streams, ledger = stochastic_policy(CARTPOLE, NetworkConfig(hidden_sizes=(64, 64))), Streams(0), Ledger()
    collector = Collector(GymnasiumEnvs(CARTPOLE, 1), 1, CARTPOLE, policy, streams, ledger)
    training = OnPolicy(PPO(CARTPOLE, policy, PPOConfig()), collector, streams, ledger)
    params = policy.network.init(streams.rows("initialise", [0]))
    members = Population.fresh(params, Identities(), "initial", training.init(params, [0]))
    members = training.act_and_learn(members, 20 * 2_048, generation=0)
    assert members.traits["recent_returns"].mean() > 300
