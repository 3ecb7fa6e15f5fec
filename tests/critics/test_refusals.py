"""What a critic refuses beside the settings in `tests/composition`."""

import math
from dataclasses import replace

import pytest

from framework.errors import UserError
from framework.testing.samples import LATENT, latent_spec
from tests.members import build


@pytest.mark.parametrize("classes", [None, 3])
def test_groups_of_unequal_size_are_refused(classes):
    with pytest.raises(UserError, match=rf"CategoricalCritic takes one-hot groups.*classes = {classes}"):
        build("critics", "CategoricalCritic", latent=replace(latent_spec("categorical"), classes=classes), embedding_size=5)


@pytest.mark.parametrize("unimix", [0.0, 1.0, -0.1])
def test_a_categorical_critic_needs_a_share_of_the_uniform_distribution_for_finite_scores(unimix):
    with pytest.raises(UserError, match=rf"CategoricalCritic.unimix = {unimix} must lie between 0 and 1"):
        build("critics", "CategoricalCritic", latent=latent_spec("categorical"), embedding_size=5, unimix=unimix)


def test_a_temperature_that_is_no_number_is_refused():
    with pytest.raises(UserError, match=r"CosineCritic.temperature = nan must be positive"):
        build("critics", "CosineCritic", latent=LATENT, embedding_size=5, temperature_kind="fixed", temperature=math.nan)
