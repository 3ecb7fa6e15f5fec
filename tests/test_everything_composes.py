"""Every two components of different families meet in an agent, or are refused by name at the binding of one of them.

Agents are built on the `meta` device, and some are trained. `make test` has a quarter of them, `make test-all` all, and trains them all.
"""

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from framework import composition
from framework.composition import Composition, Problem
from framework.data import Batch, ExtraSteps
from framework.errors import UserError
from framework.registry import registry_of
from framework.specs import Specs
from framework.testing.samples import OBSERVATIONS, ROWS, batch, observe, seeded, specs_of
from framework.training.policy import build_agent
from framework.training.runtime import Runtime
from tests.members import SMALL, members

Part = tuple[str, str]
"""A family, and one of its components."""
Pair = frozenset[Part]
Choice = Mapping[str, str]
"""A component of each family."""

SHARDS = 4
"""The agents are dealt to several tests, which workers share."""
SAMPLE = 6
"""Agents that are trained of the one shard that always runs."""
EXTRA = 5
HEADS = {"reward": ("RewardHead", "TwoHotRewardHead"), "continuation": ("none", "ContinuationHead")}
SHOWN = {"MLPEncoder": "vectors", "MultiEncoder": "both"}
"""What an encoder is shown, if not pixels."""

HOLDERS = {"ActionNoise": "DynamicsBackprop", "Plan2Explore": "DynamicsBackprop"}
"""Wrapped around a behavior."""

HELD = {
    "RandomShift.encoder": "@encoders.ConvEncoder",
    "MultiEncoder.encoders": "{'pixels': @encoders.ConvEncoder, '*': @encoders.MLPEncoder}",
    "EnsembleValue.value": "@values.NormalValue",
    "Interpolated.of": "@bounds.InfoNCEBound",
    "Penalized.of": "@bounds.InfoNCEBound",
    "TemporalPredictive.critic": "@critics.BilinearCritic",
    "TemporalPredictive.negatives": "@negatives.SameTimestep",
    "ActionConditionedCPC.critic": "@critics.BilinearCritic",
    "ActionConditionedCPC.negatives": "@negatives.InBatch",
    "ActionConditionedCPC.positive": "'embedding'",
    "ActionConditionedCPC.steps": "2",
    "LatentConsistency.horizon": "2",
    "NextEmbedding.horizon": "1",
    "ReplayNegatives.of": "None",
}
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "encoders": tuple(members("encoders")),
    "dynamics": tuple(members("dynamics")),
    "objectives": ("none", *(each for each in members("objectives") if each != "InfoNCE")),
    "critics": tuple(members("critics")),
    "negatives": tuple(members("negatives")),
    "bounds": tuple(members("bounds")),
    "values": tuple(members("values")),
    "actor_critics": tuple(members("actor_critics")),
    "optimizers": tuple(members("optimizers")),
    **HEADS,
}


def recipe(chosen: Choice) -> str:
    """An agent of these components: InfoNCE of a critic, a strategy and a bound, and another objective beside it."""
    behavior = chosen["actor_critics"]
    names = {*chosen.values(), HOLDERS.get(behavior, "none"), "InfoNCE"} - {"none"}
    names -= set() if _has_value(behavior) else {chosen["values"]}
    lines = _agent_lines(chosen) | _infonce_lines(chosen) | HELD
    lines["Reconstruction.decoders"] = "{'*': @heads.VectorHead}" if _kind(chosen) == "vectors" else "{'pixels': @heads.ImageHead}"
    lines[f"{HOLDERS.get(behavior, behavior)}.value"] = f"@values.{chosen['values']}"
    if behavior in HOLDERS:
        lines[f"{behavior}.of"] = f"@actor_critics.{HOLDERS[behavior]}"
    bound = {key: value for key, value in lines.items() if _takes(key, names)}
    present = names | {name for value in bound.values() for name in re.findall(r"@\w+\.(\w+)", value)}
    small = {f"{name}.{each}": repr(SMALL[each]) for name in sorted(present) for each in sorted(_settings(name)) if each in SMALL}
    return "\n".join(f"{key} = {value}" for key, value in (small | bound).items())


