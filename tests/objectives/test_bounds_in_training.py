"""Every bound inside InfoNCE: it trains a critic, is a diagnostic, or is refused."""

import pytest
import torch

from framework.data import InferredBatch, Latent
from framework.errors import UserError
from framework.testing.samples import DYNAMICS, LATENT, batch, inferred, key_of, latent, normal
from tests.members import build, factory, members
from tests.objectives.contrasts import EMBEDDING, make

ROWS, TIMES = 6, 8
TRAINABLE = [name for name in members("bounds") if build("bounds", name, latent=LATENT, embedding_size=EMBEDDING).side != "upper"]
PARAMETERLESS = [name for name in members("bounds") if not [*build("bounds", name, latent=LATENT, embedding_size=EMBEDDING).parameters()]]


def informative() -> InferredBatch:
    """Latents that are noisy embeddings."""
    embedding = normal(ROWS, TIMES, EMBEDDING, seed=3)
    stochastic = embedding[..., :4] + 0.3 * normal(ROWS, TIMES, 4, seed=4)
    posterior = Latent(
        deterministic=normal(ROWS, TIMES, LATENT.deterministic),
        stochastic=stochastic,
        statistics={"mean": stochastic, "std": torch.ones_like(stochastic)},
    )
    return inferred(posterior, latent(ROWS, TIMES, seed=5), embedding, batch("both", ROWS, TIMES))


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_bound_trains_a_critic(name):
    """From scores near zero the estimate rises, except that of Sigmoid, which is meaningless before training."""
    objective, sample, history = make(bound=name), informative(), []
    with torch.no_grad():
        for parameter in objective.critic.parameters():
            parameter.mul_(0.1)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    for number in range(20):
        losses, metrics = objective(sample, DYNAMICS, key_of(number))
        loss = losses["infonce"].mean()
        history.append((loss.item(), metrics["contrastive/accuracy"].item(), metrics["contrastive/estimate"].item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        objective.after_update(sample, DYNAMICS, key_of(number))
    before, after = history[0], history[-1]
    assert after[0] < before[0]
    assert after[1] > before[1]
    if name != "Sigmoid":
        assert after[2] > before[2] + 0.1
    assert metrics["contrastive/is_lower_bound"].item() == (objective.bound.side == "lower") == objective.is_lower_bound


def test_a_stateful_bound_changes_after_the_update():
    objective, sample = make(bound="MINE"), informative()
    objective(sample, DYNAMICS, key_of(0))
    assert objective.bound.log_share.isneginf()
    objective.after_update(sample, DYNAMICS, key_of(0))
    assert objective.bound.log_share.isfinite()


def test_diagnostics_are_logged_by_name():
    objective, sample = make(diagnostics=[factory("bounds", name) for name in PARAMETERLESS]), informative()
    with torch.no_grad():
        diagnosed = objective.diagnose(sample, DYNAMICS, key_of(0))
        _, metrics = objective(sample, DYNAMICS, key_of(0))
    assert len(PARAMETERLESS) == len(members("bounds")) - 2
    assert all(diagnosed[f"contrastive/{name}"].isfinite() for name in PARAMETERLESS)
    assert diagnosed["contrastive/InfoNCEBound"] == metrics["contrastive/estimate"]
    assert diagnosed["contrastive/InfoNCEBound"] < diagnosed["contrastive/LeaveOneOut"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bound": "LeaveOneOut"}, r"LeaveOneOut bounds from above, and cannot be trained; put it into InfoNCE.diagnostics"),
        ({"diagnostics": [factory("bounds", "FLO")]}, r"InfoNCE.diagnostics has FLO.*bind it as InfoNCE.bound"),
        ({"bound": "FLO", "axis": "symmetric"}, r"FLO reads the pairs themselves.*bind InfoNCE.axis = 'row'"),
    ],
)
def test_a_bound_in_the_wrong_place_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
