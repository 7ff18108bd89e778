"""Variation: how candidates come from parents."""

from evorl.variation.bayesian import BayesianExplore, Categories
from evorl.variation.breeding import breed
from evorl.variation.evolution import Evolution, EvolutionConfig
from evorl.variation.explore import Explore, ExploreConfig, explore_by, make_explore
from evorl.variation.full_gaussian import FullGaussian
from evorl.variation.gaussian import DiagonalGaussian, GaussianConfig, log_rank_weights, refit, sample
from evorl.variation.importance_mixing import MixingGaussian
from evorl.variation.operators import GeneticConfig, genetic_toolbox
from evorl.variation.rows import MutationConfig, mate_rows, mutate_sparse
from evorl.variation.strategies import Strategy, StrategyConfig, make_strategy

__all__ = [
    "BayesianExplore",
    "Categories",
    "DiagonalGaussian",
    "Evolution",
    "EvolutionConfig",
    "Explore",
    "ExploreConfig",
    "FullGaussian",
    "GaussianConfig",
    "GeneticConfig",
    "MixingGaussian",
    "MutationConfig",
    "Strategy",
    "StrategyConfig",
    "breed",
    "explore_by",
    "genetic_toolbox",
    "log_rank_weights",
    "make_explore",
    "make_strategy",
    "mate_rows",
    "mutate_sparse",
    "refit",
    "sample",
]
