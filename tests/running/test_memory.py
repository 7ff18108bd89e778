"""What a process frees stays with it, on glibc; anywhere else nothing is touched."""

import ctypes
import platform
import subprocess
import sys

import pytest

from evorl.running.memory import keep_freed_memory

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")

#: Prints the page faults of ten rounds that take and free 16 blocks of 1 MiB; in some rounds before, it settles.
FAULTS = """
import resource
import torch
from evorl.running.memory import keep_freed_memory
assert keep_freed_memory()
faults = []
for _ in range(20):
    blocks = [torch.ones(2**18) for _ in range(16)]
    del blocks
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[9])
"""


@on_glibc
def test_what_is_freed_is_taken_again_without_page_faults() -> None:
    """Returned to the system, it would be 4,096 a round."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4_096


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.delattr(ctypes, "CDLL")
    assert not keep_freed_memory()
