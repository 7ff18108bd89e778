"""Stacked networks and the policies that act with them: a member is a row of one parameter matrix."""

from evorl.policies.network import MLP, Block, Ensemble, NetworkConfig
from evorl.policies.policy import DeterministicPolicy, Policy

__all__ = ["MLP", "Block", "DeterministicPolicy", "Ensemble", "NetworkConfig", "Policy"]
