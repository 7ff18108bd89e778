"""The ledger: what counts against the budget, and that nothing is lost or shared when it is saved."""

import pytest

from evorl.budget import PURPOSES, Ledger, Purpose


def used() -> Ledger:
    ledger = Ledger()
    steps: dict[Purpose, int] = {"warmup": 3, "train": 50, "fitness": 700, "test": 9_000, "restored": 11}
    for purpose, count in steps.items():
        ledger.count_steps(purpose, count - 1)
        ledger.count_steps(purpose, 1)
    ledger.count_updates("critic", [0, 2], 5)
    ledger.count_updates("critic", [2])
    ledger.count_updates("actor", [-1], 4)
    ledger.episodes, ledger.stored, ledger.seconds = 6, 753, 1.5
    return ledger


def test_only_warm_up_training_and_fitness_count_against_the_budget() -> None:
    assert used().spent == 753


def test_updates_are_kept_by_part_and_row() -> None:
    assert used().updates == {"critic": {0: 5, 2: 6}, "actor": {-1: 4}}


def test_the_report_holds_the_totals_under_their_tags() -> None:
    assert used().report() == {
        "budget/warmup_steps": 3,
        "budget/train_steps": 50,
        "budget/fitness_steps": 700,
        "budget/test_steps": 9_000,
        "budget/restored_steps": 11,
        "budget/critic_updates": 11,
        "budget/actor_updates": 4,
        "budget/episodes": 6,
        "budget/stored": 753,
        "budget/fitness_share": pytest.approx(700 / 753),
    }


def test_a_new_ledger_reports_the_same_tags_and_only_zeros() -> None:
    report = Ledger().report()
    assert report.keys() == used().report().keys()
    assert set(report.values()) == {0}


def test_testing_and_restoring_leave_the_fitness_share_alone() -> None:
    ledger = Ledger()
    ledger.count_steps("fitness", 1)
    ledger.count_steps("train", 3)
    for purpose in set(PURPOSES) - {"fitness", "train", "warmup"}:
        ledger.count_steps(purpose, 1_000)
    assert ledger.report()["budget/fitness_share"] == 0.25


def test_a_restored_ledger_goes_on_and_leaves_the_saved_one_alone() -> None:
    ledger = used()
    state = ledger.state_dict()
    restored = Ledger()
    restored.load_state_dict(state)
    restored.count_steps("train", 1)
    restored.count_updates("critic", [0, 7])
    assert ledger.state_dict() == state == used().state_dict()
    assert (restored.spent, restored.episodes, restored.stored, restored.seconds) == (754, 6, 753, 1.5)
    assert restored.updates == {"critic": {0: 6, 2: 6, 7: 1}, "actor": {-1: 4}}


def test_a_saved_state_does_not_change_with_what_is_counted_later() -> None:
    ledger = used()
    state = ledger.state_dict()
    ledger.count_steps("train", 1)
    ledger.count_updates("critic", [0, 7])
    assert state == used().state_dict()
