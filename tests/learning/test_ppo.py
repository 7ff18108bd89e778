"""Stacked PPO against as many separate ones, written with modules, laws and optimisers of torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_gradients import (
    CRITIC,
    TASKS,
    PlainCritic,
    PlainNormaliser,
    PlainPolicy,
    advantages_by_hand,
    members_of,
    policy_of,
    rollout_of,
    row_of,
    standardised,
)
from scipy import stats
from torch import Tensor

from evorl.errors import ConfigError
from evorl.learning.ppo import PPO, PPOConfig
from evorl.population import Population
from evorl.streams import Streams

N, LENGTH = 3, 24
CONFIG = PPOConfig(
    critic=CRITIC, rollout_length=LENGTH, learning_rate=3e-3, epochs=3, minibatches=4, entropy_coefficient=0.01
)
OWN: dict[str, list[float]] = {
    "learning_rate": [1e-2, 1e-3, 3e-3],
    "discount": [0.99, 0.0, 0.5],
    "entropy_coefficient": [0.0, 0.3, 1.0],
    "gae_lambda": [1.0, 0.0, 0.7],
    "value_coefficient": [0.5, 5.0, 0.0],
    "clip_range": [0.01, 0.03, 0.1],
}


class PlainPPO:
    """One member, as in the paper's algorithm 1, with minibatches drawn by plain NumPy."""

    def __init__(self, kind: str, members: Population, row: int, config: PPOConfig, h: dict[str, float]) -> None:
        self.config, self.h = config, h
        self.policy = PlainPolicy(TASKS[kind], members.params[row])
        self.critic = PlainCritic(members.traits["critic"][row])
        self.parameters = self.policy.used() + list(self.critic.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=h["learning_rate"])
        self.normaliser = PlainNormaliser()
        self.generator = Streams(2).generator("minibatch", row)
        self.clipped = 0

    def update(self, steps: dict[str, Tensor]) -> tuple[float, float]:
        seen, following = self.normaliser(steps["observations"]), self.normaliser(steps["next_observations"])
        self.normaliser.see(steps["observations"])
        with torch.no_grad():
            values, next_values = self.critic(seen), self.critic(following)
            old = self.policy.log_prob(seen, steps["actions"])
        advantages = advantages_by_hand(steps, values, next_values, self.h["discount"], self.h["gae_lambda"])
        losses = []
        for _ in range(self.config.epochs):
            order = np.argsort(self.generator.integers(2**62, size=len(seen)))
            for chosen in np.split(order, self.config.minibatches):
                columns = (seen, steps["actions"], advantages, advantages + values, old)
                losses += [self.step(*(column[chosen] for column in columns))]
        critic, actor = np.mean(losses, axis=0)
        return critic, actor

    def step(
        self, seen: Tensor, actions: Tensor, advantages: Tensor, targets: Tensor, old: Tensor
    ) -> tuple[float, float]:
        if self.config.standardise_advantages:
            advantages = standardised(advantages)
        ratio = torch.exp(self.policy.log_prob(seen, actions) - old)
        bounded = ratio.clamp(1 - self.h["clip_range"], 1 + self.h["clip_range"])
        self.clipped += int((ratio != bounded).sum())
        entropy = self.policy.law(seen).entropy()
        actor_loss = torch.max(-advantages * ratio, -advantages * bounded).mean()
        actor_loss = actor_loss - self.h["entropy_coefficient"] * entropy.mean()
        critic_loss = torch.nn.functional.mse_loss(self.critic(seen), targets)
        self.adam.zero_grad()
        torch.autograd.backward(actor_loss + self.h["value_coefficient"] * critic_loss)
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        self.adam.step()
        return critic_loss.item(), actor_loss.item()


def learner_of(kind: str, config: PPOConfig = CONFIG) -> PPO:
    return PPO(TASKS[kind], policy_of(TASKS[kind]), config)


def test_a_minibatch_of_one_step_is_not_standardised_away() -> None:
    alone = replace(CONFIG, minibatches=LENGTH)
    assert alone.standardise_advantages
    learner = learner_of("gaussian", alone)
    members = members_of(learner, N)
    before = members.params.clone()
    learner.update_(members, rollout_of(TASKS["gaussian"], N, LENGTH, seed=0), Streams(2))
    assert (members.params != before).any(1).all()


def settings_of(config: PPOConfig) -> list[dict[str, float]]:
    return [{name: getattr(config, name) for name in OWN} for _ in range(N)]


