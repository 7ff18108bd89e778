"""A user's own modules: stacked they are what a loop over modules is, in acting, in learning and in evolution."""

import copy
import random
from typing import Any

import numpy as np
import own_actors
import pytest
import torch
from plain_gradients import TASKS, PlainPolicy, members_of, rollout_of, row_of, standardised
from support import same
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from evorl.errors import ConfigError
from evorl.learning import TD3, Reinforce, ReinforceConfig, TD3Config
from evorl.policies import (
    ModuleNetwork,
    NetworkConfig,
    deterministic_policy,
    policy_distance,
    squashed_policy,
    stochastic_policy,
)
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task
from evorl.variation import MutationConfig
from evorl.variation.rows import mate_rows, mutate_sparse

N, BATCH, INPUTS, OUTPUTS = 3, 5, 4, 2
MODULES = {"Bounded": own_actors.Bounded, "Skip": own_actors.Skip, "Plain": own_actors.Plain}
SMALL = NetworkConfig(hidden_sizes=(7,), activation="tanh")


def normals(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def alone(name: str, row: Tensor) -> nn.Module:
    made = MODULES[name](INPUTS, OUTPUTS)
    vector_to_parameters(row.detach().clone(), made.parameters())
    return made


@pytest.mark.parametrize("name", MODULES)
def test_stacked_modules_equal_a_loop_of_modules_in_value_and_gradient(name: str) -> None:
    network = ModuleNetwork(f"own_actors:{name}", INPUTS, OUTPUTS)
    params, inputs, weights = normals(N, network.size).requires_grad_(), normals(N, BATCH, INPUTS), normals(N, BATCH, 2)
    outputs = network(params, inputs)
    (gradient,) = torch.autograd.grad((weights * outputs).sum(), params)
    for row in range(N):
        plain = alone(name, params[row])
        expected = plain(inputs[row])
        torch.testing.assert_close(outputs[row], expected, rtol=1e-5, atol=1e-5)
        torch.autograd.backward((weights[row] * expected).sum())
        of_row = torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None])
        torch.testing.assert_close(gradient[row], of_row, rtol=1e-4, atol=1e-5)
    one = network(params[:1], inputs)
    torch.testing.assert_close(one, network(params[:1].expand(N, -1), inputs))


def test_a_module_of_our_own_layers_is_our_own_network() -> None:
    task = Task("none", INPUTS, (-1.0, -1.0), (1.0, 1.0), None)
    ours = deterministic_policy(task, SMALL).network
    theirs = deterministic_policy(task, SMALL, "own_actors:Bounded").network
    params, inputs = normals(N, ours.size), normals(N, BATCH, INPUTS)
    torch.testing.assert_close(theirs(params, inputs), ours(params, inputs))
    assert [block.shape for block in theirs.layout] == [block.shape for block in ours.layout]
    assert [block.kind for block in theirs.layout] == [block.kind for block in ours.layout]
    distance = policy_distance(theirs, params, params[:1], inputs, "sum")
    torch.testing.assert_close(distance, policy_distance(ours, params, params[:1], inputs, "sum"))


def test_the_layout_says_what_each_number_of_a_row_is() -> None:
    network = ModuleNetwork("own_actors:Skip", INPUTS, OUTPUTS)
    shown = [(block.name, block.shape, block.kind) for block in network.layout]
    assert shown == [
        ("gain", (1,), "bias"),
        ("norm.weight", (4,), "norm"),
        ("norm.bias", (4,), "norm"),
        ("convolution.weight", (2, 3), "weight"),
        ("convolution.bias", (2,), "bias"),
        ("hidden.weight", (8, 8), "weight"),
        ("hidden.bias", (8,), "bias"),
        ("head.weight", (2, 8), "weight"),
        ("head.bias", (2,), "bias"),
    ]
    assert [block.slice.start for block in network.layout[1:]] == [block.slice.stop for block in network.layout[:-1]]
    assert network.layout[0].slice.start == 0
    assert network.layout[-1].slice.stop == network.size
    row = normals(1, network.size)[0]
    parameters = dict(alone("Skip", row).named_parameters())
    for block in network.layout:
        torch.testing.assert_close(row[block.slice], parameters[block.name].detach().flatten())


