"""Actor-critics: how to act, and what to learn from imagination."""

from framework.actor_critics.base import ActorCritic
from framework.registry import Registry

registry = Registry("actor_critics", ActorCritic)
register = registry.register

__all__ = ["ActorCritic", "register", "registry"]
