"""The categorical policy against torch.distributions and the probabilities that it names."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from evorl.policies import MLP, Categorical, CategoricalPolicy, NetworkConfig
from evorl.population import Identities, Population
from evorl.streams import RowStreams, Streams

N, BATCH, OBSERVATIONS, CHOICES = 3, 6, 4, 5
NETWORK = MLP(OBSERVATIONS, CHOICES, NetworkConfig(hidden_sizes=(6,), last_layer_scale=8.0))
POLICY = CategoricalPolicy(NETWORK)


def rows() -> Tensor:
    return NETWORK.init(Streams(0).rows("initialise", range(N)))


def observations(*shape: int) -> Tensor:
    return torch.randn(*shape, OBSERVATIONS, generator=torch.Generator().manual_seed(sum(shape)))


def streams(n: int = N) -> RowStreams:
    return Streams(1).rows("explore", range(n))


def law(logits: Tensor) -> Any:
    return torch.distributions.Categorical(logits=logits)


def test_log_probability_and_entropy_are_those_of_torch() -> None:
    params, seen = rows(), observations(N, BATCH)
    actions = torch.arange(N * BATCH).view(N, BATCH, 1).remainder(CHOICES).float()
    log_prob, entropy = POLICY.log_prob(params, seen, actions), POLICY.entropy(params, seen)
    expected = law(NETWORK(params, seen))
    torch.testing.assert_close(log_prob, expected.log_prob(actions[..., 0]))
    torch.testing.assert_close(entropy, expected.entropy())
    assert len(set(actions.flatten().tolist())) == CHOICES


def test_their_gradients_are_those_of_torch() -> None:
    params, seen = rows().requires_grad_(), observations(N, BATCH)
    actions = torch.arange(N * BATCH).view(N, BATCH, 1).remainder(CHOICES).float()
    ours = POLICY.log_prob(params, seen, actions) + 0.3 * POLICY.entropy(params, seen)
    expected = law(NETWORK(params, seen))
    theirs = expected.log_prob(actions[..., 0]) + 0.3 * expected.entropy()
    (gradient,) = torch.autograd.grad(ours.sum(), params)
    (reference,) = torch.autograd.grad(theirs.sum(), params)
    torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-6)


def test_without_streams_the_likeliest_is_taken() -> None:
    seen = observations(N)
    actions = POLICY.act(Population.fresh(rows(), Identities(), "initial"), seen)
    best = [law(NETWORK(rows()[[row]], seen[None, [row]])[0, 0]).probs.argmax().item() for row in range(N)]
    assert actions.tolist() == [[float(index)] for index in best]
    assert actions.dtype == torch.float32


def test_a_drawn_index_is_where_the_sum_of_probabilities_passes_the_members_own_uniform_number() -> None:
    members, seen, drawing = Population.fresh(rows(), Identities(), "initial"), observations(N), streams()
    drawn = torch.stack([POLICY.act(members, seen, drawing) for _ in range(40)])
    for row in range(N):
        probabilities = law(NETWORK(rows()[[row]], seen[None, [row]])[0, 0].double()).probs.numpy()
        numbers = Streams(1).generator("explore", row).random(40, dtype=np.float32)
        assert drawn[:, row, 0].tolist() == np.searchsorted(np.cumsum(probabilities), numbers, "right").tolist()


def test_draws_have_the_probabilities_of_the_law() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, -3.0])
    drawn = Categorical(torch.log_softmax(logits, -1).expand(4_000, 1, -1)).sample(streams(4_000))
    counts = torch.bincount(drawn.flatten().long(), minlength=CHOICES)
    expected = law(logits).probs.double()
    assert stats.chisquare(counts, (4_000 * expected / expected.sum()).numpy()).pvalue > 0.01


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_the_extremes_of_a_uniform_number_give_choices_that_are_possible(
    uniform: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RowStreams, "uniform", lambda self, *_: torch.full((len(self), 1, 1), uniform))
    for count in (3, 10, 1_000):
        logits = torch.randn(100, 1, count, generator=torch.Generator().manual_seed(0))
        logits[..., 0] = logits[..., -1] = -torch.inf
        drawn = Categorical(torch.log_softmax(logits, -1)).sample(streams(100))
        assert drawn.eq(1 if uniform == 0 else count - 2).all()


def test_a_member_draws_the_same_alone_and_beside_others_and_one_row_serves_many() -> None:
    members, seen = Population.fresh(rows(), Identities(), "initial"), observations(N)
    together = POLICY.act(members, seen, streams())
    for row in range(N):
        assert torch.equal(POLICY.act(members[[row]], seen[[row]], streams()[[row]])[0], together[row])
    copies = members[[0] * N]
    assert torch.equal(POLICY.act(members[[0]], seen, streams()), POLICY.act(copies, seen, streams()))


def test_probabilities_that_are_not_numbers_choose_none() -> None:
    logits = torch.zeros(2, 1, CHOICES)
    logits[1, 0, 2] = torch.nan
    chosen = Categorical(torch.log_softmax(logits, dim=-1))
    for actions in (chosen.mode(), chosen.sample(streams(2))):
        assert actions[0].isfinite().all()
        assert actions[1].isnan().all()
