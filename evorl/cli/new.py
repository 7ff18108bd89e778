"""`evorl new my_hybrid`: a file with the four empty parts of an algorithm and their contracts."""

from __future__ import annotations

import dataclasses
import importlib.util
import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Annotated

import tyro

from evorl.cli.parsing import parse
from evorl.errors import ConfigError
from evorl.running import registry

TEMPLATE = Template('''\
"""$title: say in one line what is new in it.

    python $module.py                                                        checks that it keeps the contract
    evorl train $name --import $module --env-id Pendulum-v1 --total-timesteps 30000

parents --vary--> candidates --learn--> candidates --evaluate--> evaluated --select--> parents
"""

from __future__ import annotations

from dataclasses import dataclass

import evorl
from evorl import Population


@dataclass(frozen=True, kw_only=True)
class Config(evorl.Config):
    """Settings of $title. A field with a type, a default and a docstring is a flag of `evorl train $name`."""


class $title(evorl.EvoRL[Config]):
    """Say in one line what a generation does. A part that you do not need you may delete."""

    name = "$name"
    #: What a generation changes on self: exactly what a checkpoint holds, and all that a part may read from self.
    state = (*evorl.EvoRL.state,)

    def build(self) -> None:
        """Make what the parts need and keep between generations; step no environment.

        All randomness comes from `self.streams`, environments from `self.make_envs(n)`.
        """

    def initialise(self) -> Population:
        """Return the first parents; steps taken here count like any others."""
        return super().initialise()

    def vary(self, parents: Population) -> Population:
        """Return `population_size` candidates; change nothing in `parents`.

        New individuals come from `parents.descend(rows, "child")`, which copies all traits and notes who the parents
        are, and get their parameters by `.with_params(params)`. Operators: `evorl.variation`.
        """
        return super().vary(parents)

    def learn(self, candidates: Population) -> Population:
        """Return the candidates after gradient steps: the same rows, order and ids, on memory of their own.

        What a member learns with (critic, moments, own hyperparameters) are its traits. Learners: `evorl.learning`.
        """
        return super().learn(candidates)

    def evaluate(self, candidates: Population) -> Population:
        """Return the candidates with fitness: the same rows, order and ids.

        An episode of each is played, and counted; in `self.replay`, if `build` made one, every step of it is stored.
        """
        return self.play_fitness(candidates)

    def select(self, evaluated: Population) -> Population:
        """Return the next parents, at least one row; NaN fitness ranks last.

        `evaluated[rows]` are the same individuals. Rankings, tournaments, who copies whom: `evorl.selection`.
        """
        return super().select(evaluated)

    def answer(self) -> Population:
        """Return the one row that the run stands for, at any time, without stepping an environment."""
        return super().answer()


if __name__ == "__main__":
    evorl.check_algorithm($title)
    print("$title keeps the contract")
''')


@dataclasses.dataclass(frozen=True)
class New:
    """Write the four empty parts of an algorithm and their contracts into a file."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Of the module, such as my_hybrid; the class is then MyHybrid, and the algorithm my-hybrid."""
    folder: Path = Path()
    """Where the file goes; it must be there."""


def run(words: Sequence[str]) -> None:
    """Write the file and say what to do with it."""
    asked = parse(New, words, "evorl new", New.__doc__ or "")
    path, name = asked.folder / f"{asked.name}.py", asked.name.replace("_", "-")
    _check(asked, path)
    title = "".join(word.capitalize() for word in asked.name.split("_"))
    path.write_text(TEMPLATE.substitute(module=asked.name, name=name, title=title))
    print(f"{path}: fill in the parts; python {path} checks them, evorl train {name} --import {asked.name} runs them")


def _check(asked: New, path: Path) -> None:
    name = asked.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ConfigError(f"name must be that of a module, in small letters such as my_hybrid, got {name!r}")
    if not asked.folder.is_dir():
        raise ConfigError(f"folder must be there already, got {asked.folder}")
    if path.exists():
        raise ConfigError(f"name must be new, got {name!r} although {path} is there; nothing was written")
    if name.replace("_", "-") in registry.installed():
        raise ConfigError(f"name must not be that of an installed algorithm, got {name!r}")
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise ConfigError(f"name must not be that of a module that can be imported already, got {name!r}")
