"""The ledger: every environment step and gradient update of a run, counted once and by purpose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

Purpose = Literal["warmup", "train", "fitness", "test", "restored"]
Part = Literal["critic", "actor"]

PURPOSES: tuple[Purpose, ...] = ("warmup", "train", "fitness", "test", "restored")
SPENT: tuple[Purpose, ...] = ("warmup", "train", "fitness")


class Ledger:
    """What a run has used so far.

    Attributes:
        steps: environment steps by purpose. `warmup`: random actions; `train`: a learner acting; `fitness`: whole
            episodes for evolution; `test`: reports only; `restored`: repeated to resume in mid-episode.
        episodes: finished episodes, tests left out.
        stored: transitions handed to a replay.
        updates: gradient updates by part and row; the row of a learner outside the population is -1.
        seconds: wall clock of training, over all resumed pieces.
    """

    def __init__(self) -> None:
        self.steps: dict[str, int] = dict.fromkeys(PURPOSES, 0)
        self.updates: dict[str, dict[int, int]] = {"critic": {}, "actor": {}}
        self.episodes = 0
        self.stored = 0
        self.seconds = 0.0

    @property
    def spent(self) -> int:
        """Steps that count against the budget: warm-up, training and fitness, over all members."""
        return sum(self.steps[purpose] for purpose in SPENT)

    def count_steps(self, purpose: Purpose, steps: int) -> None:
        """Add environment steps."""
        self.steps[purpose] += steps

    def count_updates(self, part: Part, rows: Iterable[int], updates: int = 1) -> None:
        """Add `updates` gradient updates to each of `rows`."""
        counts = self.updates[part]
        for row in rows:
            counts[row] = counts.get(row, 0) + updates

    def report(self) -> dict[str, float]:
        """Return the totals under their tags."""
        totals: dict[str, float] = {f"budget/{purpose}_steps": self.steps[purpose] for purpose in PURPOSES}
        totals |= {f"budget/{part}_updates": sum(rows.values()) for part, rows in self.updates.items()}
        totals["budget/episodes"] = self.episodes
        totals["budget/stored"] = self.stored
        totals["budget/fitness_share"] = self.steps["fitness"] / max(self.spent, 1)
        return totals

    def state_dict(self) -> dict[str, Any]:
        """Return all counts."""
        updates = {part: dict(rows) for part, rows in self.updates.items()}
        return {
            "steps": dict(self.steps),
            "updates": updates,
            "episodes": self.episodes,
            "stored": self.stored,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the counts in `state`."""
        self.steps = dict(state["steps"])
        self.updates = {part: dict(rows) for part, rows in state["updates"].items()}
        self.episodes, self.stored, self.seconds = state["episodes"], state["stored"], state["seconds"]
