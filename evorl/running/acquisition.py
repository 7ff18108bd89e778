"""PB2's acquisition in a picture: what its model expected of every hyperparameter, round by round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from evorl.evaluation import Report
from evorl.hyperparameters import Space
from evorl.running.sinks import Sink, TensorBoard

#: File in the run folder, and name of the picture in TensorBoard.
ACQUISITION, ACQUISITION_TAG = "acquisition.png", "population/acquisition"


class Acquisition(Sink):
    """At the end, `acquisition.png`, in TensorBoard too; nothing if there was no acquisition.

    Args:
        folder: the run folder.
        space: of the hyperparameters.
        slices: returns the acquisition along every h of each round so far.
        tensorboard: where the picture is shown.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        slices: Callable[[], Sequence[tuple[int, Tensor]]],
        tensorboard: TensorBoard,
    ) -> None:
        self._folder, self._space, self._slices, self._tensorboard = folder, space, slices, tensorboard
        self._steps = 0

    def write(self, record: Report) -> None:
        """Note how far the run has come."""
        self._steps = int(record["steps"])

    def finish(self) -> None:
        """Draw what was expected."""
        from evorl.running.schedule_figures import draw_acquisition

        slices = self._slices()
        if slices and (figure := draw_acquisition(slices, self._space)):
            self._tensorboard.show(ACQUISITION_TAG, figure, self._steps)
            figure.savefig(self._folder / ACQUISITION)
