"""`evorl enjoy`: what it prints, that nothing else reaches the terminal, and one line for what cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from painted import PAINTED

import evorl
from evorl.algorithms import cem
from evorl.cli import main
from evorl.policies import NetworkConfig
from evorl.running import testing

FLICKER = '''"""A task of a user's own."""
import gymnasium
from painted import Painted

gymnasium.register("Flicker-v0", entry_point=Painted)
'''


def train(env_id: str, runs: Path, imports: tuple[str, ...] = ()) -> Path:
    """Return the folder of a short run of CEM."""
    tiny = NetworkConfig(hidden_sizes=(3,))
    config = cem.Config(env_id=env_id, population_size=2, total_timesteps=40, network=tiny)
    running = evorl.Running(runs=str(runs), final_episodes=1, progress=False)
    return evorl.train(config, running, imports=imports).folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return train(PAINTED, tmp_path)


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line with which a command ends with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main(["enjoy", *words])
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("evorl: ").rstrip("\n")


def lines(run: Path, kind: str, episodes: int) -> list[str]:
    """Return what must be printed of an episode, its length aside."""
    returns = testing.test_answer(evorl.load(run), 10)
    name = run.parent.parent.name
    return [
        f"episode {k}: return {returns[k]:.1f}, # steps, {run / 'videos' / f'{name}-episode-{k}.{kind}'}"
        for k in range(episodes)
    ]


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_each_episode_is_a_line_with_its_video(kind: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["enjoy", str(run), "--video", "--episodes", "2", "--format", kind])
    out, err = capsys.readouterr()
    told = [" ".join("#" if word in "6789" else word for word in line.split()) for line in out.splitlines()]
    assert told == lines(run, kind, 2)
    assert err == ""
    assert len(list((run / "videos").iterdir())) == 2


def test_a_window_has_no_file(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    main(["enjoy", str(run)])
    assert capsys.readouterr().out.endswith(" steps\n")
    assert not (run / "videos").exists()


def test_a_task_of_a_users_own_is_recorded_without_a_word_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flicker.py").write_text(FLICKER)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("flicker")
    run = train("Flicker-v0", tmp_path / "runs", ("flicker",))
    hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables["PYTHONPATH"] = str(Path(__file__).parent.parent)
    words = [sys.executable, "-m", "evorl", "enjoy", str(run), "--video"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=variables)
    assert ended.stderr == ""
    assert ended.stdout.endswith(f" steps, {run / 'videos' / 'Flicker-v0-episode-0.mp4'}\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--episodes", "0"], "episodes must be at least 1, got 0"),
        (["--format", "gif"], "--format and --overwrite must be given together with --video"),
        (["--overwrite"], "--format and --overwrite must be given together with --video"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    words: list[str], line: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capsys, str(run), *words).endswith(line)


@pytest.mark.parametrize(("words", "named"), [(["--format", "avi"], "'avi'"), (["--vidoe"], "--video")])
def test_a_slip_is_named(words: list[str], named: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert named in complaint(capsys, str(run), *words)


def test_a_second_recording_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["enjoy", str(run), "--video"])
    capsys.readouterr()
    assert complaint(capsys, str(run), "--video").endswith("is there already; give --overwrite to replace it")
    main(["enjoy", str(run), "--video", "--overwrite"])


def test_a_folder_without_a_run_is_refused_as_by_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"run must be a run folder with a config.json, got {tmp_path}"
    assert complaint(capsys, str(tmp_path)) == complaint(capsys, str(tmp_path), "--video") == line
