"""Bindings, scopes and macros that nothing uses: mistakes, unless someone further out took their component away."""

from collections.abc import Callable
from typing import Final

from framework.composition.annotations import FAMILY_OF_BASE, show
from framework.composition.bindings import Bound, Meaning, leaves, targets
from framework.composition.catalog import Catalog
from framework.composition.parser import Binding, Macro, Reference, Unreadable
from framework.composition.problems import Problem
from framework.composition.resolve import Wiring
from framework.registry import advice, nearest

Report = Callable[[Problem], None]
COMMAND_LINE: Final = "-b "


def unused(meaning: Meaning, wiring: Wiring, catalog: Catalog, report: Report) -> list[tuple[Binding, Binding]]:
    """Report what nothing uses; returns the bindings that were set aside, each with the one that set it aside.

    `-b 'InfoNCE.negatives=@negatives.CrossSequence'` leaves the recipe's `RollingWindow.rows = 10` without a RollingWindow. That is what
    its author asked for, and no mistake; a binding whose component nothing ever referred to is one.
    """
    set_aside = []
    doubtful = _doubtful(meaning, catalog)
    _unused_macros(meaning, wiring, report)
    for bound in meaning.bound:
        holds = meaning.holding[bound.slot] is bound
        if not holds or bound.binding in wiring.consumed:
            continue
        scope, scopes = bound.binding.scope, _scopes(meaning)
        if scope and scope not in scopes:
            message = f"{bound.binding.key}: no reference uses the scope '{scope}'{advice(scope, scopes)}."
            report(Problem.at(bound.binding.place, message))
        elif bound.component.selector in doubtful:
            continue
        elif remover := _remover(bound, meaning):
            set_aside.append((bound.binding, remover.binding))
        else:
            report(Problem.at(bound.binding.place, _why(bound, wiring)))
    return set_aside


def _doubtful(meaning: Meaning, catalog: Catalog) -> set[str]:
    """What may belong where a reference is wrong: the families that such a place takes, and all that their bindings refer to."""
    wrong = [each.parameter.annotation for each in meaning.holding.values() if not each.sound]
    families = [name for base, name in FAMILY_OF_BASE.items() if any(f"[{base}]" in text for text in wrong)]
    waiting = [component.selector for family in families for component in catalog.members(family)]
    found = set(waiting)
    while waiting:
        selector = waiting.pop()
        held = {each.component.selector for bound in meaning.bound if bound.component.selector == selector for each in targets(bound.value)}
        waiting += held - found
        found |= held
    return found


def _remover(bound: Bound, meaning: Meaning) -> Bound | None:
    """The later binding, of another file or of the command line, that replaced the reference to this one's component."""
    for old, new in meaning.replaced():
        later = new.order > bound.order and new.binding.place.file != bound.binding.place.file
        if later and _reaches(old, bound, meaning):
            return new
    return None


def _reaches(start: Bound, wanted: Bound, meaning: Meaning) -> bool:
    waiting = [(each.component.selector, each.scope) for each in targets(start.value)]
    seen = set(waiting)
    while waiting:
        selector, scope = waiting.pop()
        if selector == wanted.component.selector and wanted.binding.scope in ("", scope):
            return True
        inner = [each for each in meaning.bound if each.component.selector == selector and each.binding.scope in ("", scope)]
        found = {(each.component.selector, each.scope or scope) for bound in inner for each in targets(bound.value)}
        waiting += found - seen
        seen |= found
    return False


def _scopes(meaning: Meaning) -> list[str]:
    return sorted({each.scope for bound in meaning.bound for each in targets(bound.value)} - {""})


def _why(bound: Bound, wiring: Wiring) -> str:
    key, name, scope = bound.binding.key, bound.component.name, bound.binding.scope
    family = bound.component.family
    present = [node.name for node in wiring.nodes.values() if node.component.family == family]
    instead = f", its {family} are {', '.join(dict.fromkeys(present))}" if present and name not in present else ""
    inside = f" in the scope '{scope}'" if scope else ""
    return f"{key}: this run has no {name}{inside}{instead}; refer to @{bound.component.selector}, or remove the binding."


def _unused_macros(meaning: Meaning, wiring: Wiring, report: Report) -> None:
    read = {leaf.name for binding in meaning.order for leaf in leaves(binding.value) if isinstance(leaf, Macro)}
    read |= {binding.selector for binding in wiring.consumed if not binding.parameter}
    for name, binding in meaning.macros.items():
        on_command_line = binding.place.file.startswith(COMMAND_LINE)
        literal = not any(isinstance(leaf, Reference | Unreadable) for leaf in leaves(binding.value))
        if binding in wiring.consumed or (name in read and not on_command_line) or not literal:
            continue
        close = nearest(name, read - {name})
        hint = f"did you mean {close}?" if close else _parameter_hint(binding, wiring)
        mend = f"{hint} Else remove it, or read it as %{name}" if hint else f"remove it, or read it as %{name}"
        report(Problem.at(binding.place, f"nothing reads the macro %{name}; {mend}."))


def _parameter_hint(binding: Binding, wiring: Wiring) -> str:
    keys = [f"{node.key}.{name}" for node in wiring.nodes.values() for name in node.settings if name == binding.selector]
    return f"did you mean {' or '.join(f'{key} = {show(binding.value)}' for key in dict.fromkeys(keys))}?" if keys else ""
