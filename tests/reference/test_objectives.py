"""The objectives that replace a decoder equal their references: Barlow Twins, InfoNCE, TPC, prototypes and latent consistency."""

from dataclasses import replace
from functools import partial
from math import e, log

import numpy as np
import pytest
import torch

from framework.bounds.infonce_bound import InfoNCEBound
from framework.critics.bilinear_critic import BilinearCritic
from framework.critics.gaussian_critic import GaussianCritic
from framework.data import ActionSpec, LatentSpec
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.dynamics.memoryless_ssm import MemorylessSSM
from framework.functional.random import new_key
from framework.negatives.in_batch import InBatch
from framework.negatives.rolling_window import RollingWindow
from framework.negatives.same_timestep import SameTimestep
from framework.objectives.barlow_twins import BarlowTwins
from framework.objectives.infonce import InfoNCE
from framework.objectives.latent_consistency import LatentConsistency
from framework.objectives.prototypes import Prototypes
from framework.objectives.temporal_predictive import TemporalPredictive
from tests.reference import infonce, prototypes, r2dreamer, tpc
from tests.reference.copies import BOUNDARIES, ROWS, TIMES, VECTOR, array, assert_equal, generator, inferred_batch, linears, normal, perturb
from tests.reference.layers import elu_mlp, linear, softplus

SIZES = {
    "latent": LatentSpec(deterministic=6, stochastic=4, kind="gaussian"),
    "embedding_size": 5,
    "observation": VECTOR,
    "action": ActionSpec(kind="continuous", sizes=(2,)),
}
DYNAMICS = GaussianRSSM(embedding_size=5, action_size=2, deterministic=6, stochastic=4, hidden=7)
ITEM = {
    number: pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"issue 14, item {number}: {text}")
    for number, text in {
        15: "the prototypes are not returned to unit length",
        17: "the blurred latent in place of the clean mean, and a deviation of the posterior's own",
        19: "pairs that are missing are averaged in as zeros",
        21: "the steps of the warm-up are averaged in as zeros",
    }.items()
}


def losses_of(objective, inferred, seed=0):
    perturb(objective, seed)
    return objective(inferred, DYNAMICS, new_key(generator(seed)))[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_barlow_twins_equals_the_reference(seed):
    objective, inferred = BarlowTwins(**SIZES), inferred_batch(seed)
    losses = losses_of(objective, inferred, seed)
    projected = linear(array(inferred.features), *linears(objective)).reshape(15, -1)
    expected = r2dreamer.barlow_loss(projected, array(inferred.embedding).reshape(15, -1), 5e-4)
    assert_equal(losses["barlow"].mean(), expected)


@ITEM[21]
def test_the_projector_of_barlow_twins_begins_from_the_truncated_normal_of_dreamer_v3():
    sizes = {**SIZES, "latent": LatentSpec(deterministic=6, stochastic=4, kind="gaussian"), "embedding_size": 1000}
    ((weight, _),) = linears(BarlowTwins(**sizes))
    assert weight.std() == pytest.approx(10**-0.5, rel=0.05)


def gaussian_scores(critic, inferred):
    mean, raw = np.split(elu_mlp(array(inferred.embedding).reshape(15, -1), linears(critic)), 2, axis=-1)
    value = inferred.features if critic.density == "feature" else inferred.posterior.stochastic
    return infonce.density_scores(array(value).reshape(15, -1), mean, softplus(raw) + 0.1)


def bilinear_scores(critic, inferred):
    return linear(array(inferred.features).reshape(15, -1), *linears(critic)) @ array(inferred.embedding).reshape(15, -1).T


@pytest.mark.parametrize(
    ("critic", "scores", "axis", "loss"),
    [
        (partial(GaussianCritic, units=7, layers=2), gaussian_scores, "row", infonce.row_loss),
        (partial(GaussianCritic, units=7, layers=2, density="feature"), gaussian_scores, "column_as_released", infonce.column_loss),
        (BilinearCritic, bilinear_scores, "row", infonce.row_loss),
        (BilinearCritic, bilinear_scores, "column", infonce.column_loss),
    ],
)
@pytest.mark.parametrize(
    ("negatives", "kept"),
    [(InBatch, np.ones((15, 15), dtype=bool)), (partial(RollingWindow, rows=2, times=3), infonce.rolled_window(ROWS, TIMES, 2, 3))],
)
def test_infonce_equals_the_reference(critic, scores, axis, loss, negatives, kept):
    objective, inferred = InfoNCE(**SIZES, critic=critic, negatives=negatives, bound=InfoNCEBound, axis=axis), inferred_batch(0)
    losses = losses_of(objective, inferred)
    assert_equal(losses["infonce"].flatten(), loss(scores(objective.critic, inferred), kept))


def temporal_predictive(warm_up):
    critic = partial(GaussianCritic, deviation="fixed", minimum_std=0.2, units=7, layers=2)
    return TemporalPredictive(**SIZES, critic=critic, negatives=SameTimestep, warm_up=warm_up, noise=0.2)


@pytest.mark.parametrize(
    "name",
    ["temporal_predictive", "static_predictive", pytest.param("consistency", marks=ITEM[17]), pytest.param("centering", marks=ITEM[17])],
)
@pytest.mark.parametrize("warm_up", [0, pytest.param(1, marks=ITEM[21])])
@pytest.mark.parametrize("seed", [0, 1])
def test_tpc_equals_the_reference(seed, warm_up, name):
    pass
