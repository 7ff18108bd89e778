"""`evorl train ALGORITHM --env-id ID`: one run."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from evorl.cli.parsing import parse
from evorl.errors import ConfigError
from evorl.running import Running, registry, resume, train
from evorl.running.folder import RunFolder
from evorl.running.settings import from_plain, to_plain
from evorl.template import EvoRL


@dataclasses.dataclass(frozen=True)
class Options:
    """What to import, and what to do with a run that is there already."""

    import_: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """Modules to import first; they register environments and define algorithms."""
    resume: Path | None = None
    """Interrupted run to go on with; settings are its own, and those given must agree."""
    overwrite: bool = False
    """Replace a run that is in the folder already."""


def run(words: Sequence[str]) -> None:
    """Train, or resume, as the command line says; print where the run is and its result."""
    if "--resume" in words[:-1] and words[0].startswith("-"):
        words = [RunFolder(Path(words[words.index("--resume") + 1])).read_config()["name"], *words]
    if not words or words[0].startswith("-"):
        if {"-h", "--help"} & set(words):
            print(
                f"usage: evorl train ALGORITHM --env-id ID ...\n\nalgorithms: {', '.join(registry.installed())}\n\n"
                "evorl train ALGORITHM --help lists every setting."
            )
            return
        raise ConfigError(f"algorithm must be one of {', '.join(registry.installed())}, got none")
    algorithm, config, running, options = settle(words)
    if options.resume is None:
        result = train(config, running, algorithm=algorithm, imports=options.import_, overwrite=options.overwrite)
    else:
        stored = RunFolder(options.resume).read_config()["running"]
        begun = {**to_plain(running), "progress": stored["progress"]}
        result = resume(options.resume, {"config": to_plain(config), "running": begun}, running.progress)
    tested = "not tested" if math.isnan(result.final_return) else f"final return {result.final_return:.1f}"
    print(f"{result.folder}: {tested} at {result.steps} steps")


def settle(words: Sequence[str]) -> tuple[type[EvoRL[Any]], Any, Running, Options]:
    """Return the algorithm that the words after `evorl train` name, and all settings they ask for.

    Raises:
        ConfigError: an algorithm, preset or flag is unknown, or a value cannot work.
    """
    name, *flags = words
    early = _early(flags)
    stored = RunFolder(early.resume).read_config() if early.resume else None
    imports = early.imports or (stored["imports"] if stored else [])
    if stored is not None and stored["name"] == name:
        algorithm = registry.from_path(stored["algorithm"], imports)
    else:
        algorithm = registry.find(name, imports)
    config, running = _defaults(algorithm, early.preset, stored)
    options = Options(import_=tuple(imports))
    unprefixed = tyro.conf.arg(name="")
    kinds = {"config": algorithm.config_type, "running": Running, "options": Options}
    command = dataclasses.make_dataclass("Command", [(n, Annotated[kind, unprefixed]) for n, kind in kinds.items()])
    summary = (algorithm.__doc__ or "").partition("\n")[0]
    default = command(config, running, options)
    parsed: Any = parse(command, flags, f"evorl train {algorithm.name}", summary, default)
    return algorithm, parsed.config, parsed.running, parsed.options


def _early(flags: Sequence[str]) -> argparse.Namespace:
    """Return the flags on which the meaning of the others depends."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--import", nargs="*", default=[], dest="imports")
    parser.add_argument("--preset", default="published")
    parser.add_argument("--resume", type=Path, default=None)
    try:
        return parser.parse_known_args(flags)[0]
    except argparse.ArgumentError as error:
        raise ConfigError(str(error).removeprefix("argument ")) from None


def _defaults(algorithm: type[EvoRL[Any]], preset: str, stored: Mapping[str, Any] | None) -> tuple[Any, Running]:
    """Return what holds where no flag is given: a preset, or the settings of the run to resume."""
    if stored is None:
        return algorithm.preset(preset, env_id=tyro.MISSING), Running()
    found = registry.path_of(algorithm)
    if stored["algorithm"] != found:
        raise ConfigError(f"--resume must be given a run of {found}, got one of {stored['algorithm']}")
    return from_plain(algorithm.config_type, stored["config"]), from_plain(Running, stored["running"])
