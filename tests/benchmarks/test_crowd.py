"""Many small members are timed and weighed."""

from benchmarks import crowd


def test_the_question_is_answered_at_small_sizes() -> None:
    result = crowd.measure(sizes=(), timed=2, interval=3, repeats=1)
    assert result.rows == []
    assert result.goals[0].measured > 0


def test_members_take_memory() -> None:
    assert crowd.memory(2) >= 0
