"""The pull towards the best: its gradient by hand, what it leaves alone, and what it records."""

import pytest
import torch
from support import same
from torch import Tensor

from evorl.interaction import Replay
from evorl.learning import TD3, TD3Config
from evorl.learning.guidance import Guidance, mean_distances, new_distances
from evorl.policies import MLP, NetworkConfig
from evorl.policies.distance import Coordinates, policy_distance
from evorl.population import Identities, Population, Transitions
from evorl.streams import Streams
from evorl.task import Task

OBSERVATIONS, ACTIONS, STORED = 3, 2, 50
NETWORK = NetworkConfig(hidden_sizes=(8,))
TASK = Task("none", OBSERVATIONS, (-1.0,) * ACTIONS, (1.0,) * ACTIONS, None)
ACTOR = MLP(OBSERVATIONS, ACTIONS, NETWORK, output="tanh")
#: One layer and no squashing, so that the gradient can be written down.
LINEAR = MLP(OBSERVATIONS, ACTIONS, NetworkConfig(hidden_sizes=()))


def rows(network: MLP, n: int, seed: int = 0) -> Tensor:
    return network.init(Streams(seed).rows("initialise", range(n)))


def observations(n: int, batch: int = 7) -> Tensor:
    return torch.randn(n, batch, OBSERVATIONS, generator=torch.Generator().manual_seed(1))


def replay_of(n: int) -> Replay:
    generator = torch.Generator().manual_seed(5)
    m = n * STORED
    replay = Replay(n, STORED, OBSERVATIONS, ACTIONS)
    replay.add(
        Transitions(
            torch.randn(m, OBSERVATIONS, generator=generator),
            torch.rand(m, ACTIONS, generator=generator) * 2 - 1,
            torch.randn(m, generator=generator),
            torch.randn(m, OBSERVATIONS, generator=generator),
            torch.zeros(m),
            torch.arange(n).repeat_interleave(STORED),
        )
    )
    return replay


def learned(
    guidance: Guidance | None, pull: list[float], updates: int = 6, counts: tuple[int, ...] = (0, 0, 0)
) -> Population:
    """Return three members after some updates of TD3 under a pull."""
    td3, streams = TD3(TASK, ACTOR, TD3Config(critic=NETWORK, batch_size=12, actor_learning_rate=1e-3)), Streams(1)
    members = Population.fresh(rows(ACTOR, 3), Identities(), "initial")
    members = members.with_traits(**td3.init(members.params, streams), **new_distances(members.params))
    members = members.with_traits(pull=torch.tensor(pull), updates=torch.tensor(counts)).clone()
    td3.update_(members, replay_of(3), updates, Streams(2), extra=guidance)
    return members


@pytest.mark.parametrize(("coordinates", "divisor"), [("sum", 1), ("mean", ACTIONS)])
def test_the_gradient_is_the_difference_of_the_actions(coordinates: Coordinates, divisor: int) -> None:
    """For a linear policy W s + b that of b is `pull * mean(pi - reference) / divisor`, and that of W likewise."""
    params, reference, seen = rows(LINEAR, 3), rows(LINEAR, 1, seed=9), observations(3)
    pull = torch.tensor([2.0, 0.0, 0.5])
    leaves, fixed = params.clone().requires_grad_(), reference.clone().requires_grad_()
    loss = Guidance(LINEAR, fixed, coordinates)(leaves, {"pull": pull}, seen)
    torch.autograd.backward(loss.sum())
    assert fixed.grad is None, "the reference gets no gradient"
    difference = LINEAR(params, seen) - LINEAR(reference, seen)
    torch.testing.assert_close(loss, pull * difference.square().sum(-1).mean(-1) / 2 / divisor)
    weight = torch.einsum("nba,nbo->nao", difference, seen).flatten(1)
    expected = torch.cat([weight, difference.sum(1)], dim=1) * pull[:, None] / divisor / seen.shape[1]
    torch.testing.assert_close(leaves.grad, expected)


def test_a_member_without_pull_learns_as_it_would_alone_to_the_last_bit() -> None:
    guidance = Guidance(ACTOR, rows(ACTOR, 1, seed=9), "mean")
    pulled, alone = learned(guidance, [3.0, 0.0, 3.0]), learned(None, [3.0, 0.0, 3.0])
    assert same(pulled[[1]].state_dict(), alone[[1]].state_dict())
    for row in (0, 2):
        assert not torch.equal(pulled.params[row], alone.params[row])
    assert same(learned(guidance, [0.0] * 3).state_dict(), learned(None, [0.0] * 3).state_dict())


def test_a_strong_pull_brings_members_to_the_reference() -> None:
    reference, seen = rows(ACTOR, 1, seed=9), observations(3, batch=100)
    before = policy_distance(ACTOR, rows(ACTOR, 3), reference, seen, "mean").mean(-1)
    members = learned(Guidance(ACTOR, reference, "mean"), [1000.0] * 3, updates=600)
    after = policy_distance(ACTOR, members.params, reference, seen, "mean").mean(-1)
    assert (after < before / 5).all()


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 1, 4)])
def test_distances_are_recorded_at_every_actor_update_without_changing_it(counts: tuple[int, ...]) -> None:
    """The second case trains the members in turns, as copies with different counts of updates do."""
    reference, pull = rows(ACTOR, 1, seed=9), [1.0, 0.0, 2.0]
    silent = learned(Guidance(ACTOR, reference, "mean"), pull, 6, counts)
    noting = learned(Guidance(ACTOR, reference, "mean", records=True), pull, 6, counts)
    assert torch.equal(silent.params, noting.params)
    assert noting.traits["distance.count"].tolist() == [3.0, 3.0, 3.0]
    assert not silent.traits["distance.count"].any()
    assert torch.equal(noting.traits["distance.from"], rows(ACTOR, 3))
    spread, change = mean_distances(noting.traits)
    assert (spread > 1e-3).all()
    assert (change >= 1e-4).all()


def test_the_means_are_those_of_what_was_measured() -> None:
    """Two calls, at the start and after a move; what is smaller than 1e-4 counts as 1e-4, as in the authors' code."""
    start, reference = rows(ACTOR, 3), rows(ACTOR, 1, seed=9)
    state = {"pull": torch.ones(3), **new_distances(start)}
    guidance = Guidance(ACTOR, reference, "sum", records=True)
    places, batches = [start, start + 0.3], [observations(3), observations(3, batch=9)]
    for params, seen in zip(places, batches, strict=True):
        guidance(params, state, seen)
    for ours, others in zip(mean_distances(state), (reference, start), strict=True):
        first, second = (
            policy_distance(ACTOR, params, others, seen, "sum").clamp(min=1e-4).mean(-1).double()
            for params, seen in zip(places, batches, strict=True)
        )
        torch.testing.assert_close(ours, (first + second) / 2)
    assert mean_distances(state)[1].min() > 1e-3


def test_without_any_call_the_means_are_unknown() -> None:
    spread, change = mean_distances(new_distances(rows(ACTOR, 2)))
    assert spread.isnan().all()
    assert change.isnan().all()


def test_the_reference_gets_no_gradient() -> None:
    reference, params = rows(ACTOR, 1, seed=9).requires_grad_(), rows(ACTOR, 3).requires_grad_()
    loss = Guidance(ACTOR, reference, "sum")(params, {"pull": torch.ones(3)}, observations(3))
    ours, theirs = torch.autograd.grad(loss.sum(), [params, reference], allow_unused=True)
    assert ours.abs().sum() > 0
    assert theirs is None