def _agent_lines(chosen: Choice) -> dict[str, str]:
    behavior = chosen["actor_critics"]
    heads = {name: f"@heads.{chosen[name]}" for name in HEADS if chosen[name] != "none"}
    groups = ["model", *(group for name in (HOLDERS.get(behavior), behavior) if name for group in _class("actor_critics", name).groups)]
    return {
        "Agent.encoder": f"@encoders.{chosen['encoders']}",
        "Agent.dynamics": f"@dynamics.{chosen['dynamics']}",
        "Agent.heads": _mapping(heads),
        "Agent.objectives": f"[{', '.join(f'@objectives.{name}' for name in ('InfoNCE', chosen['objectives']) if name != 'none')}]",
        "Agent.actor_critic": f"@actor_critics.{behavior}",
        "Agent.optimizers": _mapping(dict.fromkeys(groups, f"@optimizers.{chosen['optimizers']}")),
        "Agent.horizon": "4",
    }


def _infonce_lines(chosen: Choice) -> dict[str, str]:
    critic, negatives = _class("critics", chosen["critics"]), _class("negatives", chosen["negatives"])
    is_trainable = _class("bounds", chosen["bounds"]).side != "upper"
    return {
        "InfoNCE.critic": f"@critics.{chosen['critics']}",
        "InfoNCE.negatives": f"@negatives.{chosen['negatives']}",
        "InfoNCE.bound": f"@bounds.{chosen['bounds'] if is_trainable else 'InfoNCEBound'}",
        "InfoNCE.diagnostics": "[]" if is_trainable else f"[@bounds.{chosen['bounds']}]",
        "InfoNCE.anchor": repr(critic.anchor or negatives.anchor or "posterior"),
        "InfoNCE.axis": "'column'" if critic.normalized_over == "observation" else "'row'",
    }


def _takes(key: str, names: set[str]) -> bool:
    owner, _, setting = key.partition(".")
    return owner == "Agent" or (owner in names and setting in _settings(owner))


@cache
def _settings(name: str) -> set[str]:
    family = next(each for each in ("objectives", "heads", *FAMILIES) if each not in HEADS and name in members(each))
    return {each.name for each in registry_of(family).describe(name).settings}


def _class(family: str, name: str) -> Any:
    return registry_of(family).get(name)


def _kind(chosen: Choice) -> str:
    return SHOWN.get(chosen["encoders"], "pixels")


def _mapping(items: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"'{key}': {value}" for key, value in items.items()) + "}"


def _has_value(behavior: str) -> bool:
    return "value" in _settings(HOLDERS.get(behavior, behavior))


def pairs_of(chosen: Choice) -> set[Pair]:
    """The pairs that meet in an agent: a behavior without a value has no place for one."""
    present = {family: name for family, name in chosen.items() if family != "values" or _has_value(chosen["actor_critics"])}
    return {frozenset(pair) for pair in itertools.combinations(present.items(), 2)}


def all_pairs() -> set[Pair]:
    """Every two components of different families, but for a value and a behavior that has no place for one."""
    pairs = [{one: a, other: b} for one, other in itertools.combinations(FAMILIES, 2) for a in FAMILIES[one] for b in FAMILIES[other]]
    placeless = {name for name in FAMILIES["actor_critics"] if not _has_value(name)}
    return {frozenset(pair.items()) for pair in pairs if "values" not in pair or pair.get("actor_critics") not in placeless}


def complete(pair: Choice, left: set[Pair], draw: random.Random) -> Choice:
    """An agent with some components, and, family by family, with the component that brings in the most of the pairs that are left."""
    chosen = dict(pair)
    for family in draw.sample(sorted(FAMILIES), len(FAMILIES)):
        if family in chosen:
            continue

        def worth(name: str, family: str = family) -> tuple[int, float]:
            return len({frozenset([(family, name), part]) for part in chosen.items()} & left), draw.random()

        chosen[family] = max(FAMILIES[family], key=worth)
    return chosen


@cache
def cover() -> tuple[Choice, ...]:
    """Agents in which every pair meets, in an arbitrary order."""
    left, draw, agents = all_pairs(), random.Random(0), list[Choice]()
    while left:
        agents.append(complete(dict(min(left, key=sorted)), left, draw))
        left -= pairs_of(agents[-1])
    return tuple(draw.sample(agents, len(agents)))


