"""A peer's script is asked for rounds and answers with its seconds, whatever else it prints."""

import sys
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import by_turns, cem_rl, pbt
from benchmarks.peers.environment import HERE, Peer

SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from serving import serve
print("noise")
serve(lambda threads: print("more noise", threads), version="1.0")
"""


def test_a_peer_tells_its_facts_and_does_rounds(tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text(SCRIPT)
    with Peer(Path(sys.executable), str(script)) as peer:
        assert peer.facts["version"] == "1.0"
        assert float(peer.facts["ready"]) >= 0
        assert 0 <= peer.round(1) < 10
        calls: list[int] = []

        def ours_with(threads: int) -> float:
            calls.append(threads)
            return float(threads)

        ours, theirs = by_turns(ours_with, peer, repeats=2)
        assert calls == [1, 2] * 3
        assert ours == 1.0
        assert theirs >= 0
    assert peer.process.returncode is not None


def test_a_peer_that_fails_says_why(tmp_path: Path) -> None:
    script = tmp_path / "peer.py"
    script.write_text("raise SystemExit('no such package')")
    with pytest.raises(RuntimeError, match="no such package"):
        Peer(Path(sys.executable), str(script))


def test_what_is_compared_with_peers_can_begin_as_it_stands() -> None:
    for made in (cem_rl(), pbt()):
        assert made.generation == 1
        made.close()
