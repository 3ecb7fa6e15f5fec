"""Where two components must agree: each rule compares what they declare, and names both and the binding that would mend it.

A later rule is one more function in `RULES`. Rules read the facts of the class bodies alone, so that nothing is imported.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from framework.composition.candidates import (
    batches_have_enough_candidates,
    bounds_see_the_anchors_that_they_join,
    every_anchor_has_a_negative,
)
from framework.composition.duration import the_run_reaches_an_update
from framework.composition.problems import Problem
from framework.composition.tree import Link, Node, Plan, walk, wrapped
from framework.errors import UserError
from framework.signatures import display

Rule = Callable[[Plan], Iterator[Problem]]
WRONG_AXES: Final = {"latent": ("column", "symmetric"), "observation": ("row", "column_as_released", "symmetric")}
RIGHT_AXIS: Final = {"latent": "row", "observation": "column"}


def every_loss_has_a_scale(plan: Plan) -> Iterator[Problem]:
    """`Agent.scales` names every loss of the world model, once, and no other."""
    for agent in _agents(plan):
        if not agent.sound("dynamics", "heads", "objectives", "scales"):
            continue
        sources, scales = _losses(agent), agent.settings["scales"]
        for name, makers in sources.items():
            if len(makers) > 1:
                message = f"two components give a loss named '{name}': {makers[0]} and {makers[1]}; remove one of them."
                yield Problem.at(agent.place_of("objectives"), message)
            if name not in scales.value:
                message = (
                    f"the loss '{name}' of {makers[0]} has no scale in {agent.key}.scales; "
                    f"add '{name}': 1.0, so that it has {', '.join(map(repr, sources))}."
                )
                yield Problem.at(agent.place_of("scales"), message)
        for name in scales.value:
            if name not in sources:
                given = "; ".join(f"'{each}' comes from {makers[0]}" for each, makers in sources.items())
                message = f"{agent.key}.scales has '{name}', and no component gives such a loss: {given}; remove '{name}': .. from it."
                yield Problem.at(agent.place_of("scales"), message)


def imagination_has_a_reward(plan: Plan) -> Iterator[Problem]:
    """Imagination reads the head `reward`."""
    for agent in _agents(plan):
        if agent.sound("heads") and "reward" not in agent.links("heads"):
            message = f"{agent.key}.heads has no 'reward', which imagination needs; add 'reward': @heads.RewardHead to it."
            yield Problem.at(agent.place_of("heads"), message)


def every_group_has_an_optimizer(plan: Plan) -> Iterator[Problem]:
    """`Agent.optimizers` has one for the model and one for each group of the actor-critic, and of those that it wraps."""
    for agent in _agents(plan):
        behavior = agent.links("actor_critic").get(None)
        if behavior is None or not agent.sound("optimizers", "actor_critic"):
            continue
        behaviors = wrapped(behavior.node)
        if any("groups" not in each.component.facts or ("of" in _parameters(each) and not each.sound("of")) for each in behaviors):
            continue
        groups = {"model": agent.name} | {name: each.name for each in reversed(behaviors) for name in each.component.facts["groups"]}
        given = agent.links("optimizers")
        for name, owner in groups.items():
            if name not in given:
                message = (
                    f"the parameters '{name}' of {owner} have no optimizer; "
                    f"add '{name}': @{name}/optimizers.Adam to {agent.key}.optimizers."
                )
                yield Problem.at(agent.place_of("optimizers"), message)
        for name in given:
            if name not in groups:
                message = (
                    f"{agent.key}.optimizers has '{name}', and {behavior} has no such group: "
                    f"the groups are {', '.join(groups)}; remove '{name}' from it."
                )
                yield Problem.at(agent.place_of("optimizers"), message)


def densities_contrast_on_their_own_axis(plan: Plan) -> Iterator[Problem]:
    """A density over latents bounds the information on rows alone, one over observations on columns alone."""
    for objective in plan.nodes():
        axis = objective.settings.get("axis")
        critic = objective.links("critic").get(None)
        if axis is None or critic is None or not objective.sound("axis", "critic"):
            continue
        over = critic.node.component.facts.get("normalized_over") or ""
        if axis.value in WRONG_AXES.get(over, ()):
            right = RIGHT_AXIS[over]
            by_name = ", or 'column_as_released' to ask for this pair by name" if (over, axis.value) == ("latent", "column") else ""
            message = (
                f"{objective.key}.axis = '{axis.value}' does not go with {critic}, a density normalized over the {over}: the bound "
                f"would be wrong by nats; bind {objective.key}.axis = '{right}'{by_name}."
            )
            yield Problem.at(objective.nearest(("axis", "critic"), display(plan.recipe)), message)


def critics_take_the_latent(plan: Plan) -> Iterator[Problem]:
    """A component that declares `takes_latent` meets the kind of latent that the dynamics gives."""
    for agent in _agents(plan):
        dynamics = agent.links("dynamics").get(None)
        kind = dynamics.node.component.facts.get("latent_kind") if dynamics else None
        if dynamics is None or kind is None or not agent.sound("dynamics"):
            continue
        for holder, parameter, link in _held(agent):
            taken = link.node.component.facts.get("takes_latent")
            if taken is not None and kind not in taken and holder.sound(parameter):
                message = (
                    f"{link} takes a latent that is {' or '.join(taken)}, and {dynamics} gives a {kind} one; "
                    f"bind another {holder.key}.{parameter} or another {agent.key}.dynamics."
                )
                yield Problem.at(holder.place_of(parameter), message)


def draws_are_there(plan: Plan) -> Iterator[Problem]:
    """A strategy that declares `needs_extra` has those of `Replay.extra`."""
    without = [node for node in plan.nodes() if node.component.selector == "parts.Replay" and node.settings["extra"].value == 0]
    for replay in without:
        for holder, parameter, link in _held(plan.root) if plan.root else ():
            if link.node.component.facts.get("needs_extra") and replay.sound("extra"):
                message = (
                    f"{link} needs draws of their own, and {replay.key}.extra = 0; "
                    f"bind {replay.key}.extra = 256, or another {holder.key}.{parameter}."
                )
                yield Problem.at(holder.place_of(parameter), message)


def unit_vectors_are_there(plan: Plan) -> Iterator[Problem]:
    """A strategy that declares `needs_units` goes with a critic that declares `has_units`."""
    for objective in plan.nodes():
        critic, strategy = (objective.links(name).get(None) for name in ("critic", "negatives"))
        if critic is None or strategy is None or not objective.sound("critic", "negatives") or critic.node.component.facts.get("has_units"):
            continue
        for node in wrapped(strategy.node):
            if node.component.facts.get("needs_units"):
                message = (
                    f"{node.name} mixes unit vectors, and {critic} has none; "
                    f"bind {objective.key}.critic = @critics.CosineCritic, or another {objective.key}.negatives."
                )
                yield Problem.at(objective.place_of("negatives"), message)


def two_views_differ(plan: Plan) -> Iterator[Problem]:
    """An objective that declares `needs_second_view` has an encoder, or one inside it, that `augments`."""
    for agent in _agents(plan):
        encoder = agent.links("encoder").get(None)
        if encoder is None or not agent.sound("encoder", "objectives"):
            continue
        if any(node.component.facts.get("augments") for node in walk(encoder.node)):
            continue
        for link in agent.links("objectives").values():
            if link.node.component.facts.get("needs_second_view"):
                message = (
                    f"{link} compares two augmented views of a batch, and {encoder} augments nothing; "
                    f"bind {agent.key}.encoder = @encoders.RandomShift and RandomShift.encoder = {encoder}."
                )
                yield Problem.at(agent.place_of("encoder"), message)


def rollouts_start_everywhere(plan: Plan) -> Iterator[Problem]:
    """A behavior has a rollout from every replayed step while a setting that it declares in `needs_all_starts` is not 0."""
    for agent in _agents(plan):
        behavior = agent.links("actor_critic").get(None)
        if behavior is None or not agent.sound("imagination_starts") or (starts := agent.settings["imagination_starts"].value) is None:
            continue
        for node in wrapped(behavior.node):
            for parameter in node.component.facts.get("needs_all_starts", ()):
                if node.sound(parameter) and (value := node.settings[parameter].value):
                    message = (
                        f"{node.key}.{parameter} = {value} needs a rollout from every replayed step, and {agent.key}.imagination_starts = "
                        f"{starts}; bind {agent.key}.imagination_starts = None, or {node.key}.{parameter} = 0.0."
                    )
                    yield Problem.at(agent.place_of("imagination_starts"), message)


def folders_hold_what_is_read(plan: Plan) -> Iterator[Problem]:
    """Each folder that a component declares in `folders` is there, with a file whose ending is one of its `endings`.

    Where it names in `read_by` the function that reads folders, that has nothing to complain of either.
    """
    for node in plan.nodes():
        others = node.component.facts.get("no_folders", ())
        for parameter in node.component.facts.get("folders", ()):
            if not node.sound(parameter) or (value := node.settings[parameter].value) in (None, *others):
                continue
            if wrong := _wrong_with(Path(value), node.component.facts):
                instead = "".join(f", or '{each}'" for each in others)
                message = f"{node.key}.{parameter} = '{value}', but there is {wrong}; bind a folder with such files{instead}."
                yield Problem.at(node.place_of(parameter), message)
            elif unreadable := _complaint(Path(value), node.component.facts):
                yield Problem.at(node.place_of(parameter), unreadable)


def _wrong_with(folder: Path, facts: Mapping[str, Any]) -> str | None:
    if not folder.is_dir():
        return "no such folder"
    if not {path.suffix.lower() for path in folder.rglob("*")} & {*facts["endings"]}:
        return f"no file in it that ends in {', '.join(facts['endings'])}"
    return None


def _complaint(folder: Path, facts: Mapping[str, Any]) -> str | None:
    """What the function that reads such folders says of this one."""
    if "read_by" not in facts:
        return None
    module, _, function = facts["read_by"].rpartition(".")
    try:
        getattr(import_module(module), function)(folder)
    except UserError as error:
        return str(error)
    return None


RULES: Final[tuple[Rule, ...]] = (
    every_loss_has_a_scale,
    imagination_has_a_reward,
    every_group_has_an_optimizer,
    densities_contrast_on_their_own_axis,
    critics_take_the_latent,
    draws_are_there,
    unit_vectors_are_there,
    two_views_differ,
    rollouts_start_everywhere,
    folders_hold_what_is_read,
    batches_have_enough_candidates,
    every_anchor_has_a_negative,
    bounds_see_the_anchors_that_they_join,
    the_run_reaches_an_update,
)


def _agents(plan: Plan) -> list[Node]:
    return [node for node in plan.nodes() if node.component.selector == "parts.Agent"]


def _parameters(node: Node) -> set[str]:
    return {each.name for each in node.component.settings}


def _losses(agent: Node) -> dict[str, list[str]]:
    """Each loss of the world model, with the components that give it."""
    found: dict[str, list[str]] = {}
    for parameter in ("dynamics", "objectives"):
        for link in agent.links(parameter).values():
            for name in link.node.component.facts.get("losses", ()):
                found.setdefault(name, []).append(str(link))
    for name, link in agent.links("heads").items():
        found.setdefault(name, []).append(f"{agent.key}.heads ({link})")
    return found


def _held(root: Node) -> Iterator[tuple[Node, str, Link]]:
    for node in walk(root):
        for parameter in node.settings:
            for link in node.links(parameter).values():
                yield node, parameter, link
