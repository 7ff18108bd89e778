"""What tests of lineages need: a small run of PBT that copies often, and its record as its file has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from support import ORACLE

from evorl import Population
from evorl.algorithms import pbt
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.running.ancestry import Lineage, read_lineage
from evorl.running.lineage import LineageLog
from evorl.running.schedules import line_of
from evorl.running.sinks import TensorBoard

TINY = NetworkConfig(hidden_sizes=(8,))
SPACE = {"discount": "complement:0.9:0.999", "critic_learning_rate": "log:1e-4:1e-2"}


def config(**settings: Any) -> pbt.Config:
    """Return settings of members whose episodes end at different times, and half of which copy in each generation."""
    given: dict[str, Any] = {
        "env_id": ORACLE,
        "env_kwargs": {"max_episode_steps": 9, "terminate_at": 3, "spread": 5},
        "network": TINY,
        "learner": TD3Config(critic=TINY, batch_size=8),
        "space": SPACE,
        "population_size": 4,
        "interval": 10,
        "window": 1,
        "warmup_steps": 8,
        "burn_in": 0,
        "total_timesteps": 4 * 10 * 5,
        "bottom_fraction": 0.5,
        "donor_fraction": 0.5,
        "ties": "copy",
    }
    return pbt.Config(**{**given, **settings})


def recorded(
    path: Path, asked: pbt.Config, algorithm: type[pbt.PBT[pbt.Config]] = pbt.PBT
) -> tuple[Lineage, int, Population]:
    """Return the lineage of a run as its file has it, and number of the line and rows of its answer."""
    run, answer = algorithm(asked), None
    sink = LineageLog(path / "lineage.jsonl", cast(TensorBoard, None))
    while not run.finished:
        run.step(lambda members: sink.write_population(members, run.generation, run.ledger.spent))
        answer = run.answer() if run.ledger.spent <= asked.total_timesteps else answer
    run.close()
    sink.close()
    assert answer is not None
    lineage = read_lineage(path / "lineage.jsonl")
    return lineage, line_of(lineage, int(answer.id[0]), asked.total_timesteps), answer
