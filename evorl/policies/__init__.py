"""Stacked networks and the policies that act with them: a member is a row of one parameter matrix."""

from evorl.policies.branched import BranchedCritic
from evorl.policies.categorical import Categorical, CategoricalPolicy
from evorl.policies.choice import deterministic_policy, squashed_policy, stochastic_policy
from evorl.policies.distance import Coordinates, policy_distance
from evorl.policies.gaussian import Gaussian, GaussianNetwork, GaussianPolicy
from evorl.policies.module import ModuleNetwork
from evorl.policies.network import MLP, Block, Ensemble, Network, NetworkConfig, vjp
from evorl.policies.noise import NoisyPolicy, OrnsteinUhlenbeck
from evorl.policies.normaliser import new_normaliser, normalise, update_normaliser_
from evorl.policies.policy import DeterministicPolicy, Policy
from evorl.policies.precision import Precision, in_precision
from evorl.policies.squashed import SquashedGaussianPolicy
from evorl.policies.stochastic import Distribution, StochasticPolicy

__all__ = [
    "MLP",
    "Block",
    "BranchedCritic",
    "Categorical",
    "CategoricalPolicy",
    "Coordinates",
    "DeterministicPolicy",
    "Distribution",
    "Ensemble",
    "Gaussian",
    "GaussianNetwork",
    "GaussianPolicy",
    "ModuleNetwork",
    "Network",
    "NetworkConfig",
    "NoisyPolicy",
    "OrnsteinUhlenbeck",
    "Policy",
    "Precision",
    "SquashedGaussianPolicy",
    "StochasticPolicy",
    "deterministic_policy",
    "in_precision",
    "new_normaliser",
    "normalise",
    "policy_distance",
    "squashed_policy",
    "stochastic_policy",
    "update_normaliser_",
    "vjp",
]
