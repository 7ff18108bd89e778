"""Environments of other packages, and conversations with their scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def python_of(name: str, packages: list[str], folder: Path) -> Path:
    """Return the Python of an environment that holds `packages`, made if it is not there; torch is the one tested here.

    Raises:
        subprocess.CalledProcessError: it cannot be installed; pip says why.
    """
    home = folder / name
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        torch = next(line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch=="))
        subprocess.run([python, "-m", "pip", "install", "--quiet", torch, *packages], check=True)
        done.touch()
    return python


class Peer:
    """A peer's script under way.

    Args:
        python: of its environment.
        script: its file in this folder.
        arguments: of the script.

    Attributes:
        facts: what it told when it was ready.
        said: the end of its errors, once it is closed.
    """

    def __init__(self, python: Path, script: str, *arguments: str) -> None:
        clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "OMP_NUM_THREADS"}}
        command = [str(python), str(HERE / script), *arguments]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed below; a pipe that nobody reads fills up
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=clean
        )
        self.said = ""
        self.facts = self._answer()

    def _answer(self) -> dict[str, Any]:
        if self.process.stdout is None:
            raise RuntimeError("a peer must have pipes")
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self.close()
        raise RuntimeError(f"a peer must answer, got: {self.said}")

    def round(self, threads: int) -> float:
        """Let it do its work once; return the seconds."""
        if self.process.stdin is None:
            raise RuntimeError("a peer must have pipes")
        print(threads, file=self.process.stdin, flush=True)
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End it; `said` keeps the last lines of its errors."""
        self.process.terminate()
        self.process.communicate()
        self.errors.seek(0)
        self.said = self.errors.read()[-2000:]
        self.errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def say(text: str) -> None:
    """Tell the user what takes so long."""
    print(text, file=sys.stderr, flush=True)
