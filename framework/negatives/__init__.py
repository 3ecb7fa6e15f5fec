"""Negative-sampling strategies: which candidates stand in the denominator of a contrastive bound, and with what weight."""

from framework.negatives.base import Negatives
from framework.registry import Registry

registry = Registry("negatives", Negatives)
register = registry.register

__all__ = ["Negatives", "register", "registry"]
