"""Enjoying: the episodes are those of the tests, the files hold them whole, and nothing is left behind."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import imageio_ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest
from painted import PAINTED, SIZE, Painted

import evorl
from evorl.algorithms import cem
from evorl.errors import ConfigError, EnvironmentFault, RunFolderError
from evorl.policies import NetworkConfig
from evorl.running import testing
from evorl.running.enjoying import record, show

#: Test episodes of which at least two differ in length.
FIRST = 3


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A display, by its variable, with windows that nobody sees."""
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that make nobody wait."""
    monkeypatch.setattr(Painted, "metadata", {"render_modes": ["rgb_array"], "render_fps": 1000})


def train(runs: Path, **settings: Any) -> Path:
    """Return a finished run, of a network so wide that its last bits depend on how many observations come at once."""
    network = NetworkConfig(hidden_sizes=(32, 32), last_layer_scale=3.0)
    config = cem.Config(env_id=PAINTED, population_size=2, total_timesteps=40, network=network, seed=4, **settings)
    return evorl.train(config, evorl.Running(runs=str(runs), final_episodes=1, progress=False)).folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run without videos."""
    for path in trained.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def frames_of(video: Path | None, height: int, width: int) -> np.ndarray:
    """Return the frames (n, height, width, 3) of an mp4."""
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(video)]
    raw = subprocess.run([*words, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def brightness(video: Path | None) -> list[int]:
    """Return how bright the frames of the painted task are, to the nearest multiple of 20."""
    return [20 * round(frame.mean() / 20) for frame in frames_of(video, *SIZE)]


def test_a_video_is_one_whole_episode(run: Path) -> None:
    found = list(record(run, FIRST))
    assert [enjoyed.video for enjoyed in found] == [
        run / "videos" / f"tests-Painted-v0-episode-{episode}.mp4" for episode in range(FIRST)
    ]
    assert len({enjoyed.steps for enjoyed in found}) > 1
    for enjoyed in found:
        assert brightness(enjoyed.video)[: enjoyed.steps + 1] == [20 * step for step in range(enjoyed.steps + 1)]


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("delay", [0, 4])
def test_the_returns_are_those_of_the_tests_to_the_last_bit(delay: int, tmp_path: Path) -> None:
    run = train(tmp_path, delayed_reward=delay)
    answer = evorl.load(run)
    tested = testing.test_answer(answer, 20).tolist()
    assert [enjoyed.episode_return for enjoyed in show(run, 12)] == tested[:12]
    assert testing.test_answer(answer, 1)[0] != tested[0], "the policy must be one that alone acts otherwise"


@pytest.mark.usefixtures("hurry")
def test_a_window_and_a_video_show_the_same(run: Path) -> None:
    shown, recorded = list(show(run, FIRST)), list(record(run, FIRST))
    assert [(each.episode, each.episode_return, each.steps) for each in shown] == [
        (each.episode, each.episode_return, each.steps) for each in recorded
    ]
    assert [each.video for each in shown] == [None] * FIRST


@pytest.mark.parametrize(("frames_per_second", "milliseconds"), [(20, 50), (100, 40)])
def test_a_gif_has_the_pace_of_the_task(
    frames_per_second: int, milliseconds: int, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Painted, "metadata", {"render_modes": ["rgb_array"], "render_fps": frames_per_second})
    (enjoyed,) = record(run, kind="gif")
    video = run / "videos" / "tests-Painted-v0-episode-0.gif"
    assert enjoyed.video == video
    frames = iio.imread(video, plugin="pillow")
    assert frames.shape[1:] == (*SIZE, 3)
    assert iio.immeta(video, index=0, plugin="pillow")["duration"] == milliseconds
    every = milliseconds * frames_per_second // 1000
    assert [round(frame.mean()) for frame in frames[:-1]] == [20 * every * index for index in range(len(frames) - 1)]
    assert frames[-1].mean() >= 20 * (enjoyed.steps + 1 - every)


def test_what_is_there_is_only_replaced_when_that_is_asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "videos").mkdir()
    taken = run / "videos" / "tests-Painted-v0-episode-1.mp4"
    taken.write_text("another thing")
    with monkeypatch.context() as patch:
        patch.delattr(Painted, "reset")  # nothing may be played before it is known
        with pytest.raises(RunFolderError, match=rf"^{taken} is there already; give --overwrite to replace it$"):
            list(record(run, 2))
    assert [path.name for path in (run / "videos").iterdir()] == [taken.name]
    assert taken.read_text() == "another thing"
    list(record(run, 2, overwrite=True))
    assert brightness(taken)[0] == 0
    assert list(record(run, 1, kind="gif"))


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_an_episode_that_was_cut_leaves_nothing(kind: Any, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, step, seen = sorted(run.rglob("*")), Painted.step, Counter[int]()

    def breaking(painted: Painted, action: Any) -> Any:
        seen[id(painted)] += 1
        if seen[id(painted)] == 4:
            raise RuntimeError("a brush broke")
        return step(painted, action)

    monkeypatch.setattr(Painted, "step", breaking)
    with pytest.raises(EnvironmentFault, match=r"step 4 of its episode: step raised RuntimeError: a brush broke$"):
        list(record(run, kind=kind))
    assert sorted(run.rglob("*")) == before


def test_whoever_stops_looking_has_the_episodes_so_far(run: Path) -> None:
    played = record(run, 5)
    next(played)
    played.close()  # type: ignore[attr-defined]
    assert [path.name for path in (run / "videos").iterdir()] == ["tests-Painted-v0-episode-0.mp4"]
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_folder_that_takes_no_videos_is_told(run: Path) -> None:
    (run / "videos").write_text("a file")
    with pytest.raises(RunFolderError, match=rf"^{run / 'videos'} must take the videos: \[Errno"):
        list(record(run))


def test_the_rest_of_the_run_folder_stays_as_it_is(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    list(show(run))
    list(record(run))
    assert {path: path.read_bytes() for path in run.iterdir() if path.name != "videos"} == before


def test_without_moviepy_the_command_that_brings_it_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moviepy", None)
    monkeypatch.delattr(Painted, "reset")
    with pytest.raises(ConfigError, match=r"^--video needs moviepy; pip install 'evorl-torch\[video\]'$"):
        list(record(run))


def test_without_a_display_there_is_no_window(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(ConfigError, match=r"^a window needs a display, and .* are not set; --video records instead$"):
        list(show(run))
    assert list(record(run))


def test_a_pendulum_is_recorded_without_a_display(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By pygame, as all of Gymnasium's classic tasks, and without what SDL says of displays that are not there."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    config = cem.Config(
        env_id="Pendulum-v1", env_kwargs={"max_episode_steps": 5}, population_size=2, total_timesteps=20
    )
    run = evorl.train(config, evorl.Running(runs=str(tmp_path), final_episodes=1, progress=False)).folder
    (enjoyed,) = record(run)
    assert capfd.readouterr().err == ""
    assert enjoyed.steps == 5
    frames = frames_of(enjoyed.video, 500, 500).astype(int)
    assert 6 <= len(frames) <= 7
    assert ((frames[..., 0] - frames[..., 2] > 80).sum((1, 2)) > 1000).all(), "the pendulum is red"


@pytest.mark.parametrize("look", [show, record])
def test_a_run_that_is_not_there_is_refused(look: Any, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"^run must be a run folder with a config\.json, got "):
        list(look(tmp_path / "nowhere"))
