"""Values: what a latent is worth to the policy. The contrastive scores are under `critics`."""

from framework.values.base import Value
from framework.registry import Registry

registry = Registry("values", Value)
register = registry.register

__all__ = ["Value", "register", "registry"]
