"""Settings that an objective refuses, by name; those of InfoNCE are in `test_infonce`."""

import pytest

from framework.errors import UserError
from tests.members import build, factory
from tests.tiny import objective_sizes

REFUSED = [
    ("ActionConditionedCPC", {"steps": 0}, r"ActionConditionedCPC.steps = 0 must be at least 1"),
    ("ActionConditionedCPC", {"discount": 0.0}, r"ActionConditionedCPC.discount = 0.0 above 0"),
    ("ActionConditionedCPC", {"critic": factory("critics", "PriorCritic")}, r"does not score the prior against embeddings"),
    ("ActionConditionedCPC", {"negatives": factory("negatives", "ActionNegatives")}, r"ActionNegatives does more than select"),
    ("BarlowTwins", {"redundancy": -1.0}, r"BarlowTwins.redundancy = -1.0 must be 0 or more"),
    ("LatentConsistency", {"horizon": 0}, r"LatentConsistency.horizon = 0 must be at least 1"),
    ("LatentConsistency", {"discount": 0.0}, r"LatentConsistency.discount = 0.0 above 0"),
    ("LatentConsistency", {"slow_rate": 0.01}, r"only embeddings come from; bind LatentConsistency.target = 'embedding'"),
    ("LatentConsistency", {"target": "embedding", "slow_rate": 2.0}, r"LatentConsistency.slow_rate = 2.0"),
    ("NextEmbedding", {"horizon": 0}, r"NextEmbedding.horizon = 0 must be at least 1"),
    ("NextEmbedding", {"discount": 1.5}, r"NextEmbedding.discount = 1.5 above 0 and at most 1"),
    ("NextEmbedding", {"redundancy": -1.0}, r"NextEmbedding.redundancy = -1.0 0 or more"),
    (
        "NextEmbedding",
        {"units": 5, "attention_heads": 2},
        r"NextEmbedding.units = 5 must be a multiple of NextEmbedding.attention_heads = 2",
    ),
    ("Prototypes", {"prototypes": 1}, r"Prototypes.prototypes = 1 must be at least 2"),
    ("Prototypes", {"iterations": 0}, r"Prototypes.iterations = 0 at least 1"),
    ("Prototypes", {"epsilon": 0.0}, r"Prototypes.epsilon = 0.0 positive"),
    ("Prototypes", {"temperature": -1.0}, r"Prototypes.temperature = -1.0"),
    ("Prototypes", {"slow_rate": 0.0}, r"Prototypes.slow_rate = 0.0 above 0"),
    ("Reconstruction", {"decoders": {"depth": factory("heads", "ImageHead")}}, r"names \['depth'\]; the observations are \['pixels'"),
    ("Reconstruction", {"decoders": {}}, r"names nothing"),
    ("TemporalPredictive", {"noise": -0.1}, r"TemporalPredictive.noise = -0.1"),
    (
        "TemporalPredictive",
        {"critic": factory("critics", "PriorCritic")},
        r"TemporalPredictive.critic = @critics.PriorCritic does not",
    ),
    ("TemporalPredictive", {"negatives": factory("negatives", "MemoryQueue")}, r"MemoryQueue does more than select.*bind another Temporal"),
]


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_settings_that_do_not_fit_are_refused(name, settings, message):
    with pytest.raises(UserError, match=message):
        build("objectives", name, **objective_sizes(), **settings)
