"""Selection: who comes first, who stays, who is copied; pure functions that return rows."""

from evorl.selection.beta import NOBODY, adapt_beta, mean_of_others
from evorl.selection.exploit import (
    ORIGINS,
    Exploit,
    ExploitConfig,
    copy,
    copy_and_mark,
    make_exploit,
    never_copied,
    ready,
)
from evorl.selection.frequencies import FrequencyConfig, multi_frequency, settle_migrants
from evorl.selection.genetic import elites_and_offspring, lay_out_slots
from evorl.selection.ranking import best_first, best_of

__all__ = [
    "NOBODY",
    "ORIGINS",
    "Exploit",
    "ExploitConfig",
    "FrequencyConfig",
    "adapt_beta",
    "best_first",
    "best_of",
    "copy",
    "copy_and_mark",
    "elites_and_offspring",
    "lay_out_slots",
    "make_exploit",
    "mean_of_others",
    "multi_frequency",
    "never_copied",
    "ready",
    "settle_migrants",
]
