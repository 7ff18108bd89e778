"""Small measurements need no second thread, which on a busy machine costs more than it brings."""

import pytest

from benchmarks import timing


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "THREADS", (1,))
