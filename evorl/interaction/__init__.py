"""The only code that steps environments, the replay that keeps what it saw, and rollouts of what was just done."""

from evorl.interaction.collector import Collected, Collector
from evorl.interaction.episodes import Episodes, Played
from evorl.interaction.replay import Replay
from evorl.interaction.rollout import Finished, Rollout, play_batch

__all__ = ["Collected", "Collector", "Episodes", "Finished", "Played", "Replay", "Rollout", "play_batch"]
