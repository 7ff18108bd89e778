"""A user's own `torch.nn.Module` as n stacked networks: the same rows, by `functional_call` under `vmap`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call

from evorl.errors import ConfigError, nearest
from evorl.imports import import_module
from evorl.policies.network import Block, Kind, lay_out
from evorl.streams import RowStreams

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
#: Rows and observations of a trial, whose sizes no module should take for anything else, and how large they are.
TRIAL, MAGNITUDE = (2, 3), 10.0


class ModuleNetwork:
    """Stacked instances of a module that turns observations (b, inputs) into (b, outputs).

    A flat row is the concatenation of the module's parameters in its own order. The first axis of a parameter of two
    or more is its output units, as in `Linear` and the convolutions; a vector is a bias, unless a norm of torch owns
    it. A member begins as the module does when it is made with torch's seed from the member's own stream.

    Args:
        actor: `module:class`; the class is called with `inputs` and `outputs`.
        inputs: size of an observation.
        outputs: size of an output.
        bounded: whether outputs are actions, which must lie in [-1, 1].

    Attributes:
        layout: the blocks of a row, in order; a parameter of more than two axes counts as (first, all others).
        size: d, the length of a row.

    Raises:
        ConfigError: the class cannot be imported or made, has something beside parameters that learning changes, or
            does not turn observations into outputs.
    """

    def __init__(self, actor: str, inputs: int, outputs: int, bounded: bool = False) -> None:
        self._actor, self._inputs, self._outputs = actor, inputs, outputs
        self._kind = _find(actor)
        self._module = self._made(seed=0)
        parameters = dict(self._module.named_parameters())
        if state := [name for name, _ in self._module.named_buffers()]:
            self._refuse("have no buffers, which are of no member", f"{state[0]}; of norms, take LayerNorm")
        if not parameters:
            self._refuse("have parameters", "none")
        if fixed := [name for name, parameter in parameters.items() if not parameter.requires_grad]:
            self._refuse("have only parameters that may be trained", f"{fixed[0]} without requires_grad")
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        self._lengths = [prod(shape) for shape in self._shapes.values()]
        self.layout: tuple[Block, ...] = lay_out(_blocks(self._module))
        self.size = self.layout[-1].slice.stop
        self._try(bounded)

    def init(self, streams: RowStreams) -> Tensor:
        """Return a row for each stream, which gives torch its seed while the module makes itself: (n, d)."""
        seeds = streams.integers([2**63 - 1] * len(streams)).tolist()
        return torch.stack([_row(self._made(seed)) for seed in seeds])

    def __call__(self, params: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (n, b, out) of n rows (n, d) on their inputs (n, b, in); one row serves any n."""
        if len(params) == 1 and len(inputs) > 1:
            return self(params, inputs.flatten(0, 1)[None]).view(*inputs.shape[:2], -1)
        pieces = torch.split(params, self._lengths, dim=1)
        named = zip(self._shapes.items(), pieces, strict=True)
        tensors = {name: piece.reshape(-1, *shape) for (name, shape), piece in named}
        outputs: Tensor = torch.vmap(self._alone)(tensors, inputs)
        return outputs

    def _alone(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self._module, tensors, (inputs,))
        return outputs

    def _made(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # modules draw from torch's global state, which is restored
            torch.default_generator.manual_seed(seed)
            try:
                made = self._kind(self._inputs, self._outputs)
            except Exception as error:
                self._refuse(f"be made with ({self._inputs}, {self._outputs}), inputs and outputs", _reason(error))
        if not isinstance(made, nn.Module):
            self._refuse("be a torch.nn.Module", type(made).__name__)
        return made.float()

    def _try(self, bounded: bool) -> None:
        """Act with large parameters on large observations, where what is not bounded shows itself."""
        n, batch = TRIAL
        generator = torch.Generator().manual_seed(0)
        params, observations = (
            MAGNITUDE * torch.randn(*shape, generator=generator) for shape in ((n, self.size), (n, batch, self._inputs))
        )
        wanted = (batch, self._outputs)
        try:
            with torch.no_grad():
                outputs = self(params, observations)
        except Exception as error:
            self._refuse(f"turn observations ({batch}, {self._inputs}) into {wanted} under vmap", _reason(error))
        if not isinstance(outputs, Tensor) or outputs.shape != (n, *wanted):
            got = tuple(outputs.shape[1:]) if isinstance(outputs, Tensor) else type(outputs).__name__
            self._refuse(f"turn observations ({batch}, {self._inputs}) into {wanted}", got)
        if bounded and (outputs.abs() > 1).any():
            self._refuse("keep actions in [-1, 1], as a tanh at its end does", f"{outputs.abs().max().item():.3g}")

    def _refuse(self, needed: str, got: object) -> NoReturn:
        raise ConfigError(f"actor {self._actor} must {needed}, got {got}")


def _find(actor: str) -> Callable[[int, int], object]:
    module, _, name = actor.partition(":")
    if not module or not name:
        raise ConfigError(f"actor must be module:class, got {actor!r}")
    names = vars(import_module("actor", module))
    found: object = names.get(name)
    if found is None:
        raise ConfigError(f"actor must name a class of {module}, got {name!r}{nearest(name, names)}")
    if not callable(found):
        raise ConfigError(f"actor must name a class, got {actor!r}, a {type(found).__name__}")
    made: Callable[[int, int], object] = found
    return made


def _blocks(module: nn.Module) -> list[tuple[str, tuple[int, ...], Kind]]:
    """Return name, shape and kind of every parameter, in the module's own order."""
    owners = dict(module.named_modules())
    blocks: list[tuple[str, tuple[int, ...], Kind]] = []
    for name, parameter in module.named_parameters():
        kind: Kind = "weight" if parameter.ndim > 1 else "bias"
        if isinstance(owners[name.rpartition(".")[0]], NORMS):
            kind = "norm"
        shape = (parameter.shape[0], parameter[0].numel()) if kind == "weight" else (parameter.numel(),)
        blocks.append((name, shape, kind))
    return blocks


def _row(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
