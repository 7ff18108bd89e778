"""The gradient part: learners whose state is the members' own traits, stacked, one row a member."""

from evorl.learning.a2c import A2C, A2CConfig
from evorl.learning.actor_critic import ActorCritic, FurtherLoss, LearnerConfig
from evorl.learning.adam import adam_, adam_state
from evorl.learning.agent import EpisodicAgent
from evorl.learning.choice import (
    AnyLearnerConfig,
    DeterministicLearnerConfig,
    OffPolicyLearnerConfig,
    OnPolicyLearnerConfig,
    make_learner,
    make_policy,
    make_rollout_learner,
)
from evorl.learning.ddpg import DDPG, DDPGConfig
from evorl.learning.guidance import Guidance, GuidanceConfig, mean_distances, new_distances
from evorl.learning.off_policy import ActingConfig, OffPolicy
from evorl.learning.on_policy import OnPolicy
from evorl.learning.policy_gradient import PolicyBatch, PolicyGradient, PolicyGradientConfig
from evorl.learning.ppo import PPO, PPOConfig
from evorl.learning.records import WINDOW, mean_losses, new_records, push_returns_
from evorl.learning.reinforce import Reinforce, ReinforceConfig
from evorl.learning.sac import SAC, SACConfig
from evorl.learning.shared_critic import CriticSchedule, SharedCritic
from evorl.learning.td3 import TD3, TD3Config
from evorl.learning.training import NoTraining, OnCopy, Training

__all__ = [
    "A2C",
    "DDPG",
    "PPO",
    "SAC",
    "TD3",
    "WINDOW",
    "A2CConfig",
    "ActingConfig",
    "ActorCritic",
    "AnyLearnerConfig",
    "CriticSchedule",
    "DDPGConfig",
    "DeterministicLearnerConfig",
    "EpisodicAgent",
    "FurtherLoss",
    "Guidance",
    "GuidanceConfig",
    "LearnerConfig",
    "NoTraining",
    "OffPolicy",
    "OffPolicyLearnerConfig",
    "OnCopy",
    "OnPolicy",
    "OnPolicyLearnerConfig",
    "PPOConfig",
    "PolicyBatch",
    "PolicyGradient",
    "PolicyGradientConfig",
    "Reinforce",
    "ReinforceConfig",
    "SACConfig",
    "SharedCritic",
    "TD3Config",
    "Training",
    "adam_",
    "adam_state",
    "make_learner",
    "make_policy",
    "make_rollout_learner",
    "mean_distances",
    "mean_losses",
    "new_distances",
    "new_records",
    "push_returns_",
]
