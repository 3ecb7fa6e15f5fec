"""Values against annotations, as components of users write them."""

import pytest

from framework.composition.catalog import Catalog
from framework.composition.types import fit


@pytest.mark.parametrize(
    ("annotation", "value", "wrong"),
    [
        ("Optional[int]", 1, "x"),
        ("typing.Optional[int]", None, 0.5),
        ("Union[int, str]", "x", 0.5),
        ("List[int]", [1, 2], ["x"]),
        ("Tuple[int, ...]", (1, 2), ("x",)),
        ("Dict[str, float]", {"a": 1.0}, {"a": "x"}),
        ("'float | None'", None, "x"),
        ("float", 1, 10**400),
        ("list[float]", [0.5], [float("nan")]),
        ("Mapping[str, float]", {"a": 1.0}, {"a": float("inf")}),
        ("Mapping[str, Any]", {"a": "x"}, {"a": [float("-inf")]}),
    ],
)
def test_a_value_fits_its_annotation_or_is_refused(annotation, value, wrong):
    assert fit(value, annotation, Catalog()) == (value, [])
    _, messages = fit(wrong, annotation, Catalog())
    assert len(messages) == 1
    assert messages[0].startswith("takes ")
