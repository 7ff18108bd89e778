"""Analysis: what many runs say together, at equal budget, with intervals."""

from evorl.analysis.comparison import Comparison, Outcome, Pair, Row, compare
from evorl.analysis.reading import Group, read_runs
from evorl.analysis.statistics import Difference, Estimate, Reference, area, equivalence, holm, iqm, welch

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Group",
    "Outcome",
    "Pair",
    "Reference",
    "Row",
    "area",
    "compare",
    "equivalence",
    "holm",
    "iqm",
    "read_runs",
    "welch",
]
