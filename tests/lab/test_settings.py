import pytest

from framework.errors import UserError
from framework.lab.settings import BoundsSettings, CostSettings, CriticsSettings, DerivationSettings, LabSettings, NegativesSettings


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (BoundsSettings, {"candidates": (64, 1)}, "--candidates = 1 .* at least 2"),
        (BoundsSettings, {"dimensions": 0}, "--dimensions = 0 .* at least 1"),
        (BoundsSettings, {"pairs": 0}, "--pairs = 0"),
        (BoundsSettings, {"steps": 0}, "--steps = 0"),
        (CriticsSettings, {"dimensions": 0}, "--dimensions = 0"),
        (CriticsSettings, {"candidates": 1}, "--candidates = 1"),
        (CriticsSettings, {"steps": -1}, "--steps = -1"),
        (CriticsSettings, {"offset": -1}, "--offset = -1"),
        (NegativesSettings, {"batch": 0}, "--batch = 0"),
        (NegativesSettings, {"batches": 1}, "--batches = 1"),
        (DerivationSettings, {"observations": 1}, "--observations = 1 .* from 2 to 128"),
        (DerivationSettings, {"latents": 129}, "--latents = 129 .* from 2 to 128"),
        (CostSettings, {"embedding": 0}, "--embedding = 0"),
    ],
)
def test_a_value_outside_its_limits_is_refused_by_name(settings: type[LabSettings], values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings(**values)
