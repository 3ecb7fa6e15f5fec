"""Expressions, ready to be worked out."""

import ast
from copy import deepcopy
from functools import cache
from types import CodeType
from typing import final


@cache
def compiled(expression: ast.expr) -> tuple[CodeType, tuple[str, ...], tuple[str, ...]]:
    """An expression ready to be worked out, the names in it, and those of them that `:=` keeps."""
    whole = ast.fix_missing_locations(ast.Expression(_Identity().visit(deepcopy(expression))))
    names = {each.id for each in ast.walk(expression) if isinstance(each, ast.Name)}
    return compile(whole, "<read>", "eval"), tuple(names), kept_by(expression)


def kept_by(expression: ast.expr) -> tuple[str, ...]:
    """The names that it assigns by `:=`."""
    return tuple({each.target.id for each in ast.walk(expression) if isinstance(each, ast.NamedExpr)})


@final
class _Identity(ast.NodeTransformer):
    """`a is b` becomes `same(a, b)`."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Compare(left=left, ops=[ast.Is()], comparators=[right]):
                return ast.Call(ast.Name("same", ast.Load()), [left, right], [])
            case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[right]):
                return ast.UnaryOp(ast.Not(), ast.Call(ast.Name("same", ast.Load()), [left, right], []))
        return node
