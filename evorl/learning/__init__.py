"""The gradient part: learners whose state is the members' own traits, stacked, one row a member."""

from evorl.learning.actor_critic import ActorCritic, LearnerConfig
from evorl.learning.adam import adam_, adam_state
from evorl.learning.agent import EpisodicAgent
from evorl.learning.choice import AnyLearnerConfig, DeterministicLearnerConfig, make_learner, make_policy
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.off_policy import ActingConfig, OffPolicy, new_records, push_returns_
from evorl.learning.shared_critic import CriticSchedule, SharedCritic
from evorl.learning.td3 import TD3, TD3Config
from evorl.learning.training import Training

__all__ = [
    "DDPG",
    "TD3",
    "ActingConfig",
    "ActorCritic",
    "AnyLearnerConfig",
    "CriticSchedule",
    "DDPGConfig",
    "DeterministicLearnerConfig",
    "EpisodicAgent",
    "LearnerConfig",
    "OffPolicy",
    "SharedCritic",
    "TD3Config",
    "Training",
    "adam_",
    "adam_state",
    "make_learner",
    "make_policy",
    "new_records",
    "push_returns_",
]
