"""Actor-critic learners with a replay, on stacked members: what TD3, DDPG and SAC share.

A learner has no state of its own and knows nothing of evolution. Its state is a mapping of (n, ...) tensors: the traits
of the members that it trains, or of a population of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from evorl.errors import require_above, require_at_least, require_between, require_fields
from evorl.interaction import Replay
from evorl.learning.adam import adam_, adam_state
from evorl.learning.traits import Hyperparameter, Hyperparameters, State, column, own_or_set
from evorl.policies import Ensemble, Network, Precision, in_precision, normalise, vjp
from evorl.population import Population, Transitions
from evorl.streams import RowStreams, Streams

#: A further loss (n,) of the actors, such as a pull to another policy. It is given their parameters (n, d), the state
#: (n, ...) that goes with them, in which it may write, and observations (n, b, o); now and then of some members only.
FurtherLoss = Callable[[Tensor, State, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class LearnerConfig:
    """Settings that every actor-critic with a replay has."""

    batch_size: int = 256
    """Transitions in a minibatch of a member."""
    actor_learning_rate: float = 3e-4
    """Of the actor's Adam."""
    critic_learning_rate: float = 3e-4
    """Of the critic's Adam."""
    discount: float = 0.99
    """Weight of the next step's value."""
    tau: float = 0.005
    """Share of the network that its target takes over when it moves."""
    policy_delay: int = 1
    """Critic updates for each update of actor and targets."""
    precision: Precision = "fp32"
    """Of the networks in updates; acting and everything that is kept are single precision."""

    def __post_init__(self) -> None:
        require_fields(self)
        require_at_least("batch_size", self.batch_size, 1)
        require_at_least("policy_delay", self.policy_delay, 1)
        require_above("actor_learning_rate", self.actor_learning_rate, 0)
        require_above("critic_learning_rate", self.critic_learning_rate, 0)
        require_between("discount", self.discount, 0, 1)
        require_between("tau", self.tau, 0, 1)


