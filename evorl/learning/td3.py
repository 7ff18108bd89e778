"""TD3 (Fujimoto, van Hoof, Meger 2018, algorithm 1) on stacked members, split into its critic and actor step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evorl.errors import require_above, require_at_least, require_between
from evorl.interaction import Replay
from evorl.learning.adam import Hyperparameter, adam_, adam_state, column
from evorl.policies import MLP, Ensemble, NetworkConfig
from evorl.population import Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

#: What a learner reads and writes: named (n, ...) tensors.
State = Mapping[str, Tensor]
#: Hyperparameters by name, one for all members or (n,).
Hyperparameters = Mapping[str, Hyperparameter]


@dataclass(frozen=True, kw_only=True)
class TD3Config:
    """Settings of TD3; the defaults are those of the authors' current code."""

    critic: NetworkConfig = field(default_factory=NetworkConfig)
    """Both critics' hidden layers."""
    batch_size: int = 256
    """Transitions in a minibatch of a member."""
    actor_learning_rate: float = 3e-4
    critic_learning_rate: float = 3e-4
    discount: float = 0.99
    tau: float = 0.005
    """Share of the network that its target takes over at each policy update."""
    target_noise: float = 0.2
    """Standard deviation of the smoothing noise on the target action."""
    target_noise_clip: float = 0.5
    policy_delay: int = 2
    """Critic updates for each update of actor and targets."""

    def __post_init__(self) -> None:
        require_at_least("batch_size", self.batch_size, 1)
        require_at_least("policy_delay", self.policy_delay, 1)
        require_above("actor_learning_rate", self.actor_learning_rate, 0)
        require_above("critic_learning_rate", self.critic_learning_rate, 0)
        require_between("discount", self.discount, 0, 1)
        require_between("tau", self.tau, 0, 1)
        require_at_least("target_noise", self.target_noise, 0)
        require_at_least("target_noise_clip", self.target_noise_clip, 0)


