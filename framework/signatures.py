"""What every component is and takes, read from its source text: nothing is imported, so that a listing needs no torch."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, final

from framework.source_text import Module, expand, literal

PACKAGE: Final = Path(__file__).parent
SENTENCE_END: Final = re.compile(r"(?<=[^\s.][.])(?<!\bEq\.)(?<!\bal\.)\s+(?=[A-Z`*])")


@final
@dataclass(frozen=True)
class Family:
    """One kind of interchangeable part: the class that states its contract, and what it is in one line."""

    name: str
    base: str
    summary: str


FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family("environments", "Environment", "Where the agent acts: dm_env environments and their wrappers."),
        Family("vector_environments", "VectorEnvironment", "How several environments step together: worker processes, batched simulators."),
        Family("encoders", "Encoder", "An observation becomes an embedding."),
        Family("dynamics", "Dynamics", "The latent model that filters embeddings and imagines ahead."),
        Family("objectives", "Objective", "What ties the latent to the observation: Eq. 14, Eq. 15 and their kin."),
        Family(
            "critics",
            "Critic",
            "Contrastive scores f(s, o) of a latent and an observation; value functions are under `values`.",
        ),
        Family("negatives", "Negatives", "Negative-sampling strategies: which candidates an anchor is told apart from."),
        Family("bounds", "Bound", "Bounds on the mutual information: what is made of the scores, and what trains the critic."),
        Family("heads", "Head", "Distributions predicted from the latent's features: reward, continuation, decoders."),
        Family(
            "values",
            "Value",
            "Value functions of reinforcement learning; contrastive scores f(s, o) are under `critics`.",
        ),
        Family("actor_critics", "ActorCritic", "How a policy and its value learn from imagination."),
        Family("optimizers", "Optimizer", "How gradients become updates."),
        Family("parts", "object", "The fixed pieces that every run has: Run, Agent, Trainer, Replay and so on."),
    )
}


@final
@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor. `default` is source text, and None where there is no default."""

    name: str
    annotation: str
    default: str | None
    derived: bool
    line: int

    @property
    def required(self) -> bool:
        """Whether a recipe must bind it: it has no default, and Python does not pass it."""
        return self.default is None and not self.derived


@final
@dataclass(frozen=True)
class Component:
    """One registered class. `facts` are the literals of its class body, those of its base classes included."""

    family: str
    name: str
    module: str
    file: str
    line: int
    doc: str
    parameters: tuple[Parameter, ...]
    facts: Mapping[str, Any] = field(hash=False)
    builtin: bool = True

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        return SENTENCE_END.split(paragraph, maxsplit=1)[0].rstrip(":")

    @property
    def settings(self) -> tuple[Parameter, ...]:
        """The parameters that a recipe may bind."""
        return tuple(each for each in self.parameters if not each.derived)

    @property
    def selector(self) -> str:
        """The full name, as a recipe writes it."""
        return f"{self.family}.{self.name}"


@cache
def builtin_components() -> Mapping[str, Mapping[str, Component]]:
    """Every class of this package under `@<family>.register`, by family and name, in the order of their names."""
    found: dict[str, dict[str, Component]] = {family: {} for family in FAMILIES}
    for path in sorted(PACKAGE.rglob("*.py")):
        if ".register\n" in path.read_text(encoding="utf-8"):
            for component in components_in(Module.of_file(path, PACKAGE)):
                found[component.family][component.name] = component
    return {family: dict(sorted(members.items())) for family, members in found.items()}


def components_in(module: Module) -> Iterator[Component]:
    """The registered classes of one source file."""
    for node in module.classes.values():
        for family in filter(None, map(_family_of, node.decorator_list)):
            ancestry = list(lineage(module, node))
            facts = facts_of(ancestry)
            yield Component(
                family=family,
                name=node.name,
                module=module.name,
                file=module.file,
                line=node.lineno,
                doc=inspect.cleandoc(ast.get_docstring(node) or ""),
                parameters=tuple(_parameters(ancestry, facts.get("derived", ()))),
                facts=facts,
            )


def _family_of(decorator: ast.expr) -> str | None:
    match decorator:
        case ast.Attribute(value=ast.Name(id=family), attr="register") if family in FAMILIES:
            return family
    return None


Lineage = Sequence[tuple[Module, ast.ClassDef]]


