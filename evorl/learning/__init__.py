"""The gradient part: learners whose state is the members' own traits, stacked, one row a member."""

from evorl.learning.actor_critic import ActorCritic, LearnerConfig
from evorl.learning.adam import adam_, adam_state
from evorl.learning.agent import EpisodicAgent
from evorl.learning.choice import AnyLearnerConfig, make_learner
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.off_policy import OffPolicy, new_records, push_returns_
from evorl.learning.shared_critic import CriticSchedule, SharedCritic
from evorl.learning.td3 import TD3, TD3Config

__all__ = [
    "DDPG",
    "TD3",
    "ActorCritic",
    "AnyLearnerConfig",
    "CriticSchedule",
    "DDPGConfig",
    "EpisodicAgent",
    "LearnerConfig",
    "OffPolicy",
    "SharedCritic",
    "TD3Config",
    "adam_",
    "adam_state",
    "make_learner",
    "new_records",
    "push_returns_",
]
