"""Constructors, read instead of run: followed step by step as far as their values are known, so that nothing need be imported.

What is not known (a size that only building gives, whatever is of torch) is `UNKNOWN`. A step that would be decided by it is left out,
with all that it would have changed; so what is found here is found when the component is built as well, and in the same words.
"""

import ast
import importlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from types import CodeType
from typing import Any, Final, final

from framework.composition.unknown import UNKNOWN, NotKnown, Unknown
from framework.signatures import Lineage, facts_of, fields_of, lineage
from framework.source_text import Module, expand, literal

CALLS: Final = 10_000
"""More are not followed: a setting may be the length of a loop."""
DEPTH: Final = 40


@final
class Refusal(Exception):
    """The `UserError` that a constructor raises."""


@final
class Returned(Exception):
    """A function ends, with a value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Read:
    """What a constructor made, as far as it is known: its attributes, its methods and the literals of its class."""

    def __init__(self, reading: "Reading", ancestry: Lineage, facts: Mapping[str, Any]) -> None:
        self.__reading, self.__ancestry, self.__facts = reading, ancestry, facts

    def __getattr__(self, name: str) -> Any:
        found = self.__reading.member(self, self.__ancestry, name)
        return self.__facts.get(name, UNKNOWN) if found is None else found

    def __bool__(self) -> bool:
        raise NotKnown

    def __eq__(self, other: object) -> bool:
        raise NotKnown

    @staticmethod
    def loosen(made: "Read") -> None:
        """Something was left out that may have changed it: nothing of it is known any more."""
        reading = made.__reading
        vars(made).clear()
        made.__reading, made.__ancestry, made.__facts = reading, (), {}

    @staticmethod
    def descends(made: "Read", cls: "Class") -> bool:
        """Whether a class is among those that it was made of; it may have others, which are not read."""
        return cls.ancestry[0][1] in [node for _, node in made.__ancestry]


@final
@dataclass(frozen=True)
class Class:
    """A class that is called or asked about, and not imported."""

    reading: "Reading"
    ancestry: Lineage

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.reading.construct(self.ancestry, facts_of(self.ancestry), given, named)

    def __getattr__(self, name: str) -> Any:
        return UNKNOWN


@final
class Parent:
    """What `super()` gives."""

    def __init__(self, reading: "Reading", made: Read, ancestry: Lineage) -> None:
        self._found = partial(reading.member, made, ancestry)

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, "_found")(name)
        return UNKNOWN if found is None else found


@final
@dataclass
class Frame:
    """The names that one function knows."""

    module: Module
    given: Mapping[str, Any]
    local: dict[str, Any]


@final
class Reading:
    """Follows constructors; `calls` counts what it has followed."""

    def __init__(self) -> None:
        self.calls = 0
        self.depth = 0

    def construct(self, ancestry: Lineage, facts: Mapping[str, Any], given: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """What a class makes of its arguments. Raises `Refusal` where it would raise a `UserError`."""
        made = type(ancestry[0][1].name, (Read,), {})(self, ancestry, facts)
        begin = self.member(made, ancestry, "__init__")
        if begin is not None:
            begin(*given, **named)
            return made
        rows = [row for _, node in ancestry if _is_dataclass(node) for row in fields_of(node)]
        for (name, _, default, _), value in zip(rows, [*given, *[UNKNOWN] * len(rows)], strict=False):
            written = _literal(default, ancestry[0][0]) if default is not None else UNKNOWN
            vars(made)[name] = named.get(name, written if value is UNKNOWN else value)
        return made

    def member(self, made: Read, ancestry: Lineage, name: str) -> Any:
        """A method, or what a property gives; None where no class of this package or the user's own has it."""
        for place, (module, node) in enumerate(ancestry):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == name:
                    follow = self._method(method, module, made, ancestry[place + 1 :])
                    return follow() if "property" in _decorators(method) and callable(follow) else follow
        return None

    def _method(self, method: ast.FunctionDef, module: Module, made: Read, above: Lineage) -> Any:
        decorators = _decorators(method) - {"property", "final", "override", "torch.no_grad()"}
        if decorators == {"abstractmethod"} and method.name == "__init__":
            decorators = set()
        if decorators:
            return UNKNOWN
        names = {"super": lambda: Parent(self, made, above)}
        return lambda *given, **named: self.call(method, module, (made, *given), named, names)

    def call(
        self,
        function: ast.FunctionDef,
        module: Module,
        given: Sequence[Any],
        named: Mapping[str, Any],
        names: Mapping[str, Any] | None = None,
    ) -> Any:
        """What a function gives, `UNKNOWN` where that cannot be followed."""
        self.calls += 1
        self.depth += 1
        try:
            if self.calls > CALLS or self.depth > DEPTH or _yields(function):
                raise NotKnown
            bound = {**(names or {}), **self._bound(function.args, module, given, named)}
            self._run(function.body, Frame(module, bound, dict(bound)))
        except Returned as returned:
            return returned.value
        except NotKnown:
            _loosen((*given, *named.values()))
            return UNKNOWN
        finally:
            self.depth -= 1
        return None

    def _bound(self, wanted: ast.arguments, module: Module, given: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        plain = [each.arg for each in (*wanted.posonlyargs, *wanted.args)]
        bound: dict[str, Any] = dict(zip(plain, given, strict=False))
        defaults = dict(zip(reversed(plain), reversed(wanted.defaults), strict=False))
        defaults |= {each.arg: value for each, value in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True) if value is not None}
        for name in (*plain, *(each.arg for each in wanted.kwonlyargs)):
            if name in named:
                bound[name] = named[name]
            elif name not in bound:
                bound[name] = _literal(defaults[name], module) if name in defaults else UNKNOWN
        if wanted.vararg:
            bound[wanted.vararg.arg] = tuple(given[len(plain) :])
        if wanted.kwarg:
            bound[wanted.kwarg.arg] = UNKNOWN
        return bound

    def _run(self, body: Sequence[ast.stmt], frame: Frame) -> None:
        for statement in body:
            try:
                self._step(statement, frame)
            except NotKnown:
                _forget(statement, frame)

    def _step(self, statement: ast.stmt, frame: Frame) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                found = self._value(value, frame)
                for target in targets:
                    self._assign(target, found, frame)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self._value(value, frame), frame)
            case ast.AugAssign(target=ast.Name()):
                self._assign(statement.target, self._value(_sum(statement), frame), frame)
            case ast.If(test=test, body=body, orelse=otherwise):
                self._run(body if self._value(test, frame) else otherwise, frame)
            case ast.For(target=target, iter=every, body=body, orelse=[]):
                for each in self._value(every, frame):
                    self._assign(target, each, frame)
                    self._run(body, frame)
            case ast.Return(value=value):
                raise Returned(None if value is None else self._value(value, frame))
            case ast.Raise(exc=ast.Call(func=ast.Name(id="UserError"), args=[message])):
                raise Refusal(self._value(message, frame))
            case ast.Expr(value=value):
                self._value(value, frame)
            case ast.AnnAssign(value=None) | ast.Pass():
                pass
            case _:
                raise NotKnown

    def _assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        match target:
            case ast.Name(id=name):
                frame.local[name] = value
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if isinstance(frame.local.get(name), Read):
                vars(frame.local[name])[attribute] = value
            case ast.Tuple(elts=targets) if isinstance(value, Unknown):
                for each in targets:
                    self._assign(each, UNKNOWN, frame)
            case ast.Tuple(elts=targets):
                for each, part in zip(targets, value, strict=True):
                    self._assign(each, part, frame)
            case _:
                raise NotKnown

    def _value(self, expression: ast.expr, frame: Frame) -> Any:
        """What an expression gives. Python itself works it out, and finds nothing but the names that it has."""
        code, names, kept = _compiled(expression)
        known = {"__builtins__": {}, "same": _same} | {name: self._meaning(name, frame) for name in names}
        try:
            return eval(code, known)
        except (NotKnown, Refusal):
            raise
        except Exception as error:
            raise NotKnown from error
        finally:
            frame.local |= {name: known[name] for name in kept}

    def _meaning(self, name: str, frame: Frame) -> Any:
        if name in frame.local:
            return frame.local[name]
        owner, found = frame.module.find(ast.Name(name))
        match found:
            case ast.FunctionDef() as function:
                return lambda *given, **named: self.call(function, owner, given, named)
            case ast.ClassDef() as node:
                return Class(self, tuple(lineage(owner, node)))
            case ast.expr():
                return _literal(found, owner)
        return _imported(*frame.module.imports[name]) if name in frame.module.imports else BUILTINS.get(name, UNKNOWN)


