"""The recurrent dynamics beyond their equations, which `tests/reference` compares with the papers', and the balanced KL loss."""

import pytest
import torch

from framework.dynamics.block_rssm import BlockRSSM
from framework.dynamics.categorical_rssm import CategoricalRSSM
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.dynamics.transformer_ssm import TransformerSSM
from framework.functional.categorical import categorical_kl
from framework.functional.kl import gaussian_kl
from framework.nn.blocks import NormGRUCell
from framework.testing.samples import ROWS, TIMES, batch, normal, seeded

GAUSSIAN = {"embedding_size": 5, "action_size": 2, "deterministic": 6, "stochastic": 4, "hidden": 8}
CATEGORICAL = {"embedding_size": 5, "action_size": 2, "deterministic": 6, "hidden": 8, "groups": 3, "classes": 4}
BOTH = pytest.mark.parametrize(("kind", "sizes"), [(GaussianRSSM, GAUSSIAN), (CategoricalRSSM, CATEGORICAL)])


def observe(dynamics):
    data, noise = batch(), dynamics.draw_noise(ROWS, TIMES, generator=seeded())
    return dynamics.observe(normal(ROWS, TIMES, 5), data.action, data.is_first, dynamics.initial(ROWS), noise)


def nats_between(posterior, prior):
    statistics = [*posterior.statistics.values(), *prior.statistics.values()]
    return gaussian_kl(*statistics) if "mean" in prior.statistics else categorical_kl(*statistics)


@BOTH
@pytest.mark.parametrize(("convention", "nats"), [("mean", 0.1), ("step", 0.7), ("excess", 0.7)])
def test_its_kl_is_that_of_its_distributions_with_its_convention_of_free_nats(kind, sizes, convention, nats):
    dynamics = kind(**sizes, balance=0.3, free_nats=nats, free_nats_on=convention)
    posterior, prior = observe(dynamics)
    plain = nats_between(posterior, prior)
    expected = {"mean": plain, "step": plain.clamp(min=nats), "excess": (plain - nats).clamp(min=0.0)}[convention]
    losses, metrics = dynamics.kl_loss(posterior, prior)
    assert plain.mean() > 0.1
    assert torch.allclose(losses["kl"], expected, atol=1e-6)
    assert torch.allclose(metrics["model/kl_nats"], plain.mean())


@BOTH
@pytest.mark.parametrize("balance", [0.0, 0.3, 1.0])
def test_a_balance_divides_the_gradient_and_changes_no_value(kind, sizes, balance):
    dynamics, plain = (kind(**sizes, balance=each, free_nats=0.0) for each in (balance, None))
    posterior, prior = observe(dynamics)
    losses = [each.kl_loss(posterior, prior)[0]["kl"].sum() for each in (dynamics, plain)]
    assert torch.allclose(*losses)
    for latent, share in ((prior, balance), (posterior, 1 - balance)):
        leaves = [*latent.statistics.values()]
        divided, whole = (
            torch.autograd.grad(loss, leaves, retain_graph=True, materialize_grads=True, allow_unused=True) for loss in losses
        )
        assert any(each.any() for each in whole)
        assert all(torch.allclose(one, share * other, atol=1e-6) for one, other in zip(divided, whole, strict=True))


def test_latents_are_one_hot_and_unimix_keeps_every_class_possible():
    for latent in observe(CategoricalRSSM(unimix=0.2, **CATEGORICAL)):
        groups = latent.stochastic.unflatten(-1, (3, 4))
        assert torch.allclose(groups.sum(dim=-1), torch.ones(ROWS, TIMES, 3), atol=1e-6)
        assert torch.allclose(groups.amax(dim=-1), torch.ones(ROWS, TIMES, 3), atol=1e-6)
        assert latent.statistics["logits"].exp().min() >= 0.2 / 4 - 1e-6


def test_no_standard_deviation_is_below_the_floor():
    assert all(latent.statistics["std"].min() > 0.5 for latent in observe(GaussianRSSM(**GAUSSIAN, minimum_std=0.5)))


@pytest.mark.parametrize(("std_function", "stds"), [("softplus", (0.1, 0.7931, 50.1)), ("sigmoid2", (0.1, 1.1, 2.1))])
def test_a_standard_deviation_is_a_function_of_the_output_above_the_floor(std_function, stds):
    mean, std = GaussianRSSM(**GAUSSIAN, std_function=std_function).normal(torch.tensor([1.0, 2.0, 3.0, -50.0, 0.0, 50.0]))
    assert mean.tolist() == [1.0, 2.0, 3.0]
    assert std.tolist() == pytest.approx(stds, abs=1e-4)


def test_a_gaussian_model_with_a_norm_in_its_cell_steps_as_dreamer_v2():
    dynamics, cell = GaussianRSSM(**GAUSSIAN, cell_norm="layer"), NormGRUCell(input_size=8, hidden_size=6, norm="layer")
    cell.load_state_dict(dynamics.cell.state_dict())
    latent, action = dynamics.initial(3), normal(3, 2)
    latent.deterministic[:] = normal(3, 6, seed=1)
    stepped = dynamics.imagine_step(latent, action, normal(3, 4))
    hidden = torch.nn.functional.elu(dynamics.input(torch.cat([latent.stochastic, action], dim=-1)))
    assert torch.allclose(stepped.deterministic, cell(hidden, latent.deterministic), atol=1e-6)


def test_the_paper_has_230_features():
    assert GaussianRSSM(embedding_size=1024, action_size=6).latent.feature_size == 230


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [(GaussianRSSM, GAUSSIAN), (CategoricalRSSM, CATEGORICAL), (TransformerSSM, CATEGORICAL | {"layers": 1, "attention_heads": 1})],
)
def test_it_stays_in_float32_under_bfloat16(kind, sizes):
    dynamics = kind(**sizes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents = observe(dynamics)
    for latent, exact in zip(latents, observe(dynamics), strict=True):
        assert {each.dtype for each in (latent.features, *latent.statistics.values())} == {torch.float32}
        assert torch.allclose(latent.deterministic, exact.deterministic, atol=0.1)


def test_the_blocks_of_dreamer_v3_have_the_fan_in_of_their_whole_input():
    dynamics = BlockRSSM(embedding_size=300, action_size=2, deterministic=400, hidden=50, groups=8, classes=8, blocks=8)
    for name, fan_in in {"mixing": 400 + 3 * 8 * 50, "gates": 400, "posterior_hidden": 700}.items():
        assert dynamics.get_submodule(name).weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.03)
