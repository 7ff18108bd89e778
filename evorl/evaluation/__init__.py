"""Evaluation: how fitness comes from episodes."""

from evorl.evaluation.description import Report, describe_members, diversity
from evorl.evaluation.episodes import evaluate_by_episodes

__all__ = ["Report", "describe_members", "diversity", "evaluate_by_episodes"]
