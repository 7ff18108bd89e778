"""The data that pass between the four parts: stacked members, their DEAP view, and transitions.

The first axis of everything is the member. A row number is a slot; who sits in it is said by `id`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
from deap import base
from numpy.typing import NDArray
from torch import Tensor

Rows = slice | Sequence[int] | Tensor

#: Parent of a member that has none.
NO_PARENT = -1


class Identities:
    """Hands out member ids; one object serves all populations of a run, so that no id is given twice."""

    def __init__(self, following: int = 0) -> None:
        self.following = following

    def take(self, n: int) -> Tensor:
        """Return the next `n` ids: (n,) int64."""
        self.following += n
        return torch.arange(self.following - n, self.following)

    def state_dict(self) -> dict[str, int]:
        """Return the next id."""
        return {"following": self.following}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from the next id in `state`."""
        self.following = state["following"]


class FitnessMax(base.Fitness):  # type: ignore[misc]
    """DEAP's fitness, to be maximised."""

    weights = (1.0,)


class Individual(Sequence[float]):
    """DEAP's view of one row: slices copy, assignment writes through, so stock DEAP operators are correct on it.

    Attributes:
        row: the slot this individual was taken from.
        genome: (d,) float32 view of the stacked parameters.
        fitness: invalid until evaluated; NaN became -inf, since DEAP would rank NaN as best.
    """

    __slots__ = ("fitness", "genome", "row")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, genome: NDArray[Any], row: int = 0, fitness: float | None = None) -> None:
        self.genome = genome
        self.row = row
        self.fitness = FitnessMax(() if fitness is None else (-np.inf if np.isnan(fitness) else fitness,))

    def __len__(self) -> int:
        return len(self.genome)

    @overload
    def __getitem__(self, key: SupportsIndex) -> float: ...
    @overload
    def __getitem__(self, key: slice) -> Any: ...
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        return self.genome[key].copy() if isinstance(key, slice) else self.genome[key]

    def __setitem__(self, key: SupportsIndex | slice, value: Any) -> None:
        self.genome[key] = value

    def __iter__(self) -> Iterator[float]:
        return iter(self.genome)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Individual) and np.array_equal(self.genome, other.genome)

    def __deepcopy__(self, memo: dict[int, Any]) -> Individual:
        clone = Individual(self.genome.copy(), self.row)
        clone.fitness = copy.deepcopy(self.fitness, memo)
        return clone


