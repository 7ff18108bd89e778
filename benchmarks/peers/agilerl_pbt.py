"""AgileRL's evolutionary hyperparameter search of TD3 on Pendulum-v1: ten agents, one generation a round."""

from importlib.metadata import version

import torch
from agilerl.algorithms.core.registry import HyperparameterConfig, RLParameter
from agilerl.algorithms.td3 import TD3
from agilerl.components.replay_buffer import ReplayBuffer
from agilerl.hpo.mutation import Mutations
from agilerl.hpo.tournament import TournamentSelection
from agilerl.training.train_off_policy import train_off_policy
from agilerl.utils.utils import make_vect_envs
from serving import serve

MEMBERS, STEPS, WIDTH, BATCH = 10, 200, 64, 128


def agents(env: object) -> list[TD3]:
    """Return ten agents of one architecture whose learning rates may mutate."""
    layers = {"encoder_config": {"hidden_size": [WIDTH]}, "head_config": {"hidden_size": [WIDTH]}, "latent_dim": WIDTH}
    rates = {name: RLParameter(min=1e-5, max=1e-2) for name in ("lr_actor", "lr_critic")}
    return [
        TD3(
            env.single_observation_space,
            env.single_action_space,
            O_U_noise=False,
            index=index,
            hp_config=HyperparameterConfig(**rates),
            net_config=layers,
            batch_size=BATCH,
            learn_step=1,
        )
        for index in range(MEMBERS)
    ]


def main() -> None:
    """Serve generations: every agent acts and learns for `STEPS` steps and is tested once, then selection, mutation."""
    env = make_vect_envs("Pendulum-v1", num_envs=1, should_async_vector=False)
    population, memory = agents(env), ReplayBuffer(max_size=100_000)
    tournament = TournamentSelection(tournament_size=2, elitism=True, population_size=MEMBERS)
    mutation = Mutations(
        no_mutation=0.5, architecture=0.0, new_layer_prob=0.0, parameters=0.0, activation=0.0, rl_hp=0.5, rand_seed=0
    )
    steps = 0

    def work(threads: int) -> None:
        nonlocal population, steps
        torch.set_num_threads(threads)
        steps += STEPS
        population, _ = train_off_policy(
            env,
            "Pendulum-v1",
            "TD3",
            population,
            memory,
            max_steps=steps,
            evo_steps=STEPS,
            eval_loop=1,
            learning_delay=BATCH if steps == STEPS else 0,
            tournament=tournament,
            mutation=mutation,
            verbose=False,
        )

    serve(work, version=version("agilerl"), steps=STEPS)


if __name__ == "__main__":
    main()