def _forget(statement: ast.stmt, frame: Frame) -> None:
    """Whatever a step that was left out could have changed; raises `NotKnown` again where it could have ended the function."""
    if _leaves(statement):
        raise NotKnown
    match statement:
        case ast.Raise():
            pass
        case ast.If(test=test, body=body, orelse=otherwise):
            frame.local |= {name: UNKNOWN for name in _kept(test)}
            for each in (*body, *otherwise):
                _forget(each, frame)
        case _:
            for node in ast.walk(statement):
                _forget_part(node, frame)


def _forget_part(node: ast.AST, frame: Frame) -> None:
    local = frame.local
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            local[name] = UNKNOWN
        case ast.alias(name=name, asname=other):
            local[other or name] = UNKNOWN
        case ast.Name(id=name) if isinstance(local.get(name), list | dict | set) and name not in frame.given:
            local[name] = UNKNOWN
        case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Store()) if isinstance(local.get(name), Read):
            vars(local[name])[attribute] = UNKNOWN
        case ast.Call(func=ast.Name(id="super")):
            _loosen(local.values())
        case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
            pass
        case ast.Call(func=function, args=given, keywords=named):
            owner = [function.value] if isinstance(function, ast.Attribute) else []
            passed = [*owner, *given, *(each.value for each in named)]
            _loosen(local.get(each.id) for each in passed if isinstance(each, ast.Name))


