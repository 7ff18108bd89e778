"""Where does the time of a generation go?"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import torch

import evorl
from benchmarks.report import Cell, Goal, Result
from evorl.algorithms.cem_rl import CEMRL
from evorl.algorithms.erl import ERL
from evorl.algorithms.p3s_td3 import P3STD3
from evorl.algorithms.pbt import PBT
from evorl.population import Population
from evorl.running import Running, Sink
from evorl.template import Config, EvoRL

TASK, EPISODE = "HalfCheetah-v5", 1000
PARTS = ("vary", "learn", "evaluate", "select")
#: Learns a part of what a generation learns: of a unit that the job names.
LearnSome = Callable[[Any, Population, int], Population]


def cem_rl_updates(algorithm: CEMRL, candidates: Population, updates: int) -> Population:
    """Let CEM-RL learn as if so many steps had just been stored."""
    algorithm.learned = algorithm.ledger.stored - updates
    return CEMRL.learn(algorithm, candidates)


def erl_updates(algorithm: ERL, candidates: Population, updates: int) -> Population:
    """Let ERL's agent play its episode and learn as if so many steps had been stored with it."""
    stored = torch.tensor([algorithm.ledger.stored + EPISODE - updates])
    algorithm.agent = algorithm.agent.with_traits(stored=stored)
    return ERL.learn(algorithm, candidates)


def steps_of_members(algorithm: PBT[Any], candidates: Population, steps: int) -> Population:
    """Let every member of PBT act and learn for so many steps, after the warm-up, which is the first generation."""
    taken = steps if algorithm.generation else algorithm.config.warmup_steps
    return algorithm.training.act_and_learn(candidates, taken, algorithm.generation)


def everything(algorithm: P3STD3, candidates: Population, _work: int) -> Population:
    """Let P3S-TD3 learn for its period."""
    return P3STD3.learn(algorithm, candidates)


@dataclass(frozen=True)
class Job:
    """An algorithm and how much of its learning is measured.

    Attributes:
        algorithm: the class.
        settings: of the published preset, beside the task.
        learn: learns a part of a generation.
        works: how much, generation by generation; two different amounts tell the fixed part from the growing one.
        whole: the amount of a whole generation.
        unit: what is counted.
    """

    algorithm: type[EvoRL[Any]]
    settings: Mapping[str, Any]
    learn: LearnSome
    works: Sequence[int]
    whole: int
    unit: str


JOBS = (
    Job(CEMRL, {"start_steps": 0}, cem_rl_updates, (100, 400), 10 * EPISODE, "updates an actor"),
    Job(ERL, {}, erl_updates, (100, 500), 11 * EPISODE, "updates of the agent"),
    Job(P3STD3, {"warmup_steps": 250}, everything, (1,), 1, "period"),
    Job(PBT, {"warmup_steps": 300}, steps_of_members, (20, 60), 10_000, "steps a member"),
)


