"""Bounds on the mutual information: what is made of a matrix of scores, and what is trained on it."""

from framework.bounds.base import Bound
from framework.registry import Registry

registry = Registry("bounds", Bound)
register = registry.register

__all__ = ["Bound", "register", "registry"]
