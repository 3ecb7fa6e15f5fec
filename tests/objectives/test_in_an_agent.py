"""Every objective inside a whole agent, on images that are augmented; and its gin file on top of Dreamer V1."""

import copy

import pytest
import torch

from framework.composition import check
from framework.testing.samples import batch, seeded, specs_of, update
from tests.members import ROOT, agent_factory, factory, members

FILES = sorted(path.name for path in (ROOT / "gin" / "objectives").glob("*.gin"))
TWO_VIEWS = ["Agent.encoder = @encoders.RandomShift", "RandomShift.encoder = @encoders.ConvEncoder"]


def make(name: str, **changes):
    torch.manual_seed(0)
    parts = {"decoders": {"pixels": factory("heads", "ImageHead")}} if name == "Reconstruction" else {}
    encoder = factory("encoders", "RandomShift", encoder=factory("encoders", "ConvEncoder"), pixels=1)
    settings = {"encoder": encoder, "objectives": [factory("objectives", name, **parts)]}
    return agent_factory(**(settings | changes))(specs=specs_of("pixels"))


@pytest.mark.parametrize("dynamics", ["GaussianRSSM", pytest.param("CategoricalRSSM", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", members("objectives"))
def test_every_trained_parameter_of_an_agent_moves(name, dynamics):
    agent, generator = make(name, dynamics=factory("dynamics", dynamics)), seeded(7)
    before = copy.deepcopy(agent.state_dict())
    metrics = [update(agent, batch("pixels", seed=seed), generator) for seed in range(2)][-1]
    assert all(value.isfinite() for value in metrics.values())
    trained = {key for key, parameter in agent.named_parameters() if parameter.requires_grad}
    assert [key for key in trained if torch.equal(before[key], agent.state_dict()[key])] == []
    assert all(value.isfinite() for value in agent.diagnose(batch("pixels"), generator).values())


@pytest.mark.parametrize("name", FILES)
def test_the_gin_file_of_an_objective_fits_dreamer_v1(name, tmp_path):
    recipe = tmp_path / "recipe.gin"
    recipe.write_text(f"include 'agents/dreamer_v1.gin'\ninclude 'objectives/{name}'\n")
    augmenting = TWO_VIEWS if name in ("prototypes.gin", "action_conditioned_cpc.gin") else []
    assert [str(problem) for problem in check(recipe, augmenting)] == []
