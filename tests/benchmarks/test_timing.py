"""Everything that is compared takes turns, and the number of threads is put back."""

import torch

from benchmarks.timing import Timing, interleaved


def test_works_take_turns_and_threads_are_restored() -> None:
    before, calls = torch.get_num_threads(), []
    works = {name: lambda name=name: calls.append((name, torch.get_num_threads())) for name in ("a", "b")}
    timings = interleaved(works, repeats=2, threads=(1, 2))
    assert calls == [("a", 1), ("a", 2), ("b", 1), ("b", 2)] * 3
    assert torch.get_num_threads() == before
    assert set(timings["a"].by_threads) == {1, 2}


def test_the_best_number_of_threads_is_the_fastest() -> None:
    timing = Timing({1: 3.0, 2: 2.0})
    assert (timing.threads, timing.best) == (2, 2.0)
