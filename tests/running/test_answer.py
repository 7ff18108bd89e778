"""The answer of a run: it acts as its policy does, in the bounds of the environment."""

import shutil
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import evorl
from evorl.algorithms import cem, td3
from evorl.envs import describe
from evorl.errors import RunFolderError
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig, stochastic_policy
from evorl.population import Identities, Population
from evorl.running.answer import Answer
from evorl.streams import Streams

TINY = NetworkConfig(hidden_sizes=(4,), last_layer_scale=50.0)
LOPSIDED = "tests/Lopsided-v0"


class Lopsided(gymnasium.Env[np.ndarray, np.ndarray]):
    """Its bounds differ by coordinate and are not about zero; an action beyond them is a fault."""

    observation_space = Box(-np.inf, np.inf, (2, 3), np.float64)
    action_space = Box(np.array([-2, 10], np.float32), np.array([0, 11], np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.np_random.normal(size=(2, 3)), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise ValueError(f"out of bounds: {action}")
        return self.np_random.normal(size=(2, 3)), float(action.sum()), False, False, {}


if LOPSIDED not in gymnasium.registry:
    gymnasium.register(LOPSIDED, entry_point=Lopsided, max_episode_steps=5)  # type: ignore[arg-type]

CONFIGS = [
    cem.Config(env_id=LOPSIDED, population_size=2, total_timesteps=30, network=TINY),
    td3.Config(
        env_id=LOPSIDED,
        population_size=2,
        total_timesteps=60,
        warmup_steps=5,
        interval=10,
        network=TINY,
        learner=TD3Config(critic=TINY, batch_size=4),
    ),
]


@pytest.fixture(scope="module", params=CONFIGS, ids=["cem", "td3"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return evorl.train(request.param, evorl.Running(runs=str(runs), final_episodes=2, progress=False)).folder


def observations() -> np.ndarray:
    found: np.ndarray = np.random.default_rng(0).normal(size=(200, 2, 3))
    return found


def test_actions_are_in_the_bounds_of_the_environment(folder: Path) -> None:
    answer, space = evorl.load(folder), Lopsided.action_space
    actions = np.stack([answer.act(observation) for observation in observations()])
    assert all(space.contains(action) for action in actions)
    assert (actions.max(0) > space.low + 0.9 * (space.high - space.low)).any()
    assert actions.dtype == np.float32
    assert actions.shape == (200, 2)


def test_actions_are_those_of_the_policy_scaled(folder: Path) -> None:
    answer = evorl.load(folder)
    for observation in observations()[:20]:
        tensor = torch.from_numpy(np.float32(observation).reshape(1, 6))
        raw = answer.policy.act(answer.member, tensor)[0].double().numpy()
        expected = [-1 + raw[0], 10.5 + 0.5 * raw[1]]
        np.testing.assert_allclose(answer.act(observation), expected, rtol=0, atol=2e-6)


def test_acting_is_deterministic(folder: Path) -> None:
    answer = evorl.load(folder)
    observation = observations()[0]
    assert answer.act(observation).tolist() == answer.act(observation.tolist()).tolist()
    assert evorl.load(folder).act(observation).tolist() == answer.act(observation).tolist()


def test_the_answer_knows_its_task_and_seed(folder: Path) -> None:
    answer = evorl.load(str(folder))
    assert answer.task.env_id == LOPSIDED
    assert answer.task.action_high == (0.0, 11.0)
    assert answer.seed == 0
    assert len(answer.member) == 1


def test_the_answer_of_a_discrete_task_is_an_integer_that_its_environment_takes() -> None:
    task, environment = describe("CartPole-v1"), gymnasium.make("CartPole-v1")
    policy = stochastic_policy(task, TINY)
    member = Population.fresh(policy.network.init(Streams(0).rows("initialise", [0])), Identities(), "initial")
    answer, taken = Answer(policy, member, task, seed=3), set()
    for observation in np.random.default_rng(0).normal(size=(50, 4)) * 5:
        environment.reset(seed=0)
        action = answer.act(observation)
        index = policy.act(member, torch.from_numpy(np.float32(observation))[None]).item()
        assert action == index
        environment.step(action)
        taken.add(int(action))
    assert taken == {0, 1}


@pytest.mark.parametrize("size", [5, 7])
def test_an_observation_of_another_size_is_refused(folder: Path, size: int) -> None:
    with pytest.raises(ValueError, match=rf"^observation must have 6 numbers, got {size}$"):
        evorl.load(folder).act(np.zeros(size))


def test_loading_makes_no_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(gymnasium.registry, LOPSIDED)
    evorl.load(folder).act(np.zeros(6))


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"^run must be a run folder with a config\.json, got "):
        evorl.load(tmp_path / "nowhere")


def test_an_unfinished_run_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(RunFolderError, match=rf"^run must be finished, got {tmp_path} without answer\.pt"):
        evorl.load(tmp_path)


def test_a_damaged_answer_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    whole = (folder / "answer.pt").read_bytes()
    (tmp_path / "answer.pt").write_bytes(whole[:-200])
    with pytest.raises(RunFolderError, match=r"answer\.pt is cut or altered: "):
        evorl.load(tmp_path)


def test_a_run_of_another_device_is_loaded_on_the_cpu(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "answer.pt"
    content = torch.load(path, weights_only=True)
    content["config"]["device"] = "cuda"
    torch.save(content, path)
    ours, theirs = evorl.load(folder), evorl.load(tmp_path / "run")
    for observation in observations()[:3]:
        assert np.array_equal(ours.act(observation), theirs.act(observation))
