"""Members without an environment, whose one parameter grows by a gain that a test makes of their h."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evorl.algorithms.pb2 import PB2
from evorl.learning import OnCopy
from evorl.policies import NetworkConfig
from evorl.population import Population

#: Takes members and a round; returns what each gains (n,).
Gain = Callable[[Population, int], Tensor]
INTERVAL = 10


class Climbing:
    """What stands in for acting and learning."""

    exact = True

    def __init__(self, run: PB2[Any], gain: Gain) -> None:
        self.run, self.gain = run, gain
        self.tunable: Mapping[str, tuple[float, float]] = dict.fromkeys(("x", "y", "kind"), (-1e9, 1e9))

    def init(self, params: Tensor, rows: Sequence[int]) -> dict[str, Tensor]:
        return {}

    def act_and_learn(self, candidates: Population, steps: int, generation: int) -> Population:
        self.run.ledger.count_steps("train", steps * len(candidates))
        return candidates.with_params(candidates.params + self.gain(candidates, generation)[:, None].float())

    def follow(self, plan: Tensor, replay: OnCopy) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


def climbing(algorithm: type[PB2[Any]], gain: Gain, begin: float = 0.0, noise: float = 0.0) -> type[PB2[Any]]:
    """Return the algorithm on members that begin at `begin` times their row and whose return is their parameter."""

    def make_training(self: PB2[Any]) -> Climbing:
        return Climbing(self, gain)

    def fresh(self: PB2[Any], rows: Sequence[int]) -> Population:
        return self.members(begin * np.array(rows)[:, None], "initial")

    def evaluate(self: PB2[Any], candidates: Population) -> Population:
        measured = noise * self.streams.rows("measured", range(len(candidates))).normal()
        return candidates.with_fitness(candidates.params[:, 0].double() + measured)

    methods = {"make_training": make_training, "fresh": fresh, "evaluate": evaluate}
    return type(algorithm.__name__, (algorithm,), {"name": algorithm.name, **methods})


def settings(n: int = 4, rounds: int = 50, **further: Any) -> dict[str, Any]:
    """Return settings of a problem without an environment."""
    common = {"warmup_steps": 1, "interval": INTERVAL, "burn_in": 0, "network": NetworkConfig(hidden_sizes=(4,))}
    own = {"env_id": "evorl/Quadratic-v0", "population_size": n, "total_timesteps": n * rounds * INTERVAL}
    return {"space": {"x": "0:1"}, **common, **own, **further}


def steady(members: Population, generation: int) -> Tensor:
    """Every member gains 1, whatever its h."""
    return torch.ones(len(members), dtype=torch.float64)
