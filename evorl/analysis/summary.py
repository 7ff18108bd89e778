"""Summary runs: the comparison as TensorBoard sees it, a run for each algorithm and task, with bands."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from evorl.analysis.comparison import Comparison
from evorl.analysis.reading import SUMMARY


def write_summaries(comparison: Comparison, runs: Path) -> Path:
    """Write the curve of every row, with its interval, as an event file below `runs`; replace earlier ones.

    Returns:
        The folder of the summaries.
    """
    from torch.utils.tensorboard import SummaryWriter

    folder = runs / SUMMARY
    for row in comparison.rows:
        place = folder / row.group.task / row.group.label
        shutil.rmtree(place, ignore_errors=True)
        writer = SummaryWriter(str(place))
        band = ["summary/iqm", "summary/low", "summary/high"]
        writer.add_custom_scalars({"comparison": {"test return: IQM, 95 % interval": ["Margin", band]}})
        for index, steps in enumerate(row.grid):
            for tag, values in zip(band, (row.curve.value, row.curve.low, row.curve.high), strict=True):
                if np.isfinite(values[index]):
                    writer.add_scalar(tag, float(values[index]), int(steps))
        writer.close()
    return folder
