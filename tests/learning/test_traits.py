"""Hyperparameters: a member's own trait comes before the setting, and broadcasts row by row."""

import torch

from evorl.learning import TD3Config
from evorl.learning.traits import column, own_or_set, per_sample


def test_a_trait_comes_before_the_setting() -> None:
    state = {"h.tau": torch.tensor([0.1, 0.2], dtype=torch.float64), "h.other": torch.zeros(2)}
    found = own_or_set(state, TD3Config(discount=0.9), ("tau", "discount"))
    assert set(found) == {"tau", "discount"}
    assert found["discount"] == 0.9
    assert torch.equal(torch.as_tensor(found["tau"]), torch.tensor([0.1, 0.2]))


def test_values_multiply_rows_and_samples_of_their_own_member() -> None:
    own, rows, samples = torch.tensor([2.0, 3.0]), torch.ones(2, 4), torch.ones(2, 5, 3)
    assert (rows * torch.as_tensor(column(own)))[:, 0].tolist() == [2, 3]
    assert column(2.0) == 2.0
    assert (samples * per_sample(own, 3))[:, 0, 0].tolist() == [2, 3]
    assert torch.equal(samples * per_sample(2.0, 3), 2 * samples)