@dataclass
class Clock:
    """Takes the time of every part of every generation, and of whole generations with all that is around the parts."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    works: list[int] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)

    def timed(self, part: str, work: Callable[[], Population]) -> Population:
        """Return what `work` returns; what is done before the first generation is not counted."""
        began = time.perf_counter()
        if part == "vary":
            self.begun.append(began)
        returned = work()
        if self.begun:
            self.seconds[part].append(time.perf_counter() - began)
        return returned

    def rest(self) -> list[float]:
        """Return the seconds of each generation that was followed by another, less those of its parts."""
        spans = [after - before for before, after in zip(self.begun[:-1], self.begun[1:], strict=True)]
        inside = list(zip(*self.seconds.values(), strict=True))
        return [span - sum(parts) for span, parts in zip(spans, inside[:-1], strict=True)]


class Enough(Exception):
    """The generations that were asked for are over."""


class Stop(Sink):
    """Ends a run after some generations."""

    def __init__(self, generations: int) -> None:
        self.generations = generations

    def write_population(self, evaluated: Population, generation: int, steps: int) -> None:
        """Raise Enough when it is time."""
        if generation > self.generations:
            raise Enough


def clocked(job: Job, clock: Clock) -> type[EvoRL[Any]]:
    """Return the algorithm with every part timed and its learning shortened."""
    works = cycle(job.works)

    class Clocked(job.algorithm):  # type: ignore[name-defined,misc]  # a class chosen when it runs
        name = job.algorithm.name

        def vary(self, parents: Population) -> Population:
            return clock.timed("vary", lambda: super(Clocked, self).vary(parents))

        def learn(self, candidates: Population) -> Population:
            clock.works.append(next(works))
            return clock.timed("learn", lambda: job.learn(self, candidates, clock.works[-1]))

        def evaluate(self, candidates: Population) -> Population:
            return clock.timed("evaluate", lambda: super(Clocked, self).evaluate(candidates))

        def select(self, evaluated: Population) -> Population:
            return clock.timed("select", lambda: super(Clocked, self).select(evaluated))

    return Clocked


def configured(job: Job) -> Config:
    """Return the config of a job, with steps enough for any number of generations."""
    config: Config = job.algorithm.preset("published", env_id=TASK, total_timesteps=10**9, **job.settings)
    return config


def split(job: Job, generations: int) -> dict[str, float]:
    """Return the seconds of the parts of a whole generation and of the rest, from a run of the given length.

    The rest is reports, sinks and a checkpoint at every generation. The first generation does not count.
    """
    clock = Clock()
    algorithm, config = clocked(job, clock), configured(job)
    with tempfile.TemporaryDirectory() as folder:
        running = Running(runs=folder, test_interval=0, checkpoint_seconds=0, progress=False)
        with suppress(Enough):
            evorl.train(config, running, algorithm=algorithm, sinks=[Stop(generations)])
    found = {part: statistics.median(clock.seconds[part][1:]) for part in ("vary", "evaluate", "select")}
    learn = extrapolated(clock.works[1:], clock.seconds["learn"][1:], job.whole)
    return {**found, "learn": learn, "rest": statistics.median(clock.rest()[1:])}


def extrapolated(works: Sequence[int], seconds: Sequence[float], whole: int) -> float:
    """Return the seconds of `whole` work on the line through the medians of the least and the most work."""
    least, most = min(works), max(works)
    low, high = (
        statistics.median(took for work, took in zip(works, seconds, strict=True) if work == amount)
        for amount in (least, most)
    )
    if least == most:
        return low * whole / least
    return low + (high - low) / (most - least) * (whole - least)


def measure(jobs: Sequence[Job] = JOBS, generations: int = 5) -> Result:
    """Split a generation of every algorithm."""
    rows: list[list[Cell]] = []
    goals: list[Goal] = []
    for job in jobs:
        seconds = split(job, generations)
        total = sum(seconds.values())
        outside = 100 * (total - seconds["learn"] - seconds["evaluate"]) / total
        done = f"{max(job.works):,} of {job.whole:,} {job.unit}" if job.whole > max(job.works) else "all"
        rows.append([job.algorithm.name, *(seconds[part] for part in (*PARTS, "rest")), total, outside, done])
        goals.append(Goal(f"{job.algorithm.name}: % outside learning and evaluation", 3, outside, at_most=True))
    compared = (
        f"Seconds of one generation with the published preset on {TASK}, run by `evorl.train` with its sinks and its "
        "default number of threads, without tests; *rest* is reports, csv, TensorBoard and a checkpoint at *every* "
        "generation (a run writes one a minute at most). Learning is measured in the part named last and extrapolated "
        f"on a line; everything else is whole. Medians of {generations - 1} generations."
    )
    columns = ("algorithm", *PARTS, "rest", "in all", "% outside", "learning measured")
    return Result("A generation, part by part", compared, columns, rows, goals)
