"""Enjoying: what a finished run found, in a window or as videos, on the test starts of the run.

An action can depend in its last bits on how many are computed at once, and an episode on those bits. So the episode
that is looked at is played beside the same others as in a test, and ends with the same return.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium
from gymnasium.wrappers import RecordVideo

from evorl.budget import Ledger
from evorl.envs import DelayedReward
from evorl.envs.rendering import EXTRA, WatchedEnvs, has_display, make_drawn
from evorl.errors import ConfigError, RunFolderError
from evorl.interaction import Episodes
from evorl.running.answer import Answer, load
from evorl.running.testing import AT_ONCE
from evorl.streams import Streams

#: Frames a second of a GIF at most: its clock counts hundredths, and browsers slow down what is much faster.
GIF_FRAMES_PER_SECOND = 25


@dataclass(frozen=True)
class Enjoyed:
    """An episode that was looked at.

    Attributes:
        episode: its number among the run's test episodes.
        episode_return: undiscounted.
        steps: its length.
        video: the file; None if it was shown in a window.
    """

    episode: int
    episode_return: float
    steps: int
    video: Path | None = None


def show(run: str | Path, episodes: int = 1) -> Iterator[Enjoyed]:
    """Play the first test episodes of a finished run in a window, deterministically.

    Raises:
        RunFolderError: there is no finished run, or its file is cut or altered.
        ConfigError: there is no display, or the task cannot be drawn.
        EnvironmentFault: the environment failed.
    """
    answer = load(run)
    if not has_display():
        raise ConfigError(
            "a window needs a display, and DISPLAY and WAYLAND_DISPLAY are not set; --video records instead"
        )
    yield from _play(answer, make_drawn(answer.task, "human"), episodes)


def record(
    run: str | Path, episodes: int = 1, kind: Literal["mp4", "gif"] = "mp4", overwrite: bool = False
) -> Iterator[Enjoyed]:
    """Record the first test episodes of a finished run to `<run>/videos/<env-id>-episode-<number>.<kind>`.

    Args:
        run: the run folder.
        episodes: how many.
        kind: of file; a GIF has at most 25 frames a second.
        overwrite: replace videos that are there already.

    Raises:
        RunFolderError: there is no finished run, its file is cut or altered, or a video is in the way or cannot be
            written.
        ConfigError: a package is missing, or the task cannot be drawn, in all or on this machine.
        EnvironmentFault: the environment failed; what it was playing is not kept.
    """
    answer = load(run)
    if importlib.util.find_spec("moviepy") is None:
        raise ConfigError(f"--video needs moviepy; {EXTRA}")
    name, folder = answer.task.env_id.replace("/", "-"), Path(run) / "videos"
    paths = [folder / f"{name}-episode-{episode}.{kind}" for episode in range(episodes)]
    if not overwrite and (taken := [path for path in paths if path.exists()]):
        raise RunFolderError(f"{taken[0]} is there already; give --overwrite to replace it")
    environment = make_drawn(answer.task, "rgb_array")
    try:
        with tempfile.TemporaryDirectory(prefix=".videos-", dir=run) as unfinished:
            recorder = _Recorder(environment, Path(unfinished) / "new", name)
            for enjoyed, path in zip(_play(answer, recorder, episodes), paths, strict=True):
                recorder.save(path)
                yield Enjoyed(enjoyed.episode, enjoyed.episode_return, enjoyed.steps, path)
    except OSError as error:
        raise RunFolderError(f"{folder} must take the videos: {' '.join(str(error).split())}") from error


def _play(answer: Answer, environment: gymnasium.Env[Any, Any], episodes: int) -> Iterator[Enjoyed]:
    """Play test episodes 0 to `episodes` - 1 on `environment`, one after another, and close it."""
    envs, streams = WatchedEnvs(answer.task, AT_ONCE, environment), Streams(answer.seed)
    delay = answer.task.delayed_reward
    player = Episodes(DelayedReward(envs, AT_ONCE, delay) if delay > 1 else envs, answer.policy, Ledger())
    try:
        for episode in range(episodes):
            row = episode % AT_ONCE
            envs.watch(row)
            seeds = [streams.episode_seed("test", episode - row + other) for other in range(AT_ONCE)]
            played = player.play(answer.member, seeds, "test")
            yield Enjoyed(episode, float(played.returns[row]), int(played.lengths[row]))
    finally:
        envs.close()


class _Recorder(RecordVideo[Any, Any]):
    """Records every episode; one is written when it is saved, and dropped if it was cut.

    Args:
        env: draws frames.
        folder: for what is being written; it must not exist.
        name: the files are `<name>-episode-<number>`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], folder: Path, name: str) -> None:
        super().__init__(env, str(folder), lambda _: True, name_prefix=name, disable_logger=True)

    def save(self, path: Path) -> None:
        """Write the episode that has just ended, then move it to `path`, whose name is that of the episode."""
        written = Path(self.video_folder) / path.name
        self.recorded_frames.append(self.recorded_frames[-1])  # moviepy loses one where the durations round down
        if path.suffix == ".gif":
            from moviepy.video.io.ImageSequenceClip import ImageSequenceClip

            clip = ImageSequenceClip(self.recorded_frames, fps=self.frames_per_sec)
            clip.write_gif(str(written), fps=min(self.frames_per_sec, GIF_FRAMES_PER_SECOND), logger=None)
            self._drop()
        else:
            self.stop_recording()  # type: ignore[no-untyped-call]
        path.parent.mkdir(exist_ok=True)
        written.replace(path)

    def close(self) -> None:
        """Free the environment."""
        self._drop()
        super().close()  # type: ignore[no-untyped-call]

    def _drop(self) -> None:
        self.recording, self.recorded_frames = False, []
