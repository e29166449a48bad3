"""Mutants: kernels with one small edit each (DeMillo, Lipton & Sayward 1978, "Hints on test data selection")."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

NARROW = {ast.LtE: ast.Lt, ast.GtE: ast.Gt}
WIDE = {ast.Lt: ast.LtE, ast.Gt: ast.GtE}
SWAPPED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
KINDS = {
    "no barrier", "narrow comparison", "wide comparison", "swapped comparison", "no operand", "index + 1", "index - 1",
    "range + 1", "range - 1", "swapped axes", "wrong axis", "wrong constant",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A module with one edit in one of its kernels."""

    kind: str
    line: int
    column: int
    end: int  # its last column
    expression: str  # the edited expression
    part: int  # the number of the edited operand, axis or comparison
    make: Callable[[], ast.Module]

    @property
    def tree(self) -> ast.Module:
        """The module with the edit."""
        return self.make()

    @property
    def name(self) -> str:
        return f"{self.kind}, line {self.line}, columns {self.column} to {self.end}, part {self.part}"


def mutants_of(tree: ast.Module) -> Iterator[Mutant]:
    """Every edit of a kernel or device function in a tree, in the order of the source."""
    for kernel in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and is_kernel(node)):
        for node in (inner for statement in kernel.body for inner in ast.walk(statement)):
            for kind, part, edit in edits(node):
                text = ast.unparse(node)
                make = partial(edited, tree, node, edit)
                yield Mutant(kind, node.lineno, node.col_offset, node.end_col_offset, text, part, make)


def edited(tree: ast.Module, node: ast.AST, edit: Callable[[ast.AST], None]) -> ast.Module:
    """A copy of a tree with one of its nodes edited."""
    changed = copy.deepcopy(tree)
    (place,) = (new for new in ast.walk(changed) if same_place(new, node))
    edit(place)
    return ast.fix_missing_locations(changed)


def is_kernel(function: ast.FunctionDef) -> bool:
    """Whether a function runs on the device."""
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any("cuda.jit" in decorator or "fast_kernel" in decorator for decorator in decorators)


def same_place(a: ast.AST, b: ast.AST) -> bool:
    """Whether two nodes are at the same place of their sources."""
    spans = (
        [getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
        for node in (a, b)
    )
    return type(a) is type(b) and next(spans) == next(spans)


def edits(node: ast.AST) -> Iterator[tuple[str, int, Callable[[ast.AST], None]]]:
    """Every edit of one node: its kind, the part, and a function that makes it in a copy of the node."""
    if isinstance(node, ast.Expr) and "syncthreads" in ast.unparse(node):
        yield "no barrier", 0, lambda new: setattr(new, "value", ast.Constant(None))
    if isinstance(node, ast.Compare):
        for part, sign in enumerate(node.ops):
            for kind, found in (("narrow", NARROW), ("wide", WIDE), ("swapped", SWAPPED)):
                if other := found.get(type(sign)):
                    edit = f"{kind} comparison"
                    yield edit, part, lambda new, part=part, other=other: put(new.ops, part, other())
            if len(node.ops) > 1:
                yield "no operand", part, lambda new, part=part: drop_comparison(new, part)
    if isinstance(node, ast.BoolOp):
        for part in range(len(node.values)):
            yield "no operand", part, lambda new, part=part: put(new.values, part, neutral(new))
    if isinstance(node, ast.Subscript):
        yield from edits_of_index(node)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        stop = min(1, len(node.args) - 1)
        for kind, amount in (("range + 1", 1), ("range - 1", -1)):
            yield kind, 0, lambda new, amount=amount: put(new.args, stop, plus(new.args[stop], amount))
    if isinstance(node, ast.BinOp | ast.Assign | ast.Call):
        for field, value in ast.iter_fields(node):
            for part, inner in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(inner, ast.Constant) and type(inner.value) is int:
                    many = isinstance(value, list)
                    place = PARTS.index(field) * 10 + part
                    yield "wrong constant", place, lambda new, at=(field, part if many else None): change(new, *at)


PARTS = ("left", "right", "value", "args", "targets")


def edits_of_index(node: ast.Subscript) -> Iterator[tuple[str, int, Callable[[ast.AST], None]]]:
    """Every edit of an index."""
    steps = (("index + 1", 1), ("index - 1", -1))
    if isinstance(node.slice, ast.Tuple):
        for part in range(len(node.slice.elts)):
            for kind, by in steps:
                yield (
                    kind,
                    part,
                    lambda new, part=part, by=by: put(new.slice.elts, part, plus(new.slice.elts[part], by)),
                )
        for part in range(len(node.slice.elts) - 1):
            yield "swapped axes", part, lambda new, part=part: swap(new.slice.elts, part)
    elif isinstance(node.slice, ast.Constant):
        if isinstance(node.ctx, ast.Load) and type(node.slice.value) is int:
            yield "wrong axis", 0, lambda new: setattr(new, "slice", ast.Constant(new.slice.value ^ 1))
    elif not isinstance(node.slice, ast.Slice):
        for kind, by in steps:
            yield kind, 0, lambda new, by=by: setattr(new, "slice", plus(new.slice, by))


def put(nodes: list[ast.AST], place: int, node: ast.AST) -> None:
    """Replace one of several nodes."""
    nodes[place] = node


def swap(nodes: list[ast.AST], place: int) -> None:
    """Exchange one of several nodes with the next."""
    nodes[place], nodes[place + 1] = nodes[place + 1], nodes[place]


def change(node: ast.AST, field: str, part: int | None) -> None:
    """Add one to an integer constant in a field of a node."""
    value = getattr(node, field) if part is None else getattr(node, field)[part]
    value.value += 1


def plus(node: ast.AST, amount: int) -> ast.BinOp:
    """The expression, plus or minus something."""
    return ast.BinOp(node, ast.Add() if amount > 0 else ast.Sub(), ast.Constant(abs(amount)))


def neutral(condition: ast.BoolOp) -> ast.Constant:
    """The neutral operand: True for `and`, False for `or`."""
    return ast.Constant(isinstance(condition.op, ast.And))


def drop_comparison(chain: ast.Compare, part: int) -> None:
    """Remove the first or the last comparison of a chain such as `a <= b < c`."""
    if part == 0:
        chain.left = chain.comparators[0]
    del chain.ops[part], chain.comparators[part]
