"""An agent that plays an episode and then learns: how much, from when on, and what goes on between episodes."""

from typing import Any

import numpy as np
import pytest
import torch
from support import number_of, oracle, same

from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs
from evorl.interaction import Episodes, Replay
from evorl.learning import DDPG, DDPGConfig, EpisodicAgent
from evorl.policies import MLP, NetworkConfig, NoisyPolicy, OrnsteinUhlenbeck
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams

LENGTHS = {"terminate_at": 3, "spread": 7}
TASK = oracle(**LENGTHS)
NETWORK = MLP(2, 2, NetworkConfig(hidden_sizes=(8, 8), activation="tanh"), output="tanh")


class Setting:
    """An agent with all that it needs, and others that fill its replay."""

    def __init__(self, start_steps: int, seed: int = 0, **learner: Any) -> None:
        config = DDPGConfig(critic=NetworkConfig(hidden_sizes=(8, 8)), batch_size=4, **learner)
        self.ledger, self.streams, self.noise = Ledger(), Streams(seed), OrnsteinUhlenbeck(1, 2)
        self.replay = Replay(1, 10_000, 2, 2)
        episodes = Episodes(GymnasiumEnvs(TASK, 1), NoisyPolicy(NETWORK, self.noise), self.ledger)
        ddpg = DDPG(TASK, NETWORK, config)
        self.acting = EpisodicAgent(ddpg, episodes, self.replay, self.streams, self.ledger, start_steps)
        params = NETWORK.init(self.streams.rows("agent", [0]))
        self.agent = Population.fresh(params, Identities(), "agent", self.acting.init(params))

    def others_store(self, steps: int) -> None:
        """Let others add transitions, as a population does."""
        generator = torch.Generator().manual_seed(steps)
        columns = [torch.rand(steps, 2, generator=generator) for _ in range(3)]
        zeros = torch.zeros(steps)
        self.replay.add(Transitions(columns[0], columns[1], zeros, columns[2], zeros))
        self.ledger.stored += steps

    def length(self, generation: int) -> int:
        return 3 + self.streams.episode_seed("agent_episode", generation) % 7

    def turn(self, generation: int) -> None:
        self.agent = self.acting.play_and_learn(self.agent, generation)


def test_it_updates_as_often_as_steps_were_stored_since_it_last_learned_its_own_among_them() -> None:
    setting, expected = Setting(start_steps=0), 0
    for generation, others in enumerate([11, 0, 25, 4]):
        setting.others_store(others)
        setting.turn(generation)
        expected += others + setting.length(generation)
        assert setting.agent.traits["updates"].tolist() == [expected]
        assert setting.ledger.updates == {"critic": {-1: expected}, "actor": {-1: expected}}
        assert setting.ledger.stored == setting.replay.sizes[0] == expected


def test_it_does_not_learn_until_more_than_start_steps_are_stored_and_then_catches_nothing_up() -> None:
    probe = Setting(start_steps=0)
    lengths = [probe.length(generation) for generation in range(4)]
    start = 20 + sum(lengths[:2])  # after two episodes exactly as many are stored: not yet more
    setting = Setting(start_steps=start)
    before, kept = setting.agent.params.clone(), dict(setting.agent.traits)
    setting.others_store(20)
    for generation in range(2):
        setting.turn(generation)
        assert setting.ledger.updates == {"critic": {-1: 0}, "actor": {-1: 0}}
        assert torch.equal(setting.agent.params, before)
        assert all(same(setting.agent.traits[name], kept[name]) for name in ("critic", "target_critic", "updates"))
        assert setting.agent.traits["loss.critic"].isnan().all()
    assert setting.ledger.stored == start
    setting.turn(2)
    assert setting.agent.traits["updates"].tolist() == [lengths[2]]
    assert not torch.equal(setting.agent.params, before)
    assert setting.agent.traits["loss.critic"].isfinite().all()
    setting.turn(3)
    assert setting.agent.traits["updates"].tolist() == [lengths[2] + lengths[3]]


def test_an_episode_is_counted_once_as_train() -> None:
    setting = Setting(start_steps=1_000)
    for generation in range(3):
        before = dict(setting.ledger.steps)
        setting.turn(generation)
        after = setting.ledger.steps
        assert after["train"] - before["train"] == setting.length(generation)
        assert {name: steps for name, steps in after.items() if name != "train"} == {
            name: steps for name, steps in before.items() if name != "train"
        }
        assert setting.ledger.episodes == generation + 1
        first = setting.ledger.stored - setting.length(generation)
        stored = setting.replay.take(torch.arange(first, setting.ledger.stored)[None])
        seed = setting.streams.episode_seed("agent_episode", generation)
        assert (stored.observations[0, :, 0] == number_of(seed)).all()
        assert stored.terminated[0].tolist() == [0.0] * (setting.length(generation) - 1) + [1.0]


def test_the_noise_goes_on_from_one_episode_to_the_next() -> None:
    """The actions stored are those of the network plus one unbroken path of the recursion."""
    setting = Setting(start_steps=1_000)
    for generation in range(4):
        setting.turn(generation)
    total = setting.ledger.stored
    stored = setting.replay.take(torch.arange(total)[None])
    plain = NETWORK(setting.agent.params, stored.observations)[0].double()
    normals = Streams(0).rows("explore", [0])
    state, expected = torch.zeros(2, dtype=torch.float64), []
    for _ in range(total):
        state = state - 0.15 * state + 0.2 * normals.normal(2)[0].double()
        expected.append(0.3 * state)
    noisy = (plain + torch.stack(expected)).clamp(-1, 1)
    torch.testing.assert_close(stored.actions[0].double(), noisy, rtol=0, atol=1e-6)
    torch.testing.assert_close(setting.noise.state[0], state, rtol=0, atol=1e-12)


def test_its_return_is_that_of_its_noisy_episode() -> None:
    setting, returns = Setting(start_steps=1_000), []
    for generation in range(12):
        first = setting.ledger.stored
        setting.turn(generation)
        stored = setting.replay.take(torch.arange(first, setting.ledger.stored)[None])
        returns.append(stored.rewards.double().sum().item())
    np.testing.assert_allclose(setting.agent.traits["recent_returns"][0], returns[-10:], rtol=1e-5)


def test_its_updates_are_those_of_the_learner_on_the_same_replay() -> None:
    setting = Setting(start_steps=0, actor_learning_rate=1e-3)
    setting.others_store(30)
    before = setting.agent.clone()
    setting.turn(0)
    streams = Streams(0)
    setting.acting.learner.update_(before, setting.replay, 30 + setting.length(0), streams)
    assert torch.equal(setting.agent.params, before.params)
    assert torch.equal(setting.agent.traits["critic"], before.traits["critic"])


def test_the_agent_that_is_handed_in_does_not_change_and_keeps_its_id() -> None:
    setting = Setting(start_steps=0)
    setting.others_store(10)
    handed = setting.agent
    kept = handed.clone()
    learned = setting.acting.play_and_learn(handed, 0)
    assert same(handed.state_dict(), kept.state_dict())
    assert torch.equal(learned.id, handed.id)
    assert not torch.equal(learned.params, handed.params)


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_a_delay_is_counted_over_all_turns(delay: int) -> None:
    setting, total = Setting(start_steps=0, policy_delay=delay), 0
    for generation in range(4):
        setting.turn(generation)
        total += setting.length(generation) if setting.ledger.stored >= 4 else 0
        assert setting.ledger.updates == {"critic": {-1: total}, "actor": {-1: total // delay}}
