"""Every component keeps the contract of its family; `conftest` gives each contract its members."""
# ruff: noqa: F401

from framework.testing import ActorCriticContract as TestActorCritic
from framework.testing import BoundContract as TestBound
from framework.testing import CriticContract as TestCritic
from framework.testing import DynamicsContract as TestDynamics
from framework.testing import EncoderContract as TestEncoder
from framework.testing import EnvironmentContract as TestEnvironment
from framework.testing import HeadContract as TestHead
from framework.testing import NegativesContract as TestNegatives
from framework.testing import ObjectiveContract as TestObjective
from framework.testing import OptimizerContract as TestOptimizer
from framework.testing import ValueContract as TestValue
from framework.testing import VectorEnvironmentContract as TestVectorEnvironment
