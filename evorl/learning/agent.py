"""An agent outside the population that acts in whole episodes and learns after each: ERL's gradient part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evorl.budget import Ledger
from evorl.interaction import Episodes, Replay
from evorl.learning.actor_critic import ActorCritic
from evorl.learning.records import count_updates, mean_losses, new_records, push_returns_
from evorl.population import Population
from evorl.streams import Streams


@dataclass(frozen=True)
class EpisodicAgent:
    """What acting in whole episodes and learning after each needs.

    Attributes:
        learner: the updates.
        episodes: plays with the agent's exploring policy.
        replay: one ring, which others fill too.
        streams: `explore`, `minibatch` and `target_noise`; the start is that of `agent_episode`, (generation,).
        ledger: where steps, stored transitions and updates are counted, under the row -1.
        start_steps: transitions that must be stored before the agent learns.
    """

    learner: ActorCritic
    episodes: Episodes
    replay: Replay
    streams: Streams
    ledger: Ledger
    start_steps: int

    def init(self, params: Tensor) -> dict[str, Tensor]:
        """Return the traits of a new agent with parameters (1, d)."""
        return {
            **self.learner.init(params, self.streams),
            **new_records(1),
            "stored": torch.zeros(1, dtype=torch.int64),
        }

    def play_and_learn(self, agent: Population, generation: int) -> Population:
        """Return the agent after one noisy episode, and as many updates as steps were stored since its last one."""
        learned = agent.clone()
        seed = self.streams.episode_seed("agent_episode", generation)
        played = self.episodes.play(learned, [seed], "train", self.streams.rows("explore", [0]), keep=True)
        if played.transitions is not None:
            self.replay.add(played.transitions)
            self.ledger.stored += len(played.transitions)
        push_returns_(learned.traits["recent_returns"], [0], played.returns)
        updates = self.ledger.stored - int(agent.traits["stored"])
        enough = max(self.start_steps, self.learner.config.batch_size - 1)
        learns = self.ledger.stored > enough
        losses = [self.learner.update_(learned, self.replay, updates, self.streams)] if learns else []
        count_updates(self.ledger, agent, learned, self.learner.config.policy_delay, first_row=-1)
        stored = torch.tensor([self.ledger.stored])
        return learned.with_traits(**mean_losses(losses, 1), stored=stored)
