"""Schedules: hyperparameters over the steps of a member, as plain data and as a file.

The file is JSON, `{"format": 1, "steps": T, "pieces": [{"from": 0, "h": {name: number, ...}}, ...]}`: from its step on,
until the next one begins, a piece's hyperparameters hold; every piece names all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.constructors import PrimitiveConstructorSpec

from evorl.errors import ConfigError, nearest

#: Layout of the file.
FORMAT = 1
#: The piece of a schedule whose hyperparameters hold throughout instead.
Fixed = Literal["final", "initial"]


@dataclass(frozen=True)
class Schedule:
    """What every hyperparameter is from which step on; empty, it says nothing of any.

    Attributes:
        steps: of a member, from the first to the end of the last piece; 0 if empty.
        starts: (k,) step of the member at which each piece begins; the first is 0.
        values: by name, (k,) value in each piece.
    """

    steps: int = 0
    starts: tuple[int, ...] = ()
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", tuple(self.starts))
        object.__setattr__(self, "values", {name: tuple(column) for name, column in self.values.items()})
        following = (*self.starts[1:], self.steps)
        if self.starts[:1] not in ((), (0,)) or any(b <= a for a, b in zip(self.starts, following, strict=False)):
            got = f"{', '.join(map(str, self.starts))} of {self.steps}"
            raise ConfigError(f"schedule must begin at step 0 and its pieces rise below its steps, got {got}")
        for name, column in self.values.items():
            if len(column) != len(self.starts):
                raise ConfigError(f"schedule must have {len(self.starts)} values of {name}, got {len(column)}")
            if not all(map(math.isfinite, column)):
                raise ConfigError(f"schedule of {name} must be of finite numbers, got {column}")

    @classmethod
    def of_intervals(cls, interval: int, values: Mapping[str, Sequence[float]]) -> Schedule:
        """Return the schedule of values (m,) that each hold for an interval; equal neighbours are one piece."""
        rows = list(zip(*values.values(), strict=True))
        kept = [place for place, row in enumerate(rows) if place == 0 or row != rows[place - 1]]
        columns = {name: tuple(column[place] for place in kept) for name, column in values.items()}
        return cls(len(rows) * interval, tuple(place * interval for place in kept), columns)

    def at(self, step: int) -> dict[str, float]:
        """Return the hyperparameters with which a member learns at its step `step`; the last go on beyond the end."""
        piece = sum(start <= step for start in self.starts) - 1
        return {name: column[piece] for name, column in self.values.items()}

    def fixed(self, which: Fixed) -> Schedule:
        """Return the schedule of the same length in which the first or the last hyperparameters hold throughout."""
        place = -1 if which == "final" else 0
        return Schedule(self.steps, self.starts[:1], {name: (column[place],) for name, column in self.values.items()})

    def require_tunable(self, tunable: Mapping[str, tuple[float, float]]) -> None:
        """Raise ConfigError unless a learner reads every hyperparameter and its values make sense.

        Args:
            tunable: the range in which each makes sense.
        """
        for name, column in self.values.items():
            if name not in tunable:
                raise ConfigError(
                    f"schedule must name some of {', '.join(tunable)}, got {name!r}{nearest(name, tunable)}"
                )
            low, high = tunable[name]
            if outside := [value for value in column if not low <= value <= high]:
                raise ConfigError(f"schedule of {name} must lie between {low} and {high}, got {outside[0]}")

    def require_fits(self, interval: int) -> None:
        """Raise ConfigError unless every piece begins with an interval."""
        if between := [start for start in self.starts if start % interval]:
            got = f"{interval}, and a change at {between[0]}"
            raise ConfigError(f"interval must divide the steps at which schedule changes, got {got}")

    def write(self, path: str | Path) -> None:
        """Write the file."""
        pieces = [
            {"from": start, "h": {name: column[place] for name, column in self.values.items()}}
            for place, start in enumerate(self.starts)
        ]
        lines = ",\n    ".join(json.dumps(piece) for piece in pieces)
        head = f'{{\n  "format": {FORMAT},\n  "steps": {self.steps},\n  "pieces": [\n    '
        Path(path).write_text(f"{head}{lines}\n  ]\n}}\n")

    @classmethod
    def read(cls, path: str | Path) -> Schedule:
        """Return the schedule in a file.

        Raises:
            ConfigError: there is no such file, or it is no schedule.
        """
        try:
            return cls._of_file(json.loads(Path(path).read_text()))
        except OSError as error:
            raise ConfigError(f"schedule must be a file that can be read, got {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"schedule must be a JSON file, got {path}: {error.reason}") from error
        except json.JSONDecodeError as error:
            raise ConfigError(f"schedule must be a JSON file, got {path}: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def _of_file(cls, content: Any) -> Schedule:
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise ConfigError(f"schedule must have format {FORMAT}, got {found}")
        _require_keys("schedule", content, ["format", "steps", "pieces"])
        if not isinstance(content["pieces"], list) or not content["pieces"]:
            raise ConfigError(f"pieces must be a list of at least one, got {content['pieces']!r}")
        for piece in content["pieces"]:
            _require_keys("piece", piece, ["from", "h"])
            _require_number("from", piece["from"], int)
        names = list(content["pieces"][0]["h"]) if isinstance(content["pieces"][0]["h"], dict) else []
        for piece in content["pieces"]:
            _require_keys(f"h from {piece['from']}", piece["h"], names)
            for name in names:
                _require_number(name, piece["h"][name], float)
        _require_number("steps", content["steps"], int)
        columns = {name: tuple(float(piece["h"][name]) for piece in content["pieces"]) for name in names}
        return cls(content["steps"], tuple(piece["from"] for piece in content["pieces"]), columns)


def _require_keys(what: str, found: Any, keys: Sequence[str]) -> None:
    if not isinstance(found, dict) or set(found) != set(keys):
        got = ", ".join(map(str, found)) if isinstance(found, dict) else repr(found)
        raise ConfigError(f"{what} must hold {', '.join(keys) or 'named numbers'}, got {got or 'nothing'}")


def _require_number(name: str, value: Any, kind: type[int] | type[float]) -> None:
    if isinstance(value, bool) or not isinstance(value, int | kind):
        raise ConfigError(f"{name} must be a {'whole ' if kind is int else ''}number, got {value!r}")


#: A schedule in a config; on the command line, the file that holds it.
ScheduleFile = Annotated[
    Schedule,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="FILE",
        instance_from_str=lambda words: Schedule.read(words[0]),
        is_instance=lambda value: isinstance(value, Schedule),
        str_from_instance=lambda schedule: [f"{len(schedule.starts)} pieces" if schedule.starts else "none"],
    ),
]
