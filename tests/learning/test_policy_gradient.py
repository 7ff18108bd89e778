"""What policy gradients share: climbing, clipping, hyperparameters, and the order of learning and normalising."""

import copy

import pytest
import torch
from plain_gradients import CRITIC, NETWORK, TASKS, members_of, policy_of, rollout_of
from plain_networks import PlainMLP
from support import same
from torch import nn

from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.policy_gradient import PolicyGradient, clip_together_
from evorl.learning.ppo import PPO, PPOConfig
from evorl.learning.reinforce import Reinforce, ReinforceConfig
from evorl.policies import MLP, GaussianPolicy, new_normaliser, normalise, update_normaliser_
from evorl.policies.gaussian import GaussianNetwork
from evorl.streams import Streams

TASK, LENGTH = TASKS["gaussian"], 12
POLICY = policy_of(TASK)
LEARNERS: dict[str, PolicyGradient] = {
    "reinforce": Reinforce(TASK, POLICY, ReinforceConfig(gradient_clip=0.1, normalise_observations=True)),
    "a2c": A2C(TASK, POLICY, A2CConfig(critic=CRITIC)),
    "ppo": PPO(TASK, POLICY, PPOConfig(critic=CRITIC, rollout_length=LENGTH, minibatches=3, epochs=2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LEARNERS)
def test_a_thousand_updates_are_those_of_single_operations(kind: str) -> None:
    ours, observations = LEARNERS[kind], TASK.observation_size
    mean = PlainMLP(MLP(observations, TASK.action_size, NETWORK))
    plain = type(ours)(TASK, GaussianPolicy(GaussianNetwork(mean, TASK.action_size)), ours.config)
    if isinstance(plain, A2C):
        plain.critic = PlainMLP(MLP(observations, 1, CRITIC))  # type: ignore[assignment]
    first = members_of(ours, 2)
    after = []
    for learner in (ours, plain):
        members, streams = first.clone(), Streams(2)
        for update in range(1_000 // ours.updates + 1):
            losses = learner.update_(members, rollout_of(TASK, 2, LENGTH, seed=update), streams)
        after.append({"params": members.params, **members.traits, "critic loss": losses[0], "actor loss": losses[1]})
    assert after[0].keys() == after[1].keys()
    for name, expected in after[1].items():
        torch.testing.assert_close(after[0][name], expected, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert ((after[0]["params"] - first.params).abs().amax(1) > 1e-2).all(), "the comparison must be about something"


@pytest.mark.parametrize("norm", [0.01, 1.0, 50.0, None])
def test_gradients_are_clipped_together_as_torch_clips_the_parameters_of_one_network(norm: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(3, size, generator=generator) for size in (4, 7)]
    expected = copy.deepcopy(gradients)
    for row in range(3 if norm is not None else 0):
        params = [nn.Parameter(torch.zeros_like(gradient[row])) for gradient in gradients]
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient[row].clone()
        nn.utils.clip_grad_norm_(params, norm or 0)
        for whole, param in zip(expected, params, strict=True):
            whole[row] = param.grad if param.grad is not None else torch.nan
    clip_together_(gradients, norm)
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize("kind", LEARNERS)
def test_applying_climbs_by_clipped_adam(kind: str) -> None:
    learner = LEARNERS[kind]
    members = members_of(learner, 2).clone()
    params, gradient = members.params, torch.randn(members.params.shape, generator=torch.Generator().manual_seed(1))
    alone = [nn.Parameter(row.clone()) for row in params]
    rates = torch.tensor([1e-2, 1e-3])
    h = {**learner.hyperparameters(members.traits), "learning_rate": rates}
    kept = gradient.clone()
    for _ in range(3):
        learner.apply_(params, gradient, members.traits, h)
    for row, param in enumerate(alone):
        adam = torch.optim.Adam([param], lr=rates[row].item(), maximize=True)
        for _ in range(3):
            param.grad = kept[row].clone()
            nn.utils.clip_grad_norm_([param], learner.config.gradient_clip or 0)
            adam.step()
        torch.testing.assert_close(params[row], param.detach(), rtol=0, atol=1e-6)
    assert torch.equal(gradient, kept), "the caller's gradient is left alone"


@pytest.mark.parametrize("kind", LEARNERS)
def test_a_rollout_is_learned_from_as_it_was_seen_and_then_joins_the_normaliser(kind: str) -> None:
    learner = LEARNERS[kind]
    traits = new_normaliser(2, TASK.observation_size)
    update_normaliser_(traits, rollout_of(TASK, 2, 50, seed=5).transitions.observations, torch.ones(2, 50))
    members = members_of(learner, 2).with_traits(**traits)
    rollout = rollout_of(TASK, 2, LENGTH, seed=6, padded=True)
    batch = learner.prepare(members.params, members.traits, rollout, learner.hyperparameters({}))
    assert torch.equal(batch.observations, normalise(traits, rollout.transitions.observations))
    learned = members.clone()
    learner.update_(learned, rollout, Streams(2))
    by_hand = {name: trait.clone() for name, trait in traits.items()}
    update_normaliser_(by_hand, rollout.transitions.observations, rollout.weights)
    assert all(torch.equal(learned.traits[name], trait) for name, trait in by_hand.items())
    assert by_hand["normaliser.count"].tolist() == [50 + LENGTH, 50 + LENGTH - 1]


@pytest.mark.parametrize("kind", LEARNERS)
def test_what_may_differ_by_row_is_read_from_its_trait_at_every_update(kind: str) -> None:
    learner = LEARNERS[kind]
    assert not set(learner.tunable) & {"rollout_length", "epochs", "minibatches", "critic", "gradient_clip"}
    plain = learner.hyperparameters({})
    assert plain == {name: getattr(learner.config, name) for name in learner.tunable}
    for name in learner.tunable:
        own = learner.hyperparameters({f"h.{name}": torch.tensor([0.25, 0.5], dtype=torch.float64)})
        assert torch.as_tensor(own.pop(name)).tolist() == [0.25, 0.5]
        assert own == {other: value for other, value in plain.items() if other != name}
    still = members_of(learner, 2, **{"h.learning_rate": torch.tensor([0.0, 1e-2])})
    moved = still.clone()
    learner.update_(moved, rollout_of(TASK, 2, LENGTH, seed=0), Streams(2))
    assert torch.equal(moved.params[0], still.params[0])
    assert not torch.equal(moved.params[1], still.params[1])


@pytest.mark.parametrize("kind", LEARNERS)
def test_updates_of_a_clone_leave_what_was_handed_in_and_record_no_gradient(kind: str) -> None:
    learner = LEARNERS[kind]
    members, rollout = members_of(learner, 2), rollout_of(TASK, 2, LENGTH, seed=0)
    kept, seen = copy.deepcopy(members.state_dict()), copy.deepcopy(vars(rollout.transitions))
    clone = members.clone()
    losses = learner.update_(clone, rollout, Streams(2))
    assert same(members.state_dict(), kept)
    assert same(vars(rollout.transitions), seen)
    assert not any(tensor.requires_grad for tensor in [clone.params, *clone.traits.values(), *losses])


@pytest.mark.parametrize("kind", LEARNERS)
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    learner = LEARNERS[kind]
    members, rollout = members_of(learner, 2), rollout_of(TASK, 2, LENGTH, seed=4)
    h = {**learner.hyperparameters({}), "entropy_coefficient": 0.1}
    batch = learner.prepare(members.params, members.traits, rollout, h)
    wide = {name: None if column is None else column.double() for name, column in vars(batch).items()}
    batch = type(batch)(**wide)  # type: ignore[arg-type]
    params = members.params.double()
    gradient = learner.gradient(params, batch, h)
    for place in (0, 5, params.shape[1] - 1):
        step = torch.zeros_like(params)
        step[:, place] = 1e-6
        slope = (learner.objective(params + step, batch, h) - learner.objective(params - step, batch, h)) / 2e-6
        torch.testing.assert_close(gradient[:, place], slope, rtol=1e-4, atol=1e-7)
