"""evorl: evolutionary reinforcement learning as one loop of variation, gradient step, evaluation and selection.

    run = evorl.train(evorl.algorithms.cem.Config(env_id="Pendulum-v1", total_timesteps=60_000))
    action = evorl.load(run.folder).act(observation)

Names are imported when they are first used, so that `import evorl` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evorl import algorithms as algorithms
    from evorl.conformance import check_algorithm as check_algorithm
    from evorl.population import Population as Population
    from evorl.running import Answer as Answer
    from evorl.running import Running as Running
    from evorl.running import load as load
    from evorl.running import resume as resume
    from evorl.running import train as train
    from evorl.template import Config as Config
    from evorl.template import EvoRL as EvoRL

__version__ = "0.1.0"

_HOMES = {
    "Answer": "evorl.running",
    "Config": "evorl.template",
    "EvoRL": "evorl.template",
    "Population": "evorl.population",
    "Running": "evorl.running",
    "check_algorithm": "evorl.conformance",
    "load": "evorl.running",
    "resume": "evorl.running",
    "train": "evorl.running",
}
_MODULES = (
    *("algorithms", "analysis", "budget", "envs", "errors", "evaluation", "hyperparameters", "interaction"),
    *("learners", "learning", "policies", "population", "running", "selection", "streams", "task", "template"),
    *("trials", "tuned", "variation"),
)


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"evorl.{name}")
    raise AttributeError(f"module 'evorl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_MODULES])
