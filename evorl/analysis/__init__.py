"""Analysis: what many runs say together, at equal budget, with intervals."""

from evorl.analysis.comparison import Comparison, Row, compare
from evorl.analysis.reading import Group, read_runs
from evorl.analysis.statistics import Estimate, equivalence, iqm

__all__ = ["Comparison", "Estimate", "Group", "Row", "compare", "equivalence", "iqm", "read_runs"]
