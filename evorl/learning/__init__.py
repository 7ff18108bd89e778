"""The gradient part: learners whose state is the members' own traits, stacked, one row a member."""

from evorl.learning.adam import adam_, adam_state
from evorl.learning.off_policy import OffPolicy, new_records, push_returns_
from evorl.learning.td3 import TD3, TD3Config

__all__ = ["TD3", "OffPolicy", "TD3Config", "adam_", "adam_state", "new_records", "push_returns_"]
