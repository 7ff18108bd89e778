"""The protocol of a peer's script: it says when it is ready, then does a round for every line that it reads."""

import json
import sys
import time
from collections.abc import Callable

BEGUN = time.perf_counter()


def serve(work: Callable[[int], object], **facts: float | str) -> None:
    """Do `work`, given the number of threads, once for each line; answer with its seconds.

    The first answer tells the seconds since the script began, and the facts. What the peer itself prints meanwhile goes
    to standard error.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ready": time.perf_counter() - BEGUN, **facts}), file=answers, flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        work(int(line))
        print(json.dumps({"seconds": time.perf_counter() - began}), file=answers, flush=True)
