"""Dynamics: latents inferred from embeddings and actions, and imagined forward."""

from framework.dynamics.base import Dynamics
from framework.registry import Registry

registry = Registry("dynamics", Dynamics)
register = registry.register

__all__ = ["Dynamics", "register", "registry"]
