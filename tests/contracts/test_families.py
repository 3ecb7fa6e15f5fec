"""Every component keeps the contract of its family."""

from framework.testing import (
    ActorCriticContract,
    BoundContract,
    CriticContract,
    DynamicsContract,
    EncoderContract,
    EnvironmentContract,
    HeadContract,
    NegativesContract,
    ObjectiveContract,
    OptimizerContract,
    ValueContract,
    VectorEnvironmentContract,
)


class TestActorCritic(ActorCriticContract):
    """Every member of its family."""


class TestBound(BoundContract):
    """Every member of its family."""


class TestCritic(CriticContract):
    """Every member of its family."""


class TestDynamics(DynamicsContract):
    """Every member of its family."""


class TestEncoder(EncoderContract):
    """Every member of its family."""


class TestEnvironment(EnvironmentContract):
    """Every member of its family."""


class TestHead(HeadContract):
    """Every member of its family."""


class TestNegatives(NegativesContract):
    """Every member of its family."""


class TestObjective(ObjectiveContract):
    """Every member of its family."""


class TestOptimizer(OptimizerContract):
    """Every member of its family."""


class TestValue(ValueContract):
    """Every member of its family."""


class TestVectorEnvironment(VectorEnvironmentContract):
    """Every member of its family."""
