"""`dream describe FAMILY` and `dream test`: the contract of a family, and a component held against it."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from framework.cli.family import record_facts
from framework.cli.new import EXTENDABLE, template
from framework.contrastive.contrast import Contrast
from framework.data import Batch, Latent
from framework.environments.base import SeededEpisodes
from framework.registry import registry_of
from framework.signatures.records import all_records
from framework.specs import ModelSpecs
from tests.cli.calls import Call, bound


@pytest.mark.parametrize("family", EXTENDABLE)
def test_a_family_is_described_by_its_base_classes_and_its_smallest_component(call: Call, family: str) -> None:
    facts = json.loads(call("describe", family, "--json").stdout)
    methods = {each["name"]: each for base in facts["bases"] for each in base["methods"]}
    attributes = [each for base in facts["bases"] for each in base["attributes"]]
    registry = registry_of(family)
    base = SeededEpisodes if family == "environments" else registry.base
    abstract = {name for name in base.__abstractmethods__ if name != "__init__"}
    named = {name: f"`{name}`" in facts["bases"][-1]["doc"] for name in abstract - methods.keys()}
    assert all(named.values()), "what dm_env's own contract asks for is named"
    assert any(each["abstract"] for each in methods.values())
    assert all(each["what"] and each["type"] and each["default"] for each in attributes)
    assert all(each["doc"] for each in methods.values())
    passed = {"environments": ("seed",)}.get(family) or registry.base.derived
    assert [each["name"] for each in facts["derived"]] == list(passed)
    assert all(each["type"] for each in facts["derived"])
    assert facts["example"] == template(family)
    text = call("describe", family).stdout
    assert all(each["signature"] in text for each in methods.values())
    assert all(f"    {each['name']}: {each['type']}" in text for each in facts["derived"])


def test_the_contract_of_negatives_has_shapes_meanings_and_defaults(call: Call) -> None:
    lines = call("describe", "negatives").stdout.splitlines()
    assert "choose(contrast: Contrast, key: Key) -> Contrast  (must be written)" in lines
    assert 'after_update(embeddings: Float[Tensor, "N E"], origin: Origin) -> None' in lines
    (row,) = (line.split(maxsplit=3) for line in lines if line.startswith("is_lower_bound "))
    assert row == ["is_lower_bound", "bool", "True", "the estimate is still a lower bound on the mutual information `I(s; o)`."]


@pytest.mark.parametrize("family", EXTENDABLE)
def test_a_family_names_its_records_and_each_is_described(call: Call, family: str) -> None:
    records = json.loads(call("describe", family, "--json").stdout)["records"]
    assert records or family in ("environments", "optimizers")
    for name in records:
        facts = json.loads(call("describe", name, "--json").stdout)
        assert facts["name"] == name
        assert facts["doc"]
        assert all(each["type"] and each["what"] for each in facts["fields"])


def test_every_record_has_a_meaning_for_each_field() -> None:
    records = {name: record_facts(name, record) for name, record in all_records().items()}
    with_fields = {name: [each["name"] for each in facts["fields"]] for name, facts in records.items() if facts["fields"]}
    assert {"ActionSpec", "Batch", "Contrast", "Imagination", "InferredBatch", "Latent", "LatentSpec", "ModelSpecs"} <= with_fields.keys()
    assert {"Origin", "Source", "Specs", "VectorStep"} <= with_fields.keys()
    for name, record in {"Batch": Batch, "Contrast": Contrast, "Latent": Latent, "ModelSpecs": ModelSpecs}.items():
        assert with_fields[name] == [each.name for each in fields(record)]
    assert [(name, each["name"]) for name, facts in records.items() for each in facts["fields"] if not each["what"]] == []


def test_a_record_is_shown_with_its_fields_its_methods_and_the_alignment(call: Call) -> None:
    lines = call("describe", "Batch").stdout.splitlines()
    assert lines[0].startswith("Batch  framework/data.py:")
    (row,) = (line.split(maxsplit=4) for line in lines if line.startswith("reward "))
    assert row == ["reward", "Float[Tensor,", "'B", "T']", "`r_t`, which arrived with the observation."]
    assert any(line.startswith("**Time alignment, stated once.** Row `t` of a `Batch` holds") for line in lines)
    assert 'keep(chosen: Bool[Tensor, "N M"]) -> "Contrast"' in call("describe", "Contrast").stdout.splitlines()
    assert call("describe", "negatives").stdout.splitlines()[-1] == (
        "Records: Contrast, Factory, Key, Origin, Source; `dream describe Contrast` has its fields."
    )


FAULTY = '''
from dataclasses import replace

import torch
from torch import nn

from framework import bounds, critics, environments, negatives, objectives
from framework.environments.counting import Counting
from framework.functional.bounds import nwj_estimate
from framework.objectives.base import of_pairs, same_episode
from framework.specs import LatentSpec, ModelSpecs


@bounds.register
class WrongBaseline(bounds.Bound):
    """NWJ, whose best critic is the log ratio plus 1."""

    def estimate(self, contrast):
        return nwj_estimate(contrast.scores, contrast.log_weights)


@bounds.register
class NoLowerBound(bounds.Bound):
    """NWJ and a third of a nat."""

    baseline = 1.0

    def estimate(self, contrast):
        return nwj_estimate(contrast.scores, contrast.log_weights) + 0.3


@critics.register
class Transposed(critics.Critic):
    """Scores in the wrong order."""

    cost = "N M E"

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.map = nn.Linear(latent.feature_size, embedding_size)

    def score(self, latents, embeddings):
        return embeddings @ self.map(latents.features).T


class Distance(critics.Critic):
    """Minus a weighted squared distance, with small weights at first."""

    cost = "N M E"

    def __init__(self, *, latent: LatentSpec, embedding_size: int, log_weight: float = -3.0) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.map = nn.Linear(latent.feature_size, embedding_size)
        self.log_weight = nn.Parameter(torch.full((embedding_size,), log_weight))

    def score(self, latents, embeddings):
        root = (0.5 * self.log_weight).exp()
        return -torch.cdist(self.map(latents.features) * root, embeddings * root).square()


@critics.register
class SmallDistance(Distance):
    """It does not declare itself bounded."""


@critics.register
class DeclaredBounded(Distance):
    """It declares what does not hold."""

    bounded = True


@critics.register
class GrowsWithItsMap(DeclaredBounded):
    """Its scores grow with a parameter alone."""

    def score(self, latents, embeddings):
        return self.map(latents.features).sum(dim=-1)[:, None] * self.log_weight.sum() * embeddings.tanh().mean(dim=-1)[None]


@negatives.register
class Alone(negatives.Negatives):
    """Leaves out every candidate."""

    def choose(self, contrast, key):
        return contrast.keep(torch.zeros_like(contrast.scores, dtype=torch.bool))


class Predicts(objectives.Objective):
    losses = ("mine",)

    def __init__(self, *, model: ModelSpecs, scale: float = 1.0, units: int) -> None:
        super().__init__(model=model, scale=scale)
        self.map, self.other = nn.Linear(model.latent.feature_size, model.embedding_size), nn.Linear(units, units)

    def forward(self, inferred, dynamics, key):
        error = (self.map(inferred.features).float() - inferred.embedding.detach()).square().mean(dim=-1)
        return self.result(error + 0 * self.other.weight.sum())


@objectives.register
class GradientMetric(Predicts):
    """A metric that carries a gradient, and a parameter that learns nothing."""

    def result(self, error):
        return {"mine": error}, {"model/mine": error.mean()}


@objectives.register
class FloatMetric(Predicts):
    """A metric that waits for the device."""

    def result(self, error):
        return {"mine": error}, {"model/mine": error.mean().item()}


@objectives.register
class ScalarLoss(Predicts):
    """A loss that is a mean."""

    def result(self, error):
        return {"mine": error.mean()}, {}


class Ahead(objectives.Objective):
    """Slow features, some steps apart."""

    losses = ("mine",)

    def __init__(self, *, model: ModelSpecs, scale: float = 1.0, steps: int = 1) -> None:
        super().__init__(model=model, scale=scale)
        self.steps, self.reach = steps, ("steps", steps)

    def forward(self, inferred, dynamics, key):
        change = (inferred.features[:, self.steps :] - inferred.features[:, : -self.steps]).float().square().mean(dim=-1)
        return {"mine": of_pairs(change * self.weight(change), same_episode(inferred.batch.episode, self.steps), self.steps)}, {}


@objectives.register
class Slow(Ahead):
    """Every pair."""

    def weight(self, change):
        return 1.0


@objectives.register
class LeavesOut(Ahead):
    """Every pair but those of the first step."""

    def weight(self, change):
        return (torch.arange(change.shape[1]) > 0).float()


@objectives.register
class Crosses(Slow):
    """Every pair, and those across two episodes."""

    def forward(self, inferred, dynamics, key):
        losses, metrics = super().forward(replace(inferred, batch=one_episode(inferred.batch)), dynamics, key)
        return losses, metrics


def one_episode(batch):
    return replace(batch, episode=torch.zeros_like(batch.episode))


@environments.register
class GoesOn(environments.Seekable):
    """It goes on after the end of an episode."""

    def __init__(self, *, seed: int, length: int = 3) -> None:
        self.inner, self.count = Counting(seed=seed, length=1000), 0
        self.length = length

    def observation_spec(self):
        return self.inner.observation_spec()

    def action_spec(self):
        return self.inner.action_spec()

    def seek(self, episode):
        self.inner.seek(episode)
        self.count = 0

    def reset(self):
        self.count = 0
        return self.inner.reset()

    def step(self, action):
        self.count += 1
        step = self.inner.step(action)
        return step._replace(step_type=type(step.step_type)(2)) if self.count == self.length else step
'''
FOUND = {
    "WrongBaseline": ("with the best critic it estimates 1.63 +- 0.02 nats where the truth is 2.00: is `baseline`", ()),
    "NoLowerBound": ("with the best critic it estimates 2.30 +- 0.02 nats where the truth is 2.00: it is no lower bound", ()),
    "Transposed": ("of shape [6, 4], and must give torch.float32 of shape [4, 6]", ()),
    "Alone": ("of 2 sequences of 16 steps it leaves an anchor without a negative", ()),
    "GradientMetric": ("gives the metric 'model/mine' as float32 of shape [] with gradient, and a metric is", ("GradientMetric.units=3",)),
    "FloatMetric": ("gives the metric 'model/mine' as a float, and a metric is", ("FloatMetric.units=3",)),
    "ScalarLoss": (
        "gives the loss 'mine' as float32 of shape [] with gradient, and a loss is a float32 tensor",
        ("ScalarLoss.units=3",),
    ),
    "DeclaredBounded": ("`bounded` is True, and the largest score grows from", ()),
    "GrowsWithItsMap": ("`bounded` is True, and the largest score grows from", ()),
    "LeavesOut": ("steps without: [[0, 0], [2, 0]] (row, time)", ("LeavesOut.steps=3",)),
    "Crosses": ("the loss 'mine' pairs the last step of an episode with one of the next", ("Crosses.steps=1",)),
    "GoesOn": ("step() must produce a FIRST step after a LAST step", ()),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "faulty.py").write_text(FAULTY)
    return folder


@pytest.mark.parametrize("name", FOUND)
def test_a_broken_contract_is_found(faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call, name: str) -> None:
    words, bindings = FOUND[name]
    monkeypatch.chdir(faulty)
    result = call("test", name, "--import", "faulty", *bound(*bindings))
    assert result.exit_code == 1, result.output
    assert words in result.output
    failed, last = result.output.splitlines()[0], result.output.splitlines()[-1]
    assert failed.startswith("faulty.py:")
    assert f": {name} violates '" in failed
    assert "tests of the contract of" in last


@pytest.mark.parametrize("bindings", [("Slow.steps=1",), ("Slow.steps=2",), ("Slow.steps=3",)])
def test_an_objective_that_needs_a_later_step_keeps_its_contract_whatever_its_reach(
    faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call, bindings: tuple[str, ...]
) -> None:
    keeps(faulty, monkeypatch, call, "Slow", bindings)


def test_a_critic_that_is_not_declared_bounded_may_have_small_scores(faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    keeps(faulty, monkeypatch, call, "SmallDistance", ())


def keeps(faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call, name: str, bindings: tuple[str, ...]) -> None:
    monkeypatch.chdir(faulty)
    result = call("test", name, "--import", "faulty", *bound(*bindings))
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{name} keeps the contract of ")


def test_a_failure_is_a_fact_in_json(faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.chdir(faulty)
    result = call("test", "ScalarLoss", "--import", "faulty", "--json", "-b", "ScalarLoss.units=3")
    facts = json.loads(result.stdout)
    assert result.exit_code == 1
    assert facts["component"] == "objectives.ScalarLoss"
    assert facts["failed"] == len(facts["failures"]) > 0
    assert facts["passed"] > 0
    unreached = [each for each in facts["failures"] if each["test"] == "test_every_parameter_learns"]
    assert unreached[0]["reason"] == "the gradient of the parameter 'other.weight' is zero"
    assert unreached[0]["place"].startswith("faulty.py:")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("GradientMetric",), "GradientMetric.units is required and nothing sets it: bind GradientMetric.units to a whole number"),
        (("GradientMetric", "-b", "GradientMetric.unit=3", "-b", "GradientMetric.units=3"), "did you mean 'units'"),
        (("GradientMetrc",), "did you mean 'GradientMetric'"),
        (("Trainer",), "Trainer is a fixed part, and its family has no contract"),
    ],
)
def test_a_mistake_is_one_sentence(
    faulty: Path, monkeypatch: pytest.MonkeyPatch, call: Call, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(faulty)
    result = call("test", *arguments, "--import", "faulty")
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
