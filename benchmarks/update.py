"""How near is a TD3 update of stacked members to its matrix products, and how far ahead of a loop over modules?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn
from torch.nn.utils import vector_to_parameters

from benchmarks.plain_td3 import PlainReplay, PlainTD3, perceptron
from benchmarks.report import Cell, Goal, Result
from benchmarks.roofline import Roofline, product_rate
from benchmarks.setups import CHEETAH, Case, Setup, setup, transitions
from benchmarks.timing import Timing, Work, interleaved
from evorl.policies import Precision
from evorl.population import Transitions

#: Transitions of a member: 34 MB of them for ten, more than a cache holds.
STORED = 20_000


@dataclass(frozen=True)
class Question:
    """A case, how many updates are one measurement of it, and what is hoped for."""

    case: Case
    updates: int
    of_loop: float | None = None
    of_products: float | None = None


QUESTIONS = (
    Question(Case(10, (256, 256), 256), 8, of_loop=1.45, of_products=0.75),
    Question(Case(40, (64, 64), 128), 20, of_loop=7),
    Question(Case(1, (256, 256), 256), 40),
)


class Loop:
    """The same members one after another, as plain modules.

    Args:
        made: where their networks begin.
        stored: transitions, those of a member in one piece.
    """

    def __init__(self, made: Setup, stored: Transitions) -> None:
        self.batch, self.generator = made.case.batch, torch.Generator().manual_seed(0)
        rows = range(made.case.members)
        self.learners = [plain_member(made, row) for row in rows]
        each = len(stored) // len(rows)
        pieces = [slice(row * each, (row + 1) * each) for row in rows]
        columns = [{name: column[piece] for name, column in vars(stored).items()} for piece in pieces]
        self.replays = [PlainReplay(Transitions(**own), seed=row) for row, own in enumerate(columns)]

    def update(self, updates: int) -> None:
        """Update every member, one after another."""
        for learner, replay in zip(self.learners, self.replays, strict=True):
            for _ in range(updates):
                noise = torch.randn(self.batch, CHEETAH.action_size, generator=self.generator)
                learner.update(replay.sample(self.batch), noise)


def plain_member(made: Setup, row: int) -> PlainTD3:
    """Return a member as plain modules with the parameters of its row."""
    o, a, hidden = CHEETAH.observation_size, CHEETAH.action_size, made.case.hidden
    actor = perceptron((o, *hidden, a), output=nn.Tanh)
    critics = nn.ModuleList(perceptron((o + a, *hidden, 1)) for _ in range(2))
    vector_to_parameters(made.members.params[row].clone(), actor.parameters())
    vector_to_parameters(made.members.traits["critic"][row].clone(), critics.parameters())
    return PlainTD3(actor, list(critics), made.case.config)


def time_case(case: Case, updates: int, repeats: int, stored: int = STORED) -> dict[str, Timing]:
    """Time `updates` updates of all members: stacked, in a loop, and their bare products."""
    experience = transitions(case.members, stored)
    stacked, roofline = setup(case, experience), Roofline(case)
    loop = Loop(stacked, experience)
    works = {
        "stacked": lambda: stacked.update(updates),
        "loop": lambda: loop.update(updates),
        "products": lambda: roofline.update(updates),
    }
    return interleaved(works, repeats)


def measure(questions: Sequence[Question] = QUESTIONS, repeats: int = 5, stored: int = STORED) -> Result:
    """Time every case."""
    rows: list[list[Cell]] = []
    goals: list[Goal] = []
    for question in questions:
        case, timings = question.case, time_case(question.case, question.updates, repeats, stored)
        stacked, loop, products = (timings[name].best for name in ("stacked", "loop", "products"))
        each = 1e3 / (question.updates * case.members)
        rate = Roofline(case).flops(question.updates) / products / 1e9
        counts = "/".join(str(timings[name].threads) for name in timings)
        took = (stacked * each, loop * each, products * each, rate)
        rows.append([case.name, *took, counts, loop / stacked, products / stacked])
        goals += _goals(question, loop / stacked, products / stacked)
    columns = (
        *("members", "stacked, ms", "loop, ms", "products, ms"),
        *("GFLOP/s", "threads", "loop / stacked", "products / stacked"),
    )
    compared = (
        "Milliseconds of one update of one member, minibatch included. *Stacked* is this library; *loop* the same "
        "updates by plain modules, one member after another, with torch's fused Adam; *products* the bare `baddbmm` "
        "and `bmm` calls of the stacked update, of whose operations the rate is. Each at its better number of threads, "
        f"named in that order. Observations of 17, actions of 6, {stored:,} transitions a member; medians of {repeats} "
        "rounds by turns."
    )
    return Result("A TD3 update", compared, columns, rows, goals)


def _goals(question: Question, of_loop: float, of_products: float) -> list[Goal]:
    goals, name = [], f"TD3 update, {question.case.name}"
    if question.of_products is not None:
        goals.append(Goal(f"{name}: share of its products", question.of_products, of_products))
    if question.of_loop is not None:
        goals.append(Goal(f"{name}: against the loop", question.of_loop, of_loop))
    return goals


def measure_precision(case: Case = QUESTIONS[0].case, updates: int = 2, repeats: int = 3, size: int = 1024) -> Result:
    """Time updates and their bare products in single precision and in bfloat16."""
    kinds: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
    experience = transitions(case.members, 4 * case.batch)
    works: dict[str, Work] = {}
    for name, dtype in kinds.items():
        works[f"{name} update"] = partial(setup(replace(case, precision=name), experience).update, updates)
        works[f"{name} products"] = partial(Roofline(case, dtype).update, updates)
    timings = interleaved(works, repeats)
    rows: list[list[Cell]] = []
    for name, dtype in kinds.items():
        update, products = (timings[f"{name} {work}"].best for work in ("update", "products"))
        each = 1e3 / (updates * case.members)
        rate = Roofline(case).flops(updates) / products / 1e9
        gain = timings["fp32 update"].best / update
        rows.append([name, update * each, products * each, rate, product_rate(dtype, size), gain])
    square = f"GFLOP/s of {size} by {size}"
    columns = ("precision", "update, ms", "its products, ms", "GFLOP/s", square, "fp32 update / this")
    compared = (
        f"{case.name}: milliseconds of one update of one member, of its bare products, whose rate follows, and one "
        "square product, each at its better thread count."
    )
    return Result("What bfloat16 wins", compared, columns, rows)
