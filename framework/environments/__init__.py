"""Environments: `dm_env.Environment` itself, so that a user's own works unchanged. This package imports no simulator."""

from framework.environments.base import Environment, Seekable
from framework.registry import Registry

registry = Registry("environments", Environment)
register = registry.register

__all__ = ["Environment", "Seekable", "register", "registry"]
