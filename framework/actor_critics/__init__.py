"""Actor-critics: how an agent acts, and how its behavior is trained."""

from framework.actor_critics.base import ActorCritic
from framework.registry import Registry

registry = Registry("actor_critics", ActorCritic)
register = registry.register

__all__ = ["ActorCritic", "register", "registry"]
