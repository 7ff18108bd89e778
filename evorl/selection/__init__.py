"""Selection: who comes first, who stays, who is copied; pure functions that return rows."""

from evorl.selection.ranking import best_first

__all__ = ["best_first"]
