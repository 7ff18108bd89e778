"""The studies' pages: every command of theirs asks for a run that can begin, and arms differ as the page says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from evorl.cli.compare import Compare
from evorl.cli.parsing import parse
from evorl.cli.train import settle
from evorl.running.settings import differences, to_plain

RESULTS = Path(__file__).parent.parent / "docs/results"
STUDIES = {"p3s_td3": (10, 10, 100_000), "svpg": (4, 10, 20_000_000), "pbt": (3, 20, 400_000)}
STUDIES |= {"pb2": (5, 20, 400_000), "hyperparameters": (4, 10, 400_000)}


def commands(study: str) -> list[list[str]]:
    """Return the words of every command of a page, without the program's name."""
    (block,) = re.findall(r"```sh\n(.*?)```", (RESULTS / f"{study}.md").read_text(), flags=re.DOTALL)
    lines = [shlex.split(line) for line in block.strip().splitlines()]
    assert all(words[0] == "evorl" for words in lines)
    return [words[1:] for words in lines]


def configs(study: str) -> list[Any]:
    """Return the settings of each sweep's first run, the algorithm's name and tag before them, after its check."""
    found = []
    for words in commands(study):
        if words[0] != "sweep":
            continue
        cut = words.index("--") if "--" in words else len(words)
        own, further = words[1:cut], words[cut + 1 :]
        given = dict(zip(own[::2], own[1::2], strict=True))
        algorithm = given["--algorithms"]
        assert int(given["--seeds"]) == STUDIES[study][1]
        flags = ["--env-id", given["--env-ids"], "--preset", given["--preset"], *further]
        kind, config, _, _ = settle([algorithm, *flags, "--total-timesteps", given["--total-timesteps"]])
        kind.check(config)
        found.append((f"{algorithm}-{given['--tag']}" if "--tag" in given else algorithm, config))
    return found


@pytest.mark.parametrize("study", STUDIES)
def test_every_run_of_a_study_can_begin_with_the_same_budget(study: str) -> None:
    arms, _, budget = STUDIES[study]
    found = configs(study)
    assert [words[0] for words in commands(study)].count("sweep") == arms
    assert {config.total_timesteps for _, config in found} == {budget}
    assert {words[0] for words in commands(study)} <= {"sweep", "compare", "train", "follow"}
    for words in commands(study):
        if words[0] == "compare":
            parse(Compare, words[1:], "evorl compare", "")


def test_the_arms_of_p3s_td3_differ_as_the_page_says() -> None:
    for delay, arms in ((0, configs("p3s_td3")[:5]), (20, configs("p3s_td3")[5:])):
        by_name = dict(arms)
        assert list(by_name) == ["p3s-td3", "p3s-td3-shared-replay", "p3s-td3-re-td3", "td3-four", "td3-one"]
        assert {config.delayed_reward for config in by_name.values()} == {delay}
        assert {config.updates_per_step for config in by_name.values()} == {1}
        assert {config.population_size * config.warmup_steps for config in by_name.values()} == {10_000}
        assert len({(config.network, config.learner) for config in by_name.values()}) == 1
        changed = differences(to_plain(by_name["p3s-td3"]), to_plain(by_name["p3s-td3-shared-replay"]))
        told = {change.partition(":")[0] for change in changed}
        assert told == {"beta", "preset"} | ({"minimum_distance"} if delay else set())


def test_the_arms_of_svpg_differ_as_the_page_says() -> None:
    base, *controls = configs("svpg")
    changed = [{c.partition(":")[0] for c in differences(to_plain(base[1]), to_plain(arm))} for _, arm in controls]
    joint = {"preset", "population_size", "environments", "learner.rollout_length"}
    assert changed == [{"preset", "sharing", "repulsion"}, joint, {"preset", "repulsion"}]


def test_the_arms_of_pbt_differ_as_the_page_says() -> None:
    arms = dict(configs("pbt"))
    changed = differences(to_plain(arms["pbt"]), to_plain(arms["pbt-frozen"]))
    assert changed == ["explore: perturb -> none", "preset: published -> frozen"]
    config = arms["pbt"]
    assert (config.population_size, config.learner.batch_size, config.network.hidden_sizes) == (16, 128, (64, 64))
    assert config.learner.critic.hidden_sizes == (64, 64)
    assert config.fresh_episodes == 0
    assert config.counts(16) == (4, 4)


def test_the_arms_of_the_study_of_hyperparameters_differ_in_the_algorithm_alone() -> None:
    for _, config in configs("hyperparameters"):
        assert config.population_size * config.warmup_steps == 10_000
        assert (config.interval, config.burn_in, config.fresh_episodes) == (2_500, 2_500, 4)
        assert config.network.hidden_sizes == config.learner.critic.hidden_sizes == (64, 64)
