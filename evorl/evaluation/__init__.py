"""Evaluation: how fitness comes from episodes."""

from evorl.evaluation.episodes import evaluate_by_episodes

__all__ = ["evaluate_by_episodes"]
