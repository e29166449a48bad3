"""Specialise a kernel before Numba sees it: loops over `static(n)` are written out, constant branches are taken.

    for k in static(tile_k):        the body is repeated for each k, with the number in place of the name
    if is_padded: …                 only the branch that the constant chooses is kept
    sizes[0] if height is None else height      the same

Constants are numbers, booleans, None and tuples of these that the function closes over or finds in its globals, the
names of static loops, and arithmetic on them. So one source works both for sizes that are known (`height = 56`) and
for sizes that come as arguments (`height = None`). Lines keep their numbers, so that reports on a kernel name the line
in its source. Under the simulator the unrolled function runs as plain Python.

A loop with a long body should stay an ordinary loop, which the compiler unrolls. Numba's own passes take time
quadratic in the length of a function. NVVM's do not, and NVVM unrolls nests of up to 128 constant steps.
"""

import ast
import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from numba import cuda

Kernel = Any  # the result of `numba.cuda.jit`

Constant = int | float | bool | None | tuple[Any, ...]

_BUILTINS = {"len": len, "min": min, "max": max, "abs": abs, "int": int, "range": range}


def static(*bounds: int) -> Iterable[int]:
    """`range` of constants, whose loop is written out. Outside an unrolled function it is simply that range."""
    return range(*bounds)


def fast_kernel(*, threads: int, blocks: int = 1) -> Callable[[Callable[..., None]], Kernel]:
    """Decorate a function as a CUDA kernel that is unrolled and has launch bounds.

    Parameters
    ----------
    threads : most threads of a block
    blocks : least blocks that a multiprocessor shall hold at once; to reach it, the compiler spills registers
    """

    def decorate(function: Callable[..., None]) -> Kernel:
        return cuda.jit(launch_bounds=(threads, blocks))(unrolled(function))

    return decorate


def unrolled(function: Any) -> Callable[..., Any]:
    """Write out a function's static loops, and take its constant branches.

    Raises
    ------
    ValueError
        a bound of `static` is not constant; the message names the file and line.
    OSError
        the source of the function cannot be read.
    """
    closure = inspect.getclosurevars(function)
    constants = {name: value for name, value in {**closure.globals, **closure.nonlocals}.items() if _is_constant(value)}
    definition = copy.deepcopy(_definition(function.__code__))
    definition.decorator_list = []
    try:
        body = _Unroller(constants, function.__code__.co_filename).visit(definition)
    except RecursionError as error:
        raise ValueError(f"{function.__qualname__}: static loops nest too deeply to be written out") from error
    return _compiled(body, function, closure.nonlocals)


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return value is None or type(value) in (bool, int, float)


def _compiled(definition: ast.stmt, function: Any, closed_over: Mapping[str, Any]) -> Callable[..., Any]:
    """Compile a definition into a function that has the globals and the closure of another."""
    names = [ast.arg(name) for name in closed_over]
    arguments = ast.arguments(posonlyargs=[], args=names, kwonlyargs=[], kw_defaults=[], defaults=[])
    outer = ast.FunctionDef(
        name="closure", args=arguments, decorator_list=[],
        body=[definition, ast.Return(ast.Name(function.__name__, ast.Load()))],
    )  # fmt: skip
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(outer, definition)], type_ignores=[]))
    scope: dict[str, Any] = {}
    exec(compile(module, function.__code__.co_filename, "exec"), function.__globals__, scope)
    made: FunctionType = scope["closure"](**closed_over)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    return made


