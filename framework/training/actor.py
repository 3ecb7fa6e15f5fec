"""The agent at work in environments: numpy in, numpy out, its memory kept between steps."""

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from torch import Tensor

from framework.actor_critics.base import Mode
from framework.agent import Agent, Memory
from framework.data import Latent
from framework.training.runtime import Runtime


@final
class Actor:
    """Acts in `count` environments at once."""

    def __init__(self, *, agent: Agent, runtime: Runtime, count: int, mode: Mode, generator: torch.Generator) -> None:
        self.agent, self.runtime, self.mode, self.generator = agent, runtime, mode, generator
        self.memory: Memory = agent.initial(count)

    def act(self, observation: Mapping[str, np.ndarray], is_first: np.ndarray) -> np.ndarray:
        """One action for each environment; where `is_first`, what was remembered is forgotten."""
        seen = {name: torch.as_tensor(value).to(self.runtime.device) for name, value in observation.items()}
        first = torch.as_tensor(is_first).to(self.runtime.device)
        with self.runtime.autocast():
            action, self.memory = self.agent.act(self.memory, seen, first, self.mode, self.generator)
        return action.cpu().numpy()

    def remember(self, action: np.ndarray) -> None:
        """Note that another action was taken than the one last given."""
        self.memory = Memory(latent=self.memory.latent, action=torch.as_tensor(action).to(self.runtime.device))

    def dump(self) -> dict[str, object]:
        """All that a later `load` needs to act on exactly."""
        latent = self.memory.latent
        return {
            "deterministic": latent.deterministic,
            "stochastic": latent.stochastic,
            "statistics": dict(latent.statistics),
            "action": self.memory.action,
            "generator": self.generator.get_state(),
        }

    def load(self, content: Mapping[str, object]) -> None:
        device = self.runtime.device

        def place(tensor: object) -> Tensor:
            assert isinstance(tensor, Tensor)
            return tensor.to(device)

        statistics = content["statistics"]
        assert isinstance(statistics, Mapping)
        latent = Latent(
            deterministic=place(content["deterministic"]),
            stochastic=place(content["stochastic"]),
            statistics={name: place(value) for name, value in statistics.items()},
        )
        self.memory = Memory(latent=latent, action=place(content["action"]))
        generator = content["generator"]
        assert isinstance(generator, Tensor)
        self.generator.set_state(generator.cpu())
