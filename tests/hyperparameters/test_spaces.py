"""Spaces: independent draws, the unit cube, the words of the command line, faults that name what was wrong."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from evorl.cli.parsing import parse
from evorl.errors import ConfigError
from evorl.hyperparameters import Categorical, Float, Int, Ordinal, Space, SpaceForms, parse_space, traits_of
from evorl.running.settings import differences, from_plain, to_plain
from evorl.streams import Streams

SPACE = Space(
    {
        "rate": Float(1e-5, 1e-2, "log"),
        "discount": Float(0.9, 0.999, "complement"),
        "epochs": Int(1, 20),
        "width": Ordinal((16, 32, 64)),
        "norm": Categorical((0.5, 3)),
    }
)
WORDS = [
    "rate=log:1e-05:0.01",
    "discount=complement:0.9:0.999",
    "epochs=int:1:20",
    "width=ordinal:16,32,64",
    "norm=categorical:0.5,3",
]
TUNABLE = {"rate": (1e-6, 1.0), "discount": (0.0, 1.0), "tau": (0.0, 1.0)}
FORM = "[log:|complement:]LOW:HIGH, int:[log:]LOW:HIGH, ordinal:A,B,... or categorical:A,B,..."


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings with a space."""

    space: SpaceForms = dataclasses.field(default_factory=dict)
    """What is searched."""


def parsed(*words: str) -> dict[str, str]:
    return parse(Settings, words, "test", "").space


def test_a_member_draws_the_same_alone_and_in_a_population() -> None:
    together = SPACE.sample(Streams(3).rows("prior", range(5)))
    alone = SPACE.sample(Streams(3).rows("prior", [4]))
    assert all(torch.equal(together[name][4:], alone[name]) for name in SPACE)
    assert all(value.dtype == torch.float64 and value.shape == (5,) for value in together.values())


def test_every_hyperparameter_is_drawn_from_its_prior() -> None:
    streams = Streams(0)
    draws = [SPACE.sample(streams.rows("prior", range(10))) for _ in range(400)]
    drawn = {name: torch.cat([draw[name] for draw in draws]).numpy() for name in SPACE}
    assert stats.kstest(drawn["rate"], stats.loguniform(1e-5, 1e-2).cdf).pvalue > 0.01
    assert stats.kstest(1 - drawn["discount"], stats.loguniform(1e-3, 0.1).cdf).pvalue > 0.01
    for name in ("epochs", "width", "norm"):
        assert stats.chisquare(np.unique(drawn[name], return_counts=True)[1]).pvalue > 0.01


def test_draws_of_two_hyperparameters_are_independent() -> None:
    streams = Streams(1)
    draws = [SPACE.to_unit(SPACE.sample(streams.rows("prior", range(10)))) for _ in range(400)]
    halves = (torch.cat(draws) > 0.5).numpy()
    for first in range(len(SPACE)):
        for second in range(first):
            table = np.histogram2d(halves[:, first], halves[:, second], bins=2)[0]
            assert stats.chi2_contingency(table).pvalue > 0.001


def test_the_unit_cube_has_a_column_for_each_name_in_order() -> None:
    values = SPACE.sample(Streams(0).rows("prior", range(6)))
    cube = SPACE.to_unit(values)
    assert cube.shape == (6, 5)
    for column, (name, kind) in enumerate(SPACE.items()):
        assert torch.equal(cube[:, column], kind.to_unit(values[name]))
        torch.testing.assert_close(SPACE.from_unit(cube)[name], values[name], rtol=1e-12, atol=0)


def test_values_go_to_traits_and_back_and_are_clipped_by_name() -> None:
    values = {name: torch.full((2,), 50.0, dtype=torch.float64) for name in SPACE}
    traits = traits_of(SPACE.clip(values))
    assert {name: trait.tolist() for name, trait in traits.items()} == {
        "h.rate": [0.01] * 2,
        "h.discount": [0.999] * 2,
        "h.epochs": [20] * 2,
        "h.width": [64] * 2,
        "h.norm": [3] * 2,
    }
    assert list(SPACE.values_of({**traits, "critic": torch.zeros(2, 3)})) == list(SPACE)


def test_the_report_holds_every_value_and_the_spread_over_that_of_the_prior() -> None:
    space = Space({"rate": Float(1e-4, 1e-2, "log"), "epochs": Int(1, 20)})
    traits = {"h.rate": torch.tensor([1e-4, 1e-2], dtype=torch.float64), "h.epochs": torch.full((2,), 3.0).double()}
    report = space.report(traits, "pbt")
    assert report.pop("pbt/rate/spread") == pytest.approx(np.std([0, 1]) / stats.uniform().std())
    assert report == {
        "pbt/rate/00": 1e-4,
        "pbt/rate/01": 1e-2,
        "pbt/epochs/00": 3.0,
        "pbt/epochs/01": 3.0,
        "pbt/epochs/spread": 0.0,
    }
    prior = space.sample(Streams(0).rows("prior", range(2_000)))
    assert space.report(traits_of(prior), "pbt")["pbt/rate/spread"] == pytest.approx(1, abs=0.05)