def _definition(code: CodeType) -> ast.FunctionDef:
    """The definition that a function was compiled from."""
    for node in ast.walk(_module(code.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    raise OSError(f"{code.co_filename}:{code.co_firstlineno}: the source of {code.co_name} is not there")


@cache
def _module(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text(encoding="utf-8"), file)


class _Unroller(ast.NodeTransformer):
    """Write out static loops, take constant branches, compute constant arithmetic."""

    def __init__(self, constants: Mapping[str, Constant], file: str) -> None:
        self.constants = dict(constants)
        self.file = file

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Forget constants whose name the function assigns or has as a parameter: inside, it is another value."""
        bound = {argument.arg for argument in node.args.args}
        loops = {id(loop.target) for loop in ast.walk(node) if isinstance(loop, ast.For) and _is_static(loop)}
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and id(name) not in loops:
                bound.add(name.id)
        for name_bound in bound:
            self.constants.pop(name_bound, None)
        node.body = self._block(node.body)
        return node

    def visit_For(self, node: ast.For) -> Any:
        if not _is_static(node):
            node.iter = self.visit(node.iter)
            node.body = self._block(node.body)
            return node
        assert isinstance(node.iter, ast.Call)
        bounds = [self._value(bound) for bound in node.iter.args]
        if any(bound is None for bound in bounds) or not isinstance(node.target, ast.Name) or node.orelse:
            raise ValueError(
                f"{self.file}:{node.lineno}: `for name in static(…)` takes constants, not "
                f"`{ast.unparse(node.target)} in {ast.unparse(node.iter)}`"
            )
        name, written = node.target.id, []
        before = self.constants.get(name)
        for value in range(*(int(bound[0]) for bound in bounds if bound)):
            self.constants[name] = value
            written += self._block(copy.deepcopy(node.body))
        if before is None:
            self.constants.pop(name, None)
        else:
            self.constants[name] = before
        return written or ast.copy_location(ast.Pass(), node)

    def visit_If(self, node: ast.If) -> Any:
        condition = self._value(node.test)
        if condition is None:
            node.test = self.visit(node.test)
            node.body, node.orelse = self._block(node.body), self._block(node.orelse, empty=True)
            return node
        return self._block(node.body if condition[0] else node.orelse, empty=True) or ast.copy_location(
            ast.Pass(), node
        )

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        condition = self._value(node.test)
        if condition is None:
            return self.generic_visit(node)
        return self.visit(node.body if condition[0] else node.orelse)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        """Simplify `constant and rest`, and the same with `or`."""
        decided = isinstance(node.op, ast.Or)  # the value of an operand that decides the whole expression
        left = []
        for operand in node.values:
            value = self._value(operand)
            if value is None:
                left.append(self.visit(operand))
            elif bool(value[0]) == decided:
                left.append(ast.copy_location(ast.Constant(decided), operand))
                break
        if not left:
            return ast.copy_location(ast.Constant(not decided), node)
        return left[0] if len(left) == 1 else ast.copy_location(ast.BoolOp(node.op, left), node)

    def visit_Name(self, node: ast.Name) -> Any:
        if isinstance(node.ctx, ast.Load) and node.id in self.constants:
            value = self.constants[node.id]
            if not isinstance(value, tuple):  # Numba takes tuples from the closure as they are
                return ast.copy_location(ast.Constant(value), node)
        return node

    def generic_visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.Subscript):
            value = self._value(node)
            if value is not None and not isinstance(value[0], tuple):
                return ast.copy_location(ast.Constant(value[0]), node)
        return super().generic_visit(node)

    def _block(self, statements: list[ast.stmt], *, empty: bool = False) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            found += new if isinstance(new, list) else [new]
        return found if found or empty else [ast.Pass(lineno=0, col_offset=0)]

    def _value(self, node: ast.AST) -> tuple[Any] | None:
        """The value of a constant expression, in a tuple of one; None for any other expression."""
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        if not names <= self.constants.keys() | _BUILTINS.keys():
            return None
        expression = ast.Expression(ast.fix_missing_locations(copy.deepcopy(node)))  # type: ignore[arg-type]
        try:
            value = eval(compile(expression, self.file, "eval"), {"__builtins__": _BUILTINS}, self.constants)
        except (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
            return None  # left to Numba, which compiles it or reports what is wrong
        return (value,) if _is_constant(value) else None


def _is_static(loop: ast.For) -> bool:
    call = loop.iter
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "static"
