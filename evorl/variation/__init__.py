"""Variation: how candidates come from parents."""

from evorl.variation.gaussian import DiagonalGaussian, log_rank_weights, refit, sample

__all__ = ["DiagonalGaussian", "log_rank_weights", "refit", "sample"]
