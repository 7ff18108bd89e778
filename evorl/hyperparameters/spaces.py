"""Spaces of hyperparameters: what members draw theirs from, and how a space is written in words.

A member's hyperparameters are its traits `h.<name>`, (n,) float64, which learners read by name at every update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated

import torch
from torch import Tensor
from tyro.constructors import PrimitiveConstructorSpec

from evorl.errors import ConfigError, nearest
from evorl.hyperparameters.kinds import Categorical, Float, Int, Kind, Ordinal
from evorl.streams import RowStreams

#: Before the name of a hyperparameter in the name of its trait.
PREFIX = "h."
#: Values (n,) float64 of hyperparameters by name.
Values = Mapping[str, Tensor]
#: Settings that stay the same for all members, and why.
STRUCTURAL: Mapping[str, str] = {
    "batch_size": "the minibatches of all members are one tensor",
    "critic": "the critics of all members are one tensor",
    "epochs": "all members update at the same time",
    "hidden_sizes": "the policies of all members are one tensor",
    "interval": "all members evolve at the same time",
    "minibatches": "the minibatches of all members are one tensor",
    "network": "the policies of all members are one tensor",
    "policy_delay": "the updates of all members are counted alike",
    "population_size": "members have hyperparameters, the population has none",
    "precision": "the networks of all members are computed together",
    "replay_size": "the replays of all members are one tensor",
    "rollout_length": "the rollouts of all members are one tensor",
    "updates_per_step": "all members update at the same time",
    "warmup_steps": "all members begin to learn at the same time",
}
#: Hyperparameters that change how a member explores, so that its training returns do not tell how good its policy is.
EXPLORING = frozenset({"entropy_coefficient", "exploration_noise", "target_entropy_scale", "temperature_learning_rate"})
FORM = "[log:|complement:]LOW:HIGH, int:[log:]LOW:HIGH, ordinal:A,B,... or categorical:A,B,..."


class Space(Mapping[str, Kind]):
    """The kinds of some hyperparameters by name; a draw has one column for each, in their order.

    Args:
        kinds: by name; may be empty.
    """

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = dict(kinds)

    @classmethod
    def parse(cls, forms: Mapping[str, str]) -> Space:
        """Return the space of forms such as `{"discount": "complement:0.9:0.999"}`.

        Raises:
            ConfigError: a form is not one of a kind, or cannot be a space.
        """
        return cls({name: parse_kind(name, form) for name, form in forms.items()})

    def forms(self) -> dict[str, str]:
        """Return what `parse` makes this space of."""
        return {name: str(kind) for name, kind in self.items()}

    def __getitem__(self, name: str) -> Kind:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __repr__(self) -> str:
        return f"Space({self._kinds})"

    def sample(self, streams: RowStreams) -> dict[str, Tensor]:
        """Draw hyperparameters from their priors, each by itself, for every row of `streams`."""
        return self.from_unit(streams.uniform(0, 1, len(self)).double())

    def from_unit(self, cube: Tensor) -> dict[str, Tensor]:
        """Return the values at points (n, k) of the unit cube."""
        return {name: kind.from_unit(column) for (name, kind), column in zip(self.items(), cube.unbind(1), strict=True)}

    def to_unit(self, values: Values) -> Tensor:
        """Return the points (n, k) of the unit cube that `from_unit` maps to the values; k is 1 or more."""
        return torch.stack([kind.to_unit(values[name]) for name, kind in self.items()], dim=1)

    def clip(self, values: Values) -> dict[str, Tensor]:
        """Return the nearest values that are allowed."""
        return {name: kind.clip(values[name]) for name, kind in self.items()}

    def values_of(self, traits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the hyperparameters among the traits of members, by name."""
        return {name: traits[PREFIX + name] for name in self}

    @property
    def changes_exploration(self) -> bool:
        """Whether a hyperparameter changes how members explore."""
        return not EXPLORING.isdisjoint(self)

    def report(self, traits: Mapping[str, Tensor], tag: str) -> dict[str, float]:
        """Return every member's hyperparameters, and how far they spread, as a share of how far the priors do.

        Args:
            traits: of n members.
            tag: before `/<name>/<row>` and `/<name>/spread`.
        """
        values, scalars = self.values_of(traits), dict[str, float]()
        for name, kind in self.items():
            scalars |= {f"{tag}/{name}/{row:02d}": value for row, value in enumerate(values[name].tolist())}
            deviation = kind.to_unit(values[name]).std(correction=0).item()
            scalars[f"{tag}/{name}/spread"] = deviation * 12**0.5  # of the unit interval: 1 / sqrt(12)
        return scalars

    def require_tunable(self, tunable: Mapping[str, tuple[float, float]], settings: Iterable[str] = ()) -> None:
        """Raise ConfigError unless every hyperparameter may differ by member, and in these bounds.

        Args:
            tunable: the range in which each makes sense.
            settings: names of what a learner has but members cannot have each for themselves.
        """
        fixed = {**dict.fromkeys(settings, "it is one setting for all members"), **STRUCTURAL}
        for name, kind in self.items():
            if name not in tunable:
                reason = f": {fixed[name]}" if name in fixed else nearest(name, tunable)
                raise ConfigError(f"space must name some of {', '.join(tunable)}, got {name!r}{reason}")
            (low, high), (least, most) = kind.bounds, tunable[name]
            if low < least or high > most:
                raise ConfigError(f"space of {name} must lie between {least} and {most}, got {kind}")