def test_an_empty_space_draws_nothing() -> None:
    assert Space({}).sample(Streams(0).rows("prior", range(3))) == Space({}).report({}, "pbt") == {}
    assert parse_space([]) == Space({})


def test_words_become_the_space_and_the_space_becomes_words() -> None:
    assert parse_space(WORDS) == SPACE
    assert [f"{name}={form}" for name, form in SPACE.forms().items()] == WORDS
    assert Space.parse(SPACE.forms()) == SPACE
    assert parse_space(["x=0:1", "y=int:log:1:1e3"]) == Space({"x": Float(0, 1), "y": Int(1, 1000, "log")})


def test_the_command_line_reads_words_and_a_config_holds_them_through_json() -> None:
    forms = parsed("--space", *WORDS)
    assert forms == SPACE.forms()
    stored = json.loads(json.dumps(to_plain(Settings(space=forms))))
    assert from_plain(Settings, stored) == Settings(space=forms)
    assert parsed() == {}
    other = to_plain(Settings(space={**forms, "epochs": "int:1:9"}))
    assert differences(stored, other) == ["space.epochs: int:1:20 -> int:1:9"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x", f"space must be words NAME=FORM, FORM being {FORM}, got 'x'"),
        ("=0:1", f"space must be words NAME=FORM, FORM being {FORM}, got '=0:1'"),
        ("x=", f"space of x must be {FORM}, got ''"),
        ("x=3", f"space of x must be {FORM}, got '3'"),
        ("x=log:log:1:2", f"space of x must be {FORM}, got 'log:log:1:2'"),
        ("x=ordinal:1:2", f"space of x must be {FORM}, got 'ordinal:1:2'"),
        ("x=1:0", "space of x: low must not be above high, and both must be finite, got low 1 and high 0, in '1:0'"),
        ("x=log:0:1", "space of x: low must be above 0 on a log scale, got 0, in 'log:0:1'"),
        ("x=int:1:2.5", "space of x: high must be an integer, got 2.5, in 'int:1:2.5'"),
        (
            "x=categorical:relu,elu",
            "space of x: a number was needed, since learners read numbers, got 'relu', in 'categorical:relu,elu'",
        ),
        (
            "x=lgo:1:2",
            "space of x: scale must be one of linear, log, complement, got 'lgo'; did you mean 'log'?, in 'lgo:1:2'",
        ),
    ],
)
def test_a_word_that_is_no_space_is_refused_in_one_line(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_space([word])
    assert str(raised.value) == message
    with pytest.raises(ConfigError) as raised:
        parsed("--space", word)
    said = "".join(str(raised.value).split())  # the command line wraps long complaints
    assert "".join(message.split()) in said


def test_a_name_that_comes_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^space must name x once, got x=0:1 and x=0:2$"):
        parse_space(["x=0:1", "x=0:2"])


def test_a_kind_in_place_of_its_form_is_refused_where_forms_are_needed() -> None:
    with pytest.raises(ConfigError, match=r"^space of x must be .* got Float\(low=0, high=1"):
        Space.parse({"x": Float(0, 1)})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"rte": Float(0, 1)}, "space must name some of rate, discount, tau, got 'rte'; did you mean 'rate'?"),
        ({"xyzzy": Float(0, 1)}, "space must name some of rate, discount, tau, got 'xyzzy'"),
        (
            {"epochs": Int(1, 9)},
            "space must name some of rate, discount, tau, got 'epochs': all members update at the same time",
        ),
        (
            {"gradient_clip": Float(0, 1)},
            "space must name some of rate, discount, tau, got 'gradient_clip': it is one setting for all members",
        ),
        ({"rate": Float(1e-7, 0.1, "log")}, "space of rate must lie between 1e-06 and 1.0, got log:1e-07:0.1"),
        ({"tau": Ordinal((0.5, 2))}, "space of tau must lie between 0.0 and 1.0, got ordinal:0.5,2"),
    ],
)
def test_what_a_learner_cannot_vary_is_refused_with_the_reason(space: dict[str, Float], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Space(space).require_tunable(TUNABLE, ["gradient_clip", "rate"])
    assert str(raised.value) == message


def test_what_a_learner_can_vary_is_let_through() -> None:
    Space({"rate": Float(1e-6, 1), "tau": Ordinal((0, 1)), "discount": Float(0.9, 0.9)}).require_tunable(TUNABLE)
