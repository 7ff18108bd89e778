"""`python -m benchmarks`: ask the questions, print and keep the answers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import cem_rl, crowd, evaluation, generation, launch, profiling, report, scaling, update
from benchmarks.machine import describe
from benchmarks.report import Result
from evorl.running.memory import keep_freed_memory

QUESTIONS: Mapping[str, Callable[[], Result]] = {
    "update": update.measure,
    "profile": profiling.measure,
    "precision": update.measure_precision,
    "evaluation": evaluation.measure,
    "cem-rl": cem_rl.measure,
    "generation": generation.measure,
    "scaling": scaling.measure,
    "crowd": crowd.measure,
    "launch": launch.measure,
}


def main(words: Sequence[str] | None = None) -> None:
    """Answer the questions that are named, or all; what the others answered before is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed, as ratios in one run.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}; all if none")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/bench"), help="folder of results.json, peers.json and cost.png"
    )
    parser.add_argument("--page", type=Path, help="page on which the tables are put between its two marks")
    given = parser.parse_args(words)
    if unknown := set(given.questions) - set(QUESTIONS):
        parser.error(f"question must be one of {', '.join(QUESTIONS)}, got {', '.join(sorted(unknown))}")
    keep_freed_memory()  # as a run does; what is compared has it too
    kept = given.out / "results.json"
    for name in given.questions or QUESTIONS:
        result = QUESTIONS[name]()
        print(report.markdown({name: result}), flush=True)
        report.write(kept, describe(), {**report.read(kept), name: result})
    results = {**report.read(kept), **report.read(given.out / "peers.json")}
    if "scaling" in results:
        scaling.draw(results["scaling"], given.out / "cost.png")
    if given.page:
        machine = ", ".join(f"{name} {value}" for name, value in describe().items())
        folder = os.path.relpath(given.out, given.page.parent)
        head = f"Measured on: {machine}; the numbers are kept in [results.json]({folder}/results.json)."
        parts = [head, report.markdown(results).rstrip()]
        if "scaling" in results:
            parts.append(f"![Cost of an update against population and width]({folder}/cost.png)")
        report.put_on_page(given.page, "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
