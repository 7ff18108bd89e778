"""What members remember of their training beside what they learned: latest returns, mean losses, updates counted."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evorl.budget import Ledger
from evorl.population import Population

#: Training returns that a member remembers.
WINDOW = 10


def new_records(n: int) -> dict[str, Tensor]:
    """Return the traits in which members keep their latest training returns (n, 10) and losses (n,), all NaN."""
    unknown = torch.full((n,), torch.nan, dtype=torch.float64)
    returns = torch.full((n, WINDOW), torch.nan, dtype=torch.float64)
    return {"recent_returns": returns, "loss.critic": unknown, "loss.actor": unknown.clone()}


def push_returns_(recent: Tensor, rows: list[int], returns: NDArray[np.float64]) -> None:
    """Append one return to the window (n, w) of each of `rows`, in place; the oldest of the row drops out."""
    recent[rows] = torch.cat([recent[rows, 1:], torch.from_numpy(returns)[:, None]], dim=1)


def count_updates(ledger: Ledger, before: Population, after: Population, delay: int, first_row: int = 0) -> None:
    """Count the updates that each member of `after` has had since `before`, the first one under `first_row`."""
    counts = zip(before.traits["updates"].tolist(), after.traits["updates"].tolist(), strict=True)
    for row, (old, new) in enumerate(counts, start=first_row):
        ledger.count_updates("critic", [row], new - old)
        ledger.count_updates("actor", [row], new // delay - old // delay)


def mean_losses(losses: list[tuple[Tensor, Tensor]], n: int) -> dict[str, Tensor]:
    """Return the means of the losses of critic and actor, (n,) each, under their traits' names; NaN without any."""
    if not losses:
        return {name: new_records(n)[name] for name in ("loss.critic", "loss.actor")}
    critic, actor = (torch.stack(part).nanmean(dim=0).double().cpu() for part in zip(*losses, strict=True))
    return {"loss.critic": critic, "loss.actor": actor}