def test_crossover_exchanges_the_weights_of_whole_units_and_mutation_edits_weights_alone() -> None:
    network = ModuleNetwork("own_actors:Skip", INPUTS, OUTPUTS)
    members = Population.fresh(normals(2, network.size), Identities(), "initial")
    exchanged = 0
    for seed in range(20):
        first, second = members.clone().individuals()
        mate_rows(first, second, network.layout, np.random.default_rng(seed))
        child, parents = alone("Skip", torch.from_numpy(first.genome)), members.params
        unit_weights = dict(child.named_parameters())["hidden.weight"].detach()
        originals = [dict(alone("Skip", row).named_parameters())["hidden.weight"] for row in parents]
        for unit in range(8):
            from_which = [torch.equal(unit_weights[unit], original[unit]) for original in originals]
            assert any(from_which), "a unit is one parent's or the other's, whole"
            exchanged += from_which[1]
        (mutant, _) = members.clone().individuals()
        mutate_sparse(mutant, network.layout, np.random.default_rng(seed), MutationConfig(mutation_fraction=0.9))
        changed = torch.from_numpy(mutant.genome) != members.params[0]
        assert {block.kind for block in network.layout if changed[block.slice].any()} <= {"weight"}
    assert exchanged > 10


def test_a_member_begins_as_the_module_does_whoever_else_is_there_and_global_states_stay() -> None:
    network = ModuleNetwork("own_actors:Skip", INPUTS, OUTPUTS)
    before = random.getstate(), torch.get_rng_state()
    params = network.init(Streams(3).rows("initialise", range(4)))
    assert before[0] == random.getstate()
    assert torch.equal(before[1], torch.get_rng_state())
    assert torch.equal(params[2], network.init(Streams(3).rows("initialise", [2]))[0])
    assert len(set(map(tuple, params.tolist()))) == 4
    for row in params:
        hidden = dict(alone("Skip", row).named_parameters())["hidden.weight"].detach()
        torch.testing.assert_close(hidden @ hidden.T, torch.eye(8))
        assert row[-18:-2].abs().max() <= 3e-3
    params[0] = 0
    assert network.init(Streams(3).rows("initialise", [0]))[0].any(), "what was handed out is not the module's"


