"""What a measurement was made on: kind of processor, cores, versions; nothing that names the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

#: Extensions of the instruction set that decide the rate of matrix products.
EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> dict[str, str]:
    """Return processor, cores, extensions and versions."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", platform.machine()),
        "cores": str(os.cpu_count()),
        "extensions": " ".join(name for name in EXTENSIONS if name in flags),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy", "gymnasium", "mujoco")},
    }
