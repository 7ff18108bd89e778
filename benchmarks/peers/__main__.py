"""`python -m benchmarks.peers`: the same work in other packages and here, by turns; asks the network for them once."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks import report
from benchmarks.machine import describe
from benchmarks.peers.environment import ROOT, Peer, python_of, say
from benchmarks.report import Cell, Goal, Result
from benchmarks.setups import Case, setup, transitions
from benchmarks.timing import clocked
from evorl.algorithms.cem_rl import CEMRL
from evorl.algorithms.cem_rl import Config as CEMRLConfig
from evorl.algorithms.pbt import PBT
from evorl.algorithms.pbt import Config as PBTConfig
from evorl.learning import TD3Config
from evorl.policies import NetworkConfig

THREADS = (1, 2)
MEMBERS, STEPS, BATCH = 10, 200, 128
SMALL = NetworkConfig(hidden_sizes=(64, 64))
LEARNER = TD3Config(critic=SMALL, batch_size=BATCH, actor_learning_rate=1e-3, critic_learning_rate=1e-3)
COLUMNS = ("what", "here", "peer", "peer / here")


def by_turns(ours: Callable[[int], float], peer: Peer, repeats: int) -> tuple[float, float]:
    """Return the median seconds of both, each at its better number of threads; a first round warms up."""
    taken: dict[tuple[str, int], list[float]] = {(who, count): [] for who in ("ours", "peer") for count in THREADS}
    for repeat in range(repeats + 1):
        for count in THREADS:
            pair = ("ours", ours(count)), ("peer", peer.round(count))
            for who, seconds in pair if repeat else ():
                taken[who, count].append(seconds)
    best = {who: min(statistics.median(taken[who, count]) for count in THREADS) for who in ("ours", "peer")}
    return best["ours"], best["peer"]


def timed(work: Callable[[], object]) -> Callable[[int], float]:
    """Return what times `work` with a number of threads."""

    def run(threads: int) -> float:
        torch.set_num_threads(threads)
        return clocked(work)

    return run


def against_sb3(folder: Path, repeats: int = 5, updates: int = 8) -> Result:
    """Time TD3's update against Stable-Baselines3's."""
    case = Case(MEMBERS, (256, 256), 256)
    made = setup(case, transitions(MEMBERS, 20_000))
    with Peer(python_of("sb3", ["stable-baselines3"], folder), "sb3_td3.py") as peer:
        ours, theirs = by_turns(timed(lambda: made.update(updates)), peer, repeats)
        here, there = ours * 1e3 / (updates * MEMBERS), theirs * 1e3 / float(peer.facts["updates"])
        version = peer.facts["version"]
    rows: list[list[Cell]] = [["ms an update of a member", here, there, there / here]]
    compared = (
        f"{case.name} here, one agent of the same sizes in Stable-Baselines3 {version}, whose `train` samples and "
        f"updates as ours does. Each at its better number of threads; medians of {repeats} rounds by turns."
    )
    goals = [Goal("TD3 update, 10 members, against Stable-Baselines3's", 2.2, there / here)]
    return Result("Stable-Baselines3", compared, COLUMNS, rows, goals)


def cem_rl() -> CEMRL:
    """Return a CEM-RL that has played its first generation, as EvoRL's has filled its replay."""
    config = CEMRLConfig(
        env_id="Pendulum-v1",
        population_size=MEMBERS,
        network=SMALL,
        learner=LEARNER,
        critic_schedule="joint",
        start_steps=0,
    )
    algorithm = CEMRL(config)
    algorithm.step()
    return algorithm


