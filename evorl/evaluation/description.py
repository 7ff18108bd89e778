"""What is worth seeing of a population, as scalars by tag."""

from __future__ import annotations

import torch
from torch import Tensor

#: Scalars of one generation, by tag; the same tags at every generation.
Report = dict[str, float]


def describe_members(tag: str, what: str, values: Tensor) -> Report:
    """Return best, mean, median and worst of a value (n,) that is NaN where unknown, and each member's own.

    Args:
        tag: before `/best` and the like.
        what: the members' own are `population/members/<row>/<what>`.
        values: (n,).
    """
    known = values[~values.isnan()]
    nothing = not len(known)
    report = {
        f"{tag}/best": torch.nan if nothing else known.max().item(),
        f"{tag}/mean": torch.nan if nothing else known.mean().item(),
        f"{tag}/median": torch.nan if nothing else known.quantile(0.5).item(),
        f"{tag}/worst": torch.nan if nothing else known.min().item(),
    }
    return report | {f"population/members/{row:02d}/{what}": value for row, value in enumerate(values.tolist())}


def diversity(params: Tensor) -> float:
    """Return the mean Euclidean distance of the members (n, d) from their centroid."""
    return (params - params.mean(dim=0)).square().sum(dim=1).sqrt().mean().item()
