"""Checkpoints: whole or not at all, plain data only, and never read when cut or altered."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import evorl
from evorl.algorithms import cem, td3
from evorl.errors import RunFolderError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig
from evorl.running import checkpoint

TINY = NetworkConfig(hidden_sizes=(4,))
CONTENT = {"tensor": torch.arange(1_000.0), "plain": {"a": [1, 2.5, None, True, "x"], 3: (4,)}}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "state.pt", CONTENT)
    return tmp_path / "state.pt"


def refused(path: Path) -> str:
    with pytest.raises(RunFolderError) as raised:
        checkpoint.read(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_was_saved_is_read(written: Path) -> None:
    found = checkpoint.read(written)
    assert found.pop("format") == 2
    assert torch.equal(found["tensor"], CONTENT["tensor"])  # type: ignore[arg-type]
    assert found["plain"] == CONTENT["plain"]


def test_nothing_but_the_file_itself_is_left(written: Path) -> None:
    assert [path.name for path in written.parent.iterdir()] == ["state.pt"]


def test_a_save_that_dies_leaves_the_earlier_file_whole(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(content: Any, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(written, {"tensor": torch.zeros(3)})
    assert torch.equal(checkpoint.read(written)["tensor"], CONTENT["tensor"])  # type: ignore[arg-type]


def test_a_flipped_compression_method_is_refused(written: Path) -> None:
    content = bytearray(written.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 10] ^= 8
    written.write_bytes(content)
    assert refused(written).startswith(f"{written} is cut or altered: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "state.pt") == f"{tmp_path} must hold state.pt, which is missing"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(written: Path, share: float) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[: int(share * len(whole))])
    assert refused(written).startswith(f"{written} is cut or altered: ")


def test_a_flipped_bit_anywhere_in_a_tensor_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    data = torch.arange(1_000.0).numpy().tobytes()
    start = whole.index(data)
    for place in range(start, start + len(data), 401):
        for bit in (0, 7):
            altered = bytearray(whole)
            altered[place] ^= 1 << bit
            written.write_bytes(altered)
            assert refused(written).startswith(f"{written} is cut or altered: ")


def test_a_flipped_bit_anywhere_in_the_file_is_refused_or_does_not_change_what_is_read(written: Path) -> None:
    whole = written.read_bytes()
    for place in range(0, len(whole), 23):
        altered = bytearray(whole)
        altered[place] ^= 0b100
        written.write_bytes(altered)
        try:
            found = checkpoint.read(written)
        except RunFolderError as error:
            assert re.search("is cut or altered|must have format", str(error)), place  # noqa: PT017
            continue
        assert torch.equal(found["tensor"], CONTENT["tensor"]), place  # type: ignore[arg-type]
        assert found["plain"] == CONTENT["plain"], place


@pytest.mark.parametrize("content", [{"tensor": 1}, {"format": 1}, {"format": "2"}, [1], None])
def test_another_format_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "state.pt")
    assert refused(tmp_path / "state.pt").startswith(f"{tmp_path / 'state.pt'} must have format 2, got ")


class Malicious:
    """Runs code when it is unpickled."""

    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (Malicious, "ran", True)


def test_a_file_that_holds_more_than_plain_data_runs_no_code_and_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 2, "content": Malicious()}, tmp_path / "state.pt")
    refused(tmp_path / "state.pt")
    assert not Malicious.ran


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(pickle.dumps({"format": 2}))
    refused(tmp_path / "state.pt")


@pytest.mark.parametrize(
    "config",
    [
        cem.Config(
            env_id="evorl/Quadratic-v0", env_kwargs={"max_episode_steps": 1}, total_timesteps=20, network=TINY, seed=1
        ),
        td3.Config(
            env_id="Pendulum-v1",
            total_timesteps=30,
            warmup_steps=5,
            interval=10,
            network=TINY,
            learner=TD3Config(critic=TINY, batch_size=4),
        ),
    ],
    ids=["cem", "td3"],
)
def test_the_files_of_a_run_hold_plain_data_only(config: evorl.Config, tmp_path: Path) -> None:
    folder = evorl.train(config, evorl.Running(runs=str(tmp_path), final_episodes=1, progress=False)).folder
    for name, form in (("state.pt", 2), ("answer.pt", 2)):
        assert torch.load(folder / name, weights_only=True)["format"] == form
