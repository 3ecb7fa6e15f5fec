"""Optimizers: one step on a group of parameters, from gradients."""

from framework.optimizers.base import Optimizer
from framework.registry import Registry

registry = Registry("optimizers", Optimizer)
register = registry.register

__all__ = ["Optimizer", "register", "registry"]
