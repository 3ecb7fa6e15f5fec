"""What the contracts of all families share: the component under test, and the settings that it is built with."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
import torch

from framework.errors import UserError
from framework.lab.members import Member, member_of


class Contract:
    """Tests of what every component of a family promises; a subclass named `Test..` runs them on one `component`.

    `bindings` are settings as on the command line, `("FarAway.steps=3",)`; others have their defaults. A test that does not apply is
    replaced by None in the subclass.
    """

    family: ClassVar[str]
    component: ClassVar[type]
    bindings: ClassVar[Sequence[str]] = ()

    @pytest.fixture
    def member(self) -> Member:
        """The component with its settings. `dream test` gives it as a parameter."""
        return member_of(self.family, self.component.__name__, self.bindings)

    @pytest.fixture(autouse=True)
    def _seed(self, request: pytest.FixtureRequest) -> None:
        """Initial parameters, which draw from torch's global generator, are the same in every test; no generator, which jaxtyping hides."""
        stack = ExitStack()
        request.addfinalizer(stack.close)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.manual_seed(0)


def accepted(member: Member, **sizes: Any) -> Any:
    """The component for these sizes; None where its constructor refuses them with a `UserError`."""
    try:
        return member.build(**sizes)
    except UserError:
        return None