def _loosen(values: Iterable[Any]) -> None:
    for each in values:
        if isinstance(each, Read):
            Read.loosen(each)


def _yields(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(function))


def _leaves(statement: ast.AST) -> bool:
    match statement:
        case ast.Return() | ast.Break() | ast.Continue():
            return True
        case ast.For() | ast.While():
            return any(isinstance(each, ast.Return) for each in ast.walk(statement))
        case ast.FunctionDef() | ast.expr():
            return False
    return any(_leaves(each) for each in ast.iter_child_nodes(statement))


@cache
def _compiled(expression: ast.expr) -> tuple[CodeType, tuple[str, ...], tuple[str, ...]]:
    """An expression ready to be worked out, the names in it, and those of them that `:=` keeps."""
    whole = ast.fix_missing_locations(ast.Expression(_Identity().visit(deepcopy(expression))))
    names = {each.id for each in ast.walk(expression) if isinstance(each, ast.Name)}
    return compile(whole, "<read>", "eval"), tuple(names), _kept(expression)


def _kept(expression: ast.expr) -> tuple[str, ...]:
    return tuple({each.target.id for each in ast.walk(expression) if isinstance(each, ast.NamedExpr)})


@final
class _Identity(ast.NodeTransformer):
    """`a is b` cannot be overridden, and would say that `UNKNOWN` is not None."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Compare(left=left, ops=[ast.Is()], comparators=[right]):
                return ast.Call(ast.Name("same", ast.Load()), [left, right], [])
            case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[right]):
                return ast.UnaryOp(ast.Not(), ast.Call(ast.Name("same", ast.Load()), [left, right], []))
        return node


@cache
def _sum(statement: ast.AugAssign) -> ast.expr:
    assert isinstance(statement.target, ast.Name)
    return ast.BinOp(ast.Name(statement.target.id, ast.Load()), statement.op, statement.value)


def _literal(expression: ast.expr, module: Module) -> Any:
    try:
        return literal(expand(expression, module))
    except ValueError:
        return UNKNOWN


def _decorators(method: ast.FunctionDef) -> set[str]:
    return {ast.unparse(each) for each in method.decorator_list}


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(each) for each in node.decorator_list)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        raise NotKnown
    return left is right


def _isinstance(value: Any, kind: Any) -> bool:
    if isinstance(kind, Class) and isinstance(value, Read) and Read.descends(value, kind):
        return True
    if not isinstance(value, PLAIN) or not (kind in PLAIN or (isinstance(kind, tuple) and set(kind) <= {*PLAIN})):
        raise NotKnown
    return isinstance(value, kind)


def _type(value: Any) -> type:
    if isinstance(value, Unknown):
        raise NotKnown
    return type(value)


@final
class _Containers:
    """Of `torch.nn`, what holds others is what it holds."""

    ModuleList, ModuleDict = list, dict

    def __getattr__(self, name: str) -> Any:
        return UNKNOWN


def _imported(source: str, name: str) -> Any:
    if (source, name) == ("torch", "nn"):
        return _Containers()
    return getattr(importlib.import_module(source), name) if source in STANDARD else UNKNOWN


STANDARD: Final = ("math", "fnmatch", "itertools", "typing")
"""Modules whose functions have no side effect and need nothing."""
PLAIN: Final = (int, float, bool, str, tuple, list, dict, type(None))
PURE: Final[Sequence[Callable[..., Any]]] = (
    abs, all, any, bool, dict, enumerate, float, int, len, list, max, min, next, range, reversed, round, set, sorted, str, sum, tuple, zip,
)  # fmt: skip
BUILTINS: Final = {each.__name__: each for each in PURE} | {"isinstance": _isinstance, "type": _type, "math": math}
