"""How differently policies act on the same observations: the distance of P3S-TD3 (Jung, Park & Sung 2020)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from evorl.policies.network import Network

#: What is done over the coordinates of an action: `sum` in the paper, `mean` in the authors' code.
Coordinates = Literal["sum", "mean"]


def policy_distance(
    network: Network, params: Tensor, others: Tensor, observations: Tensor, coordinates: Coordinates
) -> Tensor:
    """Return `1/2 ||actor(s) - other(s)||^2` at each observation, (n, b): at least 0, and 0 for equal policies.

    Args:
        network: that of all policies.
        params: (n, d).
        others: (n, d), or one row that all are compared with.
        observations: (n, b, o).
        coordinates: whether the squares are summed, or averaged, at most 2 for actions in [-1, 1].
    """
    squares = 0.5 * (network(params, observations) - network(others, observations)).square()
    return squares.sum(-1) if coordinates == "sum" else squares.mean(-1)
