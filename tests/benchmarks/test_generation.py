"""The time of a generation is that of its parts and the rest."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from support import ORACLE

from benchmarks import generation
from benchmarks.generation import JOBS, Clock, configured, extrapolated, measure
from evorl.learning import DDPGConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Identities, Population

SMALL = NetworkConfig(hidden_sizes=(4,))
TINY: dict[str, Any] = {"network": SMALL, "env_kwargs": {"max_episode_steps": 5}}
OF_EACH: dict[str, dict[str, Any]] = {
    "cem-rl": {"learner": TD3Config(critic=SMALL, batch_size=4)},
    "erl": {"learner": DDPGConfig(critic=NetworkConfig(hidden_sizes=(4, 4)), batch_size=4)},
    "p3s-td3": {"learner": TD3Config(critic=SMALL, batch_size=4), "warmup_steps": 10, "interval": 10},
    "pbt": {"learner": TD3Config(critic=SMALL, batch_size=4), "warmup_steps": 10, "interval": 10, "window": 2},
}


def test_extrapolation_is_on_the_line_through_the_medians() -> None:
    assert extrapolated([100, 400, 100, 400, 400], [2.0, 5.0, 2.0, 5.0, 99.0], 1_000) == pytest.approx(11.0)
    assert extrapolated([10, 10], [3.0, 3.0], 50) == pytest.approx(15.0)


def test_the_rest_is_what_the_parts_leave_of_a_generation() -> None:
    clock = Clock(begun=[0.0, 10.0, 25.0])
    for part, seconds in zip(generation.PARTS, (1.0, 5.0, 2.0, 0.5), strict=True):
        clock.seconds[part] = [seconds] * 3
    assert clock.rest() == [1.5, 6.5]


def test_a_timed_part_returns_what_it_returned_and_counts_from_the_first_generation_on() -> None:
    clock, members = Clock(), Population.fresh(torch.zeros(1, 2), Identities(), "initial")
    assert clock.timed("evaluate", lambda: members) is members
    assert clock.timed("vary", lambda: members) is members
    assert {part: len(taken) for part, taken in clock.seconds.items() if taken} == {"vary": 1}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.algorithm.name)
def test_every_job_can_begin_as_it_stands(job: generation.Job) -> None:
    job.algorithm(configured(job)).close()


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.algorithm.name)
def test_a_generation_of_every_algorithm_is_split(job: generation.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "TASK", ORACLE)
    monkeypatch.setattr(generation, "EPISODE", 5)
    small = replace(job, settings={**job.settings, **TINY, **OF_EACH[job.algorithm.name]}, works=(3, 6), whole=12)
    result = measure([small], generations=4)
    name, *seconds, outside, _ = result.rows[0]
    assert name == job.algorithm.name
    parts = [float(cell) for cell in seconds]
    assert sum(parts[:-1]) == pytest.approx(parts[-1])
    assert 0 < float(outside) <= 100
