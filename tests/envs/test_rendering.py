"""Environments that are looked at: frames, windows, how MuJoCo draws, and what is said where nothing can be drawn."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from painted import PAINTED, SIZE, Painted
from support import ORACLE

from evorl.envs import GymnasiumEnvs, describe, rendering
from evorl.envs.rendering import WatchedEnvs, choose_back_end, has_display, make_drawn
from evorl.errors import ConfigError, EnvironmentFault
from evorl.task import Task

SEEDS = [11, 22, 33]


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine as it is in a cluster; what is set in a test is gone after it."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr("platform.system", lambda: "Linux")


@pytest.fixture
def painted() -> Task:
    return describe(PAINTED)


@pytest.fixture
def watched(painted: Task) -> Iterator[WatchedEnvs]:
    envs = WatchedEnvs(painted, len(SEEDS), make_drawn(painted, "rgb_array"))
    yield envs
    envs.close()


@pytest.mark.parametrize("variable", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_display_is_known_by_its_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_display()
    monkeypatch.setenv(variable, ":0")
    assert has_display()


def test_a_mac_has_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert has_display()


def test_each_frame_is_an_array_of_its_own(painted: Task) -> None:
    environment = make_drawn(painted, "rgb_array")
    environment.reset(seed=0)
    frames: list[Any] = [environment.render()]
    for _ in range(3):
        environment.step(np.zeros(4, np.float32))
        frames.append(environment.render())
    assert [np.unique(frame).tolist() for frame in frames] == [[0], [20], [40], [60]]
    assert {frame.shape for frame in frames} == {(*SIZE, 3)}


@pytest.mark.parametrize("mode", ["human", "rgb_array"])
def test_a_task_that_does_not_draw_is_refused(mode: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^env_id must name a task that draws 'rgb_array', got {ORACLE} with \[\]$"):
        make_drawn(describe(ORACLE), mode)


@pytest.mark.parametrize(
    ("frame", "came"),
    [
        (None, "NoneType"),
        ([np.zeros((2, 2, 3), np.uint8)], "list"),
        (np.zeros((2, 2, 3)), r"float64 \(2, 2, 3\)"),
        (np.zeros((2, 2), np.uint8), r"uint8 \(2, 2\)"),
        (np.zeros((2, 2, 4), np.uint8), r"uint8 \(2, 2, 4\)"),
    ],
)
def test_what_is_no_frame_is_a_fault(frame: Any, came: str, painted: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = make_drawn(painted, "rgb_array")
    environment.reset(seed=0)
    monkeypatch.setattr(Painted, "render", lambda _: frame)
    with pytest.raises(TypeError, match=rf"^render must return uint8 \(height, width, 3\), got {came}$"):
        environment.render()


def test_frames_a_second_are_those_of_the_task_or_thirty(painted: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_drawn(painted, "rgb_array").metadata["render_fps"] == 20
    monkeypatch.setattr(Painted, "metadata", {"render_modes": ["rgb_array"]})
    assert make_drawn(painted, "rgb_array").metadata["render_fps"] == 30


def test_a_window_goes_no_faster_than_the_task(painted: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = {"render_modes": ["human", "rgb_array"], "render_fps": 25}
    monkeypatch.setattr(Painted, "metadata", modes)
    environment = make_drawn(painted, "human")
    assert environment.render_mode == "human"
    environment.reset(seed=0)
    environment.step(np.zeros(4, np.float32))
    began = time.monotonic()
    for _ in range(3):
        environment.step(np.zeros(4, np.float32))
    assert time.monotonic() - began >= 3 * 0.04


def test_a_task_that_only_gives_frames_is_shown_in_a_window_too(painted: Task) -> None:
    environment = make_drawn(painted, "human")
    environment.reset(seed=0)
    environment.step(np.zeros(4, np.float32))
    assert environment.get_wrapper_attr("window") is not None
    environment.close()


def test_the_episode_that_is_watched_is_the_same_as_ever(painted: Task, watched: WatchedEnvs) -> None:
    ordinary, actions = GymnasiumEnvs(painted, 3), np.full((3, 4), 0.3, np.float32)
    for row in (0, 2, 1):
        watched.watch(row)
        assert (watched.reset(range(3), SEEDS) == ordinary.reset(range(3), SEEDS)).all()
        for found, expected in zip(watched.step(range(3), actions), ordinary.step(range(3), actions), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0], [1, 1]])
def test_only_the_row_that_is_watched_is_drawn(order: list[int], painted: Task) -> None:
    class Seen(gymnasium.Wrapper[Any, Any, Any, Any]):
        """Remembers the seeds it is reset with."""

        seeds: list[int | None]

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            self.seeds.append(seed)
            return self.env.reset(seed=seed, options=options)

    seen = Seen(make_drawn(painted, "rgb_array"))
    seen.seeds = []
    envs = WatchedEnvs(painted, 3, seen)
    for row in order:
        envs.watch(row)
        envs.reset(range(3), SEEDS)
    assert seen.seeds == [SEEDS[row] for row in order]


@pytest.mark.parametrize("row", [0, 1, 2])
def test_the_others_end_with_the_one_that_is_watched_and_not_before(row: int, watched: WatchedEnvs) -> None:
    watched.watch(row)
    seeds = [9, 9, 9]
    seeds[row] = 8  # 6 steps, the others 7
    watched.reset(range(3), seeds)
    for step in range(1, 7):
        _, _, terminated, truncated = watched.step(range(3), np.zeros((3, 4), np.float32))
        assert terminated.tolist() == [step == 6 and other == row for other in range(3)]
        assert truncated.tolist() == [step == 6] * 3


def test_those_that_end_first_leave_the_others_playing(watched: WatchedEnvs) -> None:
    watched.watch(1)
    watched.reset(range(3), [8, 9, 9])
    for _ in range(6):
        _, _, terminated, truncated = watched.step(range(3), np.zeros((3, 4), np.float32))
    assert terminated.tolist() == [True, False, False]
    assert not truncated.any()
    _, _, terminated, truncated = watched.step([1, 2], np.zeros((2, 4), np.float32))
    assert terminated.tolist() == [True, True]


def test_without_pygame_the_command_that_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    task = describe("Pendulum-v1")
    envs = WatchedEnvs(task, 1, make_drawn(task, "human"))
    with pytest.raises(
        ConfigError, match=r"^Pendulum-v1 needs pygame to be drawn; pip install 'evorl-torch\[video\]'$"
    ):
        envs.reset([0], [0])


def test_another_fault_of_a_reset_stays_what_it_is(watched: WatchedEnvs, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ImportError("no module named brush")

    monkeypatch.setattr(Painted, "reset", broken)
    with pytest.raises(EnvironmentFault, match=r"reset raised ImportError: no module named brush$"):
        watched.reset([0], [0])


@pytest.mark.parametrize(
    ("working", "display", "asked", "chosen"),
    [
        ({"egl", "osmesa"}, "", "", "egl"),
        ({"osmesa"}, "", "", "osmesa"),
        ({"glfw", "egl"}, ":0", "", "glfw"),
        ({"egl"}, ":0", "", "egl"),
        ({"egl", "osmesa"}, "", "osmesa", "osmesa"),
    ],
)
def test_mujoco_draws_by_the_first_way_that_works(
    working: set[str], display: str, asked: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("MUJOCO_GL", asked)
    monkeypatch.setattr(rendering, "_draws", lambda name: name in working)
    choose_back_end()
    assert os.environ["MUJOCO_GL"] == chosen


@pytest.mark.parametrize(("asked", "tried"), [("", "egl or osmesa"), ("osmesa", "MUJOCO_GL=osmesa")])
def test_where_mujoco_cannot_draw_the_command_that_helps_is_told(
    asked: str, tried: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", asked)
    monkeypatch.setattr(rendering, "_draws", lambda _: False)
    line = f"^MuJoCo must be able to draw by {tried}, and cannot; apt-get install libegl1 libgl1$"
    with pytest.raises(ConfigError, match=line):
        make_drawn(describe("HalfCheetah-v5"), "rgb_array")
    assert os.environ["MUJOCO_GL"] == asked


def test_a_display_on_which_mujoco_cannot_draw_is_told_before_its_window_crashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":nowhere")
    with pytest.raises(ConfigError, match=r"^a window needs a display that MuJoCo can draw on"):
        make_drawn(describe("HalfCheetah-v5"), "human")


def test_what_the_probe_finds_is_what_mujoco_does() -> None:
    """A machine need not be able to draw; the probe must know."""
    task, works = describe("HalfCheetah-v5"), rendering._draws("egl") or rendering._draws("osmesa")
    if not works:
        with pytest.raises(ConfigError, match="apt-get install"):
            make_drawn(task, "rgb_array")
        return
    environment = make_drawn(task, "rgb_array")
    environment.reset(seed=0)
    assert np.std(environment.render()) > 10  # type: ignore[arg-type]
    environment.close()


def test_the_probe_knows_what_cannot_draw() -> None:
    assert not rendering._draws("crayons")


@pytest.mark.parametrize("kwargs", [{}, {"camera_name": "track"}, {"camera_id": -1}])
def test_the_camera_follows_unless_the_user_chose_one(kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "choose_back_end", lambda: None)
    renderer: Any = make_drawn(describe("HalfCheetah-v5", kwargs), "rgb_array").unwrapped
    renderer = renderer.mujoco_renderer
    assert renderer.camera_id == (-1 if "camera_id" in kwargs else 0)
    assert renderer.default_cam_config["distance"] == 4
    assert ("fixedcamid" in renderer.default_cam_config) is (not kwargs)


def test_a_model_without_such_a_camera_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "choose_back_end", lambda: None)
    environment: Any = make_drawn(describe("Reacher-v5"), "rgb_array").unwrapped
    assert environment.mujoco_renderer.camera_id == -1
    assert "fixedcamid" not in environment.mujoco_renderer.default_cam_config
