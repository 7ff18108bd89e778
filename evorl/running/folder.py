"""The run folder: `runs/<env-id>[-variant]/<algorithm>/s<seed>[-tag]/` and the files in it."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evorl
from evorl.errors import RunFolderError
from evorl.template import Config

#: Layout of the files that a later version must be able to recognise; `state.pt` 1 held its replays itself, and
#: `answer.pt` 1 had another name for `delayed_reward`.
FORMATS = {"config.json": 1, "state.pt": 2, "answer.pt": 2}
#: What `config.json` must hold beside its format.
REQUIRED = {"algorithm", "name", "imports", "config", "running"}
LIBRARIES = ("torch", "numpy", "gymnasium", "mujoco", "deap")
#: What only some algorithms need, and what is written down but not compared.
OPTIONAL = ("scikit-learn", "scipy", "optuna")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; this class names, reads and checks them, and holds the folder for one process."""

    path: Path

    @property
    def config(self) -> Path:
        """What was asked for."""
        return self.path / "config.json"

    @property
    def versions(self) -> Path:
        """What it ran with."""
        return self.path / "versions.json"

    @property
    def progress(self) -> Path:
        """One row a generation."""
        return self.path / "progress.csv"

    @property
    def lineage(self) -> Path:
        """One line a member a generation, where members have parents or hyperparameters of their own."""
        return self.path / "lineage.jsonl"

    @property
    def checkpoint(self) -> Path:
        """Everything needed to go on."""
        return self.path / "state.pt"

    @property
    def journals(self) -> Path:
        """The replays of the checkpoint, in files that grow; a finished run has none."""
        return self.path / "journals"

    @property
    def answer(self) -> Path:
        """What the run found; written last, so that it also says that the run is finished."""
        return self.path / "answer.pt"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.answer.exists()

    def read_config(self) -> dict[str, Any]:
        """Return the content of `config.json`.

        Raises:
            RunFolderError: there is none, or it is damaged.
        """
        if not self.config.exists():
            raise RunFolderError(f"run must be a run folder with a config.json, got {self.path}")
        try:
            stored: dict[str, Any] = json.loads(self.config.read_text())
        except ValueError as error:
            raise RunFolderError(f"{self.config} is damaged: {error}") from error
        found, expected = stored.get("format") if isinstance(stored, dict) else None, FORMATS[self.config.name]
        if found != expected:
            raise RunFolderError(f"{self.config} must have format {expected}, got {found}")
        if missing := sorted(REQUIRED - set(stored)):
            raise RunFolderError(f"{self.config} must hold {', '.join(sorted(REQUIRED))}, {missing[0]} is missing")
        return stored

    def read_versions(self) -> dict[str, Any]:
        """Return the content of `versions.json`.

        Raises:
            RunFolderError: there is none, or it is damaged.
        """
        try:
            begun: dict[str, Any] = json.loads(self.versions.read_text())
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.versions} is missing or damaged: {error}") from error
        return begun

    @property
    def lock_file(self) -> Path:
        """Held by the process that runs here."""
        return self.path / ".lock"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes; make it if need be, and leave nothing if nothing was written.

        Raises:
            RunFolderError: another process holds it.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        with self.lock_file.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.path.samestat(os.fstat(lock.fileno()), self.lock_file.stat()):
                    raise FileNotFoundError(self.lock_file)  # whoever held it has just taken it away
            except OSError as error:
                raise RunFolderError(f"{self.path} is being written by another process") from error
            try:
                yield
            finally:
                self._leave(made)

    def _leave(self, made: Sequence[Path]) -> None:
        """Take away the lock, which is held, and with it the folders that were `made` for nothing, innermost first."""
        if not made or self.config.exists():
            self.lock_file.unlink(missing_ok=True)
            return
        shutil.rmtree(self.path)
        with suppress(OSError):  # another run has begun in one of them
            for parent in made[1:]:
                parent.rmdir()

    def require_free(self, overwrite: bool) -> None:
        """Raise RunFolderError if a run is there already and `overwrite` is not set."""
        if self.config.exists() and not overwrite:
            remedy = "--overwrite to replace it" if self.finished else "--resume or --overwrite"
            state = "holds a finished run" if self.finished else "holds an interrupted run"
            raise RunFolderError(f"{self.path} {state}; give {remedy}, or --tag for another folder")

    def require_finished(self) -> None:
        """Raise RunFolderError if the run has not come to its end."""
        if not self.finished:
            raise RunFolderError(f"run must be finished, got {self.path} without answer.pt; --resume ends it")

    def create(self, stored: Mapping[str, Any], overwrite: bool) -> None:
        """Make the folder with its config and versions.

        Raises:
            RunFolderError: a run is there already and `overwrite` is not set.
        """
        if self.config.exists():
            self.require_free(overwrite)
            # Cut at any moment, this leaves no answer without its config: one says "finished", the other "a run".
            others = set(self.path.iterdir()) - {self.answer, self.config, self.lock_file}
            for path in (self.answer, *others, self.config):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.versions, {**versions(), "exact": True})
        write_json(self.config, {"format": FORMATS[self.config.name], **stored})


def folder_name(config: Config, algorithm: str, tag: str) -> Path:
    """Return the relative path of a run; what changes the task is part of it."""
    variant = dict(sorted(config.env_kwargs.items()))
    if config.delayed_reward:
        variant["delayed_reward"] = config.delayed_reward
    task = config.env_id + "".join(f"-{name}={value}" for name, value in variant.items())
    return Path(task.replace("/", "-")) / algorithm / (f"s{config.seed}-{tag}" if tag else f"s{config.seed}")


def require_length(path: Path, cut: int) -> None:
    """Raise RunFolderError if a file is shorter than the `cut` bytes that a checkpoint knows of, or missing."""
    size = path.stat().st_size if path.exists() else 0
    if size < cut:
        raise RunFolderError(f"{path} must hold the {cut} bytes that the checkpoint knows of, got {size}")


def write_json(path: Path, content: Any) -> None:
    """Write `content` to a temporary file and rename it to `path`."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)


def library_versions() -> dict[str, str]:
    """Return the versions on which the numbers of a run depend."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {**found, "evorl": evorl.__version__, "python": platform.python_version()}


def versions() -> dict[str, str]:
    """Return the versions, also of what is optional and installed, the commit of a source checkout, and the command."""
    machine = {"platform": platform.platform(), "commit": _commit(), "command": " ".join(sys.argv)}
    return {**library_versions(), **_optional_versions(), **machine}


def _optional_versions() -> dict[str, str]:
    found = {}
    for name in OPTIONAL:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _commit() -> str:
    source = Path(evorl.__file__).resolve().parent
    if not (source.parent / ".git").exists():
        return "not a checkout"
    try:
        asked = ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown: {error}"