def assert_equal_to_separate_ones(kind: str, config: PPOConfig, members: Population, h: list[dict[str, float]]) -> None:
    learner, stacked, streams = learner_of(kind, config), members.clone(), Streams(2)
    alone = [PlainPPO(kind, members, row, config, h[row]) for row in range(N)]
    for update in range(3):
        rollout = rollout_of(TASKS[kind], N, LENGTH, seed=update)
        losses = learner.update_(stacked, rollout, streams)
        for row, plain in enumerate(alone):
            for ours, theirs in zip(losses, plain.update(row_of(rollout, row)), strict=True):
                assert ours[row].item() == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    for row, plain in enumerate(alone):
        np.testing.assert_allclose(stacked.params[row], plain.policy.row(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(stacked.traits["critic"][row], plain.critic.row(), rtol=0, atol=1e-4)
    assert any(plain.clipped for plain in alone), "some ratios must have been clipped"
    assert ((stacked.params - members.params).abs().amax(1) > 1e-2).all(), "the comparison must be about something"


@pytest.mark.parametrize("kind", TASKS)
def test_members_with_one_setting_update_as_separate_learners(kind: str) -> None:
    config = replace(CONFIG, clip_range=0.05)
    assert_equal_to_separate_ones(kind, config, members_of(learner_of(kind), N), settings_of(config))


@pytest.mark.parametrize("settings", [{"standardise_advantages": False}, {"gradient_clip": None}], ids=str)
def test_every_switch_does_what_it_says(settings: dict[str, bool | None]) -> None:
    config = replace(CONFIG, clip_range=0.05, **settings)  # type: ignore[arg-type]
    assert_equal_to_separate_ones("gaussian", config, members_of(learner_of("gaussian"), N), settings_of(config))


@pytest.mark.parametrize("names", [list(OWN), *([name] for name in OWN)], ids="-".join)
def test_members_with_hyperparameters_of_their_own_update_as_separate_learners(names: list[str]) -> None:
    config = replace(CONFIG, clip_range=0.05)
    members = members_of(learner_of("gaussian"), N, **{f"h.{name}": torch.tensor(OWN[name]) for name in names})
    h = [{**one, **{name: OWN[name][row] for name in names}} for row, one in enumerate(settings_of(config))]
    assert_equal_to_separate_ones("gaussian", config, members, h)


def test_a_member_updates_the_same_alone_and_beside_others() -> None:
    learner = learner_of("gaussian")
    together, alone = members_of(learner, N), members_of(learner, 1)
    rollouts = [rollout_of(TASKS["gaussian"], N, LENGTH, seed=0) for _ in range(2)]
    first = type(rollouts[0].transitions)(
        *(column[:1] for column in vars(rollouts[0].transitions).values() if column is not None)
    )
    learner.update_(together, rollouts[0], Streams(2))
    learner.update_(
        alone,
        replace(rollouts[1], transitions=first, ended=rollouts[1].ended[:1], weights=torch.ones(1, LENGTH)),
        Streams(2),
    )
    torch.testing.assert_close(together.params[0], alone.params[0], rtol=0, atol=1e-5)


def test_a_pass_takes_every_step_once_and_each_member_in_an_order_of_its_own() -> None:
    """The first of five steps is as often at each place of the order as at any other."""
    learner = learner_of("gaussian", replace(CONFIG, rollout_length=5, minibatches=5))
    members = members_of(learner, 400)
    h = learner.hyperparameters({})
    rollout = rollout_of(TASKS["gaussian"], 400, 5, seed=0)
    numbered = rollout.transitions.observations.copy_(torch.arange(5.0)[None, :, None].expand(400, 5, 3))
    batch = replace(learner.prepare(members.params, members.traits, rollout, h), observations=numbered)
    parts = list(learner.cut(batch, Streams(3).rows("minibatch", range(400))))
    order = torch.cat([part.observations[..., 0] for part in parts], 1)
    assert torch.equal(order.sort(1).values, torch.arange(5.0).expand(400, 5))
    assert stats.chisquare(torch.bincount((order == 0).long().argmax(1), minlength=5)).pvalue > 0.01
    for name in ("actions", "advantages", "targets", "log_probs"):
        column = torch.cat([getattr(part, name) for part in parts], 1)
        expected = torch.stack([getattr(batch, name)[row, places] for row, places in enumerate(order.long())])
        assert torch.equal(column, expected), name


def test_the_objective_needs_the_probabilities_of_the_policy_that_acted() -> None:
    learner = learner_of("gaussian")
    members, rollout = members_of(learner, N), rollout_of(TASKS["gaussian"], N, LENGTH, seed=0)
    h = learner.hyperparameters(members.traits)
    batch = replace(learner.prepare(members.params, members.traits, rollout, h), log_probs=None)
    with pytest.raises(ValueError, match=r"^batch\.log_probs must be those of the policy that acted"):
        learner.gradient(members.params, batch, h)


def test_updates_are_those_of_all_passes() -> None:
    learner = learner_of("gaussian")
    members = members_of(learner, 2)
    learner.update_(members, rollout_of(TASKS["gaussian"], 2, LENGTH, seed=0), Streams(2))
    assert members.traits["actor_adam.step"].tolist() == [learner.updates] * 2 == [12, 12]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_range": 0.0}, "clip_range must be above 0, got 0.0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"minibatches": 0}, "minibatches must be at least 1, got 0"),
        ({"rollout_length": 100}, "rollout_length must be a multiple of minibatches = 32, got 100"),
        ({"gae_lambda": 2.0}, "gae_lambda must be between 0 and 1, got 2.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        PPOConfig(**settings)  # type: ignore[arg-type]
