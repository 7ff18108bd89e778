"""Environments that are looked at: in a window, or as frames on a machine that may have no display."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.wrappers import HumanRendering
from numpy.typing import NDArray

from evorl.envs.gymnasium_envs import GymnasiumEnvs, make_one
from evorl.envs.member_envs import Stepped
from evorl.errors import ConfigError, EnvironmentFault
from evorl.task import Task

#: What a missing package is installed with.
EXTRA = "pip install 'evorl-torch[video]'"
#: Frames a second of a task that does not say.
FRAMES_PER_SECOND = 30
#: Arguments by which a user has chosen the camera of MuJoCo's tasks.
CAMERA = {"camera_id", "camera_name", "default_camera_config"}
#: A process of its own, because PyOpenGL keeps the first platform it is imported with even when that cannot draw.
PROBE = """
import importlib, sys
import mujoco
context = importlib.import_module(f"mujoco.{sys.argv[1]}").GLContext(16, 16)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100).free()
context.free()
"""


def has_display() -> bool:
    """Whether a window can be opened, as far as the environment variables say."""
    return platform.system() == "Darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def make_drawn(task: Task, mode: Literal["human", "rgb_array"]) -> gymnasium.Env[Any, Any]:
    """Return one environment of `task` that draws itself, not yet reset.

    Args:
        task: what is played.
        mode: `human` for a window, `rgb_array` for frames (height, width, 3) of uint8.

    Raises:
        ConfigError: the task cannot be drawn, or this machine cannot draw it.
    """
    plain = make_one(task.env_id, task.env_kwargs)
    offered = plain.metadata.get("render_modes") or []
    plain.close()
    drawn = mode if mode in offered else "rgb_array"
    if drawn not in offered:
        raise ConfigError(f"env_id must name a task that draws 'rgb_array', got {task.env_id} with {offered}")
    environment = make_one(task.env_id, {**task.env_kwargs, "render_mode": drawn})
    if hasattr(environment.unwrapped, "mujoco_renderer"):
        _prepare_mujoco(environment.unwrapped.mujoco_renderer, drawn, CAMERA.isdisjoint(task.env_kwargs))
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame would complain of the others, or find none
    if drawn == "rgb_array":
        environment = _Frames(environment)
    if mode == "human":
        return _RealTime(environment if drawn == "human" else HumanRendering(environment))
    return environment


def _prepare_mujoco(renderer: Any, mode: str, follow: bool) -> None:
    """Make sure that MuJoCo can draw, and let its camera follow, where the model has one that can.

    Gymnasium's own camera stands still, and what runs leaves its sight.
    """
    import mujoco

    if mode == "rgb_array":
        choose_back_end()
    elif not _draws("glfw"):  # found out beforehand, since Gymnasium's window would crash
        raise ConfigError(
            "a window needs a display that MuJoCo can draw on, and this one is none; --video records instead"
        )
    camera = mujoco.mj_name2id(renderer.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if follow and camera >= 0:
        window = {"type": int(mujoco.mjtCamera.mjCAMERA_FIXED), "fixedcamid": camera}
        renderer.camera_id = camera
        renderer.default_cam_config = {**(renderer.default_cam_config or {}), **window}


def choose_back_end() -> None:
    """Set MUJOCO_GL, in this process, to the first way of drawing that works here; one that is set is kept.

    Gymnasium reads it when a task is first drawn, however early MuJoCo was imported.

    Raises:
        ConfigError: there is none.
    """
    asked = os.environ.get("MUJOCO_GL")
    names = [asked] if asked else [*(["glfw"] if has_display() else []), "egl", "osmesa"]
    working = next(filter(_draws, names), None)
    if working is None:
        tried = f"MUJOCO_GL={asked}" if asked else " or ".join(names)
        raise ConfigError(f"MuJoCo must be able to draw by {tried}, and cannot; apt-get install libegl1 libgl1")
    os.environ["MUJOCO_GL"] = working


def _draws(name: str) -> bool:
    """Whether MuJoCo can draw by one of `glfw`, `egl` and `osmesa`."""
    probe, variables = [sys.executable, "-c", PROBE, name], {**os.environ, "MUJOCO_GL": name}
    return subprocess.run(probe, capture_output=True, check=False, env=variables).returncode == 0


class _Frames(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Gives each frame as an array of its own: a task may draw all of them on one canvas."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.metadata = {"render_fps": FRAMES_PER_SECOND, **env.metadata}

    def render(self) -> Any:
        """Return the frame (height, width, 3)."""
        frame = self.env.render()
        found = (frame.dtype.name, frame.ndim, frame.shape[-1:]) if isinstance(frame, np.ndarray) else None
        if found != ("uint8", 3, (3,)):
            came = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise TypeError(f"render must return uint8 (height, width, 3), got {came}")
        return np.array(frame)


class _RealTime(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Goes no faster than the task's own clock: MuJoCo's window shows a step with every image of the screen."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._pause = 1 / env.metadata.get("render_fps", FRAMES_PER_SECOND)
        self._due = 0.0

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and wait until the step is due."""
        stepped = self.env.step(action)
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = time.monotonic() + self._pause
        return stepped


class WatchedEnvs(GymnasiumEnvs):
    """n environments of which one is looked at; when its episode is over, the others are truncated.

    Args:
        task: what `describe` returned.
        n: number of rows.
        watched: what is looked at; it stands in row 0 until `watch` names another.
    """

    def __init__(self, task: Task, n: int, watched: gymnasium.Env[Any, Any]) -> None:
        super().__init__(task, n)
        self._envs[0] = watched
        self._watched = 0

    def watch(self, row: int) -> None:
        """Look at `row` from its next reset on."""
        former = self._watched
        self._envs[former], self._envs[row] = self._envs[row], self._envs[former]
        self._watched = row

    def reset(self, rows: Sequence[int], seeds: Sequence[int]) -> NDArray[np.float32]:
        """Start an episode in each of `rows` from its seed; return the observations (k, o)."""
        try:
            return super().reset(rows, seeds)
        except EnvironmentFault as fault:
            if isinstance(fault.__cause__, ImportError | DependencyNotInstalled) and "pygame" in str(fault.__cause__):
                raise ConfigError(f"{self.task.env_id} needs pygame to be drawn; {EXTRA}") from fault
            raise

    def step(self, rows: Sequence[int], actions: NDArray[np.float32]) -> Stepped:
        """Step each of `rows` with its action in [-1, 1], (k, a)."""
        observations, rewards, terminated, truncated = super().step(rows, actions)
        ended = dict(zip(rows, terminated | truncated, strict=True))
        return observations, rewards, terminated, truncated | ended.get(self._watched, False)
