"""Encoders: from observations to embeddings."""

from framework.encoders.base import Encoder
from framework.registry import Registry

registry = Registry("encoders", Encoder)
register = registry.register

__all__ = ["Encoder", "register", "registry"]
