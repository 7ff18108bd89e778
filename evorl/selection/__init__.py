"""Selection: who comes first, who stays, who is copied; pure functions that return rows."""

from evorl.selection.genetic import elites_and_offspring, lay_out_slots
from evorl.selection.ranking import best_first

__all__ = ["best_first", "elites_and_offspring", "lay_out_slots"]
