"""What is no longer known after a step that was left out."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from framework.composition.reading.expressions import kept_by
from framework.composition.reading.made import Read, loosen
from framework.composition.reading.names import BUILTINS
from framework.composition.reading.unknown import UNKNOWN, NotKnown
from framework.source_text import Module


@final
@dataclass
class Frame:
    """The names that one function knows."""

    module: Module
    given: Mapping[str, Any]
    local: dict[str, Any]


def forget(statement: ast.stmt, frame: Frame) -> None:
    """Whatever a step that was left out could have changed; raises `NotKnown` again where it could have ended the function."""
    if _leaves(statement):
        raise NotKnown
    match statement:
        case ast.Raise():
            pass
        case ast.If(test=test, body=body, orelse=otherwise):
            frame.local |= dict.fromkeys(kept_by(test), UNKNOWN)
            for each in (*body, *otherwise):
                forget(each, frame)
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
            loosen(local.values())
        case ast.Call(func=ast.Name(id=name)) if name in BUILTINS:
            pass
        case ast.Call(func=function, args=given, keywords=named):
            passed = [local.get(each.id) for each in (*given, *(each.value for each in named)) if isinstance(each, ast.Name)]
            match function:
                case ast.Attribute(value=ast.Name(id=name), attr=method) if Read.has(local.get(name), method):
                    passed.append(local[name])
            loosen(passed)


def _leaves(statement: ast.AST) -> bool:
    match statement:
        case ast.Return() | ast.Break() | ast.Continue():
            return True
        case ast.For() | ast.While():
            return any(isinstance(each, ast.Return) for each in ast.walk(statement))
        case ast.FunctionDef() | ast.expr():
            return False
    return any(_leaves(each) for each in ast.iter_child_nodes(statement))
