"""Every contract runs on every registered component of its family, which joins by itself."""

import pytest

from framework.testing import Contract
from tests.members import contract_members


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is not None and issubclass(metafunc.cls, Contract) and "member" in metafunc.fixturenames:
        metafunc.parametrize("member", contract_members(metafunc.cls.family), ids=lambda member: member.name)
