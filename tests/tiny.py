"""The samples of `framework.testing`, by a short name."""

from framework.testing.samples import *  # noqa: F403
