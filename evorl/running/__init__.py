"""Running: from a config to a run folder that can be resumed, tested and compared."""

from evorl.running.answer import Answer, load
from evorl.running.train import Running, resume, train

__all__ = ["Answer", "Running", "load", "resume", "train"]
