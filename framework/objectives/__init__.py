"""Objectives: what ties the latent to the observation."""

from framework.objectives.base import Objective
from framework.registry import Registry

registry = Registry("objectives", Objective)
register = registry.register

__all__ = ["Objective", "register", "registry"]
