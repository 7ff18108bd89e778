"""P3S-TD3's beta against the sequence of the authors' code (golden/p3s_beta.npz), to the last bit."""

from pathlib import Path

import numpy as np
import torch

from evorl.selection.beta import adapt_beta, mean_of_others

TRACE = np.load(Path(__file__).parent / "golden" / "p3s_beta.npz", allow_pickle=False)


def adapted(beta: float, spread: float, change: float) -> float:
    return adapt_beta(beta, spread, change, float(TRACE["rho"]), float(TRACE["d_min"]))


def test_the_sequence_of_beta_is_reproduced() -> None:
    betas = [float(TRACE["beta_init"])]
    for spread, change in zip(TRACE["d_spread"], TRACE["d_change"], strict=True):
        betas.append(adapted(betas[-1], float(spread), float(change)))
    assert betas == TRACE["beta"].tolist()
    assert (max(betas), min(betas)) == (1024, 2.0**-10)


def test_the_sequence_from_the_distances_of_four_learners_is_reproduced() -> None:
    betas = [float(TRACE["learners_beta"][0])]
    for period, best in enumerate(TRACE["learners_best"].tolist()):
        spread, change = (
            mean_of_others(torch.from_numpy(TRACE[f"learners_d_{name}"][period]), best) for name in ("spread", "change")
        )
        assert [spread, change] == TRACE["learners_mean"][period].tolist()
        betas.append(adapted(betas[-1], spread, change))
    assert betas == TRACE["learners_beta"].tolist()


def test_a_single_learner_leaves_beta_alone() -> None:
    nobody = mean_of_others(torch.tensor([0.7]), best=0)
    assert adapted(float(TRACE["alone_beta"]), nobody, nobody) == TRACE["alone_beta"] == TRACE["beta_init"]