def lineage(module: Module, node: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
    """A class and its base classes, as far as they are of this package or of its own, each with the file that it stands in."""
    yield module, node
    for base in node.bases:
        owner, found = module.find(base)
        if isinstance(found, ast.ClassDef):
            yield from lineage(owner, found)


def facts_of(ancestry: Lineage) -> dict[str, Any]:
    """The literals of a class body, those of its base classes included."""
    return {name: value for module, node in reversed(ancestry) for name, value in _facts(module, node).items()}


def _facts(module: Module, node: ast.ClassDef) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                continue
        try:
            facts[name] = literal(expand(value, module))
        except ValueError:
            continue
    return facts


def _parameters(ancestry: Lineage, derived: tuple[str, ...]) -> Iterator[Parameter]:
    for module, node in ancestry:
        inits = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        if inits:
            rows = _arguments(inits[0].args)
        elif any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            rows = fields_of(node)
        else:
            continue
        for name, annotation, default, line in rows:
            yield Parameter(
                name=name,
                annotation=ast.unparse(expand(annotation, module)) if annotation else "",
                default=ast.unparse(expand(default, module)) if default else None,
                derived=name in derived,
                line=line,
            )
        return


Row = tuple[str, ast.expr | None, ast.expr | None, int]


def _arguments(arguments: ast.arguments) -> Iterator[Row]:
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, argument.annotation, default, argument.lineno


def fields_of(node: ast.ClassDef) -> Iterator[Row]:
    """The fields of a dataclass."""
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=default):
                if "ClassVar" not in ast.unparse(annotation):
                    yield name, annotation, default, statement.lineno


def component_of(cls: type, family: str, base: type = object) -> Component:
    """The same for a class that is imported already: a plugin's, or one of a notebook cell."""
    lines, (file, line) = _lines(cls), source_of(cls)
    ancestors = [each for each in reversed(cls.__mro__) if each is not object and issubclass(each, base)]
    facts = {name: value for each in ancestors for name, value in vars(each).items() if _is_fact(name, value)}
    derived = facts.get("derived", ())
    return Component(
        family=family,
        name=cls.__name__,
        module=cls.__module__,
        file=file,
        line=line,
        doc=inspect.cleandoc(vars(cls).get("__doc__") or ""),
        parameters=tuple(
            Parameter(
                name=each.name,
                annotation=_annotation(each.annotation),
                default=None if each.default is inspect.Parameter.empty else repr(each.default),
                derived=each.name in derived,
                line=lines.get(each.name, line),
            )
            for each in constructor(cls, base)
        ),
        facts=facts,
        builtin=False,
    )


def constructor(cls: type, base: type = object) -> list[inspect.Parameter]:
    """The parameters of `__init__`; none where it comes from above the family's contract (`nn.Module`, `object`)."""
    definer = next(each for each in cls.__mro__ if "__init__" in vars(each))
    if definer is object or (definer is not base and issubclass(base, definer)):
        return []
    try:
        signature = inspect.signature(vars(definer)["__init__"], eval_str=True)
    except NameError:
        signature = inspect.signature(vars(definer)["__init__"])
    return list(signature.parameters.values())[1:]


def source_of(cls: type) -> tuple[str, int]:
    """The file and line of a class; the line of its first method where a class in a notebook has none of its own."""
    try:
        return display(inspect.getsourcefile(cls) or cls.__module__), _line(cls)
    except (OSError, TypeError):
        codes = [each.__code__ for each in vars(cls).values() if inspect.isfunction(each)]
        return (codes[0].co_filename, codes[0].co_firstlineno) if codes else (cls.__module__, 0)


def display(path: str | Path) -> str:
    """A path as a message shows it: from the working directory, or from what this project ships, if it lies below."""
    path = Path(path).resolve()
    for root in (Path.cwd(), PACKAGE / "_data", PACKAGE.parent):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.as_posix()


@cache
def _line(cls: type) -> int:
    """Where a class begins: asked once, since its whole file is read for it."""
    return inspect.getsourcelines(cls)[1]


@cache
def _lines(cls: type) -> Mapping[str, int]:
    """Where each parameter of its own constructor stands."""
    try:
        lines, first = inspect.getsourcelines(vars(cls)["__init__"])
        function = ast.parse(inspect.cleandoc("\n" + "".join(lines))).body[0]
    except (KeyError, OSError, TypeError, SyntaxError):
        return {}
    return {each.arg: first + each.lineno - 1 for each in ast.walk(function) if isinstance(each, ast.arg)}


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return annotation
    return annotation.__qualname__ if inspect.isclass(annotation) and not _is_generic(annotation) else repr(annotation)


def _is_generic(annotation: Any) -> bool:
    return "[" in repr(annotation)


def _is_fact(name: str, value: object) -> bool:
    return not name.startswith("_") and isinstance(value, str | int | float | tuple | list | dict | None)
