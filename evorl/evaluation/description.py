"""What is worth seeing of a population, as scalars by tag."""

from __future__ import annotations

import torch
from torch import Tensor

from evorl.population import Population

#: Scalars of one generation, by tag; the same tags at every generation.
Report = dict[str, float]


def describe_members(tag: str, what: str, values: Tensor) -> Report:
    """Return best, mean, median and worst of a value (n,) where it is finite, and each member's own.

    Args:
        tag: before `/best` and the like.
        what: the members' own are `population/members/<row>/<what>`.
        values: (n,), NaN where unknown, -inf where a member has failed.
    """
    known = values[values.isfinite()]
    nothing = not len(known)
    report = {
        f"{tag}/best": torch.nan if nothing else known.max().item(),
        f"{tag}/mean": torch.nan if nothing else known.mean().item(),
        f"{tag}/median": torch.nan if nothing else known.quantile(0.5).item(),
        f"{tag}/worst": torch.nan if nothing else known.min().item(),
    }
    return report | {f"population/members/{row:02d}/{what}": value for row, value in enumerate(values.tolist())}


def diversity(params: Tensor) -> float:
    """Return the mean Euclidean distance of the members (n, d) from their centroid; who has failed is left out."""
    params = params[params.isfinite().all(dim=1)]
    return (params - params.mean(dim=0)).square().sum(dim=1).sqrt().mean().item()


def describe_evaluated(evaluated: Population, judged: bool) -> Report:
    """Return what every algorithm reports of a generation: diversity, returns in training and losses, where known.

    Args:
        evaluated: the candidates.
        judged: whether the algorithm gives fitness; it is described too.
    """
    report = {"population/diversity": diversity(evaluated.params)}
    if judged:
        report |= describe_members("fitness", "fitness", evaluated.fitness)
    if "recent_returns" in evaluated.traits:
        report |= describe_members("train/return", "return", evaluated.traits["recent_returns"].nanmean(dim=1))
    losses = {name: trait for name, trait in evaluated.traits.items() if name.startswith("loss.")}
    return report | {name.replace(".", "/"): trait.nanmean().item() for name, trait in losses.items()}
