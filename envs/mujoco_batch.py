"""Gymnasium's MuJoCo tasks with the physics of all rows stepped together, outside Python and on several threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from numpy.typing import NDArray

from evorl.envs.door import fault, require_finite
from evorl.envs.gymnasium_envs import make_one
from evorl.envs.member_envs import Stepped
from evorl.envs.mujoco_rules import Judged, Observations
from evorl.envs.mujoco_tasks import RULES
from evorl.errors import ConfigError
from evorl.task import Task

#: Wrappers whose work is done here; any other may change what an environment says.
KNOWN_WRAPPERS = (TimeLimit, OrderEnforcing)
#: Steps in which a new batch must equal Gymnasium's environment, before it is used.
REHEARSED = 10


def entry_point(env_id: str) -> str:
    """Return what a task is made by, as it is registered; nothing if it is not."""
    try:
        return str(gymnasium.spec(env_id).entry_point)
    except gymnasium.error.Error:
        return ""


def is_mujoco(env_id: str) -> bool:
    """Whether a registered task is one of MuJoCo's, as far as its entry point says."""
    return "mujoco" in entry_point(env_id)


class MujocoBatchEnvs:
    """MemberEnvs over `mujoco.batch`: the rows that are named move in one call.

    Bit for bit, a row does what Gymnasium's own environment would do from the same seed with the same actions, on any
    number of threads and whichever rows are stepped beside it. A start is drawn by an environment of Gymnasium, which
    also says the arguments. Before it is used, the batch is rehearsed against it.

    Args:
        task: what `describe` returned.
        n: number of rows.
        threads: of the physics; None for as many as torch has, which is what this process may use.

    Raises:
        ConfigError: the task cannot be batched here, or not with equal results.
    """

    def __init__(self, task: Task, n: int, threads: int | None = None) -> None:
        self.task = task
        self._batch: Any = None
        self._threads = min(torch.get_num_threads() if threads is None else threads, n)
        self._limit = inf if task.time_limit is None else task.time_limit
        self._elapsed = np.zeros(n, np.int64)
        self._started = np.zeros(n, bool)
        if entry_point(task.env_id) not in RULES:
            raise self._refusal("its rules are not known")
        try:
            import mujoco.batch  # noqa: F401
        except ImportError as error:
            raise self._refusal("it needs mujoco 3.17 or later") from error
        try:
            self._open()
            equal = self._rehearse()
        except ConfigError:
            raise
        except Exception as error:
            raise self._refusal(f"{type(error).__name__}: {error}") from error
        if not equal:
            raise self._refusal("its steps differ from Gymnasium's own")

    def __len__(self) -> int:
        return len(self._started)

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed; return the observations (k, o)."""
        if self._batch is None:
            self._open()
        observations = np.empty((len(rows), self.task.observation_size), np.float32)
        for index, (row, seed) in enumerate(zip(rows, seeds, strict=True)):
            self._elapsed[row] = 0
            try:
                observations[index] = self._start(row, int(seed))
            except Exception as error:
                raise fault(self.task, row, 0, f"reset raised {type(error).__name__}: {error}") from error
            self._started[row] = True
        require_finite(self.task, rows, [0] * len(rows), observations)
        return observations

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action in [-1, 1], (k, a)."""
        index = np.asarray(rows, np.int32)
        for row in index[~self._started[index]]:
            raise RuntimeError(f"row {row} must be reset before it is stepped")
        self._elapsed[index] += 1
        observations, (rewards, terminated) = self._advance(index, self.task.scale(actions))
        elapsed = self._elapsed[index]
        require_finite(self.task, rows, elapsed.tolist(), observations, rewards)
        return observations, rewards, terminated, elapsed >= self._limit

    def close(self) -> None:
        """Free the simulations and their threads."""
        self._batch = None
        self._started[:] = False

    def _refusal(self, reason: str) -> ConfigError:
        return ConfigError(f"backend mujoco-batch cannot step {self.task.env_id}: {' '.join(reason.split())}")

    def _open(self) -> None:
        import mujoco.batch

        self._environment = make_one(self.task.env_id, self.task.env_kwargs)
        for wrapper in _wrappers(self._environment):
            if wrapper not in KNOWN_WRAPPERS:
                raise self._refusal(f"it is wrapped in {wrapper.__name__}")
        own: Any = self._environment.unwrapped
        self._own = own
        if own.render_mode is not None:
            raise self._refusal(f"render_mode is {own.render_mode!r}")
        self._rules = RULES[entry_point(self.task.env_id)](own)
        self._batch = mujoco.batch.Batch(own.model, len(self), self._threads, self._rules.contacts)
        self._state_kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self._controls = self._batch.bind("ctrl")
        self._bound = {name: self._batch.bind(name) for name in self._rules.fields}
        self._marks = np.repeat(self._mark_of_start(), len(self), axis=0)
        self._data = mujoco.MjData(own.model)

    def _start(self, row: int, seed: int) -> NDArray[Any]:
        import mujoco

        observation, _ = self._environment.reset(seed=seed)
        mujoco.mj_getState(self._own.model, self._own.data, self._batch.state[row], self._state_kind)
        self._marks[row] = self._mark_of_start()[0]
        return np.ravel(observation)

    def _mark_of_start(self) -> NDArray[np.float64]:
        return self._rules.mark({name: getattr(self._own.data, name)[None] for name in self._rules.fields})

    def _advance(self, index: NDArray[np.int32], actions: NDArray[np.float32]) -> tuple[Observations, Judged]:
        """Step the simulations `index` with actions (k, a) in the units of the task."""
        import mujoco.batch

        self._controls[index] = actions
        try:
            self._batch.step(np.sort(index), self._own.frame_skip)
        except mujoco.batch.SimulationError as error:
            row = int(error.ids[0])
            raise fault(self.task, row, int(self._elapsed[row]), f"step raised {self._batch.error(row)}") from error
        fields = {name: array[index] for name, array in self._bound.items()}
        if self._rules.contacts:
            fields["cfrc_ext"] = self._contact_forces(index)
        judged = self._rules.judge(fields, self._marks[index], actions)
        self._marks[index] = self._rules.mark(fields)
        return self._rules.observe(fields), judged

    def _contact_forces(self, index: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return `cfrc_ext` (k, bodies, 6), which a step leaves out: MuJoCo computes it of one simulation at a time."""
        import mujoco

        data = self._data
        forces = np.empty((len(index), *data.cfrc_ext.shape))
        for place, row in enumerate(index.tolist()):
            self._batch.get_data(row, data)
            mujoco.mj_rnePostConstraint(self._batch.model, data)
            forces[place] = data.cfrc_ext
        return forces

    def _rehearse(self) -> bool:
        """Whether the first steps of an episode equal those of Gymnasium's environment, to the last bit."""
        self._start(0, 0)
        actions = np.random.default_rng(0).uniform(-1, 1, (REHEARSED, self.task.action_size)).astype(np.float32)
        for action in self.task.scale(actions):
            expected, reward, terminated, *_ = self._own.step(action)
            observations, (rewards, over) = self._advance(np.zeros(1, np.int32), action[None])
            if not np.array_equal(observations[0], np.float32(np.ravel(expected)), equal_nan=True):
                return False
            if rewards[0] != reward or over[0] != terminated:
                return False
        return True


def _wrappers(environment: gymnasium.Env[Any, Any]) -> Iterator[type]:
    while isinstance(environment, gymnasium.Wrapper):
        yield type(environment)
        environment = environment.env
