"""Every two components of different families meet in an agent that works, or are refused by name when the agent is composed."""

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from framework import composition
from framework.agent import Agent
from framework.data import Batch, ExtraSteps, Specs
from framework.errors import UserError
from framework.registry import registry_of
from framework.training.policy import build_agent
from framework.training.runtime import Runtime
from tests.environments.samples import Reticent
from tests.members import SMALL, members
from tests.tiny import OBSERVATIONS, ROWS, batch, observe, seeded, specs_of

Part = tuple[str, str]
"""A family, and one of its components."""

RUN = f"""
include 'run.gin'
Run.environment = @environments.{Reticent.__name__}
Replay.capacity = 100
Replay.batch = 3
Replay.length = 5
Replay.extra = 5
Trainer.steps = 100
Trainer.prefill = 0
Checkpoints.every = 100
"""
HEADS = {"reward": ("RewardHead", "TwoHotRewardHead"), "continuation": ("none", "ContinuationHead")}
SHOWN = {"MLPEncoder": "vectors", "MultiEncoder": "both"}
"""What an encoder is shown, if not pixels."""

HOLDERS = {"ActionNoise": "DynamicsBackprop", "Plan2Explore": "DynamicsBackprop"}
"""Wrapped around a behavior."""

HELD = {
    "RandomShift.encoder": "@encoders.ConvEncoder",
    "MultiHorizonCritic.critic": "@critics.BilinearCritic",
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


def recipe(chosen: Mapping[str, str]) -> str:
    """An agent of these components: InfoNCE of a critic, a strategy and a bound, and another objective beside it."""
    behavior, encoder = chosen["actor_critics"], chosen["encoders"]
    names = {*chosen.values(), HOLDERS.get(behavior, "none"), "InfoNCE"} - {"none"}
    names -= set() if _learns_a_value(behavior) else {chosen["values"]}
    needing = (_class("critics", chosen["critics"]), _class("negatives", chosen["negatives"]))
    trainable = _class("bounds", chosen["bounds"]).side != "upper"
    losses = {"kl", "reward", "infonce", *_losses(chosen["objectives"])}
    heads = {"reward": f"@heads.{chosen['reward']}"}
    if chosen["continuation"] != "none":
        losses.add("continuation")
        heads["continuation"] = f"@heads.{chosen['continuation']}"
    groups = ["model", *(group for name in (HOLDERS.get(behavior), behavior) if name for group in _class("actor_critics", name).groups)]
    lines = {
        "Agent.encoder": f"@encoders.{encoder}",
        "Agent.dynamics": f"@dynamics.{chosen['dynamics']}",
        "Agent.heads": _mapping(heads),
        "Agent.objectives": f"[{', '.join(f'@objectives.{name}' for name in ('InfoNCE', chosen['objectives']) if name != 'none')}]",
        "Agent.scales": repr(dict.fromkeys(sorted(losses), 1.0)),
        "Agent.actor_critic": f"@actor_critics.{behavior}",
        "Agent.optimizers": _mapping(dict.fromkeys(groups, f"@optimizers.{chosen['optimizers']}")),
        "Agent.horizon": "4",
        "InfoNCE.critic": f"@critics.{chosen['critics']}",
        "InfoNCE.negatives": f"@negatives.{chosen['negatives']}",
        "InfoNCE.bound": f"@bounds.{chosen['bounds'] if trainable else 'InfoNCEBound'}",
        "InfoNCE.diagnostics": "[]" if trainable else f"[@bounds.{chosen['bounds']}]",
        "InfoNCE.anchor": repr(next((name for each in needing if (name := each.anchor)), "posterior")),
        "InfoNCE.axis": "'column'" if _class("critics", chosen["critics"]).normalized_over == "observation" else "'row'",
        "Reconstruction.decoders": "{'pixels': @heads.ImageHead}" if SHOWN.get(encoder) != "vectors" else "{'*': @heads.VectorHead}",
        f"{HOLDERS.get(behavior, behavior)}.value": f"@values.{chosen['values']}",
        **HELD,
    }
    if behavior in HOLDERS:
        lines[f"{behavior}.of"] = f"@actor_critics.{HOLDERS[behavior]}"
    bound = _bound(lines, names)
    bound = _small(names | _named(bound)) | bound
    return "\n".join([RUN, *(f"{key} = {value}" for key, value in bound.items())])


def _bound(lines: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """Of what could be held, that of components which are there and have such a setting."""
    owned = {key: key.split(".") for key in lines}
    return {key: lines[key] for key, (owner, name) in owned.items() if owner == "Agent" or (owner in names and name in _settings(owner))}


def _named(bound: Mapping[str, str]) -> set[str]:
    """The components that some bindings refer to."""
    return {name for value in bound.values() for name in re.findall(r"@\w+\.(\w+)", value)}


def _small(names: set[str]) -> dict[str, str]:
    return {f"{name}.{setting}": repr(SMALL[setting]) for name in sorted(names) for setting in _settings(name) if setting in SMALL}


def _settings(name: str) -> set[str]:
    family = next(each for each in ("objectives", "heads", *FAMILIES) if each not in HEADS and name in members(each))
    return {each.name for each in registry_of(family).describe(name).settings}


def _class(family: str, name: str) -> Any:
    return registry_of(family).get(name)


def _losses(objective: str) -> tuple[str, ...]:
    return () if objective == "none" else _class("objectives", objective).losses


def _mapping(items: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"'{key}': {value}" for key, value in items.items()) + "}"


def pairs(chosen: Mapping[str, str]) -> set[frozenset[Part]]:
    """Those that meet in an agent: a behavior without a value has no place for one."""
    there = {family: name for family, name in chosen.items() if family != "values" or _learns_a_value(chosen["actor_critics"])}
    return {frozenset(pair) for pair in itertools.combinations(there.items(), 2)}


def _learns_a_value(behavior: str) -> bool:
    return "value" in _settings(HOLDERS.get(behavior, behavior))


def wanted() -> set[frozenset[Part]]:
    """Every two components of different families, but for a value and a behavior that has no place for one."""
    found = set()
    for one, other in itertools.combinations(FAMILIES, 2):
        found |= {frozenset([(one, a), (other, b)]) for a in FAMILIES[one] for b in FAMILIES[other]}
    placeless = {name for name in FAMILIES["actor_critics"] if not _learns_a_value(name)}
    return {pair for pair in found if not ("values" in (those := dict(pair)) and those.get("actor_critics") in placeless)}


def complete(pair: frozenset[Part], left: set[frozenset[Part]], refused: set[frozenset[Part]], draw: random.Random) -> dict[str, str]:
    """An agent with this pair, and, family by family, with the component that brings in the most of what is left."""
    chosen = dict(pair)
    for family in draw.sample(sorted(FAMILIES), len(FAMILIES)):
        if family in chosen:
            continue

        def worth(name: str, family: str = family) -> tuple[int, int, float]:
            new = {frozenset([(family, name), part]) for part in chosen.items()}
            return -len(new & refused), len(new & left), draw.random()

        chosen[family] = max(FAMILIES[family], key=worth)
    return chosen


def blamed(chosen: Mapping[str, str], message: str) -> set[frozenset[Part]]:
    """The pair that a refusal names; the axis is the critic's."""
    named = [(family, name) for family, name in chosen.items() if re.search(rf"\b{name}\b", message)]
    if "InfoNCE.axis" in message and ("critics", chosen["critics"]) not in named:
        named.append(("critics", chosen["critics"]))
    return {frozenset(pair) for pair in itertools.combinations(named, 2)}


def build(chosen: Mapping[str, str], path: Path) -> Agent | str:
    """The agent, or why there is none."""
    path.write_text(recipe(chosen))
    try:
        factory = composition.load(path).root.keywords["agent"]
        return build_agent(factory, shown_to(chosen), Runtime(device="cpu"), seed=3)
    except UserError as error:
        return str(error)


def shown_to(chosen: Mapping[str, str]) -> Specs:
    return specs_of(SHOWN.get(chosen["encoders"], "pixels"))


def batch_for(chosen: Mapping[str, str], seed: int) -> Batch:
    kind = SHOWN.get(chosen["encoders"], "pixels")
    draws = ExtraSteps(observation=observe(OBSERVATIONS[kind], 5, seed=seed + 20), episode=torch.arange(5) + 100)
    return replace(batch(kind, seed=seed), draws=draws)


def work(agent: Agent, chosen: Mapping[str, str]) -> None:
    """It acts, imagines, learns twice and looks at what it learned, and all that it says is finite."""
    generator = seeded(4)
    data = batch_for(chosen, 0)
    first = {name: value[:, 0] for name, value in data.observation.items()}
    action, _ = agent.act(agent.initial(ROWS), first, data.is_first[:, 0], "explore", generator)
    assert action.isfinite().all()
    for seed in range(2):
        metrics = agent.update(batch_for(chosen, seed), generator) | agent.diagnose(batch_for(chosen, seed), generator)
        assert all(value.isfinite() for value in metrics.values()), {name for name, value in metrics.items() if not value.isfinite()}


def test_every_two_components_meet_in_an_agent_that_works_or_are_refused_by_name(tmp_path, record_property):
    everything, draw = wanted(), random.Random(0)
    left, refused, agents = set(everything), set(), 0
    assert len(everything) > 1500
    while left:
        pair = min(left, key=sorted)
        chosen = complete(pair, left, refused, draw)
        agent = build(chosen, tmp_path / "recipe.gin")
        if isinstance(agent, str):
            found = blamed(chosen, agent) & everything
            assert found - refused, f"{chosen} was refused, and no two of its components are named: {agent}"
            refused |= found
            left -= found
            continue
        work(agent, chosen)
        agents += 1
        left -= pairs(chosen)
    said = f"{len(everything)} pairs: {len(everything) - len(refused)} met in {agents} agents, {len(refused)} were refused by name"
    record_property("said", said)
    assert len(refused) < 0.1 * len(everything)
