"""Running: from a config to a run folder that can be resumed, tested and compared.

Names are imported when they are first used: the registry, which `evorl list` reads, needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evorl.running.answer import Answer as Answer
    from evorl.running.answer import load as load
    from evorl.running.deap_log import DeapLog as DeapLog
    from evorl.running.run import Result as Result
    from evorl.running.run import Running as Running
    from evorl.running.sinks import Sink as Sink
    from evorl.running.training import resume as resume
    from evorl.running.training import train as train

_HOMES = {
    "Answer": "evorl.running.answer",
    "DeapLog": "evorl.running.deap_log",
    "Result": "evorl.running.run",
    "Running": "evorl.running.run",
    "Sink": "evorl.running.sinks",
    "load": "evorl.running.answer",
    "resume": "evorl.running.training",
    "train": "evorl.running.training",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
