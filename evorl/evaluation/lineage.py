"""What a selection did to the families of a population, as scalars by tag."""

from __future__ import annotations

import torch

from evorl.evaluation.description import Report
from evorl.population import NO_PARENT, Population


def describe_lineage(evaluated: Population, parents: Population) -> Report:
    """Return how many roots live on in the next parents, and how many of these are new copies.

    Args:
        evaluated: what `select` was handed.
        parents: what it returned, with the trait `root` (m,), the id that copies inherit.

    Returns:
        `population/roots`: different roots of the parents. `population/copies`: parents whose id is not among those
        of the evaluated, and who have a parent.
    """
    new = ~torch.isin(parents.id, evaluated.id) & (parents.parent != NO_PARENT)
    return {
        "population/roots": float(len(set(parents.traits["root"].tolist()))),
        "population/copies": float(new.sum().item()),
    }
