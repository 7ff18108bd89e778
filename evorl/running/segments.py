"""Segments: the files beside `state.pt` in which journals grow, so that a checkpoint writes only what is new.

A checkpoint is made by the renaming of `state.pt`. Before it, new records are appended behind those that the earlier
`state.pt` speaks of, or go to files of their own; after it, files that it does not speak of are removed. So whichever
moment a process dies, the `state.pt` on the disk finds every byte that it needs, and says which of them are its own.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evorl.errors import RunFolderError
from evorl.journal import Journal

#: Bytes of a segment at most; what comes then goes to the next.
LARGEST = 2**24

#: Where a journal stands in the content of a checkpoint: the keys that lead to it.
Place = tuple[Any, ...]


@dataclass(frozen=True)
class Segment:
    """A stretch of a journal in a file, float32 records one after the other.

    Attributes:
        number: of the file.
        begin: number of its first record.
        end: number behind its last.
        checksum: CRC-32 of all its records; what the file holds beyond them is void.
    """

    number: int
    begin: int
    end: int
    checksum: int


@dataclass(frozen=True)
class Written:
    """A journal as `state.pt` speaks of it.

    Attributes:
        edition: that of the journal.
        begin: number of the first record that still counts.
        width: numbers in a record.
        segments: without a gap between them; the first may begin before `begin`.
    """

    edition: int
    begin: int
    width: int
    segments: tuple[Segment, ...]

    def state_dict(self) -> dict[str, Any]:
        """Return all in plain values."""
        segments = [[s.number, s.begin, s.end, s.checksum] for s in self.segments]
        return {"edition": self.edition, "begin": self.begin, "width": self.width, "segments": segments}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Written:
        """Return what `state` describes."""
        segments = tuple(Segment(*numbers) for numbers in state["segments"])
        return cls(state["edition"], state["begin"], state["width"], segments)


class Segments:
    """Writes the journals of a run's checkpoints.

    Args:
        folder: of the files; made when there is something to write.
        written: what the `state.pt` on the disk says of each journal.
    """

    def __init__(self, folder: Path, written: Mapping[Place, Mapping[str, Any]] | None = None) -> None:
        self._folder = folder
        self._written = {place: Written.from_state(state) for place, state in (written or {}).items()}
        self._following = self._written

    def write(self, content: dict[str, Any], needed: bool = True) -> dict[str, Any]:
        """Bring what is new in the journals of `content` to the disk; return the content that `state.pt` is to hold.

        There a journal is None, and `journals` says where its records are. If they are not needed any more, nothing is
        written. `commit` must follow when `state.pt` is in its place.
        """
        found: dict[Place, Journal] = {}
        plain = _without_journals(content, (), found)
        self._following = {}
        for place, journal in found.items() if needed else ():
            self._following[place] = self._extend(self._written.get(place), journal)
        return {**plain, "journals": {place: journal.state_dict() for place, journal in self._following.items()}}

    def commit(self) -> None:
        """Remove the files that the `state.pt` now on the disk does not need."""
        self._written = self._following
        live = {_path(self._folder, number) for number in self._numbers(self._written)}
        if self._folder.exists():
            for path in set(self._folder.iterdir()) - live:
                path.unlink()
            if not live:
                self._folder.rmdir()

    def _extend(self, written: Written | None, journal: Journal) -> Written:
        """Append the records that are not on the disk yet; what is forgotten or of another edition is left behind."""
        known = written.segments if written is not None and written.edition == journal.edition else ()
        segments = [segment for segment in known if segment.end > journal.begin]
        width = journal.records(journal.begin, journal.begin).shape[1]
        most = max(1, LARGEST // (4 * width))
        done = segments[-1].end if segments else journal.begin
        while done < journal.end:
            last = segments.pop() if segments and done - segments[-1].begin < most else None
            segment = last or Segment(self._unused(segments), done, done, 0)
            end = min(journal.end, segment.begin + most)
            segments.append(self._append(segment, journal.records(done, end).cpu().numpy()))
            done = end
        return Written(journal.edition, journal.begin, width, tuple(segments))

    def _append(self, segment: Segment, records: NDArray[np.float32]) -> Segment:
        """Write records (k, w) behind those of the segment, whatever a process that died has left there."""
        begun = (segment.end - segment.begin) * records.shape[1] * records.itemsize
        self._folder.mkdir(exist_ok=True)
        path = _path(self._folder, segment.number)
        with path.open("r+b" if begun else "wb") as file:
            file.truncate(begun)
            file.seek(begun)
            file.write(records.data)
            file.flush()
            os.fsync(file.fileno())
        if not begun:
            sync_folder(self._folder)
        checksum = zlib.crc32(records.data, segment.checksum)
        return Segment(segment.number, segment.begin, segment.end + len(records), checksum)

    def _unused(self, segments: list[Segment]) -> int:
        taken = {*self._numbers(self._written), *self._numbers(self._following), *(s.number for s in segments)}
        return max(taken, default=-1) + 1

    @staticmethod
    def _numbers(written: Mapping[Place, Written]) -> list[int]:
        return [segment.number for journal in written.values() for segment in journal.segments]


def read_journals(folder: Path, content: dict[str, Any]) -> None:
    """Put the records (k, w) of all journals into the content of a `state.pt`, where they belong.

    Raises:
        RunFolderError: a file is missing, cut or altered.
    """
    for place, state in content["journals"].items():
        inner: Any = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = _read(folder, Written.from_state(state))


def _read(folder: Path, written: Written) -> Tensor:
    segments = written.segments
    first, end = (segments[0].begin, segments[-1].end) if segments else (written.begin, written.begin)
    records = np.empty((end - first, written.width), np.float32)
    for segment in segments:
        stretch, path = records[segment.begin - first : segment.end - first], _path(folder, segment.number)
        try:
            with path.open("rb") as file:
                length = file.readinto(stretch.data.cast("B"))
        except OSError as error:
            raise RunFolderError(f"{folder.parent} must hold {path.relative_to(folder.parent)}: {error}") from error
        if length != stretch.nbytes:
            raise RunFolderError(f"{path} is cut or altered: it must have {stretch.nbytes} bytes, got {length}")
        if zlib.crc32(stretch.data) != segment.checksum:
            raise RunFolderError(f"{path} is cut or altered: its checksum does not match")
    return torch.from_numpy(records[written.begin - first :])


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number}.f32"


def _without_journals(value: Any, place: Place, found: dict[Place, Journal]) -> Any:
    """Return the value with None in place of every journal in its dicts and lists; add these to `found`."""
    if isinstance(value, Journal):
        found[place] = value
        return None
    if isinstance(value, dict):
        return {key: _without_journals(inner, (*place, key), found) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_journals(inner, (*place, index), found) for index, inner in enumerate(value)]
    return value