def test_an_update_of_td3_is_that_of_separate_modules() -> None:
    """One of the critics, and one of actor and targets, by hand with torch's modules and optimisers."""
    task = Task("none", INPUTS, (-1.0, -1.0), (1.0, 1.0), None)
    config = TD3Config(critic=SMALL, actor_learning_rate=1e-2, tau=0.1)
    network = ModuleNetwork("own_actors:Skip", INPUTS, OUTPUTS, bounded=True)
    learner, streams = TD3(task, network, config), Streams(0)
    params = network.init(streams.rows("initialise", range(N)))
    state = learner.init(params, streams)
    state["target_actor"] = params + 0.1 * normals(*params.shape)
    began, begun = params.clone(), copy.deepcopy(state)
    batch = Transitions(
        normals(N, BATCH, INPUTS),
        normals(N, BATCH, OUTPUTS).clamp(-1, 1),
        normals(N, BATCH),
        normals(N, BATCH, INPUTS) + 1,
        (normals(N, BATCH) > 0.5).float(),
    )
    smoothing, h = normals(N, BATCH, OUTPUTS), learner.hyperparameters(state)
    targets = learner.targets(state, state["target_actor"], batch, smoothing, h)
    learner.actor_step(params, state, batch, h)
    learner.target_step(params, state, h)
    for row in range(N):
        actor, slow = alone("Skip", began[row]), alone("Skip", begun["target_actor"][row])
        critics = [nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 1)) for _ in range(2)]
        for critic, part in zip(critics, begun["critic"][row].chunk(2), strict=True):
            vector_to_parameters(part.clone(), critic.parameters())
        noise = (0.2 * smoothing[row]).clamp(-0.5, 0.5)
        actions = (slow(batch.next_observations[row]) + noise).clamp(-1, 1)
        values = [critic(torch.cat([batch.next_observations[row], actions], 1))[:, 0] for critic in critics]
        expected = batch.rewards[row] + 0.99 * (1 - batch.terminated[row]) * torch.minimum(*values)
        torch.testing.assert_close(targets[row], expected, rtol=1e-4, atol=1e-5)
        adam = torch.optim.Adam(actor.parameters(), lr=1e-2)
        seen = batch.observations[row]
        torch.autograd.backward(-critics[0](torch.cat([seen, actor(seen)], 1)).mean())
        adam.step()
        now = parameters_to_vector(actor.parameters())
        torch.testing.assert_close(params[row], now, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            state["target_actor"][row], 0.1 * now + 0.9 * begun["target_actor"][row], rtol=0, atol=1e-5
        )
        assert (params[row] - began[row]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", TASKS)
def test_an_update_of_a_policy_gradient_is_that_of_separate_modules(kind: str) -> None:
    task = TASKS[kind]
    learner = Reinforce(task, stochastic_policy(task, NetworkConfig(), "own_actors:Plain"), ReinforceConfig())
    members, rollout = members_of(learner, N), rollout_of(task, N, 20, seed=1)
    updated = members.clone()
    learner.update_(updated, rollout, Streams(2))
    for row in range(N):
        plain, steps = PlainPolicy(task, members.params[row]), row_of(rollout, row)
        adam = torch.optim.Adam(plain.used(), lr=ReinforceConfig().learning_rate)
        total, returns = 0.0, []
        for reward, ended in zip(reversed(steps["rewards"].tolist()), reversed(steps["ended"].tolist()), strict=True):
            total = reward + 0.99 * (0 if ended else total)
            returns.append(total)
        advantages = standardised(torch.tensor(returns[::-1]))
        torch.autograd.backward(-(plain.log_prob(steps["observations"], steps["actions"]) * advantages).mean())
        adam.step()
        torch.testing.assert_close(updated.params[row], plain.row(), rtol=0, atol=1e-5)


def test_a_squashed_gaussian_asks_for_means_and_deviations() -> None:
    task = Task("none", INPUTS, (-1.0, -1.0), (1.0, 1.0), None)
    policy = squashed_policy(task, NetworkConfig(), "own_actors:Plain")
    ours = squashed_policy(task, SMALL)
    params, observations = normals(N, ours.network.size), normals(N, INPUTS)
    members = Population.fresh(params, Identities(), "initial")
    torch.testing.assert_close(policy.act(members, observations), ours.act(members, observations))
    assert same(policy.network.size, ours.network.size)


@pytest.mark.parametrize(
    ("actor", "message"),
    [
        ("own_actors", "actor must be module:class, got 'own_actors'"),
        ("no_such:Actor", "actor must name a module that imports, got 'no_such': ModuleNotFoundError: No module"),
        ("own_actors:Boundd", "actor must name a class of own_actors, got 'Boundd'; did you mean 'Bounded'?"),
        ("own_actors:NUMBER", "actor must name a class, got 'own_actors:NUMBER', a int"),
        ("own_actors:not_a_module", "actor own_actors:not_a_module must be a torch.nn.Module, got Tensor"),
        ("own_actors:Small", "must be made with (4, 2), inputs and outputs, got TypeError: "),
        ("own_actors:WrongSize", "must turn observations (3, 4) into (3, 2), got (3, 3)"),
        ("own_actors:BatchNorm", "must have no buffers, which are of no member, got 0.running_mean; of norms, take"),
        ("own_actors:Dropout", "must turn observations (3, 4) into (3, 2) under vmap, got RuntimeError: vmap: "),
        ("own_actors:Branching", "must turn observations (3, 4) into (3, 2) under vmap, got RuntimeError: vmap: "),
        ("own_actors:Frozen", "must have only parameters that may be trained, got layers.0.weight without"),
        ("own_actors:Nothing", "must have parameters, got none"),
        ("own_actors:Plain", "must keep actions in [-1, 1], as a tanh at its end does, got "),
    ],
)
def test_what_cannot_be_stacked_is_refused_in_one_line(actor: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        deterministic_policy(Task("none", INPUTS, (-1.0, -1.0), (1.0, 1.0), None), NetworkConfig(), actor)
    said: Any = str(refused.value)
    assert message in said
    assert "\n" not in said
