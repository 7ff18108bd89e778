"""The loop of plain modules computes what stacked members compute: the two are the same work."""

import torch
from torch.nn.utils import parameters_to_vector

from benchmarks.setups import Case, setup, transitions
from benchmarks.update import Loop, Question, measure, measure_precision, plain_member
from evorl.streams import Streams

CASE = Case(3, (12, 8), 16)


def test_a_plain_member_equals_its_row_after_the_same_updates() -> None:
    updates, made = 7, setup(CASE, transitions(CASE.members, 60))
    plain = [plain_member(made, row) for row in range(CASE.members)]
    streams = Streams(0)
    minibatch, smoothing = (streams.rows(name, range(CASE.members)) for name in ("minibatch", "target_noise"))
    for _ in range(updates):
        batch = made.replay.sample(minibatch, CASE.batch)
        noise = made.learner.noise(smoothing, batch)
        fields = (batch.observations, batch.actions, batch.rewards, batch.next_observations, batch.terminated)
        for row, member in enumerate(plain):
            member.update([field[row] for field in fields], noise[row])
    before = made.members.clone()
    made.update(updates)
    traits = made.members.traits
    for row, member in enumerate(plain):
        pairs = {
            "actor": (made.members.params, member.actor),
            "critic": (traits["critic"], member.critics),
            "target_actor": (traits["target_actor"], member.target_actor),
            "target_critic": (traits["target_critic"], member.target_critics),
        }
        for name, (ours, theirs) in pairs.items():
            vector = parameters_to_vector(theirs.parameters())
            torch.testing.assert_close(ours[row], vector, rtol=1e-5, atol=1e-6, msg=name)
    assert not torch.equal(before.params, made.members.params)


def test_the_loop_gives_every_member_its_own_transitions() -> None:
    stored = transitions(CASE.members, 5)
    made = setup(CASE, stored)
    loop = Loop(made, stored)
    for row, replay in enumerate(loop.replays):
        torch.testing.assert_close(replay.columns[0], stored.observations[5 * row : 5 * (row + 1)])
    loop.update(2)
    assert [learner.updates for learner in loop.learners] == [2, 2, 2]


def test_the_questions_are_answered_at_small_sizes() -> None:
    question = Question(CASE, 2, of_loop=1.0, of_products=0.5)
    result = measure([question], repeats=1, stored=20)
    assert len(result.rows) == 1
    assert [len(row) for row in result.rows] == [len(result.columns)]
    assert [goal.goal for goal in result.goals] == [0.5, 1.0]


def test_both_precisions_are_measured() -> None:
    result = measure_precision(CASE, updates=2, repeats=1, size=8)
    assert [row[0] for row in result.rows] == ["fp32", "bf16"]
    assert [len(row) for row in result.rows] == [len(result.columns)] * 2
    assert result.rows[0][-1] == 1
