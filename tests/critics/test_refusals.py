"""Settings that a critic refuses, by name."""

import math
from dataclasses import replace

import pytest

from framework.errors import UserError
from tests.members import build
from tests.tiny import LATENT, latent_spec

REFUSED = [
    *(("CategoricalCritic", {"unimix": unimix}, r"CategoricalCritic.unimix = .*between 0 and 1") for unimix in (0.0, 1.0, -0.1)),
    ("ConcatCritic", {"layers": 0}, r"ConcatCritic.layers = 0 must be at least 1"),
    ("ConcatCritic", {"pairs_at_once": 0}, r"ConcatCritic.pairs_at_once = 0 must be at least 1"),
    ("GaussianCritic", {"minimum_std": 0.0}, r"GaussianCritic.minimum_std = 0.0 must be positive"),
    ("GaussianCritic", {"initial_std": 0.1}, r"GaussianCritic.initial_std = 0.1 must be above GaussianCritic.minimum_std = 0.1"),
    ("GaussianCritic", {"initial_std": 1.0, "deviation": "fixed"}, r"GaussianCritic.initial_std = 1.0 .* not 'fixed'"),
    ("PriorCritic", {"minimum_std": 0.0}, r"PriorCritic.minimum_std = 0.0 must be positive"),
    *(
        (name, {"temperature": kind, "initial_temperature": value}, rf"{name}.initial_temperature = {value} must be ")
        for name in ("CosineCritic", "DistanceCritic")
        for kind, value in (("fixed", 0.0), ("learned", 0.009), ("fixed", math.nan))
    ),
]


@pytest.mark.parametrize("classes", [None, 3])
def test_groups_of_unequal_size_are_refused(classes):
    with pytest.raises(UserError, match=rf"CategoricalCritic takes one-hot groups.*classes = {classes}"):
        build("critics", "CategoricalCritic", latent=replace(latent_spec("categorical"), classes=classes), embedding_size=5)


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_an_impossible_setting_is_refused(name, settings, message):
    spec = latent_spec("categorical") if name == "CategoricalCritic" else LATENT
    with pytest.raises(UserError, match=message):
        build("critics", name, latent=spec, embedding_size=5, **settings)