class TD3:
    """TD3's updates; a learner has no state of its own and knows nothing of evolution.

    Args:
        task: sizes of observation and action.
        actor: the policy's network.
        config: settings; those in `tunable` may differ from member to member through traits `h.<name>`.
    """

    #: What may differ by row, and the range in which it makes sense.
    tunable: Mapping[str, tuple[float, float]] = {
        "actor_learning_rate": (1e-6, 1e-1),
        "critic_learning_rate": (1e-6, 1e-1),
        "discount": (0.0, 1.0),
        "tau": (0.0, 1.0),
        "target_noise": (0.0, 2.0),
        "target_noise_clip": (0.0, 2.0),
    }

    def __init__(self, task: Task, actor: MLP, config: TD3Config) -> None:
        self.actor = actor
        self.critic = Ensemble(MLP(task.observation_size + task.action_size, 1, config.critic), copies=2)
        self.config = config

    def init(self, actors: Tensor, streams: Streams) -> dict[str, Tensor]:
        """Return the learner's traits for new actors (n, d): critics, targets, moments and the count of updates."""
        critic = self.critic.init(streams.rows("critic", range(len(actors)))).to(actors.device)
        return {
            "target_actor": actors.clone(),
            "critic": critic,
            "target_critic": critic.clone(),
            "updates": torch.zeros(len(actors), dtype=torch.int64),
            **adam_state("actor", actors),
            **adam_state("critic", critic),
        }

    def hyperparameters(self, state: State) -> dict[str, Hyperparameter]:
        """Return what the next update uses: a member's own trait `h.<name>` if there is one, else the setting."""
        return {name: state.get(f"h.{name}", getattr(self.config, name)) for name in self.tunable}

    def update_(self, members: Population, replay: Replay, updates: int, streams: Streams) -> tuple[Tensor, Tensor]:
        """Update members `updates` times, in place on their tensors: critic at each, actor and targets when due.

        Returns:
            The mean losses of critic and actor, (n,) each; the actor's is NaN if it was not due.
        """
        n = len(members)
        minibatch, smoothing = streams.rows("minibatch", range(n)), streams.rows("target_noise", range(n))
        done = members.traits["updates"].tolist()
        losses: tuple[list[Tensor], list[Tensor]] = ([], [])
        for _ in range(updates):
            batch = replay.sample(minibatch, self.config.batch_size)
            noise = smoothing.normal(self.config.batch_size, batch.actions.shape[-1]).to(batch.actions.device)
            h = self.hyperparameters(members.traits)
            losses[0].append(self.critic_step(members.traits, members.traits["target_actor"], batch, noise, h))
            done = [count + 1 for count in done]
            due = [row for row, count in enumerate(done) if count % self.config.policy_delay == 0]
            if due:
                losses[1].append(self._delayed_step(members, due, batch))
        members.traits["updates"].copy_(torch.tensor(done))
        unknown = torch.full((n,), torch.nan)
        return torch.stack(losses[0]).mean(0), torch.stack(losses[1]).nanmean(0) if losses[1] else unknown

    def _delayed_step(self, members: Population, due: list[int], batch: Transitions) -> Tensor:
        """Update actor and targets of the rows that are due; NaN is the loss of the others."""
        if len(due) == len(members):
            loss = self.actor_step(members.params, members.traits, batch, self.hyperparameters(members.traits))
            self.target_step(members.params, members.traits, self.hyperparameters(members.traits))
            return loss
        some = members[due]
        loss = torch.full((len(members),), torch.nan)
        loss[due] = self._delayed_step(some, list(range(len(due))), _rows(batch, due))
        members.params[due] = some.params
        for name, trait in some.traits.items():
            members.traits[name][due] = trait
        return loss

    def critic_step(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor, h: Hyperparameters
    ) -> Tensor:
        """Take one Adam step on the critics, in place.

        `y = r + discount (1 - terminated) min_j Q'_j(s', clip(actor(s') + clip(noise)))`, loss: the sum over the twin
        critics of the mean squared error (TD3, algorithm 1).

        Args:
            critic: holds `critic`, `target_critic` and the moments, (n, ...); changed.
            actors: (n, d) the policies of the target action.
            batch: a minibatch for each row, (n, b, ...).
            noise: (n, b, a) standard normal.
            h: hyperparameters.

        Returns:
            The loss before the step, (n,).
        """
        with torch.no_grad():
            clip = _per_sample(h["target_noise_clip"], 3)
            smoothing = torch.clamp(noise * _per_sample(h["target_noise"], 3), -clip, clip)
            actions = (self.actor(actors, batch.next_observations) + smoothing).clamp_(-1, 1)
            values = self.critic(critic["target_critic"], torch.cat([batch.next_observations, actions], -1))
            future = _per_sample(h["discount"], 2) * values[..., 0].amin(1)
            targets = batch.rewards + (1 - batch.terminated) * future
        params = critic["critic"].detach().requires_grad_()
        values = self.critic(params, torch.cat([batch.observations, batch.actions], -1))[..., 0]
        loss = (values - targets[:, None]).square().mean(-1).sum(-1)
        (gradient,) = torch.autograd.grad(loss.sum(), params)
        adam_("critic", critic["critic"], gradient, critic, h["critic_learning_rate"])
        return loss.detach()

    def actor_step(
        self,
        actors: Tensor,
        critic: State,
        batch: Transitions,
        h: Hyperparameters,
        moments: State | None = None,
        extra: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Take one Adam step on `-mean Q_1(s, actor(s))` plus `extra`, in place.

        Args:
            actors: (n, d), changed.
            critic: holds `critic`, (n, ...) or one row that serves all.
            batch: a minibatch for each row, (n, b, ...).
            h: hyperparameters.
            moments: holds the actors' Adam, changed; that of `critic` if not given.
            extra: a further loss (n,) of actors' parameters and observations, such as a pull to another policy.

        Returns:
            The loss before the step, (n,).
        """
        params = actors.detach().requires_grad_()
        actions = self.actor(params, batch.observations)
        values = self.critic.first(critic["critic"], torch.cat([batch.observations, actions], -1))
        loss = -values[..., 0].mean(-1)
        if extra is not None:
            loss = loss + extra(params, batch.observations)
        (gradient,) = torch.autograd.grad(loss.sum(), params)
        adam_("actor", actors, gradient, critic if moments is None else moments, h["actor_learning_rate"])
        return loss.detach()

    def target_step(self, actors: Tensor, state: State, h: Hyperparameters) -> None:
        """Move the targets by tau towards their networks, in place."""
        tau = column(h["tau"])
        for target, network in ((state["target_critic"], state["critic"]), (state["target_actor"], actors)):
            target.lerp_(network, tau)


def _per_sample(value: Hyperparameter, dimensions: int) -> Tensor:
    """Return a hyperparameter so that it broadcasts over (n, b, ...)."""
    return torch.as_tensor(value).view(-1, *[1] * (dimensions - 1))


def _rows(batch: Transitions, rows: list[int]) -> Transitions:
    return Transitions(
        batch.observations[rows],
        batch.actions[rows],
        batch.rewards[rows],
        batch.next_observations[rows],
        batch.terminated[rows],
    )
