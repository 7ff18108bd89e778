"""The state of an object: named attributes as plain values, and back."""

import io
from typing import Any

import pytest
import torch

from evorl.population import Identities, Population
from evorl.state import equal, restore, state_of


class Owner:
    """Holds a number, what holds a state itself, a population and nobody."""

    names = ("count", "identities", "members", "nobody")

    def __init__(self, count: int) -> None:
        self.count, self.identities = count, Identities()
        self.members: Population | None = Population.fresh(torch.full((2, 3), float(count)), self.identities, "initial")
        self.nobody: Population | None = None
        self.beside = "not named"


def saved(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def test_named_attributes_are_brought_back_and_those_that_hold_a_state_stay_the_same_object() -> None:
    old, new = Owner(4), Owner(7)
    old.identities.take(5)
    identities = new.identities
    restore(new, Owner.names, saved(state_of(old, Owner.names)), identities)
    assert (new.count, new.nobody, new.identities.following) == (4, None, 7)
    assert new.identities is identities
    assert isinstance(new.members, Population)
    assert new.members.identities is identities
    assert torch.equal(new.members.params, torch.full((2, 3), 4.0))


@pytest.mark.parametrize("names", [("count",), ("count", "identities", "members", "nobody", "beside")])
def test_a_state_of_other_names_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"state must hold \['count', 'identities', 'members', 'nobody'\], got "):
        restore(Owner(0), Owner.names, state_of(Owner(1), names), Identities())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": [1, torch.tensor([1.0, torch.nan])]}, {"a": (1, torch.tensor([1.0, torch.nan]))}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1], False),
        (torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64), False),
        (torch.tensor([1.0]), torch.tensor([1.0 + 2**-23]), False),
        (torch.tensor([True]), torch.tensor([True]), True),
        (float("nan"), float("nan"), True),
        (None, 0, False),
    ],
)
def test_states_are_equal_to_the_last_bit(first: object, second: object, expected: bool) -> None:
    assert equal(first, second) is expected
