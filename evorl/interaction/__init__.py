"""The only code that steps environments, and the replay that keeps what it saw."""

from evorl.interaction.collector import Collected, Collector
from evorl.interaction.episodes import Episodes, Played
from evorl.interaction.replay import Replay

__all__ = ["Collected", "Collector", "Episodes", "Played", "Replay"]
