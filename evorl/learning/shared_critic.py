"""Actors that learn from one critic: the gradient part of CEM-RL (Pourchot & Sigaud 2019, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from evorl.interaction import Replay
from evorl.learning.actor_critic import ActorCritic
from evorl.learning.adam import adam_state
from evorl.learning.traits import State
from evorl.population import Transitions
from evorl.streams import Streams

#: `sequential`: the critic trains with one actor after another, as in the authors' code; `joint`: with all at once, on
#: the mean of their losses, as fastpbrl does on purpose.
CriticSchedule = Literal["sequential", "joint"]


@dataclass(frozen=True)
class SharedCritic:
    """What learning against one critic needs; nothing here changes but the streams.

    There is no policy delay: actors and critic have updates of their own.

    Attributes:
        learner: the updates.
        replay: one ring that all share.
        streams: `critic_minibatch`, `target_noise` and `actor_minibatch` of each actor's row.
        schedule: how actors and critic take turns.
    """

    learner: ActorCritic
    replay: Replay
    streams: Streams
    schedule: CriticSchedule = "sequential"

    def init(self) -> dict[str, Tensor]:
        """Return a new critic, one row: network, target and moments."""
        critic = self.learner.critic.init(self.streams.rows("critic", [0])).to(self.replay.device)
        return {"critic": critic, "target_critic": critic.clone(), **adam_state("critic", critic)}

    def train(self, actors: Tensor, critic: State, updates: int) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Train actors (n, d) for `updates` updates each, and the critic for `updates` in all, rounded down to the n.

        The actors begin with new Adam moments; the critic's go on. Without actors the critic does not train.

        Returns:
            The trained actors, the trained critic, and the mean losses `loss.critic` and `loss.actor`.
        """
        updates = updates if len(actors) else 0
        actors, critic = actors.clone(), {name: tensor.clone() for name, tensor in critic.items()}
        # Written in place: many small tensors kept among the large ones of the updates would hold on to their memory.
        losses = torch.empty(self.critic_updates(len(actors), updates)), torch.empty(updates)
        train = self._sequential if self.schedule == "sequential" else self._joint
        if updates:
            train(actors, critic, *losses)
        of_critic, of_actor = (loss.double().mean() for loss in losses)
        return actors, critic, {"loss.critic": of_critic, "loss.actor": of_actor}

    def _sequential(self, actors: Tensor, critic: State, critic_losses: Tensor, actor_losses: Tensor) -> None:
        """Run all critic phases, then all actors at once, in place.

        In the authors' code the phases alternate: critic with actor i, then actor i. But phase i of the critic uses
        actor i as it was sampled, and actor i learns from the critic as phase i left it: so the critic phases can all
        run first, a snapshot kept after each, and the actors then train as one stack against their snapshots.
        """
        snapshots: list[Tensor] = []
        for row, phase in enumerate(critic_losses.view(len(actors), -1)):
            for update in range(len(phase)):
                phase[update] = self._critic_update(actors[row : row + 1], critic, [row])
            snapshots.append(critic["critic"].clone())
        fixed, moments = {"critic": torch.cat(snapshots)}, adam_state("actor", actors)
        for update in range(len(actor_losses)):
            actor_losses[update] = self._actor_update(actors, fixed, moments)

    def _joint(self, actors: Tensor, critic: State, critic_losses: Tensor, actor_losses: Tensor) -> None:
        """Let the critic, on the mean of the actors' losses, and the actors take turns, in place."""
        rows, moments = list(range(len(actors))), adam_state("actor", actors)
        for update in range(len(actor_losses)):
            critic_losses[update] = self._critic_update(actors, critic, rows)
            actor_losses[update] = self._actor_update(actors, critic, moments)

    def _critic_update(self, actors: Tensor, critic: State, rows: list[int]) -> Tensor:
        h = self.learner.hyperparameters(critic)
        batch = self._minibatch("critic_minibatch", rows)
        noise = self.learner.noise(self.streams.rows("target_noise", rows), batch)
        loss = self.learner.critic_step(critic, actors, batch, noise, h)
        self.learner.critic_target_step(critic, h)
        return loss.mean()

    def _actor_update(self, actors: Tensor, critic: State, moments: State) -> Tensor:
        batch = self._minibatch("actor_minibatch", list(range(len(actors))))
        return self.learner.actor_step(actors, critic, batch, self.learner.hyperparameters(critic), moments).mean()

    def _minibatch(self, name: str, rows: list[int]) -> Transitions:
        return self.replay.sample(self.streams.rows(name, rows), self.learner.config.batch_size)

    def critic_updates(self, actors: int, updates: int) -> int:
        """Return how many updates of the critic `train` makes."""
        if not actors:
            return 0
        return updates // actors * actors if self.schedule == "sequential" else updates
