"""The mutations: small defects in the source of a module, each at one place."""

import ast
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

from tests.mutants.explained import Identity
from tests.mutants.expressions import changed_expressions, is_text, is_true_or_false

_LOGGERS = ("logger", "metrics")
_SHOWN = 100  # characters of what a mutation changes


@dataclass(frozen=True)
class Mutant:
    """A module with one defect: `lines` are those of its place, from 1, `source` is all of it."""

    module: str
    function: str
    mutation: str
    lines: range
    source: str

    @property
    def identity(self) -> Identity:
        """What identifies the mutant."""
        return self.module, self.function, self.mutation

    def digest(self, seed: str) -> str:
        """Return a number by which mutants are in an order that nobody chose."""
        return hashlib.sha256("\n".join((seed, *self.identity)).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.module}:{self.lines.start} {self.function}: {self.mutation}"


@dataclass(frozen=True)
class _Place:
    """A node to replace: the function that it is in, and its new text."""

    node: ast.expr | ast.stmt
    function: str
    text: str
    mutation: str


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Yield the mutants of a module, given its path and its text, in the order of the places."""
    lines = source.encode().splitlines(keepends=True)
    seen: Counter[tuple[str, str]] = Counter()
    for place in _Places().of(ast.parse(source)):
        node = place.node
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
        after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(
            lines[node.end_lineno :]
        )
        seen[place.function, place.mutation] += 1
        number = seen[place.function, place.mutation]
        yield Mutant(
            module,
            place.function,
            place.mutation + (f" (no. {number})" if number > 1 else ""),
            range(node.lineno, node.end_lineno + 1),
            before.decode() + place.text + after.decode(),
        )


class _Places:
    """Find the places of a module, without what nobody promises: texts, logs and annotations."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._returns_bool = [False]

    def of(self, node: ast.AST) -> Iterator[_Place]:
        """Yield the places in a node."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from self._in_scope(node)
        elif not _is_left_out(node):
            if isinstance(node, ast.stmt):
                yield from self._of_statement(node)
            for child in _children(node):
                if isinstance(child, ast.expr):
                    yield from self._of_expression(child, node)
                yield from self.of(child)

    def _in_scope(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) -> Iterator[_Place]:
        returned = None if isinstance(node, ast.ClassDef) else node.returns
        self._names.append(node.name)
        self._returns_bool.append(isinstance(returned, ast.Name) and returned.id == "bool")
        for statement in node.body:
            yield from self.of(statement)
        self._names.pop()
        self._returns_bool.pop()

    def _of_expression(self, node: ast.expr, parent: ast.AST) -> Iterator[_Place]:
        if _is_left_out(node) or (not self._names and isinstance(node, ast.Constant | ast.BinOp)):
            return  # a number at the top of a module is a limit that somebody chose
        for new in changed_expressions(node, parent):
            yield self._place(node, new, f"({ast.unparse(new)})")

    def _of_statement(self, node: ast.stmt) -> Iterator[_Place]:
        match node:
            case ast.Expr(ast.Call()) | ast.Raise():
                yield self._place(node, ast.Pass(), "pass")
            case ast.Continue() | ast.Break():
                new = ast.Break() if isinstance(node, ast.Continue) else ast.Pass()
                yield self._place(node, new, ast.unparse(new))
            case ast.AugAssign(op=ast.Add() | ast.Sub()):
                changed = copy(node)
                changed.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                yield self._place(node, changed, ast.unparse(changed))
            case ast.If(test=test) if not is_true_or_false(test):
                for value in (True, False):
                    yield self._decided(test, value)
            case ast.While(test=test) if not is_true_or_false(test):
                yield self._decided(test, False)
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                if self._returns_bool[-1]:
                    opposite = ast.UnaryOp(ast.Not(), value)
                    yield self._place(value, opposite, f"(not ({ast.unparse(value)}))")
                else:
                    yield self._place(node, ast.Return(), "return None")

    def _decided(self, test: ast.expr, value: bool) -> _Place:
        return self._place(test, ast.Constant(value), str(value), "if ")

    def _place(self, node: ast.expr | ast.stmt, new: ast.AST, text: str, about: str = "") -> _Place:
        function = ".".join(self._names) or "<module>"
        return _Place(node, function, text, f"{about}{_difference(node, new)}")


def _difference(old: ast.AST, new: ast.AST) -> str:
    """Return in one line what a mutation changes, without what a long one has in common."""
    before, after = (" ".join(ast.unparse(each).split()) for each in (old, new))
    same = next((place for place, (a, b) in enumerate(zip(before, after)) if a != b), 0)  # noqa: B905
    if same > _SHOWN // 2:
        start = before.rfind(" ", 0, same - 20) + 1
        before, after = (f"… {each[start:]}" for each in (before, after))
    before, after = (textwrap.shorten(each, _SHOWN, placeholder=" …") for each in (before, after))
    return f"{before} -> {after}"


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node consists of, without annotations and decorators."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _is_left_out(node: ast.AST) -> bool:
    """Return whether a node is a text or a type, or a call that writes to the log."""
    match node:
        case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in _LOGGERS
        case ast.Call(func=ast.Name(id="cast" | "NewType" | "TypeVar")):
            return True
        case ast.Subscript(value=ast.Name(id="Callable")):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.keyword(arg="strict" | "use_threads" | "frozen"):
            return True
    return is_text(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
