"""Windows of returns, losses and counts: what is pushed out, and what is unknown."""

import numpy as np
import torch

from evorl.budget import Ledger
from evorl.learning.records import WINDOW, count_updates, mean_losses, new_records, push_returns_
from evorl.population import Identities, Population


def test_new_records_are_unknown_and_share_no_memory() -> None:
    records = new_records(3)
    assert records["recent_returns"].shape == (3, WINDOW)
    assert all(record.isnan().all() and len(record) == 3 for record in records.values())
    records["loss.critic"].zero_()
    assert records["loss.actor"].isnan().all()


def test_the_window_forgets_the_oldest_return_of_the_row_alone() -> None:
    recent = new_records(3)["recent_returns"]
    for number in range(WINDOW + 2):
        push_returns_(recent, [2, 0], np.array([100.0 + number, number]))
    push_returns_(recent, [1], np.array([-1.0]))
    push_returns_(recent, [], np.array([]))
    assert recent[0].tolist() == list(range(2, WINDOW + 2))
    assert recent[2].tolist() == [100 + number for number in range(2, WINDOW + 2)]
    assert recent[1, -1] == -1
    assert recent[1, :-1].isnan().all()


def test_losses_are_means_over_updates_of_what_was_known() -> None:
    nan = torch.nan
    losses = [
        (torch.tensor([1.0, 2.0]), torch.tensor([nan, 8.0])),
        (torch.tensor([3.0, 4.0]), torch.tensor([5.0, nan])),
    ]
    found = mean_losses(losses, 2)
    assert {name: loss.tolist() for name, loss in found.items()} == {"loss.critic": [2, 3], "loss.actor": [5, 8]}
    assert all(loss.isnan().all() for loss in mean_losses([], 2).values())


def test_updates_are_counted_of_each_member_since_it_was_last_seen_and_of_actors_as_they_are_delayed() -> None:
    members = Population.fresh(torch.zeros(2, 1), Identities(), "initial", {"updates": torch.tensor([3, 0])})
    ledger = Ledger()
    count_updates(ledger, members, members.with_traits(updates=torch.tensor([8, 4])), delay=2, first_row=-1)
    assert ledger.updates == {"critic": {-1: 5, 0: 4}, "actor": {-1: 3, 0: 2}}