def against_evorl_jax(folder: Path, repeats: int = 3) -> Result:
    """Time generations of CEM-RL on Pendulum-v1 against EvoRL's, with all updates and with next to none."""
    python = python_of("evorl-jax", ["evorl-jax", "gymnasium[classic-control]"], folder)
    algorithm, updates = cem_rl(), MEMBERS * STEPS
    say("evorl-jax compiles; this takes minutes")
    with tempfile.TemporaryDirectory() as output:
        arguments = [(str(number), f"{output}/{number}") for number in (updates, 1)]
        with Peer(python, "evorl_jax_cem_rl.py", *arguments[0]) as peer:
            ours, theirs = by_turns(timed(algorithm.step), peer, repeats)
            facts = peer.facts
        with Peer(python, "evorl_jax_cem_rl.py", *arguments[1]) as peer:
            peer.round(1)
            idle = statistics.median(peer.round(1) for _ in range(repeats))
    algorithm.close()
    rows: list[list[Cell]] = [
        ["a generation, s", ours, theirs, theirs / ours],
        ["the same with one update in it, s", "", idle, ""],
        ["its updates alone, s", "", theirs - idle, ""],
        ["until it is ready and compiled, s", "", float(facts["ready"]), ""],
    ]
    compared = (
        f"CEM-RL on Pendulum-v1: {MEMBERS} members of 64-64, half of whom learn with minibatches of {BATCH}, "
        f"{updates:,} steps and as many updates of each learner and of the critic, on the mean of their losses (here "
        f"`critic_schedule: joint`, which is what EvoRL does). evorl-jax {facts['version']}, jax {facts['jax']}, CPU, "
        "its adapter of Gymnasium, which starts new processes for every generation. After its compile; medians of "
        f"{repeats} rounds by turns."
    )
    goals = [Goal("CEM-RL on Pendulum-v1 against EvoRL, after its compile", 4, theirs / ours)]
    return Result("EvoRL (JAX)", compared, COLUMNS, rows, goals)


def pbt() -> PBT[PBTConfig]:
    """Return a PBT whose members share a replay, as AgileRL's do, past its warm-up."""
    config = PBTConfig(
        env_id="Pendulum-v1",
        population_size=MEMBERS,
        network=SMALL,
        learner=LEARNER,
        interval=STEPS,
        window=1,
        warmup_steps=STEPS,
        replay_on_copy="shared",
    )
    algorithm = PBT(config)
    algorithm.step()
    return algorithm


def against_agilerl(folder: Path, repeats: int = 3) -> Result:
    """Time a generation of TD3 agents with selection and mutation against AgileRL's."""
    algorithm = pbt()
    with Peer(python_of("agilerl", ["agilerl", "peft"], folder), "agilerl_pbt.py") as peer:
        ours, theirs = by_turns(timed(algorithm.step), peer, repeats)
        version = peer.facts["version"]
    algorithm.close()
    rows: list[list[Cell]] = [[f"{MEMBERS} times {STEPS} steps, s", ours, theirs, theirs / ours]]
    compared = (
        f"A population of {MEMBERS} TD3 members of 64-64 with one replay on Pendulum-v1: {STEPS} steps of each, an "
        f"update with a minibatch of {BATCH} after each step, then selection and mutation of the learning rates: PBT "
        f"here, tournament and mutation in AgileRL {version}, whose agents also play a test episode each and have one "
        f"more layer of 64 in each network. Medians of {repeats} rounds by turns, each at its better thread count."
    )
    return Result("AgileRL", compared, COLUMNS, rows)


PEERS: Mapping[str, Callable[[Path], Result]] = {
    "sb3": against_sb3,
    "evorl-jax": against_evorl_jax,
    "agilerl": against_agilerl,
}


def main() -> None:
    """Compare with the peers that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Measure against other packages.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PEERS)}; all if none")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of peers.json")
    parser.add_argument("--environments", type=Path, default=ROOT / ".peers", help="where they are installed")
    given = parser.parse_args()
    kept = given.out / "peers.json"
    for name in given.peers or PEERS:
        try:
            result = PEERS[name](given.environments)
        except (subprocess.CalledProcessError, RuntimeError) as error:
            say(f"{name} could not be measured: {error}")
            continue
        print(report.markdown({name: result}), flush=True)
        report.write(kept, describe(), {**report.read(kept), name: result})


if __name__ == "__main__":
    main()
