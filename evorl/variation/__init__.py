"""Variation: how candidates come from parents."""

from evorl.variation.breeding import breed
from evorl.variation.full_gaussian import FullGaussian
from evorl.variation.gaussian import DiagonalGaussian, GaussianConfig, log_rank_weights, refit, sample
from evorl.variation.operators import GeneticConfig, genetic_toolbox
from evorl.variation.rows import MutationConfig, mate_rows, mutate_sparse

__all__ = [
    "DiagonalGaussian",
    "FullGaussian",
    "GaussianConfig",
    "GeneticConfig",
    "MutationConfig",
    "breed",
    "genetic_toolbox",
    "log_rank_weights",
    "mate_rows",
    "mutate_sparse",
    "refit",
    "sample",
]
