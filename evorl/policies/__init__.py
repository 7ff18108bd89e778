"""Stacked networks and the policies that act with them: a member is a row of one parameter matrix."""

from evorl.policies.branched import BranchedCritic
from evorl.policies.network import MLP, Block, Ensemble, Network, NetworkConfig
from evorl.policies.noise import NoisyPolicy, OrnsteinUhlenbeck
from evorl.policies.policy import DeterministicPolicy, Policy

__all__ = [
    "MLP",
    "Block",
    "BranchedCritic",
    "DeterministicPolicy",
    "Ensemble",
    "Network",
    "NetworkConfig",
    "NoisyPolicy",
    "OrnsteinUhlenbeck",
    "Policy",
]
