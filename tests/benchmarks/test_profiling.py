"""The shares of a profile are of the whole."""

import pytest

from benchmarks.profiling import measure, shares
from benchmarks.setups import Case

CASE = Case(2, (8, 8), 4)


def test_shares_sum_to_the_whole_and_products_are_among_them() -> None:
    found = shares(CASE, updates=2, stored=20)
    assert sum(share for _, share, _ in found) == pytest.approx(100)
    assert "aten::baddbmm" in [name for name, _, _ in found]
    result = measure(updates=2, shown=3, cases=(CASE,))
    assert sum(float(row[2]) for row in result.rows) == pytest.approx(100)
    assert len(result.rows) == 4
