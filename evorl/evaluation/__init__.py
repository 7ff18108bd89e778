"""Evaluation: how fitness comes from episodes."""

from evorl.evaluation.description import Report, describe_evaluated, describe_members, diversity
from evorl.evaluation.episodes import evaluate_by_episodes
from evorl.evaluation.lineage import describe_lineage

__all__ = ["Report", "describe_evaluated", "describe_lineage", "describe_members", "diversity", "evaluate_by_episodes"]
