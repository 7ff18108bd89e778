"""Beginning a run, and going on with one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evorl.errors import ConfigError, RunFolderError
from evorl.running import checkpoint, registry
from evorl.running.folder import RunFolder, folder_name, library_versions, require_length, versions, write_json
from evorl.running.memory import keep_freed_memory
from evorl.running.run import Result, Run, Running
from evorl.running.settings import differences, from_plain, to_plain
from evorl.running.sinks import Sink
from evorl.task import Task
from evorl.template import Config, EvoRL


def train(
    config: Config,
    running: Running | None = None,
    *,
    algorithm: type[EvoRL[Any]] | None = None,
    imports: Sequence[str] = (),
    overwrite: bool = False,
    sinks: Sequence[Sink] = (),
) -> Result:
    """Run an algorithm until its budget is spent.

    Args:
        config: settings of the algorithm.
        running: how to carry it out.
        algorithm: the class, if it is not the installed one of this config.
        imports: modules that a resumed run must import first; they register environments or algorithms.
        overwrite: replace a run that is in the folder already.
        sinks: of your own, beside those of the run folder; they are closed with the run.

    Raises:
        ConfigError: a setting or a sink cannot work; nothing was written.
        RunFolderError: a run is in the folder already.
        EnvironmentFault: an environment failed; the last checkpoint stands.
        OperatorFault: an operator that a setting names failed; the last checkpoint stands.
        Diverged: all members have; the last checkpoint stands.
        Interrupted: the user ended the run after a generation; it can be resumed.
    """
    running = running or Running()
    algorithm = algorithm or registry.of_config(config)
    stored = _to_store(config, running, algorithm, imports)
    folder = RunFolder(Path(running.runs) / folder_name(config, algorithm.name, running.tag))
    for sink in sinks:
        sink.check(algorithm)
    folder.require_free(overwrite)
    _prepare_process(running)
    began = time.monotonic()
    with folder.held():
        folder.require_free(overwrite)
        run = algorithm(config)
        _warn_of_endless_episodes(run.task)
        folder.create(stored, overwrite)
        return Run(run, running, folder, stored, began, sinks=sinks).go()


def _to_store(config: Config, running: Running, algorithm: type[EvoRL[Any]], imports: Sequence[str]) -> dict[str, Any]:
    """Return the content of `config.json`; what cannot be written fails here, before a folder is made."""
    if type(config) is not algorithm.config_type:
        needed, got = algorithm.config_type.__qualname__, type(config)
        raise ConfigError(f"config must be the {needed} of {algorithm.name}, got {got.__module__}.{got.__qualname__}")
    stored = {
        "algorithm": registry.path_of(algorithm),
        "name": algorithm.name,
        "imports": list(imports),
        "config": to_plain(config),
        "running": to_plain(running),
    }
    json.dumps(stored)
    return stored


def _warn_of_endless_episodes(task: Task) -> None:
    if task.has_environment and task.time_limit is None:
        remedy = "--env-kwargs max_episode_steps=N sets one"
        print(f"{task.env_id} has no time limit, and an episode may never end; {remedy}", file=sys.stderr)


def _prepare_process(running: Running) -> None:
    torch.set_num_threads(running.num_threads)
    keep_freed_memory()


def resume(
    run: str | Path,
    expected: dict[str, Any] | None = None,
    progress: bool | None = None,
    sinks: Sequence[Sink] = (),
) -> Result:
    """Go on with the interrupted run in the folder `run`, as if it had never been cut.

    Args:
        run: the run folder.
        expected: what `config.json` must hold under the given keys; None to take it as it is.
        progress: whether to show how the run goes; as it began if None.
        sinks: of your own; the folder does not keep them. One that saw the run so far is rewound to the checkpoint.

    Raises:
        ConfigError: a sink cannot work.
        RunFolderError: there is nothing to resume, or it is of another class, version or config, cut or altered.
        EnvironmentFault: an environment failed; the last checkpoint stands.
        OperatorFault: an operator that a setting names failed; the last checkpoint stands.
        Diverged: all members have; the last checkpoint stands.
        Interrupted: the user ended the run after a generation; it can be resumed once more.
    """
    folder = RunFolder(Path(run))
    folder.read_config()
    with folder.held():
        stored, content = _read_interrupted(folder, expected or {})
        algorithm = registry.from_path(stored["algorithm"], stored["imports"])
        for sink in sinks:
            sink.check(algorithm)
        config, running = from_plain(algorithm.config_type, stored["config"]), from_plain(Running, stored["running"])
        running = running if progress is None else replace(running, progress=progress)
        _prepare_process(running)
        began = time.monotonic()
        restored = algorithm(config, content["state"])
        _mark(folder, None if restored.exact else f"{config.env_id} does not repeat itself; new episodes begin")
        for sink in sinks:
            sink.rewind(restored.generation)
        return Run(restored, running, folder, stored, began, content, sinks).go()


def _read_interrupted(folder: RunFolder, expected: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `config.json` holds and the checkpoint beside it, if they belong together and can go on here."""
    stored = folder.read_config()
    del stored["format"]
    if found := differences({key: stored[key] for key in expected}, expected):
        raise RunFolderError(f"--resume must find the settings it is given, got {'; '.join(found)}")
    if folder.finished:
        raise RunFolderError(f"run must be unfinished to be resumed, got {folder.path}, which is finished")
    content = checkpoint.read(folder.checkpoint, device=None)
    if found := differences(content["stored"], stored):
        raise RunFolderError(f"{folder.checkpoint} must be of the same run as config.json, got {'; '.join(found)}")
    if found := differences(content["versions"], library_versions()):
        raise RunFolderError(f"--resume needs the versions the run began with, got {'; '.join(found)}")
    for path, cut in ((folder.progress, content["cut"]), (folder.lineage, content.get("lineage_cut", 0))):
        require_length(path, cut)
    return stored, content


def _mark(folder: RunFolder, inexact: str | None) -> None:
    """Say, and note in the folder, if a resumed run is not what the uncut one would have been, and why."""
    begun, commit = folder.read_versions(), versions()["commit"]
    if inexact is None and commit != begun["commit"]:
        inexact = f"it began with commit {begun['commit']} and goes on with {commit}"
    if inexact is not None:
        write_json(folder.versions, {**begun, "exact": False})
        print(f"{folder.path}: {inexact}, and the run is marked exact: false", file=sys.stderr)
