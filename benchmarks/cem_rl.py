"""How far ahead of a plain sequential implementation is a generation of CEM-RL?"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.generation import EPISODE, TASK, cem_rl_updates
from benchmarks.plain_cem_rl import PlainCEMRL
from benchmarks.report import Cell, Goal, Result
from benchmarks.timing import Work, interleaved
from evorl.algorithms.cem_rl import CEMRL, Config

#: Generations of 160,000 steps, and how many of them learn: those that begin beyond the first 10,000 steps.
LONG_RUN, LEARNING = 16, 14


def works(config: Config, updates: int) -> tuple[CEMRL, dict[str, Work]]:
    """Return the parts of a generation of both, by name, ready to be called again and again."""
    ours = CEMRL(config)
    plain, seeds = PlainCEMRL(config, ours.task), range(config.population_size)
    candidates = ours.vary(ours.population)
    evaluated = ours.evaluate(candidates)
    fitness = plain.evaluate(seeds)

    def vary_and_select() -> None:
        ours.vary(ours.population)
        ours.select(evaluated)

    def plain_vary_and_select() -> None:
        plain.vary()
        plain.select(fitness)

    return ours, {
        "learn": lambda: cem_rl_updates(ours, candidates, updates),
        "plain learn": lambda: plain.learn(updates),
        "evaluate": lambda: ours.evaluate(candidates),
        "plain evaluate": lambda: plain.evaluate(seeds),
        "vary and select": vary_and_select,
        "plain vary and select": plain_vary_and_select,
    }


def measure(config: Config | None = None, updates: int = 200, repeats: int = 3) -> Result:
    """Time the parts of a generation of both by turns."""
    config = config or CEMRL.preset("published", env_id=TASK)
    whole = config.population_size * EPISODE
    ours, parts = works(replace(config, start_steps=0), updates)
    timings = interleaved(parts, repeats)
    ours.close()
    seconds = {name: timing.best * (whole / updates if "learn" in name else 1) for name, timing in timings.items()}
    rows: list[list[Cell]] = []
    for part in ("vary and select", "learn", "evaluate"):
        plain = f"plain {part}"
        threads = f"{timings[part].threads} / {timings[plain].threads}"
        rows.append([part, seconds[part], seconds[plain], seconds[plain] / seconds[part], threads])
    mine, theirs = (sum(row[column] for row in rows if isinstance(row[column], float)) for column in (1, 2))  # type: ignore[misc]
    rows.append(["a generation", mine, theirs, theirs / mine, ""])
    minutes = (LONG_RUN * (mine - seconds["learn"]) + LEARNING * seconds["learn"]) / 60
    hidden = "-".join(map(str, config.network.hidden_sizes))
    compared = (
        f"Seconds of the parts of one generation on {TASK}: {config.population_size} members of {hidden}, minibatches "
        f"of {config.learner.batch_size}, {whole:,} steps, {whole:,} updates of the critic and of each of "
        f"{config.trained} actors. *Plain* trains one network after another as modules and plays one episode after "
        f"another. Learning is measured with {updates} updates and scaled; the rest is whole. Each part at its better "
        f"number of threads; medians of {repeats} rounds by turns."
    )
    goals = [
        Goal("a CEM-RL generation against the plain sequential implementation", 2.2, theirs / mine),
        Goal("minutes for 160,000 steps of CEM-RL, from this table", 22, minutes, at_most=True),
    ]
    return Result(
        "CEM-RL against a plain implementation",
        compared,
        ("part", "here", "plain", "plain / here", "threads"),
        rows,
        goals,
    )
