"""Mutants: kernels with one small edit each. After DeMillo, Lipton & Sayward 1978, "Hints on test data selection"."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

NARROW = {ast.LtE: ast.Lt, ast.GtE: ast.Gt}
WIDE = {ast.Lt: ast.LtE, ast.Gt: ast.GtE}
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
KINDS = {"no barrier", "< to <=", "<= to <", ">= to >", "no operand", "index + 1", "range + 1"}


@dataclass(frozen=True)
class Mutant:
    """A module with one edit in one of its kernels."""

    kind: str
    line: int
    column: int
    expression: str  # that was edited
    part: int  # which operand, axis or comparison of it
    make: Callable[[], ast.Module]

    @property
    def tree(self) -> ast.Module:
        """The module with the edit."""
        return self.make()

    @property
    def name(self) -> str:
        return f"{self.kind}, line {self.line}, column {self.column}, part {self.part}"


def mutants_of(tree: ast.Module) -> Iterator[Mutant]:
    """Every edit of what `cuda.jit` decorates in a tree, in the order of the source."""
    for kernel in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and is_kernel(node)):
        for node in (inner for statement in kernel.body for inner in ast.walk(statement)):
            for kind, part, edit in edits(node):
                text = ast.unparse(node)
                yield Mutant(kind, node.lineno, node.col_offset, text, part, partial(edited, tree, node, edit))


def edited(tree: ast.Module, node: ast.AST, edit: Callable[[ast.AST], None]) -> ast.Module:
    """A copy of a tree with one of its nodes edited."""
    changed = copy.deepcopy(tree)
    (place,) = (new for new in ast.walk(changed) if same_place(new, node))
    edit(place)
    return ast.fix_missing_locations(changed)


def is_kernel(function: ast.FunctionDef) -> bool:
    """Whether it runs on the device."""
    return any("cuda.jit" in ast.unparse(decorator) for decorator in function.decorator_list)


def same_place(a: ast.AST, b: ast.AST) -> bool:
    """Whether two trees have these nodes at one place."""
    spans = (
        [getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
        for node in (a, b)
    )
    return type(a) is type(b) and next(spans) == next(spans)


def edits(node: ast.AST) -> Iterator[tuple[str, int, Callable[[ast.AST], None]]]:
    """Every way to spoil one node: the kind, the part, and what does it to a copy of the node."""
    if isinstance(node, ast.Expr) and "syncthreads" in ast.unparse(node):
        yield "no barrier", 0, lambda new: setattr(new, "value", ast.Constant(None))
    if isinstance(node, ast.Compare):
        for part, sign in enumerate(node.ops):
            for other in (found[type(sign)] for found in (NARROW, WIDE) if type(sign) in found):
                kind = f"{SIGNS[type(sign)]} to {SIGNS[other]}"
                yield kind, part, lambda new, part=part, other=other: put(new.ops, part, other())
            if len(node.ops) > 1:
                yield "no operand", part, lambda new, part=part: drop_comparison(new, part)
    if isinstance(node, ast.BoolOp):
        for part in range(len(node.values)):
            yield "no operand", part, lambda new, part=part: put(new.values, part, neutral(new))
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        for part in range(len(node.slice.elts)):
            yield "index + 1", part, lambda new, part=part: put(new.slice.elts, part, one_more(new.slice.elts[part]))
    elif isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant | ast.Slice):
        yield "index + 1", 0, lambda new: setattr(new, "slice", one_more(new.slice))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
        stop = min(1, len(node.args) - 1)
        yield "range + 1", 0, lambda new: put(new.args, stop, one_more(new.args[stop]))


def put(nodes: list[ast.AST], place: int, node: ast.AST) -> None:
    """Replace one of several nodes."""
    nodes[place] = node


def one_more(node: ast.AST) -> ast.BinOp:
    """The expression, plus one."""
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


def neutral(condition: ast.BoolOp) -> ast.Constant:
    """The operand that makes no difference."""
    return ast.Constant(isinstance(condition.op, ast.And))


def drop_comparison(chain: ast.Compare, part: int) -> None:
    """Of `a <= b < c` the first or the last comparison."""
    if part == 0:
        chain.left = chain.comparators[0]
    del chain.ops[part], chain.comparators[part]
