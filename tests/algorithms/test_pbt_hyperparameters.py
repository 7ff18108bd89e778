"""What is logged as a member's hyperparameter is what its next update uses: every learner, every hyperparameter."""

import dataclasses
from typing import Any

import pytest
import torch
from support import ORACLE, same

from evorl.algorithms.pbt import PBT, Config
from evorl.learning import A2CConfig, DDPGConfig, PPOConfig, SACConfig, TD3Config
from evorl.policies import NetworkConfig
from evorl.population import Population

TINY = NetworkConfig(hidden_sizes=(4,))
INTERVAL, N = 12, 4
LEARNERS: dict[str, Any] = {
    "td3": TD3Config(critic=TINY, batch_size=8, actor_learning_rate=1e-2, critic_learning_rate=1e-2),
    "ddpg": DDPGConfig(critic=TINY, critic_architecture="joint", batch_size=4, gradient_clip=None),
    "sac": SACConfig(critic=TINY, batch_size=8, actor_learning_rate=1e-2, critic_learning_rate=1e-2),
    "a2c": A2CConfig(critic=TINY, rollout_length=INTERVAL, entropy_coefficient=0.1),
    "ppo": PPOConfig(critic=TINY, rollout_length=INTERVAL, minibatches=2, epochs=4, learning_rate=3e-2),
}


def config(learner: Any, space: dict[str, str], **settings: Any) -> Config:
    """Return settings under which every second member copies another in every generation, and draws anew."""
    return Config(
        env_id=ORACLE,
        env_kwargs={"max_episode_steps": 4},
        population_size=N,
        network=TINY,
        learner=learner,
        space=space,
        interval=INTERVAL,
        warmup_steps=5,
        total_timesteps=2_000,
        burn_in=0,
        bottom_fraction=0.5,
        donor_fraction=0.5,
        ties="copy",
        explore="resample",
        fitness="training",
        window=1,
        **settings,
    )


def tunable(kind: str) -> dict[str, tuple[float, float]]:
    """Return what may differ by member under a learner, and its range."""
    return dict(PBT(config(LEARNERS[kind], {"discount": "0.5:0.9"})).training.tunable)


PAIRS = [(kind, name) for kind in LEARNERS for name in tunable(kind)]


def test_the_list_is_not_empty_for_anyone() -> None:
    assert {kind for kind, _ in PAIRS} == set(LEARNERS)
    assert ("ppo", "clip_range") in PAIRS
    assert ("sac", "temperature_learning_rate") in PAIRS
    assert [kind for kind, name in PAIRS if name == "exploration_noise"] == ["td3", "ddpg"]


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_the_next_update_uses_what_was_logged(kind: str, name: str) -> None:
    """A member goes on as one that has the logged number for its setting, and no hyperparameter of its own."""
    low, high = tunable(kind)[name]
    learner = LEARNERS[kind]
    run = PBT(config(learner, {name: f"{max(low, 1e-3)}:{min(high, 0.5)}"}))
    for _ in range(2):
        run.step()
    copied = run.population.traits["copied"].nonzero()[:, 0].tolist()
    assert copied
    candidates, state = run.vary(run.population), run.state_dict()
    logged = [run.report(candidates)[f"pbt/{name}/{row:02d}"] for row in range(N)]
    assert logged[copied[0]] != run.population.traits[f"h.{name}"][copied[0]]
    learned = run.learn(candidates)
    without = {trait: value for trait, value in candidates.traits.items() if not trait.startswith("h.")}
    plain = Population(**{**vars(candidates), "traits": without})
    row = copied[0]
    other = next(theirs for theirs in tunable(kind) if theirs != name)  # frozen, and no trait of the plain members
    told = {name: logged[row]}
    if name == "exploration_noise":
        asked = config(learner, {other: "0.05:0.05"}, **told)
    else:
        asked = config(dataclasses.replace(learner, **told), {other: "0.05:0.05"})
    alone = PBT(asked, state).learn(plain)
    torch.testing.assert_close(_moved(learned, row), _moved(alone, row), rtol=1e-4, atol=1e-6)
    unlike = next(row for row in range(N) if logged[row] != logged[copied[0]])
    assert not same(_moved(alone, unlike), _moved(learned, unlike)), "it must make a difference"


def _moved(members: Population, row: int) -> torch.Tensor:
    """Return all float tensors of a member that learning changes, in one row."""
    names = sorted(n for n, t in members.traits.items() if t.dtype == torch.float32 and not n.startswith("h."))
    return torch.cat([members.params[row], *(members.traits[name][row].flatten() for name in names)])