def traits_of(values: Values) -> dict[str, Tensor]:
    """Return the traits in which members keep these hyperparameters."""
    return {PREFIX + name: value for name, value in values.items()}


def parse_kind(name: str, form: str) -> Kind:
    """Return the kind of which `form` is the form on the command line; `name` is for the message of a fault.

    Raises:
        ConfigError: `form` is not one of a kind, or cannot be a space.
    """
    words = form.split(":") if isinstance(form, str) else []
    try:
        return _kind(words)
    except ConfigError as error:
        raise ConfigError(f"space of {name}: {error}, in {form!r}") from error
    except (ValueError, TypeError) as error:  # too few or too many words
        raise ConfigError(f"space of {name} must be {FORM}, got {form!r}") from error


def _kind(words: list[str]) -> Kind:
    listed: Mapping[str, Callable[[tuple[float, ...]], Kind]] = {"ordinal": Ordinal, "categorical": Categorical}
    if words and words[0] in listed:
        (values,) = words[1:]
        return listed[words[0]](tuple(_number(value) for value in values.split(",")))
    ranged: Callable[..., Kind] = Int if words[:1] == ["int"] else Float
    *scale, low, high = words[1:] if ranged is Int else words
    return ranged(_number(low), _number(high), *scale)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ConfigError(f"a number was needed, since learners read numbers, got {text!r}") from None
    return int(number) if number.is_integer() else number


def parse_space(words: Iterable[str]) -> Space:
    """Return the space of words `name=form`, as they stand on the command line.

    Raises:
        ConfigError: a word is not of this form, or a name comes twice.
    """
    forms: dict[str, str] = {}
    for word in words:
        name, equals, form = word.partition("=")
        if not (name and equals):
            raise ConfigError(f"space must be words NAME=FORM, FORM being {FORM}, got {word!r}")
        if name in forms:
            raise ConfigError(f"space must name {name} once, got {name}={forms[name]} and {word}")
        forms[name] = form
    return Space.parse(forms)


#: A space in a config: forms by name, which JSON can hold; on the command line, words name=form.
SpaceForms = Annotated[
    dict[str, str],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME=FORM ...]",
        instance_from_str=lambda words: parse_space(words).forms(),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda forms: [f"{name}={form}" for name, form in forms.items()],
    ),
]
