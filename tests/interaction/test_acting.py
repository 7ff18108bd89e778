"""From observations to actions, on one thread."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from support import members_of, oracle, small_policy
from torch import Tensor

from evorl.interaction.acting import act, one_thread
from evorl.policies import DeterministicPolicy
from evorl.population import Population
from evorl.streams import RowStreams, Streams

OBSERVATIONS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_actions_are_those_of_the_policy_with_noise_of_the_streams_if_there_are_any() -> None:
    policy = small_policy(oracle(), exploration_noise=0.1)
    members = members_of(policy, 3)
    for streams, same_streams in ((None, None), [Streams(1).rows("explore", range(3)) for _ in range(2)]):
        actions, failed = act(policy, members, OBSERVATIONS, streams)
        expected = policy.act(members, torch.from_numpy(OBSERVATIONS), same_streams)
        assert (actions.dtype.name, actions.shape) == ("float32", (3, 2))
        np.testing.assert_array_equal(actions, expected.numpy())
        assert failed.tolist() == [False] * 3


@pytest.mark.parametrize("explore", [False, True])
def test_zeros_stand_for_who_has_failed_and_the_others_act_as_without_it(explore: bool) -> None:
    policy = small_policy(oracle(), exploration_noise=0.1)
    members = members_of(policy, 3)
    streams = [Streams(1).rows("explore", range(3)) if explore else None for _ in range(2)]
    params = members.params.clone()
    params[1, 0] = torch.nan
    actions, failed = act(policy, members.with_params(params), OBSERVATIONS, streams[0])
    whole, _ = act(policy, members, OBSERVATIONS, streams[1])
    assert failed.tolist() == [False, True, False]
    assert actions[1].tolist() == [0.0, 0.0]
    np.testing.assert_array_equal(actions[[0, 2]], whole[[0, 2]])


def test_a_policy_acts_on_one_thread_and_learning_goes_on_with_all() -> None:
    seen: list[int] = []

    class Noting(DeterministicPolicy):
        def act(self, members: Population, observations: Tensor, streams: RowStreams | None = None) -> Tensor:
            seen.append(torch.get_num_threads())
            return super().act(members, observations, streams)

    policy = Noting(small_policy(oracle()).network)
    act(policy, members_of(policy, 3), OBSERVATIONS)
    assert (seen, torch.get_num_threads()) == ([1], 2)


def test_the_threads_come_back_after_a_fault() -> None:
    with pytest.raises(RuntimeError, match="silent"), one_thread():
        raise RuntimeError("silent")
    assert torch.get_num_threads() == 2
