"""What a strategy refuses beside the settings in `tests/composition`: too few candidates, and a contrast that lacks what it needs."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from framework.contrastive.contrast import Contrast
from framework.errors import UserError
from framework.negatives.action_negatives import ActionNegatives
from framework.negatives.memory_queue import MemoryQueue
from framework.negatives.mochi import MoCHi
from framework.testing.samples import LATENT, contrast, key_of, origin
from tests.members import build
from tests.objectives.contrasts import make

SETTINGS = {
    "HardWeighted.beta = nan": {"beta": math.nan},
    "MemoryQueue.slow_rate = 0.5, and the strategy in it has 0.01": {"slow_rate": 0.5, "of": partial(MemoryQueue, slow_rate=0.01)},
    "TopK.count = 12, and there are 11 negatives; bind from 1 to 11": {"count": 12},
    "UniformSubset.candidates = 13, and there are 12 candidates; bind from 2 to 12": {"candidates": 13},
    "WithinCrossMixture.count = 12, and there are 11 negatives": {"count": 12},
}


@pytest.mark.parametrize("message", SETTINGS)
def test_an_impossible_setting_is_refused(message):
    with pytest.raises(UserError, match=message):
        build("negatives", message.partition(".")[0], **SETTINGS[message])(contrast(torch.zeros(12, 12), origin(3, 4)), key_of(0))


def without(strategy, **changes):
    """A strategy on a contrast whose source lacks something."""
    whole = contrast(torch.zeros(12, 12), origin(3, 4), build("critics", "CosineCritic", latent=LATENT, embedding_size=5))
    return strategy()(replace(whole, source=replace(whole.source, **changes)), key_of(0))


def on_scores_alone(strategy):
    return strategy()(Contrast.of(torch.zeros(4, 4), origin(2, 2)), key_of(0))


UNFIT = {
    "ActionNegatives needs the prior, and InfoNCE.anchor = 'posterior'; bind InfoNCE.anchor = 'prior'": partial(
        make, negatives="ActionNegatives", anchor="posterior"
    ),
    "MemoryQueue adds candidate observations": partial(make, negatives="MemoryQueue", axis="column"),
    "mixes candidates that all anchors share": partial(without, partial(MoCHi, of=ActionNegatives)),
    "ReplayNegatives needs steps of their own from the replay; bind Replay.extra_candidates = 256": partial(
        without, partial(build, "negatives", "ReplayNegatives"), extra=None
    ),
    "bind InfoNCE.critic = @critics.CosineCritic": partial(without, MoCHi, units=None),
    "ActionNegatives needs a world model": partial(without, ActionNegatives, predict=None),
    **{
        f"{strategy.__name__} reads the inputs of the scores": partial(on_scores_alone, strategy)
        for strategy in (ActionNegatives, MemoryQueue, MoCHi)
    },
}


@pytest.mark.parametrize("message", UNFIT)
def test_a_contrast_or_an_objective_that_does_not_fit_is_refused(message):
    with pytest.raises(UserError, match=message):
        UNFIT[message]()
