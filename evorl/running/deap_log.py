"""DEAP's book-keeping as a sink: hall of fame, statistics and logbook, in DEAP's own types."""

from __future__ import annotations

import math
from typing import Any

from deap import tools

from evorl.errors import ConfigError
from evorl.population import Population
from evorl.running.sinks import Sink
from evorl.template import EvoRL


class DeapLog(Sink):
    """Shows every generation's members to DEAP, as `Individual`s of a copy; those of unknown fitness are left out.

    It lives in memory, and the run folder does not keep it. Handed to `evorl.resume`, it goes on where the run does; a
    new one knows nothing of what came before.

    Args:
        hall_of_fame: takes the best; one of a single place if None.
        statistics: compiled over the individuals, NaN where no fitness is known; without any functions if None.
        logbook: where each generation is recorded; a new one if None. The columns are laid out unless it has a header.

    Attributes:
        hall_of_fame: copies of the best seen, best first.
        statistics: as given.
        logbook: `gen`, `nevals`: members whose fitness is known, `steps`: environment steps so far, and the statistics.
    """

    def __init__(
        self,
        *,
        hall_of_fame: tools.HallOfFame | None = None,
        statistics: tools.Statistics | tools.MultiStatistics | None = None,
        logbook: tools.Logbook | None = None,
    ) -> None:
        self.hall_of_fame = tools.HallOfFame(1) if hall_of_fame is None else hall_of_fame
        self.statistics = tools.Statistics() if statistics is None else statistics
        self.logbook = tools.Logbook() if logbook is None else logbook

    def check(self, algorithm: type[EvoRL[Any]]) -> None:
        """Refuse an algorithm without fitness.

        Raises:
            ConfigError: it does not override `evaluate`.
        """
        if algorithm.evaluate is EvoRL.evaluate:
            needed = "sinks: DeapLog needs an algorithm that gives its members a fitness in `evaluate`"
            raise ConfigError(f"{needed}, got {algorithm.name}, which has none")

    def rewind(self, generation: int) -> None:
        """Take later entries out of the logbook; the hall of fame will meet the same members again, and knows them."""
        while self.logbook and self.logbook[-1]["gen"] > generation:
            del self.logbook[len(self.logbook) - 1]  # DEAP miscounts what was streamed if the index is negative

    def write_population(self, evaluated: Population, generation: int, steps: int) -> None:
        """Update the hall of fame, and record a line in the logbook."""
        members = zip(evaluated.individuals(), evaluated.fitness.tolist(), strict=True)
        known = [individual for individual, fitness in members if not math.isnan(fitness)]
        self.hall_of_fame.update(known)
        self._lay_out()
        compiled = self.statistics.compile(known) if known else _unknown(self.statistics)
        self.logbook.record(gen=generation, nevals=len(known), steps=steps, **compiled)

    def _lay_out(self) -> None:
        """Set the columns, which DEAP would sort by name, unless the user has set them."""
        if self.logbook.header is None:
            self.logbook.header = ["gen", "nevals", "steps", *self.statistics.fields]
        chapters = self.statistics if isinstance(self.statistics, tools.MultiStatistics) else {}
        for name, statistics in chapters.items():
            if self.logbook.chapters[name].header is None:
                self.logbook.chapters[name].header = statistics.fields


def _unknown(statistics: tools.Statistics | tools.MultiStatistics) -> dict[str, Any]:
    """Return NaN for every field: many functions refuse an empty sequence, and a chapter needs a line a generation."""
    if isinstance(statistics, tools.MultiStatistics):
        return {name: _unknown(chapter) for name, chapter in statistics.items()}
    return dict.fromkeys(statistics.fields, math.nan)
