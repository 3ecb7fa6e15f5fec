"""Heads: predictions with a likelihood, from the features of a latent."""

from framework.heads.base import Head
from framework.registry import Registry

registry = Registry("heads", Head)
register = registry.register

__all__ = ["Head", "register", "registry"]
