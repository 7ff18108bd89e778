"""A hundred small learners: what they hold, and what a step of all of them allocates, grows with their number alone."""

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from evorl.algorithms.td3 import TD3, Config
from evorl.learning import OffPolicy, TD3Config
from evorl.policies import NetworkConfig

SMALL = NetworkConfig(hidden_sizes=(64, 64))
STEPS = 52


def members(n: int) -> TD3:
    """Return n TD3 members, 64-64 with minibatches of 128, on Pendulum-v1, whose replays take all of their steps."""
    learner = TD3Config(critic=SMALL, batch_size=128)
    config = Config(
        env_id="Pendulum-v1",
        population_size=n,
        network=SMALL,
        learner=learner,
        warmup_steps=50,
        interval=STEPS,
        total_timesteps=n * 1_000,
    )
    return TD3(config)


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)


def held(run: TD3) -> tuple[int, int]:
    """Return the bytes of all tensors that members inherit, and that their slots keep: population and replays."""
    assert isinstance(run.training, OffPolicy)
    states = run.population.state_dict(), run.training.replay.state_dict()
    of_population, of_replay = (sum(t.numel() * t.element_size() for t in tensors(state)) for state in states)
    return of_population, of_replay


class Allocated(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every tensor that an operation returns, views not."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call and count."""
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors([list(args), kwargs or {}])}
        result = func(*args, **(kwargs or {}))
        made = [tensor for tensor in tensors([result]) if tensor.untyped_storage().data_ptr() not in given]
        self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in made)
        return result


def per_member(n: int) -> tuple[float, float, float]:
    """Return the bytes that a member of n inherits, that its slot keeps, and that two of its updates make."""
    run = members(n)
    run.step()
    with Allocated() as allocated:
        run.training.act_and_learn(run.population, 2, 1)
    run.close()
    inherited, kept = held(run)
    return inherited / n, kept / n, allocated.bytes / n


@pytest.fixture(scope="module")
def sizes() -> dict[int, tuple[float, float, float]]:
    return {n: per_member(n) for n in (10, 100)}


def test_a_member_holds_as_much_among_a_hundred_as_among_ten(sizes: dict[int, tuple[float, float, float]]) -> None:
    assert sizes[100][:2] == sizes[10][:2]
    actor = (3 + 1) * 64 + (64 + 1) * 64 + (64 + 1)
    critics = 2 * ((4 + 1) * 64 + (64 + 1) * 64 + (64 + 1))
    assert sizes[10][0] == pytest.approx(4 * 4 * (actor + critics), rel=0.01), "networks, targets, two moments, float32"
    assert sizes[10][1] < 4 * 2 * STEPS * (3 + 1 + 1 + 3 + 1 + 2), "a ring that was doubled until it held all steps"


def test_an_update_of_a_member_allocates_no_more_among_a_hundred(
    sizes: dict[int, tuple[float, float, float]],
) -> None:
    assert sizes[100][2] <= 1.02 * sizes[10][2]
