"""What an environment shows and takes, as far as it can be known before the run."""

from collections.abc import Mapping
from typing import Any, Final

from framework.composition.freezing import freeze
from framework.composition.reading import UNKNOWN, Given
from framework.composition.tree import Node, Plan
from framework.errors import UserError

SEED: Final = 0


def foresee(plan: Plan) -> Any:
    """The specs that the agent is built with.

    The class of an environment says what follows from its settings: `action_kind`, if it is always one; `passes_on`, which setting holds
    the environment whose specs are its own; `asked_with`, the settings with which it is quick to build, so that it can be asked. The image
    `pixels` is of `size`, unless `observe` is as in `asked_with`; it is alone where `observe` is 'pixels'. Raises the `UserError` of one
    that is asked and cannot be built.
    """
    node = _environment(plan)
    if node is None or not node.sound(*node.settings):
        return UNKNOWN
    facts = node.component.facts
    kind, quick = facts.get("action_kind"), facts.get("asked_with")
    observe = node.settings["observe"].value if "observe" in node.settings else None
    rendered = {} if observe is None or quick is None or observe == quick.get("observe") else {"pixels": _pixels(node)}
    asked = None
    if quick is not None and (kind is None or (observe != "pixels" and _names_observations(plan))):
        asked = _ask(node, quick)
    action = asked.action if asked else Given(kind=kind) if kind else UNKNOWN
    if observe == "pixels":
        shown: Any = rendered
    else:
        shown = {**asked.observation, **rendered} if asked else UNKNOWN
    return Given(observation=shown, model_action=action, action_kind=action.kind, action_size=action.size)


def _environment(plan: Plan) -> Node | None:
    """That of the run, or the one inside it whose specs are its own."""
    link = plan.root.links("environment").get(None) if plan.root else None
    while link is not None and "passes_on" in link.node.component.facts:
        link = link.node.links(link.node.component.facts["passes_on"]).get(None)
    return link.node if link else None


def _names_observations(plan: Plan) -> bool:
    """Whether a component has patterns of their names, other than one that takes all."""
    named = [node.links(name) for node in plan.nodes() for name in node.component.facts.get("patterns", ())]
    return any({*links} - {"*"} for links in named)


def _pixels(node: Node) -> Given:
    size = node.settings["size"].value
    height, width = size if isinstance(size, list | tuple) else (UNKNOWN if size is None else size,) * 2
    return Given(shape=(height, width, 3), dtype="uint8")


def _ask(node: Node, quick: Mapping[str, Any]) -> Given:
    from framework.environments import normalization  # and with it numpy, which no other check needs

    try:
        environment = freeze(node)(**{**quick, "seed": SEED})
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{node.name} cannot be built, to ask what it shows ({type(error).__name__}: {error}).") from error
    try:
        form = normalization.action_form(environment.action_spec())
        shown = normalization.observation_spec(environment.observation_spec())
    finally:
        environment.close()
    if isinstance(form, normalization.ActionScale):
        return Given(observation=shown, action=Given(kind="continuous", sizes=(form.middle.size,), size=form.middle.size))
    kind = "multi_discrete" if form.shape else "discrete"
    return Given(observation=shown, action=Given(kind=kind, sizes=form.sizes, size=sum(form.sizes)))