def without(chosen: Choice, part: Part, refused: set[Pair], draw: random.Random) -> Choice:
    """The same agent with another component in place of one, which no other is known to refuse, if there is such."""
    family, name = part
    others = draw.sample([each for each in FAMILIES[family] if each != name], len(FAMILIES[family]) - 1)
    return {**chosen, family: min(others, key=lambda each: len(pairs_of({**chosen, family: each}) & refused))}


def blamed(chosen: Choice, problem: Problem, text: str) -> set[Pair]:
    """The pairs of the component at the place of a refusal with those that its message names, or else with those bound to its settings.

    The axis and the anchor of InfoNCE are those of its critic.
    """
    lines = {line.partition(" = ")[0]: line for line in text.splitlines()}
    lines["InfoNCE.axis"] += f" {chosen['critics']}"
    lines["InfoNCE.anchor"] += f" {chosen['critics']}"
    placed = _parts_in(chosen, list(lines.values())[problem.line - 1])
    settings = [lines[key] for key in re.findall(r"\b[A-Z]\w*\.\w+", problem.message) if key in lines]
    for named in (_parts_in(chosen, problem.message), _parts_in(chosen, " ".join(settings))):
        if pairs := {frozenset([one, other]) for one in placed for other in named if one != other}:
            return pairs
    return set()


def _parts_in(chosen: Choice, text: str) -> list[Part]:
    return [part for part in chosen.items() if part[1] != "none" and re.search(rf"\b{part[1]}\b", text)]


def shapes_for(chosen: Choice) -> Specs:
    return specs_of(_kind(chosen))


def batch_for(chosen: Choice, seed: int) -> Batch:
    extra = ExtraSteps(observation=observe(OBSERVATIONS[_kind(chosen)], EXTRA, seed=seed + 20), episode=torch.arange(EXTRA) + 100)
    return replace(batch(_kind(chosen), seed=seed), extra=extra)


def train(composed: Composition, chosen: Choice) -> None:
    """Act, take two updates and diagnose; every number is finite."""
    agent = build_agent(composed.root, shapes_for(chosen), Runtime(device="cpu"), seed=3)
    generator = seeded(4)
    data = batch_for(chosen, 0)
    first = {name: value[:, 0] for name, value in data.observation.items()}
    action, _ = agent.act(agent.initial(ROWS), first, data.is_first[:, 0], "explore", generator)
    assert action.isfinite().all()
    for seed in range(2):
        data = batch_for(chosen, seed)
        metrics = agent.update(data, agent.draw_noise(data, generator)) | agent.diagnose(data, generator)
        assert all(value.isfinite() for value in metrics.values()), {name for name, value in metrics.items() if not value.isfinite()}


def attempt(chosen: Choice, path: Path, *, trained: bool) -> set[Pair]:
    """Build an agent on the `meta` device, and train it for real if it is `trained`; returns the pairs that are refused."""
    text = recipe(chosen)
    path.write_text(text)
    composed = composition.load(path, root="parts.Agent")
    try:
        with torch.device("meta"):
            composed.root(specs=shapes_for(chosen))
        if trained:
            train(composed, chosen)
    except UserError as error:
        problem = composed.problem(error)
        pairs = blamed(chosen, problem, text)
        assert pairs, f"{chosen} was refused at a line without a pair of its components: {problem}"
        return pairs
    return set()


@pytest.mark.parametrize(
    ("shard", "trained"), [(0, SAMPLE), *(pytest.param(shard, None, marks=pytest.mark.nightly) for shard in range(SHARDS))]
)
def test_every_two_components_meet_in_an_agent_or_are_refused_by_name(shard: int, trained: int | None, tmp_path: Path) -> None:
    """Where a pair is refused, each of the two meets the other components of the agent without the other."""
    agents, refused, draw = list(cover()[shard::SHARDS]), set[Pair](), random.Random(shard)
    attempts = len(agents)
    wanted = set[Pair]().union(*map(pairs_of, agents))
    met = set[Pair]()
    for number, chosen in enumerate(agents):
        pairs = attempt(chosen, tmp_path / "recipe.gin", trained=trained is None or number < trained)
        refused |= pairs
        met |= set() if pairs else pairs_of(chosen)
        agents += [without(chosen, part, refused, draw) for part in sorted(min(pairs, key=sorted))] if pairs else []
        assert len(agents) < 4 * attempts, f"too many agents are refused: {refused}"
    assert wanted <= met | refused
    assert len(refused) < 0.1 * len(wanted)
