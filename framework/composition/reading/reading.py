"""The steps of a constructor, one after another."""

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, final

from framework.composition.reading.expressions import compiled
from framework.composition.reading.forgetting import Frame, forget
from framework.composition.reading.made import Class, Parent, Read, loosen
from framework.composition.reading.names import BUILTINS, imported, same
from framework.composition.reading.unknown import UNKNOWN, NotKnown, Unknown
from framework.signatures import Lineage, fields_of, lineage
from framework.source_text import Module, expand, literal

STEPS: Final = 10_000
"""More calls and rounds of loops are not followed: a setting may be the length of one."""
DEPTH: Final = 40
OUTSIDE: Final = ("ABC", "Generic", "Protocol", "nn.Module", "torch.nn.Module", "dm_env.Environment")


@final
class Refusal(Exception):
    """The `UserError` that a constructor raises; without a text where it cannot be known, or where the error is another."""


@final
class Returned(Exception):
    """A function ends, with a value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


@final
class Reading:
    """Follows constructors; `steps` counts how far."""

    def __init__(self) -> None:
        self.steps = 0
        self.depth = 0

    def construct(self, ancestry: Lineage, facts: Mapping[str, Any], given: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """What a class makes of its arguments. Raises `Refusal` where it would raise a `UserError`."""
        made = type(ancestry[0][1].name, (Read,), {})(self.member, ancestry, facts if _whole(ancestry) else {})
        begin = self.member(made, ancestry, "__init__")
        if begin is not None:
            begin(*given, **named)
            return made
        rows = [row for _, node in ancestry if _is_dataclass(node) for row in fields_of(node)]
        for (name, _, default, _), value in zip(rows, [*given, *[UNKNOWN] * len(rows)], strict=False):
            written = _literal(default, ancestry[0][0]) if default is not None else UNKNOWN
            vars(made)[name] = named.get(name, written if value is UNKNOWN else value)
        if (finish := self.member(made, ancestry, "__post_init__")) is not None:
            finish()
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
        names = {"super": lambda: Parent(self.member, made, above)}
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
        self.depth += 1
        try:
            self._count()
            if _yields(function):
                raise NotKnown
            bound = {**(names or {}), **self._bound(function.args, module, given, named)}
            self._run(function.body, Frame(module, bound, dict(bound)))
        except Returned as returned:
            return returned.value
        except NotKnown:
            loosen((*given, *named.values()))
            return UNKNOWN
        finally:
            self.depth -= 1
        return None

    def _count(self) -> None:
        self.steps += 1
        if self.steps > STEPS or self.depth > DEPTH:
            raise NotKnown

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
                forget(statement, frame)

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
                    self._count()
                    self._assign(target, each, frame)
                    self._run(body, frame)
            case ast.Return(value=value):
                raise Returned(None if value is None else self._value(value, frame))
            case ast.Raise(exc=exception):
                raise Refusal(self._said(exception, frame))
            case ast.Expr(value=value):
                self._value(value, frame)
            case ast.AnnAssign(value=None) | ast.Pass():
                pass
            case _:
                raise NotKnown

    def _said(self, exception: ast.expr | None, frame: Frame) -> str:
        match exception:
            case ast.Call(func=ast.Name(id="UserError"), args=[message]):
                try:
                    return str(self._value(message, frame))
                except NotKnown:
                    pass
        return ""

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
        code, names, kept = compiled(expression)
        known = {"__builtins__": {}, "same": same} | {name: self._meaning(name, frame) for name in names}
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
            case ast.FunctionDef(decorator_list=[]) as function:
                return lambda *given, **named: self.call(function, owner, given, named)
            case ast.ClassDef() as node:
                return Class(self.construct, tuple(lineage(owner, node)))
            case ast.expr():
                return _literal(found, owner)
        return imported(*frame.module.imports[name]) if name in frame.module.imports else BUILTINS.get(name, UNKNOWN)


def _yields(function: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(function))


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


def _whole(ancestry: Lineage) -> bool:
    """Whether every base class is read, or of those that set nothing of ours; else an instance may have what its class does not say."""
    bases = [(module, base) for module, node in ancestry for base in node.bases]
    return all(ast.unparse(base) in OUTSIDE or isinstance(module.find(base)[1], ast.ClassDef) for module, base in bases)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(each) for each in node.decorator_list)
