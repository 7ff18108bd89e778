"""`evorl`: help and list without torch, the other small commands, and what is said to an unknown one."""

import subprocess
import sys
from pathlib import Path

import pytest

import evorl
from evorl.algorithms import cem
from evorl.cli import main
from evorl.policies import NetworkConfig
from evorl.running import registry, testing


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line with which a command ends with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err.removeprefix("evorl: ").rstrip("\n")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(words)
    out = capsys.readouterr().out
    assert out.startswith("usage: evorl COMMAND ...")
    for command in ("list", "train", "test", "enjoy", "sweep", "compare", "new"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_told(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([flag])
    assert capsys.readouterr().out == f"evorl {evorl.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["list"], ["--version"], ["nonsense"], ["new", "json"]])
def test_what_needs_no_torch_loads_none(words: list[str]) -> None:
    asked = f"""
import sys
from evorl.cli import main
try:
    main({words!r})
except SystemExit:
    pass
loaded = {{"torch", "gymnasium", "tensorboard", "matplotlib", "scipy"}} & set(sys.modules)
print(*loaded, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == ""


def test_list_has_a_line_for_each_algorithm(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(registry.installed())
    (of_td3,) = [line for line in lines if line.startswith("td3 ")]
    assert of_td3.split(maxsplit=1)[1].startswith("TD3 (Fujimoto, van Hoof, Meger 2018)")


def test_list_tells_of_an_algorithm_whose_package_is_gone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"cem": "evorl.algorithms.cem:CEM", "gone": "gone.module:Gone", "lost": "evorl.lost:Lost"}
    monkeypatch.setattr("evorl.cli.list.installed", lambda: found)
    main(["list"])
    cem, gone, lost = capsys.readouterr().out.splitlines()
    assert cem.startswith("cem   CEM")
    assert (gone, lost) == ("gone  not importable: gone.module:Gone", "lost  not importable: evorl.lost:Lost")


def test_list_tells_of_the_users_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    source = '"""Mine: it does nothing."""\nimport evorl\nclass Mine(evorl.EvoRL[evorl.Config]):\n    name = "mine"\n'
    (tmp_path / "listed_here.py").write_text(source)
    main(["list", "--import", "listed_here"])
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["mine", "Mine: it does nothing."] in lines
    assert [name for name, _ in lines] == sorted(["mine", *registry.installed()])


def test_list_takes_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "list", "algorithms") == "list takes --import MODULE ... and no other words, got 'algorithms'"


@pytest.mark.parametrize(("word", "hint"), [("trian", "; did you mean 'train'?"), ("frobnicate", "")])
def test_an_unknown_command_is_refused_with_the_nearest(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, word)
    assert line.startswith("command must be one of list, train, test, enjoy, sweep, compare, follow, new")
    assert line.endswith(f", got {word!r}{hint}")


def test_python_m_evorl_is_the_same_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "evorl", "lst"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.endswith("got 'lst'; did you mean 'list'?\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of CEM on Pendulum-v1."""
    config = cem.Config(
        env_id="Pendulum-v1",
        env_kwargs={"max_episode_steps": 10},
        population_size=2,
        total_timesteps=40,
        network=NetworkConfig(hidden_sizes=(3,)),
    )
    runs = str(tmp_path_factory.mktemp("runs"))
    return evorl.train(config, evorl.Running(runs=runs, final_episodes=4, progress=False)).folder


def test_test_plays_episodes_on_the_test_starts_of_the_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["test", str(finished), "--episodes", "7"])
    returns = testing.test_answer(evorl.load(finished), 7)
    spread = f"std {returns.std():.1f}, min {returns.min():.1f}, max {returns.max():.1f}"
    told = f"{finished}: mean return {returns.mean():.1f} over 7 episodes ({spread})\n"
    assert capsys.readouterr().out == told


def test_test_changes_nothing_in_the_run_folder(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*")}
    main(["test", str(finished), "--episodes", "2"])
    assert {path: path.read_bytes() for path in finished.rglob("*")} == before


def test_test_refuses_a_folder_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "test", str(tmp_path)) == f"run must be a run folder with a config.json, got {tmp_path}"


def test_test_refuses_an_unfinished_run(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text((finished / "config.json").read_text())
    assert fails(capsys, "test", str(tmp_path)).startswith(f"run must be finished, got {tmp_path} without answer.pt")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--episodes", "0"], "episodes must be at least 1, got 0"),
        (["--episodes", "x"], "--episodes"),
        (["--epsiodes", "3"], "--episodes"),
    ],
)
def test_test_refuses_what_cannot_be_played(
    finished: Path, words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in fails(capsys, "test", str(finished), *words)


def test_test_needs_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert "RUN" in fails(capsys, "test").upper()


def test_the_script_of_an_algorithm_trains_it(tmp_path: Path) -> None:
    words = ["--env-id", "evorl/Quadratic-v0", "--preset", "quick", "--total-timesteps", "20"]
    script = [sys.executable, "-m", "evorl.algorithms.cem", *words]
    subprocess.run(script, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (tmp_path / "runs/evorl-Quadratic-v0/cem/s0/answer.pt").exists()
