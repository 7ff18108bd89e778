"""Journal: records that are only ever added at the end, so that a checkpoint need write only those that are new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, SupportsIndex

from torch import Tensor


class Journal:
    """The records that its owner holds at one moment, the oldest first; in a state it stands for their tensor.

    It costs nothing while the owner stays as it is: records are read from the owner when they are asked for. An owner
    that is about to change tells its journals to `keep`. Saved by `torch.save` or copied by `copy.deepcopy`, a journal
    becomes the tensor of its records.

    Args:
        edition: of the sequence. What was read of another edition says nothing about this one.
        begin: number of the first record, counted from 0 over all that were ever added; earlier ones are forgotten.
        end: number behind the last.
        read: returns the records (k, w) from one number to another, as a copy.
    """

    def __init__(self, edition: int, begin: int, end: int, read: Callable[[int, int], Tensor]) -> None:
        self.edition, self.begin, self.end = edition, begin, end
        self._read = read

    def records(self, begin: int | None = None, end: int | None = None) -> Tensor:
        """Return the records (k, w) from number `begin` to before `end`; all if not given."""
        return self._read(self.begin if begin is None else begin, self.end if end is None else end)

    def keep(self) -> None:
        """Copy the records, for their owner is about to change."""
        kept = self.records()
        self._read = lambda begin, end: kept[begin - self.begin : end - self.begin].clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self.records()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self.records().__reduce_ex__(protocol)  # type: ignore[no-any-return, no-untyped-call]


def records_of(held: Journal | Tensor) -> Tensor:
    """Return the records (k, w) of a journal, or of what became of it when it was saved or copied."""
    return held.records() if isinstance(held, Journal) else held
