"""The agent at work in environments: numpy in, numpy out, its memory kept between steps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import final

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
        self.memory: Carry = agent.initial(count)

    def act(self, observation: Mapping[str, np.ndarray], is_first: np.ndarray) -> np.ndarray:
        """One action for each environment; where `is_first`, what was remembered is forgotten."""
        with self.runtime.autocast():
            action, self.memory = self.agent.act(
                self.memory, self._place(observation), self._on_device(is_first), self.mode, self.generator
            )
        return action.cpu().numpy()

    def observe(self, observation: Mapping[str, np.ndarray], is_first: np.ndarray, action: np.ndarray) -> None:
        """Take in what is seen while somebody else acts: a behavior that plans is not asked."""
        with self.runtime.autocast():
            latent = self.agent.observe(self.memory, self._place(observation), self._on_device(is_first), self.generator)
        self.memory = replace(self.agent.initial(len(is_first)), latent=latent, action=self._on_device(action))

    def _place(self, observation: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: self._on_device(value) for name, value in observation.items()}

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values).to(self.runtime.device)

    def state_dict(self) -> dict[str, object]:
        """All that a later `load` needs to act on exactly."""
        latent = self.memory.latent
        return {
            "deterministic": latent.deterministic,
            "stochastic": latent.stochastic,
            "statistics": dict(latent.statistics),
            "past": dict(latent.past),
            "action": self.memory.action,
            "intention": self.memory.plan,
            "generator": self.generator.get_state(),
        }

    def load(self, content: Mapping[str, object]) -> None:
        device = self.runtime.device

        def place(tensor: object) -> Tensor:
            assert isinstance(tensor, Tensor)
            return tensor.to(device)

        statistics, past = content["statistics"], content["past"]
        assert isinstance(statistics, Mapping)
        assert isinstance(past, Mapping)
        latent = Latent(
            deterministic=place(content["deterministic"]),
            stochastic=place(content["stochastic"]),
            statistics={name: place(value) for name, value in statistics.items()},
            past={name: place(value) for name, value in past.items()},
        )
        self.memory = Carry(latent=latent, action=place(content["action"]), plan=place(content["intention"]))
        generator = content["generator"]
        assert isinstance(generator, Tensor)
        self.generator.set_state(generator.cpu())
