"""Testing: start states by the run's seed alone, deterministic, counted as nothing but tests."""

from typing import Any

import numpy as np
import pytest
import torch
from support import ORACLE, counted, members_of, number_of, oracle, small_policy, total_steps

from evorl.algorithms import cem, td3
from evorl.budget import Ledger
from evorl.envs import describe
from evorl.policies import NetworkConfig
from evorl.population import Population
from evorl.running import Answer, testing
from evorl.streams import Streams
from evorl.template import EvoRL

PENDULUM = describe("Pendulum-v1", {"max_episode_steps": 15})


def returns(episodes: int, seed: int = 0, ledger: Ledger | None = None) -> np.ndarray:
    policy = small_policy(PENDULUM)
    tester = testing.Tester(PENDULUM, policy, seed, ledger or Ledger())
    return tester.test(members_of(policy, 1), episodes)


def test_each_episode_has_a_return_of_its_own() -> None:
    assert returns(25).shape == (25,)
    assert len(set(returns(25).tolist())) == 25


def test_more_episodes_begin_with_those_of_fewer() -> None:
    assert returns(25)[:7].tolist() == returns(7).tolist()


def test_the_same_episodes_come_again() -> None:
    policy = small_policy(PENDULUM)
    tester = testing.Tester(PENDULUM, policy, 0, Ledger())
    member = members_of(policy, 1)
    assert tester.test(member, 12).tolist() == tester.test(member, 12).tolist()


def test_another_seed_of_the_run_gives_other_episodes() -> None:
    assert not set(returns(10).tolist()) & set(returns(10, seed=1).tolist())


def test_start_states_are_the_same_for_all_algorithms() -> None:
    """The oracle tells its seed in every observation: here a policy that copies it tells it in the return."""
    task = oracle(time_limit=1)
    tiny = NetworkConfig(hidden_sizes=())
    algorithms: list[type[EvoRL[Any]]] = [cem.CEM, td3.TD3]
    policies = [kind.make_policy(kind.config_type(env_id=ORACLE, network=tiny), task) for kind in algorithms]
    seeds = [Streams(5).episode_seed("test", episode) for episode in range(12)]
    for policy in policies:
        params = torch.zeros(1, policy.network.size)
        params[0, 0] = 0.01  # the first action is tanh of a hundredth of the number of the seed
        member = Population.fresh(params, members_of(small_policy(task), 1).identities, "copying")
        found = testing.Tester(task, policy, 5, Ledger()).test(member, 12)
        np.testing.assert_allclose(found - 1, np.tanh([0.01 * number_of(seed) for seed in seeds]), rtol=0, atol=1e-6)


def test_episodes_are_deterministic_even_for_a_policy_that_explores() -> None:
    noisy, quiet = small_policy(PENDULUM, exploration_noise=0.5), small_policy(PENDULUM)
    member = members_of(quiet, 1)
    found = [testing.Tester(PENDULUM, policy, 0, Ledger()).test(member, 5).tolist() for policy in (noisy, quiet)]
    assert found[0] == found[1]


@pytest.mark.parametrize("episodes", [1, 10, 23])
def test_every_step_is_counted_as_a_test_and_as_nothing_else(episodes: int) -> None:
    ledger = Ledger()
    with counted() as made:
        returns(episodes, ledger=ledger)
    assert ledger.steps["test"] == total_steps(made) == 15 * episodes
    assert ledger.spent == 0
    assert ledger.episodes == 0
    assert ledger.stored == 0


def test_an_answer_is_tested_on_the_starts_of_its_run() -> None:
    policy = small_policy(PENDULUM)
    answer = Answer(policy, members_of(policy, 1), PENDULUM, 3)
    assert testing.test_answer(answer, 11).tolist() == returns(11, seed=3).tolist()
