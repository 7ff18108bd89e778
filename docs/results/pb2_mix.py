"""The study of pb2_mix.md: PB2-Mix, PB2-Mult and PB2-Rand where the best rate depends on the category.

    python docs/results/pb2_mix.py [WORKERS]

A finished run stands in pb2-mix/scores.csv and is not repeated; when all are there, the table is printed and the figure
drawn.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from evorl.algorithms import pb2, pb2_mix, pb2_mult, pb2_rand
from evorl.analysis.statistics import holm, iqm, welch
from evorl.learning import OnCopy
from evorl.population import Population

HERE = Path(__file__).parent / "pb2-mix"
SCORES, FIGURE = HERE / "scores.csv", HERE / "comparison.png"
SEEDS, MEMBERS, ROUNDS, INTERVAL = 50, 4, 40, 10
#: By category: what an interval improves at its best rate, and where that is on the way from 1e-4 to 1e-1.
HEIGHTS = torch.tensor([1.0, 0.6, 0.3], dtype=torch.float64)
PLACES = torch.tensor([0.2, 0.8, 0.5], dtype=torch.float64)
#: How far the best rates move in a run, the squared width of a peak, the deviation of a measured return.
DRIFT, WIDTH, NOISE = 0.2, 0.02, 0.1


class Peaks:
    """Members whose return grows by the height of their category's peak at their rate; nothing is played."""

    exact = True
    tunable: Mapping[str, tuple[float, float]] = {"rate": (1e-4, 1e-1), "kind": (0, 2)}

    def __init__(self, run: pb2.PB2[Any]) -> None:
        self.run = run

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return no traits."""
        return {}

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        """Return the members with their return, which is their one parameter, improved."""
        kind = candidates.traits["h.kind"].long()
        place = self.run.space["rate"].to_unit(candidates.traits["h.rate"])
        away = place - PLACES[kind] - DRIFT * generation / ROUNDS
        gain = HEIGHTS[kind] * torch.exp(-away.square() / WIDTH)
        self.run.ledger.count_steps("train", steps * len(candidates))
        return candidates.with_params(candidates.params + gain[:, None].float())

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        """Nothing is bound to a slot."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from nothing."""


def on_peaks(algorithm: type[pb2.PB2[Any]]) -> type[pb2.PB2[Any]]:
    """Return the algorithm on the problem."""

    def evaluate(self: pb2.PB2[Any], candidates: Population) -> Population:
        noise = self.streams.rows("measurement", range(len(candidates))).normal()
        return candidates.with_fitness(candidates.params[:, 0].double() + NOISE * noise)

    def fresh(self: pb2.PB2[Any], rows: Sequence[int]) -> Population:
        return self.members(np.zeros((len(rows), 1)), "initial")

    def make_training(self: pb2.PB2[Any]) -> Peaks:
        return Peaks(self)

    methods = {"evaluate": evaluate, "fresh": fresh, "make_training": make_training}
    return type(algorithm.__name__, (algorithm,), {"name": algorithm.name, **methods})


ALGORITHMS: dict[str, tuple[type[pb2.PB2[Any]], type[pb2.Config]]] = {
    "pb2-mix": (pb2_mix.PB2Mix, pb2_mix.Config),
    "pb2-mult": (pb2_mult.PB2Mult, pb2_mult.Config),
    "pb2-rand": (pb2_rand.PB2Rand, pb2_rand.Config),
}


def play(name: str, seed: int) -> dict[str, Any]:
    """Return one run's row: the return of its answer without noise, at the end and every fourth round."""
    torch.set_num_threads(1)
    algorithm, config = ALGORITHMS[name]
    run = on_peaks(algorithm)(
        config(
            env_id="evorl/Quadratic-v0",
            seed=seed,
            population_size=MEMBERS,
            space={"rate": "log:1e-4:1e-1", "kind": "categorical:0,1,2"},
            interval=INTERVAL,
            warmup_steps=1,
            burn_in=0,
            total_timesteps=MEMBERS * ROUNDS * INTERVAL,
        )
    )
    curve = []
    while not run.finished:
        report = run.step()
        curve.append(run.answer().params.item())
    fallbacks = report[f"{name.replace('-', '_')}/fallbacks"]
    return {"algorithm": name, "seed": seed, "score": curve[-1], "fallbacks": fallbacks} | {
        f"round_{turn + 1}": value for turn, value in enumerate(curve) if turn % 4 == 3
    }


def done() -> list[dict[str, str]]:
    """Return the rows that are there."""
    if not SCORES.exists():
        return []
    with SCORES.open(newline="") as file:
        return list(csv.DictReader(file))


def go_on(workers: int) -> None:
    """Play what is missing, and add its rows as they come."""
    there = {(row["algorithm"], int(row["seed"])) for row in done()}
    missing = [(name, seed) for seed, name in product(range(SEEDS), ALGORITHMS) if (name, seed) not in there]
    HERE.mkdir(exist_ok=True)
    with ProcessPoolExecutor(workers) as executor, SCORES.open("a", newline="") as file:
        for future in as_completed([executor.submit(play, *pair) for pair in missing]):
            row = future.result()
            writer = csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
            file.flush()


def conclude() -> None:
    """Print the table and the contrasts, and draw the curves."""
    rows = sorted(done(), key=lambda row: (row["algorithm"], int(row["seed"])))
    scores = {name: np.array([float(row["score"]) for row in rows if row["algorithm"] == name]) for name in ALGORITHMS}
    print("| algorithm | seeds | mean | std | IQM | 95 % interval |\n|---|---|---|---|---|---|")
    for name, values in scores.items():
        middle = iqm(values)
        interval = f"{float(middle.low):.2f} to {float(middle.high):.2f}"
        print(
            f"| {name} | {len(values)} | {values.mean():.2f} | {values.std(ddof=1):.2f} | "
            f"{float(middle.value):.2f} | {interval} |"
        )
    pairs = [("pb2-mix", "pb2-rand"), ("pb2-mult", "pb2-rand"), ("pb2-mix", "pb2-mult")]
    found = [welch(scores[one], scores[other]) for one, other in pairs]
    adjusted = [found[0].p, *holm([difference.p for difference in found[1:]])]
    print("\n| contrast | difference of means | 95 % interval | p |\n|---|---|---|---|")
    for (one, other), difference, p in zip(pairs, found, adjusted, strict=True):
        print(f"| {one} - {other} | {difference.value:.2f} | {difference.low:.2f} to {difference.high:.2f} | {p:.2g} |")
    print(f"\nFits that failed: {sum(float(row['fallbacks']) for row in rows):.0f}")
    draw(rows)


def draw(rows: list[dict[str, str]]) -> None:
    """Draw the interquartile mean of every algorithm over the rounds, with its interval."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for name in ALGORITHMS:
        own = [row for row in rows if row["algorithm"] == name]
        tags = [tag for tag in own[0] if tag.startswith("round_")]
        middle = iqm([[float(row[tag]) for tag in tags] for row in own])
        rounds = [int(tag.removeprefix("round_")) for tag in tags]
        axes.plot(rounds, middle.value, label=name)
        axes.fill_between(rounds, middle.low, middle.high, alpha=0.2)
    axes.set(xlabel="round", ylabel="return of the answer, without noise", title=f"{SEEDS} seeds, {MEMBERS} members")
    axes.legend()
    figure.savefig(FIGURE, dpi=120)


if __name__ == "__main__":
    go_on(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    conclude()