@dataclass(frozen=True)
class Population:
    """n members, stacked.

    Attributes:
        params: (n, d) float32 policy parameters, one row a member.
        fitness: (n,) float64 mean undiscounted return, NaN until evaluated.
        id: (n,) int64, unique in a run.
        parent: (n,) int64 id of the member this one was copied from, -1 if none.
        origin: (n,) how each member came to be, one word.
        traits: named (n, ...) tensors that a copy inherits: critics, Adam moments, hyperparameters `h.<field>`.
        identities: where new ids come from.
    """

    params: Tensor
    fitness: Tensor
    id: Tensor
    parent: Tensor
    origin: tuple[str, ...]
    identities: Identities = field(repr=False)
    traits: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.params)
        columns: dict[str, Sized] = {
            "fitness": self.fitness,
            "id": self.id,
            "parent": self.parent,
            "origin": self.origin,
            **self.traits,
        }
        for name, column in columns.items():
            if len(column) != n:
                raise ValueError(f"{name} must have a row for each of the {n} members, got {len(column)}")

    @classmethod
    def fresh(
        cls, params: Tensor, identities: Identities, origin: str, traits: Mapping[str, Tensor] | None = None
    ) -> Population:
        """Return new members without parents, not evaluated yet."""
        n = len(params)
        unknown = torch.full((n,), torch.nan, dtype=torch.float64)
        nobody = torch.full((n,), NO_PARENT)
        return cls(params, unknown, identities.take(n), nobody, (origin,) * n, identities, dict(traits or {}))

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, rows: Rows) -> Population:
        """Return the same individuals in the order of `rows`."""
        index = self._index(rows)
        return replace(
            self,
            params=self.params[index],
            fitness=self.fitness[index.cpu()],
            id=self.id[index.cpu()],
            parent=self.parent[index.cpu()],
            origin=tuple(self.origin[row] for row in index.tolist()),
            traits={name: trait[index.to(trait.device)] for name, trait in self.traits.items()},
        )

    def _index(self, rows: Rows) -> Tensor:
        if isinstance(rows, slice):
            return torch.arange(len(self), device=self.params.device)[rows]
        index = torch.as_tensor(rows, device=self.params.device)
        if index.dtype == torch.bool:
            if len(index) != len(self):
                raise IndexError(f"rows must be a mask of {len(self)} members, got one of {len(index)}")
            return index.nonzero()[:, 0]
        if index.is_floating_point() and len(index):
            raise IndexError(f"rows must be integers or a mask, got {index.dtype}")
        return index.long()

    def descend(self, rows: Rows, origin: str) -> Population:
        """Return copies of `rows` with all traits, under new ids, with the donors' ids as parents."""
        donors = self[rows]
        return replace(donors, id=self.identities.take(len(donors)), parent=donors.id, origin=(origin,) * len(donors))

    def put(self, rows: Sequence[int], individuals: Population) -> Population:
        """Return this population with other individuals in the slots `rows`; of their traits those of this one."""

        def filled(column: Tensor, others: Tensor) -> Tensor:
            return column.index_put((torch.as_tensor(rows, dtype=torch.int64, device=column.device),), others)

        came = dict(zip(rows, individuals.origin, strict=True))
        return replace(
            self,
            params=filled(self.params, individuals.params),
            fitness=filled(self.fitness, individuals.fitness),
            id=filled(self.id, individuals.id),
            parent=filled(self.parent, individuals.parent),
            origin=tuple(came.get(row, origin) for row, origin in enumerate(self.origin)),
            traits={name: filled(trait, individuals.traits[name]) for name, trait in self.traits.items()},
        )

    def inject(self, row: int, donor: Population, origin: str, **traits: Tensor) -> Population:
        """Return this population with the parameters of `donor`, one row, in the slot `row`, under the slot's id.

        The donor becomes the parent; the fitness of the row is unknown. `traits` (1, ...) of the row are set.

        Raises:
            ValueError: this population has no such trait.
        """
        if further := set(traits) - set(self.traits):
            raise ValueError(f"traits must be among {sorted(self.traits)}, got {sorted(further)}")
        injected = replace(
            self[[row]],
            params=donor.params,
            fitness=torch.full((1,), torch.nan, dtype=torch.float64),
            parent=donor.id,
            origin=(origin,),
            traits={**self[[row]].traits, **traits},
        )
        return self.put([row], injected)

    def with_params(self, params: Tensor, fitness: Tensor | None = None) -> Population:
        """Return these individuals with other parameters; their fitness is unknown unless it is given."""
        return replace(self, params=params, fitness=self._unknown() if fitness is None else fitness)

    def with_fitness(self, fitness: Tensor) -> Population:
        """Return these individuals as evaluated: fitness (n,)."""
        return replace(self, fitness=fitness.to(torch.float64))

    def with_traits(self, **traits: Tensor) -> Population:
        """Return these individuals with some traits set; a changed hyperparameter `h.` makes the fitness unknown."""
        changed = any(name.startswith("h.") for name in traits)
        fitness = self._unknown() if changed else self.fitness
        return replace(self, traits={**self.traits, **traits}, fitness=fitness)

    def only_traits(self, prefix: str) -> Population:
        """Return these individuals with only the traits whose name begins with `prefix`."""
        return replace(self, traits={name: trait for name, trait in self.traits.items() if name.startswith(prefix)})

    def _unknown(self) -> Tensor:
        return torch.full_like(self.fitness, torch.nan)

    def clone(self) -> Population:
        """Return the same individuals on memory of their own, free to be changed in place."""
        traits = {name: trait.clone() for name, trait in self.traits.items()}
        columns = {"id": self.id.clone(), "parent": self.parent.clone(), "fitness": self.fitness.clone()}
        return replace(self, params=self.params.clone(), traits=traits, **columns)  # type: ignore[arg-type]

    def individuals(self) -> list[Individual]:
        """Return DEAP's view of every row of a copy of these members, on the CPU."""
        genomes = self.params.detach().cpu().clone().numpy()
        fitness = self.fitness.tolist()
        return [Individual(genome, row, fitness[row]) for row, genome in enumerate(genomes)]

    def state_dict(self) -> dict[str, Any]:
        """Return everything in tensors and plain values."""
        return {
            "params": self.params,
            "fitness": self.fitness,
            "id": self.id,
            "parent": self.parent,
            "origin": list(self.origin),
            "traits": dict(self.traits),
        }

    @staticmethod
    def is_state(state: Any) -> bool:
        """Whether `state` is what `state_dict` returns."""
        return isinstance(state, dict) and {"params", "fitness", "id", "parent", "origin", "traits"} == set(state)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], identities: Identities) -> Population:
        """Return the population that `state` describes; `identities` are those of the run."""
        return cls(
            state["params"],
            state["fitness"],
            state["id"],
            state["parent"],
            tuple(state["origin"]),
            identities,
            dict(state["traits"]),
        )


@dataclass(frozen=True)
class Transitions:
    """Steps of environments, as stored and as drawn in minibatches; `...` is (m,) or (n, b).

    Attributes:
        observations: (..., o) float32, raw.
        actions: (..., a) float32 in [-1, 1].
        rewards: (...) float32.
        next_observations: (..., o) float32; never the observation after a reset.
        terminated: (...) float32, 1 where the episode ended in a terminal state; 0 at a time limit.
        members: (m,) int64 row of the member that acted; None in a minibatch.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminated: Tensor
    members: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rewards)
