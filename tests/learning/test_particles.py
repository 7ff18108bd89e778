"""The step of SVPG against particles as separate modules, sums over pairs and optimisers of torch."""

import pytest
import torch
from plain_gradients import CRITIC, TASKS, PlainPolicy, members_of, policy_of, rollout_of, row_of, standardised
from torch import Tensor, nn

from evorl.interaction import Rollout
from evorl.learning import A2C, A2CConfig, PolicyGradient, Reinforce, ReinforceConfig
from evorl.learning.particles import climb_, make_particle_learner
from evorl.learning.stein import SteinConfig, bandwidth, squared_distances
from evorl.population import Transitions
from evorl.streams import Streams

TASK = TASKS["gaussian"]
POLICY = policy_of(TASK)
N, LENGTH, RATE = 4, 20, 1e-2
REINFORCE = Reinforce(TASK, POLICY, ReinforceConfig(learning_rate=RATE))
VALUED = A2C(TASK, POLICY, A2CConfig(critic=CRITIC, learning_rate=RATE, normalise_observations=True))
every_learner = pytest.mark.parametrize("learner", [REINFORCE, VALUED], ids=["reinforce", "a2c"])


def gradient_by_hand(row: Tensor, steps: dict[str, Tensor]) -> Tensor:
    """Return the gradient of the mean of `log pi(a|s)` times the standardised discounted return, of one particle."""
    returns: list[float] = []
    following = 0.0
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


def only(rollout: Rollout, row: int) -> Rollout:
    """Return the steps of one member."""
    columns = {name: column[[row]] for name, column in vars(rollout.transitions).items() if column is not None}
    return Rollout(Transitions(**columns), rollout.ended[[row]], rollout.weights[[row]])


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
        alone_loss, *_ = climb_(VALUED, alone, only(rollout, row), 10.0, SteinConfig())
        torch.testing.assert_close(critic_loss[[row]], alone_loss)
        for name in own:
            torch.testing.assert_close(ours.traits[name][[row]], alone.traits[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(ours.traits["critic"][row], members.traits["critic"][row])
        assert ours.traits["normaliser.count"][row] == LENGTH


def test_advantages_are_those_of_the_value_networks_before_their_step() -> None:
    members, rollout = members_of(VALUED, N), rollout_of(TASK, N, LENGTH, seed=3)
    ours = members.clone()
    _, actor_loss, _ = climb_(VALUED, ours, rollout, 10.0, SteinConfig())
    h = VALUED.hyperparameters({})
    objective = VALUED.objective(members.params, VALUED.prepare(members.params, members.traits, rollout, h), h)
    torch.testing.assert_close(actor_loss, -objective)


def test_the_bandwidth_is_that_of_the_particles_before_the_step() -> None:
    members, rollout = members_of(REINFORCE, N), rollout_of(TASK, N, LENGTH, seed=3)
    config = SteinConfig(bandwidth="svgd")
    *_, h = climb_(REINFORCE, members.clone(), rollout, 10.0, config)
    assert h == bandwidth(squared_distances(members.params), config)


@pytest.mark.parametrize(("config", "kind"), [(ReinforceConfig(), Reinforce), (A2CConfig(critic=CRITIC), A2C)])
def test_the_learner_is_that_of_the_settings(config: ReinforceConfig | A2CConfig, kind: type[PolicyGradient]) -> None:
    learner = make_particle_learner(TASK, POLICY, config)
    assert type(learner) is kind
    assert learner.config is config
