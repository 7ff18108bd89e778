"""Operators of a `deap.base.Toolbox` by name, so that stock DEAP operators can take a place."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from evorl.errors import ConfigError, OperatorFault, nearest
from evorl.imports import import_module

OPERATOR = "an operator, module:function:name=value,..."
#: What DEAP's conventions give each operator: individuals and how many, two individuals, one. Who copies whom is a
#: selection, and what becomes of hyperparameters a mutation.
POSITIONAL = {"select": 2, "mate": 2, "mutate": 1, "exploit": 2, "explore": 1}


@dataclass(frozen=True)
class Operator:
    """An operator by name; what it raises when it is called is said in one line.

    Attributes:
        argument: the setting that named it.
        text: its name there.
        function: what is called.
        keywords: its bound arguments.
    """

    argument: str
    text: str
    function: Callable[..., Any]
    keywords: dict[str, Any]

    def __call__(self, *individuals: Any) -> Any:
        """Return what the operator returns.

        Raises:
            OperatorFault: it raised.
        """
        try:
            return self.function(*individuals, **self.keywords)
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            raise OperatorFault(f"{self.argument} {self.text} could not be carried out: {what}") from error


def operator(argument: str, text: str, others: Collection[str] = ()) -> Operator:
    """Return the operator that `module:function:name=value,...` names, its arguments bound.

    Args:
        argument: whose value `text` is, for the message of a fault.
        text: such as `deap.tools:cxUniform:indpb=0.5`.
        others: plain words that the argument could have been, and is not.

    Raises:
        ConfigError: it cannot be imported, or an argument is not a plain value.
    """
    if others and ":" not in text:
        words = f"one of {', '.join(others)}, or {OPERATOR}"
        raise ConfigError(f"{argument} must be {words}, got {text!r}{nearest(text, others)}")
    module, _, rest = text.partition(":")
    name, _, pairs = rest.partition(":")
    try:
        function = getattr(import_module(argument, module), name)
        split = [pair.partition("=") for pair in pairs.split(",") if pair]
        bound = {key: ast.literal_eval(value) for key, _, value in split}
    except (ConfigError, AttributeError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: {error}") from error
    if not callable(function):
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: it cannot be called")
    try:
        inspect.signature(function).bind(*[None] * POSITIONAL[argument], **bound)
    except TypeError as error:
        raise ConfigError(f"{argument} must name {OPERATOR}, got {text!r}: {error}") from error
    except ValueError:
        pass  # a builtin that does not tell its arguments
    return Operator(argument, text, function, bound)
