"""The mutations of an expression."""

import ast
from collections.abc import Iterator
from copy import copy
from typing import TypeVar

_Node = TypeVar("_Node", bound=ast.AST)
_Item = TypeVar("_Item")

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_PAIRS = (
    ("min", "max"),
    ("any", "all"),
    ("less", "less_equal"),
    ("greater", "greater_equal"),
    ("equal", "not_equal"),
    ("add", "subtract"),
    ("and_", "or_"),
    ("is_null", "is_valid"),
    ("startswith", "endswith"),
    ("partition", "rpartition"),
)
_CALLED = {**dict(_PAIRS), **{second: first for first, second in _PAIRS}}


def changed_expressions(node: ast.expr, parent: ast.AST) -> Iterator[ast.expr]:
    """Yield an expression with a defect, in each way that there is for it."""
    yield from _decided_otherwise(node)
    yield from _computed_otherwise(node)
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        yield from _unconditional(node)
    elif isinstance(node, ast.List | ast.Set | ast.Tuple | ast.Dict):
        yield from _without_one(node, parent)


def _decided_otherwise(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=ops):
            yield from (_with(node, ops=each) for each in _compared(ops))
        case ast.BoolOp(op=op, values=values):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for rest in _shorter(values):
                yield rest[0] if len(rest) == 1 else _with(node, values=rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)


def _computed_otherwise(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield from (ast.Constant(each) for each in (value + 1, value - 1) if each >= 0)
        case ast.BinOp(op=op) if type(op) in _COMPUTED and not _joins_texts(node):
            yield _with(node, op=_COMPUTED[type(op)]())
        case ast.Call(func=func, args=args):
            yield from _called(node, func, args)


def is_text(node: ast.AST) -> bool:
    """Return whether a node is a literal text; one with braces has no exact places in it."""
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def is_true_or_false(node: ast.expr) -> bool:
    """Return whether a node is one of the two words."""
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def _with(node: _Node, **fields: object) -> _Node:
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _compared(ops: list[ast.cmpop]) -> Iterator[list[ast.cmpop]]:
    for place, op in enumerate(ops):
        for other in _COMPARED[type(op)]:
            yield [*ops[:place], other(), *ops[place + 1 :]]


def _shorter(items: list[_Item]) -> Iterator[list[_Item]]:
    """Yield a list without each of its items."""
    return (items[:place] + items[place + 1 :] for place in range(len(items)))


def _joins_texts(node: ast.BinOp) -> bool:
    """Return whether an operand cannot be computed with: every test would notice."""
    return any(is_text(each) or isinstance(each, ast.List) for each in (node.left, node.right))


def _called(node: ast.Call, func: ast.expr, args: list[ast.expr]) -> Iterator[ast.expr]:
    match func:
        case ast.Name(id=name) if name in _CALLED:
            yield _with(node, func=ast.Name(_CALLED[name]))
        case ast.Attribute(attr="invert"):
            yield args[0]
        case ast.Attribute(attr="drop_null", value=value):
            yield value
        case ast.Attribute(attr=name) if name in _CALLED:
            yield _with(node, func=_with(func, attr=_CALLED[name]))


def _unconditional(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp,
) -> Iterator[ast.expr]:
    """Yield a comprehension without one of its conditions."""
    for place, each in enumerate(node.generators):
        for ifs in _shorter(each.ifs):
            loops = [*node.generators]
            loops[place] = _with(each, ifs=ifs)
            yield _with(node, generators=loops)


def _without_one(
    node: ast.List | ast.Set | ast.Tuple | ast.Dict, parent: ast.AST
) -> Iterator[ast.expr]:
    """Yield a collection without one of its elements; a tuple only where it is a set of something.

    Elsewhere a tuple has a place for each element, and every test would notice.
    """
    if isinstance(node, ast.Dict):
        for keys, values in zip(_shorter(node.keys), _shorter(node.values), strict=True):
            yield _with(node, keys=keys, values=values)
        return
    if isinstance(node, ast.Tuple) and not isinstance(parent, ast.Compare | ast.ExceptHandler):
        return
    if isinstance(node, ast.Set) and len(node.elts) == 1:
        yield ast.Call(ast.Name("set"), [], [])
    elif isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load):
        yield from (_with(node, elts=elements) for elements in _shorter(node.elts))
