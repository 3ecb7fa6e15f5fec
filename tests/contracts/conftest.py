"""A test that takes `encoder_name` runs over every registered encoder, and so on: a plugin's member joins by itself."""

import pytest

from tests.members import members

FAMILY_OF_FIXTURE = {
    "environment_name": "environments",
    "vector_environment_name": "vector_environments",
    "encoder_name": "encoders",
    "dynamics_name": "dynamics",
    "critic_name": "critics",
    "negatives_name": "negatives",
    "bound_name": "bounds",
    "objective_name": "objectives",
    "head_name": "heads",
    "value_name": "values",
    "actor_critic_name": "actor_critics",
    "optimizer_name": "optimizers",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, family in FAMILY_OF_FIXTURE.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, members(family))
