"""TD3 as good plain PyTorch writes it, one member at a time: modules, torch's optimiser, no stacking.

It is what stacked members are measured against, so it has what costs a plain program nothing: the fused Adam, Polyak
averaging of all tensors in one call, and no gradient where none is used.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from evorl.learning import TD3Config
from evorl.population import Transitions


def perceptron(
    sizes: Sequence[int], hidden: type[nn.Module] = nn.ReLU, output: type[nn.Module] | None = None
) -> nn.Sequential:
    """Return linear layers from sizes[0] to sizes[-1]; `hidden` follows each but the last, `output` the last."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), hidden()]
    return nn.Sequential(*layers[:-1], *([output()] if output else []))


class PlainReplay:
    """Transitions of one member as one tensor a field; a minibatch is one random index into each."""

    def __init__(self, stored: Transitions, seed: int = 0) -> None:
        s = stored
        self.columns = [s.observations, s.actions, s.rewards, s.next_observations, s.terminated]
        self.generator = torch.Generator().manual_seed(seed)

    def sample(self, batch: int) -> list[Tensor]:
        """Return observations, actions, rewards, next observations and terminated of `batch` transitions."""
        chosen = torch.randint(len(self.columns[0]), (batch,), generator=self.generator)
        return [column[chosen] for column in self.columns]


class PlainTD3:
    """One member.

    Args:
        actor: its policy.
        critics: the two value networks.
        config: settings.
    """

    def __init__(self, actor: nn.Module, critics: Sequence[nn.Module], config: TD3Config) -> None:
        self.config, self.actor, self.critics = config, actor, nn.ModuleList(critics)
        self.target_actor = copy.deepcopy(actor).requires_grad_(requires_grad=False)
        self.target_critics = copy.deepcopy(self.critics).requires_grad_(requires_grad=False)
        self.actor_adam = torch.optim.Adam(actor.parameters(), lr=config.actor_learning_rate, fused=True)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=config.critic_learning_rate, fused=True)
        self.updates = 0

    def update(self, batch: Sequence[Tensor], noise: Tensor) -> None:
        """Update the critics from a minibatch and its smoothing noise (b, a); actor and targets when they are due."""
        self.critic_step(batch, noise, self.target_actor)
        self.updates += 1
        if self.updates % self.config.policy_delay == 0:
            self.actor_step(batch[0])
            self.target_step()

    def critic_step(self, batch: Sequence[Tensor], noise: Tensor, acting: nn.Module) -> None:
        """Descend the mean squared errors of both critics; `acting` chooses the target action."""
        observations, actions, rewards, following, terminated = batch
        config = self.config
        with torch.no_grad():
            clip = config.target_noise_clip
            smoothing = (noise * config.target_noise).clamp_(-clip, clip)
            inputs = torch.cat([following, (acting(following) + smoothing).clamp_(-1, 1)], 1)
            value = torch.minimum(*(critic(inputs).squeeze(1) for critic in self.target_critics))
            targets = rewards + config.discount * (1 - terminated) * value
        inputs = torch.cat([observations, actions], 1)
        losses = [functional.mse_loss(critic(inputs).squeeze(1), targets) for critic in self.critics]
        self.critic_adam.zero_grad()
        torch.autograd.backward(losses)
        self.critic_adam.step()

    def actor_step(self, observations: Tensor) -> None:
        """Ascend the first critic's mean value; the critics get no gradient."""
        self.critics.requires_grad_(requires_grad=False)
        loss = -self.critics[0](torch.cat([observations, self.actor(observations)], 1)).mean()
        self.actor_adam.zero_grad()
        torch.autograd.backward(loss)
        self.actor_adam.step()
        self.critics.requires_grad_(requires_grad=True)

    def target_step(self) -> None:
        """Move both targets towards their networks."""
        polyak_(self.target_actor, self.actor, self.config.tau)
        self.critic_target_step()

    def critic_target_step(self) -> None:
        """Move the critics' target towards the critics."""
        polyak_(self.target_critics, self.critics, self.config.tau)


def polyak_(target: nn.Module, network: nn.Module, tau: float) -> None:
    """Move a target's parameters by tau towards those of its network, all tensors in one call."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), tau)
