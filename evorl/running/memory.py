"""Memory that an update frees, and takes again a moment later."""

from __future__ import annotations

import ctypes
import platform

#: Parameters of glibc's `mallopt`, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Bytes: a block above the first is mapped for itself, and 32 MiB is the most that is allowed; the second is how much
#: may lie free before it goes back to the system.
MAPPED_ABOVE, FREE_AT_MOST = 32 * 2**20, 2**30


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; False where the C library is not glibc, and nothing is changed.

    An update frees tensors of some megabytes, which glibc returns to the system and the next one takes again, page by
    page: of ten TD3 members of 256-256 some 3,000 page faults an update, an eighth of its time.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, MAPPED_ABOVE) and mallopt(_TRIM_THRESHOLD, FREE_AT_MOST))
