"""The contract of each family as tests, which any component must pass: those of this package, and your own.

    from framework.testing import NegativesContract

    class TestFarAway(NegativesContract):
        component = FarAway

`dream test FarAway --import far_away` runs the same tests.
"""
# ruff: noqa: E402

try:
    import pytest
except ImportError as error:
    raise ImportError("The contracts run under pytest, which is not installed: run `pip install 'dream-framework[test]'`.") from error

from framework.signatures import FAMILIES

pytest.register_assert_rewrite(*(f"framework.testing.{name}" for name in (*FAMILIES, "checks")))

from framework.testing.actor_critics import ActorCriticContract
from framework.testing.bounds import BoundContract
from framework.testing.contract import Contract
from framework.testing.critics import CriticContract
from framework.testing.dynamics import DynamicsContract
from framework.testing.encoders import EncoderContract
from framework.testing.environments import EnvironmentContract
from framework.testing.heads import HeadContract
from framework.testing.negatives import NegativesContract
from framework.testing.objectives import ObjectiveContract
from framework.testing.optimizers import OptimizerContract
from framework.testing.values import ValueContract
from framework.testing.vector_environments import VectorEnvironmentContract

__all__ = [
    "ActorCriticContract",
    "BoundContract",
    "Contract",
    "CriticContract",
    "DynamicsContract",
    "EncoderContract",
    "EnvironmentContract",
    "HeadContract",
    "NegativesContract",
    "ObjectiveContract",
    "OptimizerContract",
    "ValueContract",
    "VectorEnvironmentContract",
]
