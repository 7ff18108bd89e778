"""EvoRL's CEM-RL on Pendulum-v1: generations of ten members, half of whom learn from a shared critic.

The argument is the number of updates in a generation.
"""

import logging
import os
import sys
import time
from importlib.metadata import version

from serving import serve

MEMBERS, STEPS, WIDTH, BATCH = 10, 200, 64, 128


def settings(updates: int, folder: str) -> dict[str, object]:
    """Return what its configuration needs."""
    return {
        "env": {"env_type": "gymnasium", "env_name": "Pendulum-v1", "max_episode_steps": STEPS},
        "agent_network": {
            "norm_layer_type": "none",
            "num_critics": 2,
            "critic_hidden_layer_sizes": [WIDTH, WIDTH],
            "actor_hidden_layer_sizes": [WIDTH, WIDTH],
        },
        "optimizer": {"lr": 1e-3, "grad_clip_norm": None},
        "cov_eps": {"init": 1e-3, "final": 1e-5, "decay": 0.95},
        "pop_size": MEMBERS,
        "num_elites": MEMBERS // 2,
        "num_learning_offspring": MEMBERS // 2,
        "num_rl_updates_per_iter": updates,
        "actor_update_interval": 1,
        "batch_size": BATCH,
        "replay_buffer_capacity": 100_000,
        "warmup_iters": 0,
        "random_timesteps": MEMBERS * STEPS,
        "num_envs": 1,
        "num_eval_envs": 1,
        "episodes_for_fitness": 1,
        "fitness_with_exploration": False,
        "discount": 0.99,
        "tau": 0.005,
        "exploration_epsilon": 0.1,
        "policy_noise": 0.2,
        "clip_policy_noise": 0.5,
        "critics_in_actor_loss": "first",
        "normalize_obs": False,
        "weighted_update": True,
        "rank_weight_shift": 1.0,
        "mirror_sampling": True,
        "output_dir": folder,
        "checkpoint": {"enable": False},
    }


def main(updates: int, folder: str) -> None:
    """Compile by a first generation and serve.

    It is imported here and not above, since every generation starts processes for its environments, which import this
    file: they need none of it.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    from evorl.algorithms.erl.cemrl_td3.cemrl import CEMRLWorkflow
    from omegaconf import OmegaConf

    logging.disable(logging.WARNING)
    workflow = CEMRLWorkflow.build_from_config(OmegaConf.create(settings(updates, folder)))
    state = workflow.init(jax.random.PRNGKey(0))
    began = time.perf_counter()
    _, state = jax.block_until_ready(workflow.step(state))
    compiled = time.perf_counter() - began

    def work(_threads: int) -> None:
        nonlocal state
        _, state = jax.block_until_ready(workflow.step(state))

    serve(work, version=version("evorl-jax"), jax=version("jax"), first=compiled)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
