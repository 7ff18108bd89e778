"""Stacked A2C against as many separate ones, written with modules, laws and optimisers of torch."""

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
from torch import Tensor

from evorl.errors import ConfigError
from evorl.learning.a2c import A2C, A2CConfig
from evorl.population import Population
from evorl.streams import Streams

N, LENGTH = 3, 20
CONFIG = A2CConfig(critic=CRITIC, learning_rate=3e-3, gae_lambda=0.9, entropy_coefficient=0.05)
OWN: dict[str, list[float]] = {
    "learning_rate": [1e-2, 1e-3, 3e-3],
    "discount": [0.99, 0.0, 0.5],
    "entropy_coefficient": [0.0, 0.3, 1.0],
    "gae_lambda": [1.0, 0.0, 0.7],
    "value_coefficient": [0.5, 5.0, 0.0],
}


class PlainA2C:
    """One member: policy and value network, one loss, one optimiser, one norm."""

    def __init__(self, kind: str, members: Population, row: int, config: A2CConfig, h: dict[str, float]) -> None:
        self.config, self.h = config, h
        self.policy = PlainPolicy(TASKS[kind], members.params[row])
        self.critic = PlainCritic(members.traits["critic"][row])
        self.parameters = self.policy.used() + list(self.critic.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=h["learning_rate"])
        self.normaliser = PlainNormaliser()

    def update(self, steps: dict[str, Tensor]) -> tuple[float, float]:
        observations, following = steps["observations"], steps["next_observations"]
        if self.config.normalise_observations:
            observations, following = self.normaliser(observations), self.normaliser(following)
            self.normaliser.see(steps["observations"])
        with torch.no_grad():
            values, next_values = self.critic(observations), self.critic(following)
        advantages = advantages_by_hand(steps, values, next_values, self.h["discount"], self.h["gae_lambda"])
        targets = advantages + values
        if self.config.standardise_advantages:
            advantages = standardised(advantages)
        law = self.policy.law(observations)
        log_prob = self.policy.log_prob(observations, steps["actions"])
        actor_loss = -(log_prob * advantages + self.h["entropy_coefficient"] * law.entropy()).mean()
        critic_loss = torch.nn.functional.mse_loss(self.critic(observations), targets)
        self.adam.zero_grad()
        torch.autograd.backward(actor_loss + self.h["value_coefficient"] * critic_loss)
        if self.config.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        self.adam.step()
        return critic_loss.item(), actor_loss.item()


def learner_of(kind: str, config: A2CConfig = CONFIG) -> A2C:
    return A2C(TASKS[kind], policy_of(TASKS[kind]), config)


def settings_of(config: A2CConfig) -> list[dict[str, float]]:
    return [{name: getattr(config, name) for name in OWN} for _ in range(N)]


def assert_equal_to_separate_ones(
    kind: str, config: A2CConfig, members: Population, h: list[dict[str, float]], padded: bool = False
) -> None:
    learner, stacked = learner_of(kind, config), members.clone()
    alone = [PlainA2C(kind, members, row, config, h[row]) for row in range(N)]
    for update in range(5):
        rollout = rollout_of(TASKS[kind], N, LENGTH, seed=update, padded=padded)
        losses = learner.update_(stacked, rollout, Streams(2))
        for row, plain in enumerate(alone):
            for ours, theirs in zip(losses, plain.update(row_of(rollout, row)), strict=True):
                assert ours[row].item() == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    for row, plain in enumerate(alone):
        np.testing.assert_allclose(stacked.params[row], plain.policy.row(), rtol=0, atol=2e-5)
        np.testing.assert_allclose(stacked.traits["critic"][row], plain.critic.row(), rtol=0, atol=2e-5)
    assert ((stacked.params - members.params).abs().amax(1) > 1e-3).all(), "the comparison must be about something"


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", TASKS)
def test_members_with_one_setting_update_as_separate_learners(kind: str, padded: bool) -> None:
    members = members_of(learner_of(kind), N)
    assert_equal_to_separate_ones(kind, CONFIG, members, settings_of(CONFIG), padded)


@pytest.mark.parametrize(
    "settings",
    [
        {"normalise_observations": False},
        {"standardise_advantages": True},
        {"gradient_clip": None},
        {"gradient_clip": 0.01},
    ],
    ids=str,
)
def test_every_switch_does_what_it_says(settings: dict[str, bool | float | None]) -> None:
    config = A2CConfig(critic=CRITIC, learning_rate=3e-3, **settings)  # type: ignore[arg-type]
    members = members_of(learner_of("gaussian", config), N)
    assert_equal_to_separate_ones("gaussian", config, members, settings_of(config))


@pytest.mark.parametrize("names", [list(OWN), *([name] for name in OWN)], ids="-".join)
def test_members_with_hyperparameters_of_their_own_update_as_separate_learners(names: list[str]) -> None:
    members = members_of(learner_of("gaussian"), N, **{f"h.{name}": torch.tensor(OWN[name]) for name in names})
    h = [{**one, **{name: OWN[name][row] for name in names}} for row, one in enumerate(settings_of(CONFIG))]
    assert_equal_to_separate_ones("gaussian", CONFIG, members, h)


def test_a_step_of_the_value_network_alone_leaves_the_policy_and_is_clipped_alone() -> None:
    config = A2CConfig(critic=CRITIC, learning_rate=3e-3, value_coefficient=2.0, gradient_clip=0.05)
    learner = learner_of("gaussian", config)
    members, rollout = members_of(learner, N), rollout_of(TASKS["gaussian"], N, LENGTH, seed=3)
    stacked, h = members.clone(), learner.hyperparameters(members.traits)
    batch = learner.prepare(stacked.params, stacked.traits, rollout, h)
    loss = learner.critic_step(stacked.traits, batch, h)
    assert torch.equal(stacked.params, members.params)
    assert not stacked.traits["actor_adam.step"].any()
    for row in range(N):
        critic = PlainCritic(members.traits["critic"][row])
        adam = torch.optim.Adam(critic.parameters(), lr=3e-3)
        error = torch.nn.functional.mse_loss(critic(batch.observations[row]), batch.targets[row])
        torch.autograd.backward(2 * error)
        torch.nn.utils.clip_grad_norm_(critic.parameters(), 0.05)
        adam.step()
        assert loss[row].item() == pytest.approx(error.item(), rel=1e-4)
        torch.testing.assert_close(stacked.traits["critic"][row], critic.row(), rtol=0, atol=1e-6)


def test_new_members_have_critics_of_their_own_and_everything_else_zero() -> None:
    traits = dict(members_of(learner_of("gaussian"), N).traits)
    critic = traits.pop("critic")
    assert len(set(map(tuple, critic.tolist()))) == N
    assert traits.pop("normaliser.variance").eq(1).all()
    assert not any(trait.any() for trait in traits.values())
    bare = learner_of("gaussian", A2CConfig(normalise_observations=False))
    assert not any("normaliser" in name for name in members_of(bare, N).traits)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rollout_length", 0, "rollout_length must be at least 1, got 0"),
        ("learning_rate", 0.0, "learning_rate must be above 0, got 0.0"),
        ("discount", 1.1, "discount must be between 0 and 1, got 1.1"),
        ("entropy_coefficient", -0.1, "entropy_coefficient must be at least 0, got -0.1"),
        ("gradient_clip", 0.0, "gradient_clip must be above 0, got 0.0"),
        ("gae_lambda", -0.1, "gae_lambda must be between 0 and 1, got -0.1"),
        ("value_coefficient", -1.0, "value_coefficient must be at least 0, got -1.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        A2CConfig(**{name: value})  # type: ignore[arg-type]
