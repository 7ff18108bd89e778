"""From the first word to its command, by hand, so that `evorl --help` loads neither torch nor the commands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from evorl.errors import ConfigError, EvorlError, nearest

COMMANDS = {
    "list": "the algorithms that are installed",
    "train": "run an algorithm on a task: evorl train ALGORITHM --env-id ID",
    "test": "play test episodes with what a run found: evorl test RUN",
    "enjoy": "look at what a run found, in a window or as a video: evorl enjoy RUN --video",
    "sweep": "run algorithms x tasks x seeds: evorl sweep --algorithms A B --env-ids ID --seeds N",
    "compare": "tables and figures of many runs at equal budget: evorl compare RUNS",
    "follow": "train fresh agents on the schedule that a run has found: evorl follow RUN",
    "new": "write a file with the four parts of an algorithm of your own: evorl new my_hybrid",
}


def usage() -> str:
    """Return the help of `evorl` itself."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: evorl COMMAND ...",
            "",
            "Evolutionary reinforcement learning.",
            "",
            *lines,
            "",
            "evorl COMMAND --help says more; evorl train ALGORITHM --help lists every setting.",
        ]
    )


def script(algorithm: str) -> None:
    """Train `algorithm` with the flags of the process: what its file does when it is run as a script."""
    main(["train", algorithm, *sys.argv[1:]])


def main(words: Sequence[str] | None = None) -> None:
    """Run one command; a fault of evorl's becomes one line on stderr and its exit code.

    Args:
        words: the command line without the program's name; that of the process if None.
    """
    words = list(sys.argv[1:] if words is None else words)
    if words and words[0] in ("--version", "-V"):
        import evorl

        print(f"evorl {evorl.__version__}")
        return
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    try:
        if words[0] not in COMMANDS:
            raise ConfigError(
                f"command must be one of {', '.join(COMMANDS)}, got {words[0]!r}{nearest(words[0], COMMANDS)}"
            )
        importlib.import_module(f"evorl.cli.{words[0]}").run(words[1:])
    except EvorlError as error:
        print(f"evorl: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("evorl: interrupted", file=sys.stderr)
        sys.exit(130)
