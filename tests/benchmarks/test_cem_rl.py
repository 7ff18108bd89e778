"""The plain CEM-RL computes what ours computes, part by part."""

from dataclasses import replace

import numpy as np
import torch
from support import ORACLE
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from benchmarks.cem_rl import measure
from benchmarks.generation import cem_rl_updates
from benchmarks.plain_cem_rl import PlainCEMRL
from evorl.algorithms.cem_rl import CEMRL, Config
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.streams import Streams
from evorl.variation import DiagonalGaussian

CONFIG = Config(
    env_id=ORACLE,
    env_kwargs={"max_episode_steps": 6},
    population_size=4,
    network=NetworkConfig(hidden_sizes=(8, 6), activation="tanh"),
    learner=TD3Config(critic=NetworkConfig(hidden_sizes=(8, 6), activation="leaky_relu"), batch_size=5),
    start_steps=0,
    total_timesteps=1_000,
)


class SameDraws(PlainCEMRL):
    """Draws the minibatches that ours draws, from streams of its own."""

    def __init__(self, ours: CEMRL, candidates: Population) -> None:
        super().__init__(ours.config, ours.task)
        self.ours, self.streams = ours, Streams(ours.config.seed)
        for actor, row in zip(self.actors, candidates.params, strict=True):
            vector_to_parameters(row.clone(), actor.parameters())
        vector_to_parameters(ours.critic["critic"][0].clone(), self.trainer.critics.parameters())
        vector_to_parameters(ours.critic["target_critic"][0].clone(), self.trainer.target_critics.parameters())

    def _fields(self, name: str, row: int) -> list[Tensor]:
        batch = self.ours.gradient.replay.sample(self.streams.rows(name, [row]), self.learner.batch_size)
        fields = (batch.observations, batch.actions, batch.rewards, batch.next_observations, batch.terminated)
        return [field[0] for field in fields]

    def critic_minibatch(self, row: int) -> tuple[list[Tensor], Tensor]:
        fields = self._fields("critic_minibatch", row)
        return fields, self.streams.rows("target_noise", [row]).normal(*fields[1].shape)[0]

    def actor_minibatch(self, row: int) -> Tensor:
        return self._fields("actor_minibatch", row)[0]


def evaluated_once() -> tuple[CEMRL, Population]:
    ours = CEMRL(CONFIG)
    return ours, ours.evaluate(ours.vary(ours.population))


def test_learning_is_the_same() -> None:
    ours, candidates = evaluated_once()
    plain, updates = SameDraws(ours, candidates), 6
    plain.learn(updates)
    learned = cem_rl_updates(ours, candidates, updates)
    for row, actor in enumerate(plain.actors):
        vector = parameters_to_vector(actor.parameters())
        torch.testing.assert_close(learned.params[row], vector, rtol=1e-5, atol=1e-6)
    critics = {"critic": plain.trainer.critics, "target_critic": plain.trainer.target_critics}
    for name, modules in critics.items():
        vector = parameters_to_vector(modules.parameters())
        torch.testing.assert_close(ours.critic[name][0], vector, rtol=1e-5, atol=1e-6)
    assert not torch.equal(learned.params[:2], candidates.params[:2])
    ours.close()


def test_the_gaussian_is_the_same() -> None:
    ours, evaluated = evaluated_once()
    plain = SameDraws(ours, evaluated)
    strategy = ours.strategy
    assert isinstance(strategy, DiagonalGaussian)
    plain.mean = strategy.mean.copy()
    plain.select(evaluated.fitness.numpy())
    ours.select(evaluated)
    np.testing.assert_allclose(plain.mean, strategy.mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(plain.variance, strategy.variance, rtol=1e-6, atol=1e-12)
    plain.vary()
    rows = torch.stack([parameters_to_vector(actor.parameters()).detach() for actor in plain.actors]).double()
    torch.testing.assert_close(rows[:2] + rows[2:], torch.from_numpy(2 * plain.mean).expand(2, -1), rtol=0, atol=1e-6)
    ours.close()


def test_evaluation_stores_every_step_and_plays_the_same_episodes() -> None:
    ours, candidates = evaluated_once()
    plain = SameDraws(ours, candidates)
    seeds = [ours.streams.episode_seed("fitness", 0, row, 0) for row in range(4)]
    np.testing.assert_allclose(plain.evaluate(seeds), candidates.fitness.numpy(), rtol=1e-5)
    stored = ours.gradient.replay.take(torch.arange(24)[None])
    assert plain.ring.added == 24
    torch.testing.assert_close(plain.ring.tensors[0][:24], stored.observations[0])
    torch.testing.assert_close(plain.ring.tensors[1][:24], stored.actions[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(plain.ring.tensors[2][:24, 0], stored.rewards[0], rtol=1e-5, atol=1e-6)
    ours.close()


def test_the_question_is_answered_at_small_sizes() -> None:
    result = measure(replace(CONFIG, population_size=4), updates=4, repeats=1)
    assert [row[0] for row in result.rows] == ["vary and select", "learn", "evaluate", "a generation"]
    assert all(goal.measured > 0 for goal in result.goals)
