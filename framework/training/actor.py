"""The agent acting in environments: arrays in, arrays out, its carry kept between steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from framework.actor_critics.base import Mode
from framework.agent import Agent, Carry
from framework.data import Latent
from framework.training.runtime import Runtime


@final
class Actor:
    """Acts in `count` environments at once."""

    def __init__(self, *, agent: Agent, runtime: Runtime, count: int, mode: Mode, generator: torch.Generator) -> None:
        self.agent, self.runtime, self.mode, self.generator = agent, runtime, mode, generator
        self.carry: Carry = agent.initial(count)

    def act(self, observation: Mapping[str, np.ndarray], is_first: np.ndarray) -> np.ndarray:
        """One action for each environment; where `is_first`, the carry is reset."""
        with self.runtime.autocast():
            placed, first = self._place(observation), self._on_device(is_first)
            action, self.carry = self.agent.act(self.carry, placed, first, self.mode, self.generator)
        return action.cpu().numpy()

    def observe(self, observation: Mapping[str, np.ndarray], is_first: np.ndarray, action: np.ndarray) -> None:
        """Update the carry with an observation and an action that was chosen elsewhere; a planner keeps no plan."""
        with self.runtime.autocast():
            latent = self.agent.observe(self.carry, self._place(observation), self._on_device(is_first), self.generator)
        self.carry = replace(self.agent.initial(len(is_first)), latent=latent, action=self._on_device(action))

    def _place(self, observation: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: self._on_device(value) for name, value in observation.items()}

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values).to(self.runtime.device)

    def state_dict(self) -> dict[str, Any]:
        """The carry and the generator, with which acting continues exactly."""
        carry = self.carry
        return {"latent": vars(carry.latent), "action": carry.action, "plan": carry.plan, "generator": self.generator.get_state()}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, on this device."""
        self.carry = Carry(
            latent=Latent(**content["latent"]).map(lambda tensor: tensor.to(self.runtime.device)),
            action=content["action"].to(self.runtime.device),
            plan=content["plan"].to(self.runtime.device),
        )
        self.generator.set_state(content["generator"].cpu())
