"""The answer of a finished run, ready to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from evorl.policies import Policy
from evorl.population import Identities, Population
from evorl.running import checkpoint, registry
from evorl.running.folder import RunFolder
from evorl.running.settings import from_plain
from evorl.task import Task


@dataclass(frozen=True)
class Answer:
    """A trained policy.

    Attributes:
        policy: the network.
        member: the one row it acts with.
        task: what it was trained on.
        seed: of the run; the test episodes depend on nothing else.
    """

    policy: Policy
    member: Population
    task: Task
    seed: int

    def act(self, observation: ArrayLike) -> NDArray[np.float32] | np.int64:
        """Return the deterministic action for an observation, as `step` of the environment takes it.

        That is (a,) in the bounds of the environment or, where actions are discrete, an integer.

        Raises:
            ValueError: the observation does not have the size of the task's.
        """
        flat = np.ravel(np.asarray(observation, np.float32))
        if flat.size != self.task.observation_size:
            raise ValueError(f"observation must have {self.task.observation_size} numbers, got {flat.size}")
        action = self.task.scale(self.policy.act(self.member, torch.from_numpy(flat)[None])[0].numpy())
        return action if self.task.choices is None else np.int64(action[0])


def save(folder: RunFolder, stored: Mapping[str, Any], member: Population, task: Task) -> None:
    """Write the answer of a run; this is what says that the run is finished."""
    content = {**stored, "task": task.state_dict(), "member": on_cpu(member).state_dict()}
    checkpoint.save(folder.answer, content)


def on_cpu(member: Population) -> Population:
    """Return a copy of `member` on the CPU."""
    traits = {name: trait.cpu() for name, trait in member.traits.items()}
    return member.with_traits(**traits).with_params(member.params.cpu(), fitness=member.fitness).clone()


def load(run: str | Path) -> Answer:
    """Return the answer of the finished run in the folder `run`.

    Raises:
        RunFolderError: there is no finished run, or its file is cut or altered.
    """
    folder = RunFolder(Path(run))
    folder.read_config()
    folder.require_finished()
    content = checkpoint.read(folder.answer)
    algorithm = registry.from_path(content["algorithm"], content["imports"])
    config = from_plain(algorithm.config_type, {**content["config"], "device": "cpu"})  # it was saved from there
    task = Task.from_state(content["task"])
    member = Population.from_state(content["member"], Identities())
    return Answer(algorithm.make_policy(config, task), member, task, config.seed)
