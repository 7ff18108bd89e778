"""MuJoCo's tasks stepped together equal Gymnasium's own environments bit for bit, and what cannot falls back."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from support import counted, members_of, same, small_policy

import evorl.envs
from evorl.algorithms.cem import CEM, Config
from evorl.budget import Ledger
from evorl.envs import GymnasiumEnvs, MujocoBatchEnvs, describe, make
from evorl.envs.member_envs import MemberEnvs
from evorl.envs.mujoco_tasks import RULES
from evorl.errors import ConfigError, EnvironmentFault
from evorl.interaction import Collector
from evorl.policies import NetworkConfig
from evorl.streams import Streams
from evorl.task import Backend, Task

pytest.importorskip("mujoco.batch")

TASKS = sorted(env_id for env_id, spec in gymnasium.registry.items() if str(spec.entry_point) in RULES)
BACKENDS: tuple[Backend, ...] = ("gymnasium", "mujoco-batch")
#: What falls, or leaves its range, within a few dozen random steps.
FALLING = {"Hopper", "Walker2d", "Humanoid", "InvertedPendulum", "InvertedDoublePendulum"}
#: Rows stepped side by side.
N = 3


def equal(first: Sequence[np.ndarray[Any, Any]], second: Sequence[np.ndarray[Any, Any]]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(one.dtype == other.dtype and np.array_equal(one, other) for one, other in pairs)


def play(task: Task, steps: int, seed: int, threads: int = 2) -> dict[str, int]:
    """Step ever other rows of both back ends with the same actions, and check that they say the same.

    Every row that ends starts again while the others go on. Some actions are small, so that some episodes are long.

    Returns:
        How many episodes `terminated` and were `truncated`.
    """
    ours, theirs, rng = MujocoBatchEnvs(task, N, threads), GymnasiumEnvs(task, N), np.random.default_rng(seed)
    ends = {"terminated": 0, "truncated": 0}
    due, following = list(range(N)), seed * 1_000
    for _ in range(steps):
        if due:
            seeds = [following + row for row in due]
            assert equal([ours.reset(due, seeds)], [theirs.reset(due, seeds)])
            following += N
        rows = rng.permutation(N)[: rng.integers(1, N + 1)].tolist()
        actions = rng.uniform(-1.2, 1.2, (len(rows), task.action_size)).astype(np.float32) * rng.choice([0.02, 1])
        stepped = ours.step(rows, actions)
        assert equal(stepped, theirs.step(rows, actions))
        ends["terminated"] += int(stepped[2].sum())
        ends["truncated"] += int(stepped[3].sum())
        due = [row for row, over in zip(rows, stepped[2] | stepped[3], strict=True) if over]
    return ends


def test_every_task_of_gymnasium_that_can_be_batched_is() -> None:
    names = {"Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum"}
    names |= {"InvertedPendulum", "Pusher", "Reacher", "Swimmer", "Walker2d"}
    assert {f"{name}-v{version}" for name in names for version in (4, 5)} - {"Pusher-v4"} == set(TASKS)


@pytest.mark.parametrize("env_id", TASKS)
def test_rows_equal_gymnasiums_environments_bit_for_bit(env_id: str) -> None:
    task = describe(env_id, {"max_episode_steps": 30})
    ends = play(task, 100, seed=1)
    assert ends["terminated" if env_id.rpartition("-")[0] in FALLING else "truncated"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("env_id", TASKS)
def test_whole_episodes_equal_gymnasiums(env_id: str, seed: int) -> None:
    play(describe(env_id), 2_500, seed)


RUNNER = {"forward_reward_weight": 2, "ctrl_cost_weight": 0.37, "reset_noise_scale": 0.03}
HEALTHY = {"healthy_reward": 0.7, "terminate_when_unhealthy": False, "healthy_z_range": (0.9, 1.3)}
SEEN = {"exclude_current_positions_from_observation": False}
HUMANOID = {f"include_{name}_in_observation": False for name in ("cinert", "qfrc_actuator")}

FELT = {f"include_{name}_in_observation": False for name in ("cvel", "cfrc_ext")}
FORCES = {"contact_force_range": (-0.3, 0.3)}


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("HalfCheetah-v5", {**RUNNER, **SEEN, "frame_skip": 2}),
        ("HalfCheetah-v4", {**RUNNER, **SEEN}),
        ("Swimmer-v5", {**RUNNER, **SEEN, "frame_skip": 3}),
        ("Hopper-v5", {**RUNNER, **HEALTHY, **SEEN, "healthy_state_range": (-1.5, 2.0)}),
        ("Hopper-v4", {**RUNNER, **HEALTHY, "healthy_angle_range": (-0.05, 0.05)}),
        ("Walker2d-v5", {**RUNNER, **HEALTHY, **SEEN, "terminate_when_unhealthy": True}),
        ("Walker2d-v4", {**RUNNER, **HEALTHY}),
        ("Ant-v5", {**RUNNER, **SEEN, "include_cfrc_ext_in_observation": False, "main_body": "aux_1"}),
        ("Ant-v5", {**HEALTHY, "contact_force_range": (-0.2, 0.5), "contact_cost_weight": 0.3, "main_body": 3}),
        ("Ant-v4", {"use_contact_forces": True, "contact_cost_weight": 0.1, "healthy_reward": 2.0}),
        ("Humanoid-v5", {**RUNNER, **SEEN, **HUMANOID, "contact_cost_weight": 1e-3, "contact_cost_range": (0.1, 0.5)}),
        ("Humanoid-v4", {**RUNNER, **SEEN, "terminate_when_unhealthy": False}),
        ("HumanoidStandup-v5", {**SEEN, **HUMANOID, "uph_cost_weight": 3, "impact_cost_weight": 1e-3}),
        ("Reacher-v5", {"reward_dist_weight": 0.3, "reward_control_weight": 0.11}),
        ("Pusher-v5", {"reward_near_weight": 0.3, "reward_dist_weight": 0.7, "reward_control_weight": 0.13}),
        ("InvertedPendulum-v5", {"reset_noise_scale": 0.15, "frame_skip": 1}),
        ("InvertedDoublePendulum-v5", {"healthy_reward": 3, "reset_noise_scale": 0.2}),
        ("Swimmer-v4", {**RUNNER, **SEEN}),
        ("Hopper-v5", {"frame_skip": 2, "xml_file": "hopper.xml"}),
        ("Walker2d-v5", {"healthy_angle_range": (-0.3, 0.2), "frame_skip": 2, "xml_file": "walker2d.xml"}),
        ("Ant-v5", {"frame_skip": 3, "xml_file": "ant.xml"}),
        ("Ant-v4", {**HEALTHY, **FORCES, "healthy_z_range": (0.4, 0.8), "use_contact_forces": True}),
        ("Humanoid-v5", {"healthy_reward": 3.0, "healthy_z_range": (1.1, 1.9), **FELT, "frame_skip": 3}),
        ("Humanoid-v5", {"terminate_when_unhealthy": False, "xml_file": "humanoid.xml"}),
        ("HumanoidStandup-v5", {**FELT, "impact_cost_range": (0.0, 0.01), "impact_cost_weight": 1e-3, "frame_skip": 3}),
        ("Reacher-v5", {"frame_skip": 3, "xml_file": "reacher.xml"}),
        ("Pusher-v5", {"frame_skip": 3}),
        ("InvertedDoublePendulum-v5", {"frame_skip": 3}),
    ],
)
def test_the_arguments_of_a_task_count(env_id: str, kwargs: dict[str, Any]) -> None:
    play(describe(env_id, {**kwargs, "max_episode_steps": 30}), 60, seed=2)


# Rows.

CHEETAH = {"max_episode_steps": 60}


def returns(envs: MemberEnvs, steps: int = 50) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    envs.reset(range(N), range(N))
    return np.stack([envs.step(range(N), rng.uniform(-1, 1, (N, 6)).astype(np.float32))[1] for _ in range(steps)])


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    task = describe("HalfCheetah-v5", CHEETAH)
    first, *others = (returns(MujocoBatchEnvs(task, N, threads)) for threads in (1, 2, 3))
    assert all(np.array_equal(first, other) for other in others)


def test_physics_has_as_many_threads_as_torch_and_no_more_than_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    task = describe("HalfCheetah-v5")
    assert [MujocoBatchEnvs(task, n)._batch.nthread for n in (1, 4)] == [1, 2]


def test_a_row_does_the_same_alone_as_beside_others() -> None:
    task, rng = describe("Ant-v5"), np.random.default_rng(0)
    together, alone = MujocoBatchEnvs(task, N), MujocoBatchEnvs(task, 1)
    together.reset([2, 0, 1], [7, 8, 9])
    alone.reset([0], [7])
    for rows in ([2, 1, 0], [2], [0, 2], [2, 1]):
        actions = rng.uniform(-1, 1, (len(rows), 8)).astype(np.float32)
        place = rows.index(2)
        stepped = [column[[place]] for column in together.step(rows, actions)]
        assert equal(stepped, alone.step([0], actions[[place]]))


def test_a_row_must_be_reset_before_it_is_stepped_and_after_it_was_closed() -> None:
    envs, actions = MujocoBatchEnvs(describe("InvertedPendulum-v5"), 2), np.zeros((1, 1), np.float32)
    first = envs.reset([1], [4])
    with pytest.raises(RuntimeError, match="row 0 must be reset before it is stepped"):
        envs.step([0], actions)
    envs.close()
    envs.close()
    with pytest.raises(RuntimeError, match="row 1 must be reset"):
        envs.step([1], actions)
    np.testing.assert_array_equal(envs.reset([1], [4]), first)
    envs.step([1], actions)
    assert len(envs) == 2
    with pytest.raises(ValueError, match="shorter"):
        envs.reset([0, 1], [5])


def test_a_fault_names_the_member_and_the_step_of_its_episode() -> None:
    task = describe("Hopper-v5")
    for envs in (MujocoBatchEnvs(task, 3), GymnasiumEnvs(task, 3)):
        envs.reset([0, 1, 2], [0, 0, 0])
        envs.step([2, 0], np.zeros((2, 3), np.float32))
        with pytest.raises(EnvironmentFault, match=r"^Hopper-v5, member 2, step 2 of its episode: its reward must be"):
            envs.step([0, 2], np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))


# In use.


def test_a_resumed_collector_comes_back_to_where_its_simulations_stood() -> None:
    task = describe("Ant-v5")
    policy = small_policy(task, exploration_noise=0.3)

    def collector(streams: Streams) -> Collector:
        return Collector(MujocoBatchEnvs(task, N), N, task, policy, streams, Ledger())

    first, members = collector(Streams(5)), members_of(policy, N)
    for _ in range(12):
        first.step(members, 0)
    streams = Streams(5)
    second = collector(streams)
    streams.load_state_dict(first.streams.state_dict())
    second.load_state_dict(first.state_dict())
    assert second.exact
    assert second.ledger.steps["restored"] == 12 * N
    for _ in range(5):
        one, other = first.step(members, 0).transitions, second.step(members, 0).transitions
        assert same(vars(one), vars(other))


def test_an_evolution_is_the_same_on_both_back_ends() -> None:
    populations, steps = [], []
    for backend in BACKENDS:
        settings: dict[str, Any] = {"population_size": 4, "network": NetworkConfig(hidden_sizes=(8,))}
        run = CEM(Config(env_id="Hopper-v5", env_kwargs={"max_episode_steps": 25}, backend=backend, **settings))
        run.step()
        run.step()
        populations.append(run.population.params.clone())
        steps.append(run.ledger.steps["fitness"])
        run.close()
    assert torch.equal(*populations)
    assert steps[0] == steps[1] > 0


# Choosing.


@pytest.fixture(autouse=True)
def _untold() -> Iterator[None]:
    evorl.envs._tell.cache_clear()
    yield
    evorl.envs._tell.cache_clear()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "evorl.envs"]


def asked(task: Task, backend: Any) -> Task:
    return Task.from_state({**task.state_dict(), "backend": backend})


def test_mujocos_tasks_are_batched_unless_another_back_end_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    task = describe("HalfCheetah-v5")
    assert isinstance(make(task, 2), MujocoBatchEnvs)
    assert isinstance(make(asked(task, "mujoco-batch"), 2), MujocoBatchEnvs)
    assert isinstance(make(asked(task, "gymnasium"), 2), GymnasiumEnvs)
    assert isinstance(make(describe("Pendulum-v1"), 2), GymnasiumEnvs)
    assert told(caplog) == []


class Easier(HalfCheetahEnv):
    """Rewards otherwise."""

    def step(self, action: Any) -> Any:
        observation, reward, *others = super().step(action)  # type: ignore[no-untyped-call]
        return observation, reward + 1, *others


@pytest.fixture
def easier() -> Iterator[str]:
    name = "tests/Easier-v0"
    gymnasium.register(name, entry_point=Easier, max_episode_steps=10)
    yield name
    del gymnasium.registry[name]


def test_a_subclass_of_a_task_is_stepped_by_gymnasium(easier: str) -> None:
    task = describe(easier)
    assert isinstance(make(task, 2), GymnasiumEnvs)
    with pytest.raises(
        ConfigError, match=r"^backend mujoco-batch cannot step tests/Easier-v0: its rules are not known$"
    ):
        make(asked(task, "mujoco-batch"), 2)


def falls_back(task: Task, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """Check that Gymnasium steps the task, which is said once, and that asking for the batch is refused."""
    assert isinstance(make(task, 2), GymnasiumEnvs)
    assert isinstance(make(task, 2), GymnasiumEnvs)
    assert [why in line for line in told(caplog)] == [True]
    with pytest.raises(ConfigError, match=f"backend mujoco-batch cannot step {task.env_id}: .*{why}"):
        make(asked(task, "mujoco-batch"), 2)


def test_a_task_in_other_wrappers_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    with counted():
        falls_back(describe("Hopper-v5"), "it is wrapped in Counting", caplog)


def test_a_task_that_is_drawn_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    falls_back(describe("Hopper-v5", {"render_mode": "rgb_array"}), "render_mode is 'rgb_array'", caplog)


def test_without_batches_in_mujoco_a_task_falls_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mujoco.batch", None)
    falls_back(describe("Hopper-v5"), "it needs mujoco 3.17 or later", caplog)


def test_an_environment_whose_steps_are_not_the_known_ones_falls_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HalfCheetahEnv, "step", lambda self, action: (self._get_obs(), 0.0, False, False, {}))
    falls_back(describe("HalfCheetah-v5"), "its steps differ from Gymnasium's own", caplog)


def test_a_task_that_is_not_mujocos_cannot_be_asked_for_in_batches() -> None:
    with pytest.raises(ConfigError, match=r"^backend mujoco-batch cannot step Pendulum-v1: its rules are not known$"):
        make(asked(describe("Pendulum-v1"), "mujoco-batch"), 2)


def test_a_task_that_is_not_registered_is_refused_when_it_is_reset() -> None:
    task = Task("tests/Nowhere-v0", 1, (-1.0,), (1.0,), None)
    with pytest.raises(ConfigError, match="env_id must name a registered environment, got 'tests/Nowhere-v0'"):
        make(task, 1).reset([0], [0])
