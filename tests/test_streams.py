"""Random streams: nobody's draws depend on who else draws, on block lengths, or on where a run was cut."""

import io
import random
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import PCG64, Generator, SeedSequence
from scipy import stats
from support import same
from torch import Tensor

from evorl.errors import ConfigError
from evorl.streams import RowStreams, Streams

Draw = Callable[[RowStreams, int], Tensor]

DRAWS: dict[str, Draw] = {
    "normal": lambda streams, k: streams.normal(k),
    "uniform": lambda streams, k: streams.uniform(-2.0, 3.0, k),
    "integers": lambda streams, k: streams.integers([1_000] * len(streams), k),
    "integers beyond 32 bits": lambda streams, k: streams.integers([2**40] * len(streams), k),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())


def through_a_file(state: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def global_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002


def global_draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.random(), np.random.randn()]  # noqa: NPY002, S311


def test_a_stream_is_pcg64_on_the_seed_the_checksum_of_its_name_and_its_key() -> None:
    sequence = SeedSequence(7, spawn_key=(zlib.crc32(b"explore"), 3))
    expected = Generator(PCG64(sequence)).standard_normal(5, dtype=np.float32)
    np.testing.assert_array_equal(Streams(7).rows("explore", [3]).normal(5)[0], expected)


def test_names_keys_and_seeds_each_give_a_stream_of_their_own() -> None:
    streams = [("a", (0,), 0), ("b", (0,), 0), ("a", (1,), 0), ("a", (0, 0), 0), ("a", (), 0), ("a", (0,), 1)]
    draws = [Streams(seed).generator(name, *key).standard_normal(4_000) for name, key, seed in streams]
    for first, second in combinations(draws, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(4_000)


def test_neighbouring_rows_and_seeds_have_nothing_in_common() -> None:
    rows = Streams(0).rows("explore", range(40)).normal(500)
    seeds = torch.cat([Streams(seed).rows("explore", [0]).normal(500) for seed in range(40)])
    for draws in (rows, seeds):
        correlation = torch.corrcoef(draws) - torch.eye(40)
        assert correlation.abs().max() < 5 / np.sqrt(500)


def test_a_draw_from_one_stream_does_not_move_another() -> None:
    disturbed = Streams(3)
    first = disturbed.rows("a", range(2)).normal(4)
    disturbed.rows("b", range(9)).normal(100)
    disturbed.generator("a", 0, 0).random(10)
    with disturbed.as_global("a"):
        global_draws()
    second = disturbed.rows("a", range(2)).normal(4)
    assert torch.equal(torch.cat([first, second], 1), Streams(3).rows("a", range(2)).normal(8))


@every_draw
def test_a_member_draws_the_same_alone_and_in_a_stack(draw: Draw) -> None:
    stacked = draw(Streams(5).rows("x", range(6)), 50)
    for row in range(6):
        assert torch.equal(draw(Streams(5).rows("x", [row]), 50)[0], stacked[row])


@every_draw
def test_the_numbers_do_not_depend_on_the_lengths_of_the_blocks(draw: Draw) -> None:
    at_once = draw(Streams(1).rows("x", range(3)), 120)
    streams = Streams(1).rows("x", range(3))
    in_blocks = torch.cat([draw(streams, length) for length in (1, 2, 3, 50, 1, 63)], dim=1)
    assert torch.equal(at_once, in_blocks)


def test_a_block_is_filled_in_order_whatever_its_shape() -> None:
    flat = Streams(1).rows("x", range(3)).normal(24)
    assert torch.equal(Streams(1).rows("x", range(3)).normal(2, 3, 4).flatten(1), flat)


def test_normals_uniforms_and_integers_follow_their_laws() -> None:
    streams = Streams(2).rows("x", range(2))
    normals, uniforms = streams.normal(5_000).flatten(), streams.uniform(-2.0, 3.0, 5_000).flatten()
    counts = torch.bincount(streams.integers([7, 7], 7_000).flatten(), minlength=7)
    assert (normals.dtype, uniforms.dtype) == (torch.float32, torch.float32)
    assert stats.kstest(normals.numpy(), "norm").pvalue > 0.01
    assert stats.kstest(uniforms.numpy(), "uniform", args=(-2, 5)).pvalue > 0.01
    assert len(counts) == 7
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_every_row_has_its_own_bound_for_integers() -> None:
    drawn = Streams(0).rows("x", range(3)).integers([1, 2, 50], 400)
    assert drawn.dtype == torch.int64
    assert drawn.amax(1).tolist() == [0, 1, 49]
    assert drawn.amin(1).tolist() == [0, 0, 0]


def test_a_bound_is_needed_for_each_row() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Streams(0).rows("x", range(3)).integers([4, 4], 1)


def test_distinct_numbers_are_a_subset_of_which_none_is_favoured() -> None:
    streams, n = Streams(2).rows("x", [0, 1]), 3_000
    drawn = torch.stack([streams.distinct([8, 5], 3) for _ in range(n)])
    assert all(len(set(row)) == 3 for row in drawn.flatten(0, 1).tolist())
    for row, high in enumerate([8, 5]):
        subsets = Counter(tuple(sorted(subset)) for subset in drawn[:, row].tolist())
        assert set(subsets) == set(combinations(range(high), 3))
        assert stats.chisquare(list(subsets.values())).pvalue > 0.01


def test_distinct_numbers_are_the_same_alone_and_in_a_stack_and_may_be_all_there_are() -> None:
    stacked = Streams(5).rows("x", range(4)).distinct([9, 9, 9, 9], 5)
    assert torch.equal(Streams(5).rows("x", [2]).distinct([9], 5)[0], stacked[2])
    assert sorted(Streams(5).rows("x", [0]).distinct([4], 4)[0].tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="larger sample"):
        Streams(5).rows("x", [0]).distinct([4], 5)


def test_chosen_rows_are_the_same_streams_and_not_copies() -> None:
    streams = Streams(4).rows("x", range(3))
    first = streams[[2, 0]].normal(5)
    second = streams.normal(5)
    whole = Streams(4).rows("x", range(3)).normal(10)
    assert torch.equal(first, whole[[2, 0], :5])
    assert torch.equal(second, torch.stack([whole[0, 5:], whole[1, :5], whole[2, 5:]]))


def test_a_stream_asked_for_again_goes_on_where_it_stopped() -> None:
    streams = Streams(4)
    halves = [streams.generator("x", 1).random(5), streams.generator("x", 1).random(5)]
    np.testing.assert_array_equal(np.concatenate(halves), Streams(4).generator("x", 1).random(10))


def test_the_seed_of_an_episode_is_known_whatever_was_drawn_before() -> None:
    streams = Streams(8)
    keys = [(generation, row, episode) for generation in range(10) for row in range(10) for episode in range(10)]
    seeds = [streams.episode_seed("fitness", *key) for key in keys]
    streams.rows("fitness", range(3)).normal(10)
    assert [streams.episode_seed("fitness", *key) for key in reversed(keys)] == seeds[::-1]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert not set(seeds) & {Streams(9).episode_seed("fitness", *key) for key in keys}
    assert not set(seeds) & {streams.episode_seed("test", *key) for key in keys}


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed must be at least 0, got -1"):
        Streams(-1)


@every_draw
def test_a_saved_stream_goes_on_as_if_it_had_not_been_cut(draw: Draw) -> None:
    uncut = Streams(6)
    draw(uncut.rows("x", range(3)), 7)  # an odd number, so that half a word of 64 bits is waiting
    state = through_a_file(uncut.state_dict())
    expected = draw(uncut.rows("x", range(3)), 20)
    resumed = Streams(0)
    resumed.load_state_dict(state)
    assert torch.equal(draw(resumed.rows("x", range(3)), 20), expected)
    assert resumed.episode_seed("fitness", 0, 1, 2) == uncut.episode_seed("fitness", 0, 1, 2)


def test_whoever_holds_a_stream_goes_on_with_it_after_loading() -> None:
    streams = Streams(6)
    held = streams.rows("x", range(2))
    held.normal(3)
    state = through_a_file(streams.state_dict())
    expected = held.normal(4)
    held.normal(9)
    streams.load_state_dict(state)
    assert torch.equal(held.normal(4), expected)


def test_a_stream_begun_after_the_saving_begins_anew() -> None:
    streams = Streams(6)
    state = streams.state_dict()
    held = streams.rows("x", [0])
    first = held.normal(4)
    streams.load_state_dict(state)
    assert torch.equal(held.normal(4), first)


def test_saving_draws_nothing() -> None:
    streams = Streams(6)
    held = streams.rows("x", [0])
    first = held.normal(4)
    with streams.as_global("deap"):
        second = global_draws()
    assert same(streams.state_dict(), streams.state_dict())
    plain = Streams(6)
    assert torch.equal(torch.cat([first, held.normal(4)], 1), plain.rows("x", [0]).normal(8))
    with plain.as_global("deap"):
        assert global_draws() == second


def test_the_guard_gives_the_same_numbers_whatever_the_global_state_was() -> None:
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        with Streams(3).as_global("deap"):
            drawn.append(global_draws())
    assert drawn[0] == drawn[1]
    with Streams(4).as_global("deap"):
        assert global_draws() != drawn[0]
    with Streams(3).as_global("cma"):
        assert global_draws() != drawn[0]


def test_the_guard_restores_the_global_states_and_goes_on_with_its_own() -> None:
    with Streams(3).as_global("deap"):
        at_once = global_draws() + global_draws()
    before = global_states()
    streams = Streams(3)
    in_pieces = []
    for _ in range(2):
        with streams.as_global("deap"):
            in_pieces += global_draws()
        assert same(global_states(), before)
    assert in_pieces == at_once


def test_the_guard_restores_and_keeps_its_place_after_an_exception() -> None:
    with Streams(3).as_global("deap"):
        at_once = global_draws() + global_draws()
    before = global_states()
    streams = Streams(3)
    first: list[float] = []

    def fail_in_the_guard() -> None:
        with streams.as_global("deap"):
            first.extend(global_draws())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_guard()
    assert same(global_states(), before)
    with streams.as_global("deap"):
        assert first + global_draws() == at_once


def test_a_saved_guard_goes_on_with_the_waiting_half_of_a_pair_of_normals() -> None:
    """`random.gauss` and the legacy `randn` make normals in pairs; the second waits in the state."""
    uncut = Streams(3)
    with uncut.as_global("deap"):
        global_draws()
    state = through_a_file(uncut.state_dict())
    with uncut.as_global("deap"):
        expected = global_draws()
    resumed = Streams(0)
    resumed.load_state_dict(state)
    with resumed.as_global("deap"):
        assert global_draws() == expected


def test_guards_of_different_names_may_stand_inside_each_other() -> None:
    streams, before = Streams(3), global_states()
    with streams.as_global("outer"):
        first = global_draws()
        with streams.as_global("inner"):
            inner = global_draws()
        second = global_draws()
    assert same(global_states(), before)
    with Streams(3).as_global("outer"):
        assert global_draws() + global_draws() == first + second
    with Streams(3).as_global("inner"):
        assert global_draws() == inner


def test_no_global_state_changes() -> None:
    before = global_states()
    streams = Streams(0)
    rows = streams.rows("x", range(2))
    rows.normal(3), rows.uniform(0, 1, 3), rows.integers([2, 2], 3)
    streams.episode_seed("fitness", 0)
    streams.load_state_dict(streams.state_dict())
    assert same(global_states(), before)
