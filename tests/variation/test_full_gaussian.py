"""DEAP's CMA-ES behind the interface of the diagonal Gaussian."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from deap import cma

import evorl
from evorl.algorithms.cem import CEM, Config
from evorl.errors import ConfigError
from evorl.policies import NetworkConfig
from evorl.population import Individual
from evorl.streams import Streams
from evorl.variation import FullGaussian

D, N = 5, 6


def told(samples: list[np.ndarray[Any, Any]]) -> list[Individual]:
    return [Individual(np.asarray(row), i, -float(np.square(row - 1).sum())) for i, row in enumerate(samples)]


def test_it_is_stock_cma_on_numbers_of_the_stream() -> None:
    ours = FullGaussian(np.zeros(D), N, Streams(3), variance_init=0.25)
    stock, streams = cma.Strategy(np.zeros(D), 0.5, lambda_=N), Streams(3)
    for _ in range(8):
        samples = ours.generate(np.asarray)
        with streams.as_global("vary"):
            expected = list(stock.generate(np.asarray))
        np.testing.assert_allclose(samples, expected, rtol=1e-9)
        ours.update(told(samples))
        stock.update(told(expected))
    np.testing.assert_allclose(ours.centroid, stock.centroid, rtol=1e-9)
    np.testing.assert_allclose(ours.variance, stock.sigma**2 * np.diag(stock.C), rtol=1e-9)


def test_it_does_not_collapse_where_all_is_equal_or_the_optimum_is_reached() -> None:
    ours = FullGaussian(np.zeros(4), 6, Streams(0))
    for _ in range(1_500):
        ours.update(told(ours.generate(np.asarray)))
    assert np.isfinite(ours.centroid).all()
    assert (ours.variance > 0).all()
    ours = FullGaussian(np.zeros(2), 10, Streams(1))
    for _ in range(1_500):
        samples = [
            Individual(np.asarray(row), i, -float(row[0] ** 2)) for i, row in enumerate(ours.generate(np.asarray))
        ]
        ours.update(samples)
        assert np.isfinite(np.stack(ours.generate(np.asarray))).all()


def test_it_goes_on_from_a_saved_state_as_if_it_had_not_been_cut() -> None:
    streams = Streams(3)
    ours = FullGaussian(np.zeros(D), N, streams)
    ours.update(told(ours.generate(np.asarray)))
    file = io.BytesIO()
    torch.save({"strategy": ours.state_dict(), "streams": streams.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed_streams = Streams(0)
    resumed = FullGaussian(np.ones(D), N, resumed_streams)
    resumed_streams.load_state_dict(state["streams"])
    resumed.load_state_dict(state["strategy"])
    for strategy in (ours, resumed):
        for _ in range(3):
            strategy.update(told(strategy.generate(np.asarray)))
    np.testing.assert_array_equal(ours.centroid, resumed.centroid)
    np.testing.assert_array_equal(ours.generate(np.asarray), resumed.generate(np.asarray))


def test_it_drives_cem_to_the_optimum_of_the_quadratic_and_keeps_the_contract() -> None:
    settings: dict[str, Any] = {"network": NetworkConfig(hidden_sizes=(2,)), "covariance": "full"}
    config: Config = CEM.preset(
        "quick", env_id="evorl/Quadratic-v0", total_timesteps=2_000, variance_init=0.1, **settings
    )
    evorl.check_algorithm(CEM, config)
    run = CEM(config)
    while not run.finished:
        run.step()
    assert run.play_fitness(run.answer()).fitness.item() > -0.01


def test_a_population_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="population_size must be at least 2, got 1"):
        FullGaussian(np.zeros(D), 1, Streams(0))


def test_all_covariances_of_a_large_policy_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^covariance must be diagonal for a policy of more than 3,000 parameters"):
        CEM.check(CEM.preset("published", env_id="evorl/Quadratic-v0", covariance="full"))


def test_eigenvalues_that_rounding_took_below_nothing_are_raised_and_the_others_kept() -> None:
    ours = FullGaussian(np.zeros(3), N, Streams(2), variance_init=0.25)
    state = ours.state_dict()
    state["arrays"]["C"] = torch.diag(torch.tensor([4.0, 1.0, -1.0], dtype=torch.float64))
    ours.load_state_dict(state)
    stock = cma.Strategy(np.zeros(3), 0.5, lambda_=N)
    stock.C = np.diag([4.0, 1.0, -1.0])
    samples = ours.generate(np.asarray)
    ours.update(told(samples))
    with np.errstate(invalid="ignore"):
        stock.update(told(samples))
    expected = np.linalg.eigvalsh(stock.C)
    assert expected[0] < 0 < expected[1]
    found = np.linalg.eigvalsh(ours.state_dict()["arrays"]["C"].numpy())
    np.testing.assert_allclose(found, np.maximum(expected, 1e-14 * expected[-1]), rtol=1e-9, atol=1e-14)
    assert (ours.variance > 0).all()
    assert np.isfinite(ours.generate(np.asarray)).all()
