"""Presets: settings that algorithms share, those of publications, and controls that keep the contract."""

import dataclasses
from typing import Any

import pytest
from support import ORACLE

import evorl
from evorl.algorithms.ddpg import DDPG
from evorl.algorithms.p3s_td3 import P3STD3
from evorl.algorithms.td3 import TD3
from evorl.conformance import small_config
from evorl.learning import A2CConfig, DDPGConfig, SACConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.running import registry

NAMES = [name for name in sorted(registry.installed()) if registry.find(name).name == name]
#: What a preset sets beside its sizes.
CONTROLS: dict[str, dict[str, dict[str, Any]]] = {
    "svpg": {
        "independent": {"sharing": False, "repulsion": False},
        "no-repulsion": {"repulsion": False},
        "no-sharing": {"sharing": False},
        "joint": {"population_size": 1, "environments": 16},
    },
    "p3s-td3": {"shared-replay": {"beta": 0.0}, "re-td3": {"beta": 0.0, "exchange": "copy"}},
    "pbt": {
        "no-copying": {"bottom_fraction": 0.0},
        "frozen": {"explore": "none"},
        "paper-factors": {"perturb_factors": (0.8, 1.2)},
    },
    "pb2": {
        "no-copying": {"bottom_fraction": 0.0},
        "frozen": {"explore": "none"},
        "heuristic": {"explore": "perturb"},
    },
    "pbt-es": {"no-copying": {"bottom_fraction": 0.0}, "frozen": {"explore": "none"}},
    "mf-pbt": {"no-copying": {"bottom_fraction": 0.0}, "paper-factors": {"perturb_factors": (0.8, 1.2)}},
}
PAIRS = [(name, preset) for name, presets in CONTROLS.items() for preset in presets]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_common_is_the_same_for_all(name: str) -> None:
    """256-256 ReLU, TD3's updates with rates of 3e-4, and 10,000 steps before the first of them."""
    algorithm = registry.find(name)
    common: Any = algorithm.preset("common", env_id=ORACLE)
    assert getattr(common, "network", NetworkConfig()) == NetworkConfig(hidden_sizes=(256, 256), activation="relu")
    learner = getattr(common, "learner", None)
    critic = getattr(learner, "critic", NetworkConfig())
    assert (critic.hidden_sizes, critic.activation) == ((256, 256), "relu")
    if isinstance(learner, DDPGConfig | SACConfig | TD3Config):
        assert (learner.actor_learning_rate, learner.critic_learning_rate, learner.batch_size) == (3e-4, 3e-4, 256)
        assert isinstance(learner, TD3Config) or name in ("ddpg", "sac")
        assert (learner.discount, learner.tau) == (0.99, 0.005)
    if hasattr(common, "warmup_steps") and not isinstance(learner, A2CConfig):
        alone = common.warmup_steps * common.population_size
        assert 10_000 <= alone < 10_000 + common.population_size
    assert getattr(common, "start_steps", 10_000) == 10_000


def test_p3s_td3_as_published_is_its_authors_code() -> None:
    wide = NetworkConfig(hidden_sizes=(400, 300), activation="relu")
    learner = TD3Config(critic=wide, batch_size=100, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
    given = {
        "population_size": 4,
        "network": wide,
        "learner": learner,
        "interval": 250,
        "updates_per_step": 4,
        "warmup_steps": 2_500,
        "exploration": "gaussian",
        "exploration_noise": 0.1,
        "exchange": "pull",
        "identical_start": True,
        "beta": 1.0,
        "rho": 2.0,
        "minimum_distance": 0.05,
        "distance": "mean",
        "distance_at": "running",
        "order": "paper",
    }
    published = P3STD3.preset("published", env_id=ORACLE)
    assert {name: getattr(published, name) for name in given} == given
    copying = P3STD3.preset("re-td3", env_id=ORACLE)
    assert dataclasses.replace(copying, preset="published", beta=1.0, exchange="pull", interval=250) == published
    assert (copying.beta, copying.exchange, copying.interval) == (0.0, "copy", 2_500)


def test_td3_of_the_paper_and_ddpg_of_erls_code() -> None:
    wide = NetworkConfig(hidden_sizes=(400, 300), activation="relu")
    paper = TD3.preset("paper", env_id=ORACLE)
    assert paper.network == paper.learner.critic == wide
    assert (paper.learner.batch_size, paper.learner.actor_learning_rate, paper.learner.critic_learning_rate) == (
        100,
        1e-3,
        1e-3,
    )
    published = DDPG.preset("published", env_id=ORACLE)
    assert (published.learner, published.exploration) == (DDPGConfig(), "ornstein_uhlenbeck")
    assert (published.learner.actor_learning_rate, published.learner.critic_learning_rate) == (5e-5, 5e-4)


@pytest.mark.parametrize(("name", "preset"), PAIRS)
def test_a_control_differs_in_what_it_is_for_and_keeps_the_contract(name: str, preset: str) -> None:
    algorithm, control = registry.find(name), CONTROLS[name][preset]
    published, given = (algorithm.preset(kind, env_id=ORACLE) for kind in ("published", preset))
    differing = {f.name for f in dataclasses.fields(given) if getattr(given, f.name) != getattr(published, f.name)}
    assert set(control) <= differing <= {*control, "preset", "learner", "interval"}
    assert {field: getattr(given, field) for field in control} == control
    few = {**control, "environments": 2} if "environments" in control else control
    evorl.check_algorithm(algorithm, dataclasses.replace(small_config(algorithm), **few))