class ActorCritic(ABC):
    """The updates of an actor-critic; a subclass says what the critic is and what it learns.

    The actor is deterministic and has a target, unless the subclass says otherwise.

    Args:
        actor: the policy's network.
        critic: one or more value networks in a row.
        config: settings; those in `tunable` may differ from member to member through traits `h.<name>`.

    Attributes:
        critic_clip: norm to which a row's critic gradient is clipped; infinity for none.
        actor_clip: likewise for the actor.
        replacement: whether a transition can stand twice in a minibatch of `update_`; CEM-RL's critic, which draws for
            itself, lets it, as its code does.
    """

    #: What may differ by row, and the range in which it makes sense.
    tunable: ClassVar[Mapping[str, tuple[float, float]]] = {
        "actor_learning_rate": (1e-6, 1e-1),
        "critic_learning_rate": (1e-6, 1e-1),
        "discount": (0.0, 1.0),
        "tau": (0.0, 1.0),
    }

    def __init__(self, actor: Network, critic: Ensemble, config: LearnerConfig) -> None:
        self.actor = in_precision(actor, config.precision)
        self.critic = Ensemble(in_precision(critic.network, config.precision), critic.copies)
        self.config = config
        self.critic_clip = self.actor_clip = float("inf")
        self.replacement = True

    @abstractmethod
    def targets(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor | None, h: Hyperparameters
    ) -> Tensor:
        """Return what the critic learns, (n, b)."""

    def noise(self, streams: RowStreams, batch: Transitions) -> Tensor | None:
        """Draw the standard normals that `targets` needs for a minibatch; None if it needs none."""
        return None

    def actor_noise(self, streams: RowStreams, batch: Transitions) -> Tensor | None:
        """Draw the standard normals that `actor_step` needs for a minibatch; None if it needs none."""
        return None

    def target_actors(self, members: Population) -> Tensor:
        """Return the policies (n, d) of the target action."""
        return members.traits["target_actor"]

    def init(self, actors: Tensor, streams: Streams, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Return the learner's traits for new actors (n, d): critics, targets, moments and the count of updates.

        The critics are drawn from the streams of `rows`, the first n if not given.
        """
        drawn = streams.rows("critic", range(len(actors)) if rows is None else rows)
        critic = self.critic.init(drawn).to(actors.device)
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
        return own_or_set(state, self.config, self.tunable)

    def update_(
        self, members: Population, replay: Replay, updates: int, streams: Streams, extra: FurtherLoss | None = None
    ) -> tuple[Tensor, Tensor]:
        """Update members `updates` times, in place on their tensors: critic at each, actor and targets when due.

        Observations are normalised by the members' traits, where they have such.

        Args:
            members: n rows, changed.
            replay: what minibatches are drawn from.
            updates: how many of the critic.
            streams: `minibatch`, `target_noise` and `actor_noise` of each row.
            extra: a further loss of the actors; the state that it sees are the members' traits.

        Returns:
            The mean losses of critic and actor, (n,) each; the actor's is NaN if it was not due.
        """
        n = len(members)
        names = ("minibatch", "target_noise", "actor_noise")
        minibatch, smoothing, sampling = (streams.rows(name, range(n)) for name in names)
        done = members.traits["updates"].tolist()
        # Written in place: many small tensors kept among the large ones of the updates would hold on to their memory.
        critic, actor = torch.full((2, updates, n), torch.nan)
        for update in range(updates):
            batch = _normalised(members.traits, replay.sample(minibatch, self.config.batch_size, self.replacement))
            noise = self.noise(smoothing, batch)
            h = self.hyperparameters(members.traits)
            critic[update] = self.critic_step(members.traits, self.target_actors(members), batch, noise, h)
            done = [count + 1 for count in done]
            due = [row for row, count in enumerate(done) if count % self.config.policy_delay == 0]
            if due:
                actor[update] = self._delayed_step(members, due, batch, sampling[due], extra)
        members.traits["updates"].copy_(torch.tensor(done))
        return critic.nanmean(0), actor.nanmean(0)

    def _delayed_step(
        self, members: Population, due: list[int], batch: Transitions, streams: RowStreams, extra: FurtherLoss | None
    ) -> Tensor:
        """Update actor and targets of the rows that are due, whose streams are given; NaN is the loss of the others."""
        if len(due) == len(members):
            h, noise = self.hyperparameters(members.traits), self.actor_noise(streams, batch)
            loss = self.actor_step(members.params, members.traits, batch, h, extra=extra, noise=noise)
            self.target_step(members.params, members.traits, h)
            return loss
        some = members[due]
        loss = torch.full((len(members),), torch.nan)
        loss[due] = self._delayed_step(some, list(range(len(due))), _rows(batch, due), streams, extra)
        members.params[due] = some.params
        for name, trait in some.traits.items():
            members.traits[name][due] = trait
        return loss

    def critic_step(
        self, critic: State, actors: Tensor, batch: Transitions, noise: Tensor | None, h: Hyperparameters
    ) -> Tensor:
        """Take one Adam step on the critics, in place: the sum over them of the mean squared error to `targets`.

        Args:
            critic: holds `critic`, `target_critic` and the moments, (n, ...), changed; or one row that serves all
                actors, whose loss is then the mean over them.
            actors: (n, d) the policies of the target action.
            batch: a minibatch for each row, (n, b, ...).
            noise: what `noise` drew for it.
            h: hyperparameters.

        Returns:
            The loss before the step, (n,).
        """
        with torch.no_grad():
            targets = self.targets(critic, actors, batch, noise, h)
        values, of_params = self.critic.vjp(critic["critic"], torch.cat([batch.observations, batch.actions], -1))
        errors = values - targets[:, None, :, None]
        loss = errors.square().mean((-2, -1)).sum(-1)
        weight = len(critic["critic"]) / len(loss) / errors.shape[-2]
        gradient = of_params((2 * errors).mul_(weight))
        clip_(gradient, self.critic_clip)
        adam_("critic", critic["critic"], gradient, critic, h["critic_learning_rate"])
        return loss

    def actor_step(
        self,
        actors: Tensor,
        critic: State,
        batch: Transitions,
        h: Hyperparameters,
        moments: State | None = None,
        extra: FurtherLoss | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Take one Adam step on `-mean Q_1(s, actor(s))` plus `extra`, in place.

        Args:
            actors: (n, d), changed.
            critic: holds `critic`, (n, ...) or one row that serves all.
            batch: a minibatch for each row, (n, b, ...).
            h: hyperparameters.
            moments: holds the actors' Adam, changed; that of `critic` if not given.
            extra: a further loss; the state that it sees is `critic`.
            noise: what `actor_noise` drew for it.

        Returns:
            The loss before the step, (n,).
        """
        actions, of_actor = vjp(self.actor, actors, batch.observations)
        values, of_critic = self.critic.first_vjp(critic["critic"], torch.cat([batch.observations, actions], -1))
        loss = -values[..., 0].mean(-1)
        of_pairs = of_critic.of_inputs(torch.full_like(values, -1 / values.shape[-2]))
        gradient = of_actor.of_params(of_pairs[..., batch.observations.shape[-1] :])
        if extra is not None:
            params = actors.detach().requires_grad_()
            further = extra(params, critic, batch.observations)
            gradient += torch.autograd.grad(further.sum(), params)[0]
            loss = loss + further.detach()
        self.descend(actors, gradient, critic if moments is None else moments, h)
        return loss

    def descend(self, actors: Tensor, gradient: Tensor, moments: State, h: Hyperparameters) -> None:
        """Take one Adam step of actors (n, d), in place, down a gradient (n, d), which is clipped."""
        clip_(gradient, self.actor_clip)
        adam_("actor", actors, gradient, moments, h["actor_learning_rate"])

    def target_step(self, actors: Tensor, state: State, h: Hyperparameters) -> None:
        """Move both targets by tau towards their networks, in place."""
        self.critic_target_step(state, h)
        state["target_actor"].lerp_(actors, column(h["tau"]))

    def critic_target_step(self, state: State, h: Hyperparameters) -> None:
        """Move the critic's target by tau towards the critic, in place."""
        state["target_critic"].lerp_(state["critic"], column(h["tau"]))


def clip_(gradient: Tensor, norm: float) -> None:
    """Scale each row of a gradient (n, d) in place so that its Euclidean norm is at most `norm`, as torch clips."""
    if norm < float("inf"):
        gradient.mul_((norm / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp_(max=1.0))


def _normalised(traits: State, batch: Transitions) -> Transitions:
    seen, following = (normalise(traits, part) for part in (batch.observations, batch.next_observations))
    return replace(batch, observations=seen, next_observations=following)


def _rows(batch: Transitions, rows: list[int]) -> Transitions:
    return Transitions(
        batch.observations[rows],
        batch.actions[rows],
        batch.rewards[rows],
        batch.next_observations[rows],
        batch.terminated[rows],
    )
