"""Which Gaussian the settings make."""

from typing import Any

import numpy as np
import pytest

from evorl.errors import ConfigError
from evorl.streams import Streams
from evorl.variation import DiagonalGaussian, FullGaussian, MixingGaussian, StrategyConfig, make_strategy


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, DiagonalGaussian),
        ({"covariance": "full"}, FullGaussian),
        ({"importance_mixing": True}, MixingGaussian),
    ],
)
def test_the_strategy_is_the_one_asked_for_with_the_settings_given(settings: dict[str, Any], kind: type) -> None:
    config = StrategyConfig(variance_init=0.25, **settings)
    strategy = make_strategy(np.array([1.0, 2.0]), 6, Streams(0), config)
    assert type(strategy) is kind
    assert strategy.centroid.tolist() == [1.0, 2.0]
    np.testing.assert_allclose(strategy.variance, 0.25)
    assert len(strategy.generate(np.asarray)) == 6


def test_the_diagonal_ones_draw_the_same_samples() -> None:
    plain, mixing = (
        make_strategy(np.zeros(3), 6, Streams(5), StrategyConfig(importance_mixing=switch)) for switch in (False, True)
    )
    np.testing.assert_array_equal(plain.generate(np.asarray), mixing.generate(np.asarray))


def test_mixing_with_all_covariances_is_refused() -> None:
    with pytest.raises(ConfigError) as raised:
        make_strategy(np.zeros(2), 4, Streams(0), StrategyConfig(covariance="full", importance_mixing=True))
    assert str(raised.value) == "covariance must be diagonal for importance_mixing, got 'full'"
