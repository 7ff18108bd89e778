"""Testing: deterministic episodes of the answer, on start states that depend only on the seed of the run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evorl import envs
from evorl.budget import Ledger
from evorl.interaction import Episodes
from evorl.policies import Policy
from evorl.population import Population
from evorl.running.answer import Answer
from evorl.streams import Streams
from evorl.task import Task

#: Episodes played side by side.
AT_ONCE = 10


class Tester:
    """Plays test episodes on environments of its own; what it counts does not count against the budget.

    Args:
        task: the environment.
        policy: what acts.
        seed: of the run.
        ledger: where the steps are counted, as `test`.
    """

    def __init__(self, task: Task, policy: Policy, seed: int, ledger: Ledger) -> None:
        self._envs = envs.make(task, AT_ONCE)
        self._episodes = Episodes(self._envs, policy, ledger)
        self._streams = Streams(seed)

    def test(self, member: Population, episodes: int) -> NDArray[np.float64]:
        """Return the undiscounted returns (episodes,) of the one row `member`."""
        seeds = [self._streams.episode_seed("test", episode) for episode in range(episodes)]
        chunks = [seeds[start : start + AT_ONCE] for start in range(0, episodes, AT_ONCE)]
        return np.concatenate([self._episodes.play(member, chunk, "test").returns for chunk in chunks])

    def close(self) -> None:
        """Free the environments."""
        self._envs.close()


def test_answer(answer: Answer, episodes: int) -> NDArray[np.float64]:
    """Return the undiscounted returns (episodes,) of an answer on the test starts of its run."""
    tester = Tester(answer.task, answer.policy, answer.seed, Ledger())
    try:
        return tester.test(answer.member, episodes)
    finally:
        tester.close()
