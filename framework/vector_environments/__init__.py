"""Vector environments: several environments that step together, in worker processes or in one batched simulator."""

from framework.registry import Registry
from framework.vector_environments.base import EnvironmentSnapshot, VectorEnvironment, VectorStep

registry = Registry("vector_environments", VectorEnvironment)
register = registry.register

__all__ = ["EnvironmentSnapshot", "VectorEnvironment", "VectorStep", "register", "registry"]
