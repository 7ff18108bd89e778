"""ERL (Khadka & Tumer 2018): a genetic algorithm and a learning agent that share a replay; the agent is injected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from evorl import learning
from evorl.algorithms import ga
from evorl.errors import require_at_least
from evorl.evaluation import Report
from evorl.interaction import Episodes, Replay
from evorl.learning import DDPGConfig, DeterministicLearnerConfig, EpisodicAgent, TD3Config
from evorl.policies import NetworkConfig, NoisyPolicy, OrnsteinUhlenbeck, deterministic_policy
from evorl.population import Population
from evorl.selection import best_first
from evorl.task import Task

_SMALL = NetworkConfig(hidden_sizes=(64, 64))
_QUICK = TD3Config(critic=_SMALL, batch_size=128, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
# Generations between injections, of the paper and its code.
_INTERVALS = {"halfcheetah": 10, "swimmer": 10, "reacher": 10, "ant": 1, "hopper": 1, "walker2d": 10}


@dataclass(frozen=True, kw_only=True)
class Config(ga.Config):
    """Settings of ERL; the defaults are those of the authors' 2018 code on HalfCheetah."""

    learner: DeterministicLearnerConfig = field(default_factory=DDPGConfig)
    """The agent's updates."""
    injection_interval: int = 10
    """Generations between injections of the agent."""
    start_steps: int = 640
    """Transitions that must be stored before the agent learns."""
    replay_size: int = 1_000_000
    """Transitions kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("injection_interval", self.injection_interval, 1)
        require_at_least("start_steps", self.start_steps, 0)
        require_at_least("replay_size", self.replay_size, self.learner.batch_size)


class ERL(ga.GA[Config]):
    """The genetic algorithm fills the replay of an agent, and now and then the agent joins the population.

    Members vary, are evaluated and are selected as in GA; new is who learns.
    """

    name = "erl"
    state = (*ga.GA.state, "replay", "agent", "noise")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "published": {},
        "common": {"network": NetworkConfig(), "learner": TD3Config(), "start_steps": 10_000},
        "quick": {"network": _SMALL, "learner": _QUICK, "start_steps": 1_000, "injection_interval": 1},
        **{task: {**ga.TASKS[task], "injection_interval": interval} for task, interval in _INTERVALS.items()},
    }

    def build(self) -> None:
        """Make the operators, the replay and the agent."""
        super().build()
        config, task = self.config, self.task
        capacity = min(config.replay_size, config.total_timesteps)
        self.replay = Replay(1, capacity, task.observation_size, task.action_size, config.device)
        small = replace(config.network, last_layer_scale=0.1 * config.network.last_layer_scale)  # the code's
        network = deterministic_policy(task, small, config.actor).network
        self.noise = OrnsteinUhlenbeck(1, task.action_size)
        episodes = Episodes(self.make_envs(1), NoisyPolicy(network, self.noise), self.ledger)
        learner = learning.make_learner(task, network, config.learner)
        self.acting = EpisodicAgent(learner, episodes, self.replay, self.streams, self.ledger, config.start_steps)
        params = network.init(self.streams.rows("agent", [0])).to(config.device)
        self.agent = Population.fresh(params, self.identities, "agent", self.acting.init(params))

    def fresh(self, rows: Sequence[int]) -> Population:
        """New members know that they do not descend from the agent."""
        return super().fresh(rows).with_traits(from_agent=torch.zeros(len(rows), dtype=torch.bool))

    def learn(self, candidates: Population) -> Population:
        """The agent plays a noisy episode and learns from all that was stored; now and then it joins the population."""
        self.agent = self.acting.play_and_learn(self.agent, self.generation)
        if (self.generation + 1) % self.config.injection_interval:
            return candidates
        return candidates.inject(len(candidates) - 1, self.agent, "agent", from_agent=torch.ones(1, dtype=torch.bool))

    def report(self, evaluated: Population) -> Report:
        """Return how the agent did, its share of the elites, and whether it became one of them if it just joined."""
        best, agent = best_first(evaluated.fitness)[: self.elites], self.agent.traits
        share = evaluated.traits["from_agent"][best].double().mean().item()
        joined = self.generation % self.config.injection_interval == 0
        kept = float(len(evaluated) - 1 in best) if joined else torch.nan
        inside = {"erl/agent_return": agent["recent_returns"][0, -1].item(), "erl/agent_share": share}
        losses = {f"loss/{part}": agent[f"loss.{part}"].item() for part in ("critic", "actor")}
        return {**inside, "erl/injection_kept": kept, **losses}

    @classmethod
    def first_steps(cls, config: Config, task: Task) -> int | None:
        """The episodes of all members, and one of the agent."""
        members = super().first_steps(config, task)
        return None if members is None or task.time_limit is None else members + task.time_limit


if __name__ == "__main__":
    from evorl.cli import script

    script(ERL.name)
