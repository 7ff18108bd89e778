"""A journal: read when it is asked for, kept when its owner changes, and a plain tensor to whoever copies or saves."""

import copy
import io

import pytest
import torch
from torch import Tensor

from evorl.journal import Journal, records_of


class Owner:
    """A list of numbers, each a record of width 2."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.reads: list[tuple[int, int]] = []

    def journal(self, begin: int = 0) -> Journal:
        return Journal(3, begin, len(self.numbers), self.read)

    def read(self, begin: int, end: int) -> Tensor:
        self.reads.append((begin, end))
        return torch.tensor(self.numbers[begin:end]).float()[:, None].expand(-1, 2).clone()


@pytest.fixture
def owner() -> Owner:
    return Owner([5, 6, 7, 8])


def test_nothing_is_read_before_it_is_asked_for(owner: Owner) -> None:
    journal = owner.journal(begin=1)
    assert (journal.edition, journal.begin, journal.end, owner.reads) == (3, 1, 4, [])
    assert journal.records()[:, 0].tolist() == [6, 7, 8]
    assert journal.records(2)[:, 0].tolist() == [7, 8]
    assert journal.records(2, 3)[:, 1].tolist() == [7]
    assert owner.reads == [(1, 4), (2, 4), (2, 3)]


def test_what_was_kept_does_not_change_with_its_owner_nor_with_what_was_read(owner: Owner) -> None:
    journal = owner.journal(begin=1)
    journal.keep()
    owner.numbers[:] = [0, 0, 0, 0]
    journal.records(2).zero_()
    assert journal.records(2)[:, 0].tolist() == [7, 8]
    assert journal.records(2, 2).shape == (0, 2)
    assert owner.reads == [(1, 4)]


def test_a_saved_or_copied_journal_is_the_plain_tensor_of_its_records(owner: Owner) -> None:
    state = {"inner": [owner.journal(begin=1)]}
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    for found in (torch.load(file, weights_only=True), copy.deepcopy(state)):
        assert type(found["inner"][0]) is Tensor
        assert found["inner"][0][:, 0].tolist() == [6, 7, 8]


def test_records_are_those_of_the_journal_or_of_the_tensor_that_it_became(owner: Owner) -> None:
    journal = owner.journal()
    assert torch.equal(records_of(journal), records_of(copy.deepcopy(journal)))
