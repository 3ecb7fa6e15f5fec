"""Critics: contrastive scores f(latent, observation). The value functions of reinforcement learning are under `values`."""

from framework.critics.base import Critic
from framework.registry import Registry

registry = Registry("critics", Critic)
register = registry.register

__all__ = ["Critic", "register", "registry"]
