"""Parts that an objective refuses, by name; those of InfoNCE are in `test_infonce`, and settings in `tests/composition`."""

import pytest

from framework.errors import UserError
from framework.testing.samples import objective_sizes
from tests.members import build, factory

REFUSED = [
    ("ActionConditionedCPC", {"critic": factory("critics", "PriorCritic")}, r"does not score the prior against embeddings"),
    ("ActionConditionedCPC", {"negatives": factory("negatives", "ActionNegatives")}, r"ActionNegatives does more than select"),
    ("Reconstruction", {"decoders": {"depth": factory("heads", "ImageHead")}}, r"names \['depth'\]; the observations are \['pixels'"),
    ("Reconstruction", {"decoders": {}}, r"names nothing"),
    ("TemporalPredictive", {"critic": factory("critics", "PriorCritic")}, r"TemporalPredictive.critic = @critics.PriorCritic does not"),
    ("TemporalPredictive", {"negatives": factory("negatives", "MemoryQueue")}, r"MemoryQueue does more than select.*bind another Temporal"),
]


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_settings_that_do_not_fit_are_refused(name, settings, message):
    with pytest.raises(UserError, match=message):
        build("objectives", name, **objective_sizes(), **settings)
