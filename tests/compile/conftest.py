"""Compilation tests run without the hook that checks shapes, which `fullgraph` cannot trace."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("jaxtyping_packages", default=""):
        reason = "shapes are checked by a hook that cannot be compiled: run `pytest tests/compile --jaxtyping-packages=`"
        for item in items:
            if "tests/compile/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))
