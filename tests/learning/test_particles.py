"""The step of SVPG against particles as separate modules, sums over pairs and optimisers of torch."""

import copy

import pytest
import torch
from plain_gradients import CRITIC, TASKS, PlainPolicy, members_of, policy_of, rollout_of, row_of, standardised
from support import same
from torch import Tensor, nn

from evorl.learning import A2C, A2CConfig, PolicyGradient, Reinforce, ReinforceConfig
from evorl.learning.particles import climb_, make_particle_learner
from evorl.learning.stein import SteinConfig
from evorl.population import Population
from evorl.streams import Streams

TASK = TASKS["gaussian"]
POLICY = policy_of(TASK)
N, LENGTH, RATE = 4, 20, 1e-2
REINFORCE = Reinforce(TASK, POLICY, ReinforceConfig(learning_rate=RATE))
VALUED = A2C(TASK, POLICY, A2CConfig(critic=CRITIC, learning_rate=RATE, normalise_observations=True))
every_learner = pytest.mark.parametrize("learner", [REINFORCE, VALUED], ids=["reinforce", "a2c"])


def gradient_by_hand(row: Tensor, steps: dict[str, Tensor]) -> Tensor:
    """Return the gradient of the mean of `log pi(a|s)` times the standardised discounted return, of one particle."""
    returns, following = [], 0.0
    for reward, ended in zip(reversed(steps["rewards"].tolist()), reversed(steps["ended"].tolist()), strict=True):
        following = reward + 0.99 * following * (1 - ended)
        returns.insert(0, following)
    policy = PlainPolicy(TASK, row)
    log_probs = policy.log_prob(steps["observations"], steps["actions"])
    found = torch.autograd.grad((log_probs * standardised(torch.tensor(returns))).mean(), policy.used())
    return torch.cat([part.reshape(-1) for part in found])


def test_particles_climb_as_the_sum_over_pairs_says_by_separate_optimisers() -> None:
    members, alpha = members_of(REINFORCE, N).clone(), 0.5
    alone = [nn.Parameter(row.clone()) for row in members.params]
    optimisers = [torch.optim.Adam([param], lr=RATE, maximize=True) for param in alone]
    for turn in range(3):
        rollout = rollout_of(TASK, N, LENGTH, seed=turn, padded=True)
        climb_(REINFORCE, members, rollout, alpha, SteinConfig())
        thetas = torch.stack([param.detach() for param in alone]).double()
        gradients = [gradient_by_hand(alone[row].detach(), row_of(rollout, row)).double() for row in range(N)]
        squares = torch.stack([(thetas - theta).square().sum(1) for theta in thetas])
        middle = squares.flatten().sort().values[[N * N // 2 - 1, N * N // 2]].mean()
        h = middle / (2 * torch.log(torch.tensor(N + 1.0)))
        for i, param in enumerate(alone):
            terms = [
                torch.exp(-squares[i, j] / h) * (gradients[j] / alpha + 2 / h * (thetas[i] - thetas[j]))
                for j in range(N)
            ]
            param.grad = (torch.stack(terms).sum(0) / N).float()
        for optimiser in optimisers:
            optimiser.step()
    torch.testing.assert_close(members.params, torch.stack([param.detach() for param in alone]), rtol=0, atol=2e-4)
    assert (members.params - members_of(REINFORCE, N).params).abs().max() > RATE


def learned_alone(learner: PolicyGradient, members: Population, row: int) -> Population:
    """Return one row after what it would do without the others, by the parts of the learner."""
    one, rollout = members[[row]].clone(), rollout_of(TASK, N, LENGTH, seed=3)
    part = copy.copy(rollout)
    for name, column in vars(rollout.transitions).items():
        object.__setattr__(part.transitions, name, None if column is None else column[[row]])
    return one


@every_learner
def test_without_sharing_and_repulsion_every_particle_learns_as_it_would_alone(learner: PolicyGradient) -> None:
    """With a temperature of 1 / n the direction is the gradient itself."""
    members, rollout = members_of(learner, N), rollout_of(TASK, N, LENGTH, seed=3, padded=True)
    ours, theirs = members.clone(), members.clone()
    losses = climb_(learner, ours, rollout, 1 / N, SteinConfig(sharing=False, repulsion=False))
    h = learner.hyperparameters(theirs.traits)
    batch = learner.prepare(theirs.params, theirs.traits, rollout, h)
    objective, gradient = learner.objective_and_gradient(theirs.params, batch, h)
    learner.apply_(theirs.params, gradient, theirs.traits, h)
    torch.testing.assert_close(ours.params, theirs.params, rtol=0, atol=1e-6)
    torch.testing.assert_close(losses[1], -objective)


def test_one_particle_of_reinforce_is_reinforce() -> None:
    members, rollout = members_of(REINFORCE, 1), rollout_of(TASK, 1, LENGTH, seed=3)
    ours, theirs = members.clone(), members.clone()
    losses = climb_(REINFORCE, ours, rollout, 1.0, SteinConfig())
    critic, actor = REINFORCE.update_(theirs, rollout, Streams(0))
    torch.testing.assert_close(ours.params, theirs.params, rtol=0, atol=1e-7)
    assert losses[0].isnan().all()
    assert critic.isnan().all()
    torch.testing.assert_close(losses[1], actor)


def test_value_networks_and_normalisers_are_each_particles_own() -> None:
    """Whatever the others do, what a particle learns beside its policy is what it would learn alone."""
    members, rollout = members_of(VALUED, N), rollout_of(TASK, N, LENGTH, seed=3)
    ours = members.clone()
    critic_loss, *_ = climb_(VALUED, ours, rollout, 10.0, SteinConfig())
    own = [name for name in ours.traits if name.startswith(("critic", "normaliser"))]
    assert len(own) == 7
    for row in range(N):
        alone = members[[row]].clone()
        steps = vars(rollout.transitions)
        part = copy.replace if False else None  # noqa: F841
        del part, steps
        batch = VALUED.prepare(alone.params, alone.traits, _only(rollout, row), VALUED.hyperparameters({}))
        loss = VALUED.critic_step(alone.traits, batch, VALUED.hyperparameters({}))
        torch.testing.assert_close(critic_loss[[row]], loss)
        torch.testing.assert_close(ours.traits["critic"][[row]], alone.traits["critic"], rtol=0, atol=1e-6)
