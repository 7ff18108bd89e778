"""Checkpoints: written whole or not at all, read without running code, refused when cut or altered."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from evorl.errors import RunFolderError
from evorl.running.folder import FORMATS, RunFolder
from evorl.running.segments import read_journals, sync_folder


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to a temporary file, then rename it to `path`."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        torch.save({"format": FORMATS[path.name], **content}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def read(path: Path, device: str | None = "cpu") -> dict[str, Any]:
    """Return what `save` wrote, with the records of the journals in their places.

    Args:
        path: the file.
        device: where its tensors go; None for where they were.

    Raises:
        RunFolderError: the file or one of its journals' is missing, cut or altered, or it is of another format, or
            holds more than plain data.
    """
    if not path.exists():
        raise RunFolderError(f"{path.parent} must hold {path.name}, which is missing")
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums, so a flipped bit would pass
            damaged = archive.testzip()
        content: dict[str, Any] = {} if damaged else torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunFolderError(f"{path} is cut or altered, or holds more than tensors and plain values") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError) as error:
        raise RunFolderError(f"{path} is cut or altered: {str(error).splitlines()[0]}") from error
    if damaged is not None:
        raise RunFolderError(f"{path} is cut or altered: the checksum of {damaged} does not match")
    expected = FORMATS[path.name]
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected:
        raise RunFolderError(f"{path} must have format {expected}, got {found}")
    if "journals" in content:
        read_journals(RunFolder(path.parent).journals, content)
    return content
