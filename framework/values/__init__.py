"""Values: the expected return from a latent. Contrastive scores are under `critics`."""

from framework.registry import Registry
from framework.values.base import Value

registry = Registry("values", Value)
register = registry.register

__all__ = ["Value", "register", "registry"]
