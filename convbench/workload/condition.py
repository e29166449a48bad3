"""Parses conditions in pandas' query syntax into functions, without running any part of the text as Python.

pandas runs such a text as code, including attributes and calls. Here it is parsed with `ast`, and only the constructs
below are allowed. The whole text is checked when it is parsed, so that a mistake is reported even if no row reaches it.

- comparisons, also chained; `in` and `not in` with a list or tuple; text `in` text, which looks for a substring
- `and`, `or`, `not`; `&` and `|`, with the precedence of `and` and `or`, as in pandas' query; `~`
- arithmetic on numbers: `+ - * / // % **`; numbers, text in quotes, True, False, tuples, lists, parentheses
- `==` with a list means `in`; for a single number or text, `==` with a tuple means `in` as well, as in pandas
- a pair (a column that holds a tuple) equals a number if all of its elements do: `stride == 1`
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NoReturn

from convbench.errors import ConvbenchError

MOST_CHARACTERS = 1000
MOST_LEVELS = 100  # of operators inside operators
MOST_BITS = 1024  # of an intermediate whole number; 9**9**9 has more than a thousand million

Kind = Literal["number", "text", "condition", "pair", "tuple", "list"]


class ConditionError(ConvbenchError):
    """A text is not a valid condition. The message has the text, a caret under the position, and the columns."""

    def __init__(self, text: str, position: int, reason: str, columns: Mapping[str, "Term"]) -> None:
        self.text, self.position, self.reason = text, position, reason
        line = "".join(char if char.isprintable() else " " for char in text)
        super().__init__(
            f"{reason}, at position {position} of the filter\n    {line}\n    {' ' * position}^\n"
            f"columns are {', '.join(columns)}"
        )


@dataclass(frozen=True)
class Term:
    """A checked expression: the kind of its value, and a function that computes the value for a row."""

    kind: Kind
    value: Callable[[Any], Any]  # of a row; raises ConditionError if it divides by zero or a number grows too large
    items: tuple["Term", ...] = ()  # of a tuple or a list
    constant: bool = False  # True for a number that is the same for every row


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_COMPARABLE: dict[Kind, tuple[Kind, ...]] = {
    "number": ("number", "condition"), "condition": ("number", "condition"), "text": ("text",),
    "pair": ("pair", "tuple", "number"), "tuple": ("tuple",), "list": (),
}  # fmt: skip
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def read(text: str, columns: Mapping[str, Term]) -> Term:
    """Parse a text into a condition on rows that have the given columns.

    Raises
    ------
    ConditionError
        the text is not a condition, has a construct that is not allowed, or compares values that can never be equal.
    ConvbenchError
        the text has more than 1,000 characters.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConvbenchError(f"the filter has {len(text)} characters; at most {MOST_CHARACTERS} are read")
    return _Reader(text, columns).condition()


class _Reader:
    """Parses one text into a Term; raises ConditionError at the first mistake."""

    def __init__(self, text: str, columns: Mapping[str, Term]) -> None:
        self.text, self.columns = text, columns
        self.python, self.origin = self._as_python()

    def condition(self) -> Term:
        """The term of the whole text, which must be a condition."""
        if not self.python:
            self._fail(0, "an empty text is no condition")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns of escapes in text and of digits before a word
                tree = ast.parse(self.python, mode="eval").body
        except SyntaxError as error:
            where = len(self.python) if error.lineno != 1 or not error.offset else error.offset - 1
            self._fail(self._place(where), f"this is no expression ({error.msg})")
        except (ValueError, MemoryError, RecursionError) as error:
            self._fail(0, f"this is no expression ({error or type(error).__name__})")
        term = self._term(tree, 0)
        if term.kind != "condition":
            self._refuse(tree, f"the filter is a {term.kind}; it must be a condition, like r == 3")
        return term

    def _as_python(self) -> tuple[str, list[int]]:
        """The text with `and` and `or` for & and |, and for each of its characters its position in the original."""
        words = {"&": " and ", "|": " or ", "\n": " ", "\r": " "}
        python, origin = "", list[int]()
        for match in re.finditer(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|.", self.text, re.DOTALL):
            piece = match[0]
            if piece == "@":
                self._fail(match.start(), "@ stands for a Python variable in pandas; a filter cannot use one")
            if piece == "`":
                self._fail(match.start(), "backticks are not supported; no column needs them")
            if not python and piece.isspace():
                continue  # Python would take leading space for an indentation
            new = words.get(piece, piece)
            python += new
            origin += range(match.start(), match.end()) if new == piece else [match.start()] * len(new)
        return python, origin

    def _place(self, character: int) -> int:
        return self.origin[character] if character < len(self.origin) else len(self.text)

    def _fail(self, position: int, reason: str) -> NoReturn:
        raise ConditionError(self.text, position, reason, self.columns) from None

    def _refuse(self, node: ast.AST, reason: str) -> NoReturn:
        before = self.python.encode()[: getattr(node, "col_offset", 0)]  # the offsets of ast count bytes
        self._fail(self._place(len(before.decode())), reason)

    def _term(self, node: ast.expr, level: int) -> Term:
        if level > MOST_LEVELS:
            self._refuse(node, f"more than {MOST_LEVELS} operators inside each other")
        match node:
            case ast.Name(id=name):
                if name not in self.columns:
                    self._refuse(node, f"{name!r} is no column; text is written in quotes, '{name}'")
                return self.columns[name]
            case ast.Constant(value=bool() as value):
                return Term("condition", lambda _: value)
            case ast.Constant(value=int() | float() as value):
                return Term("number", lambda _: value, constant=True)
            case ast.Constant(value=str() as value):
                return Term("text", lambda _: value)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                items = tuple(self._term(element, level + 1) for element in elements)
                return Term(
                    "tuple" if isinstance(node, ast.Tuple) else "list",
                    lambda row: tuple(item.value(row) for item in items),
                    items,
                )
            case ast.BoolOp(op=op, values=values):
                terms = [self._of(value, "condition", level) for value in values]
                every = all if isinstance(op, ast.And) else any
                return Term("condition", lambda row: every(term.value(row) for term in terms))
            case ast.UnaryOp(op=ast.Not() | ast.Invert() as op, operand=operand):
                hint = "; ~ binds tighter than ==, so write ~(r == 3)" if isinstance(op, ast.Invert) else ""
                negated = self._of(operand, "condition", level, hint)
                return Term("condition", lambda row: not negated.value(row))
            case ast.UnaryOp(op=op, operand=operand):
                number, sign = self._of(operand, "number", level), -1 if isinstance(op, ast.USub) else 1
                return Term("number", lambda row: sign * number.value(row), constant=number.constant)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._arithmetic(node, level)
            case ast.Compare():
                return self._comparison(node, level)
        self._refuse(node, f"{_WORDS.get(type(node), type(node).__name__)} is not allowed in a filter")

    def _of(self, node: ast.expr, kind: Kind, level: int, hint: str = "") -> Term:
        """The term of a node, which must be of the given kind."""
        term = self._term(node, level + 1)
        if term.kind != kind:
            self._refuse(node, f"this is a {term.kind}, and must be a {kind}{hint}")
        return term

    def _arithmetic(self, node: ast.BinOp, level: int) -> Term:
        left, right = self._of(node.left, "number", level), self._of(node.right, "number", level)
        compute, place = _ARITHMETIC[type(node.op)], node.right

        def value(row: Any) -> Any:
            try:
                return _bounded(compute, left.value(row), right.value(row))
            except ArithmeticError as error:
                self._refuse(place, f"{error}")

        if constant := left.constant and right.constant:
            value(None)  # raises here if it cannot be computed, even if no row would reach it
        return Term("number", value, constant=constant)

    def _comparison(self, node: ast.Compare, level: int) -> Term:
        operands = [node.left, *node.comparators]
        terms = [self._term(operand, level + 1) for operand in operands]
        tests = [
            self._test(op, left, right, place)
            for op, (left, right), place in zip(node.ops, pairwise(terms), node.comparators, strict=True)
        ]
        return Term("condition", lambda row: all(test(row) for test in tests))

    def _test(self, op: ast.cmpop, left: Term, right: Term, place: ast.expr) -> Callable[[Any], bool]:
        """One link of a chain of comparisons."""
        if compare := _ORDER.get(type(op)):
            if left.kind != right.kind or left.kind not in ("number", "text"):
                hint = "; stride_h, pad_t and their like are numbers" if "pair" in (left.kind, right.kind) else ""
                self._refuse(place, f"a {left.kind} and a {right.kind} have no order{hint}")
            return lambda row: compare(left.value(row), right.value(row))
        wanted = isinstance(op, ast.Eq | ast.In)
        if isinstance(op, ast.Eq | ast.NotEq):
            if left.kind in ("tuple", "list") or (right.kind == "pair" and left.kind != "pair"):
                left, right = right, left  # a tuple or list belongs on the right, and a pair on the left
            if not (right.kind == "list" or (right.kind == "tuple" and left.kind not in ("pair", "tuple"))):
                self._check_equal(left, right, place)
                return lambda row: _same(left.value(row), right.value(row)) is wanted
        elif not isinstance(op, ast.In | ast.NotIn):
            self._refuse(place, "`is` is not allowed in a filter: == compares")
        elif (left.kind, right.kind) == ("text", "text"):
            return lambda row: (left.value(row) in right.value(row)) is wanted
        if right.kind not in ("tuple", "list"):
            self._refuse(place, f"`in` asks for a list, like [1, 3]; this is a {right.kind}")
        for item in right.items:
            self._check_equal(left, item, place)
        return lambda row: any(_same(left.value(row), item.value(row)) for item in right.items) is wanted

    def _check_equal(self, left: Term, right: Term, place: ast.expr) -> None:
        """Refuse to compare values that can never be equal, such as a text and a number."""
        if right.kind not in _COMPARABLE[left.kind]:
            self._refuse(place, f"a {left.kind} is never equal to a {right.kind}")
        if (left.kind, right.kind) == ("pair", "tuple"):
            if len(right.items) != 2:
                self._refuse(place, f"a pair is never equal to a tuple of {len(right.items)}")
            for item in right.items:
                self._check_equal(left, item, place)


def _same(value: Any, other: Any) -> bool:
    """Whether two values are equal; a number stands for a pair of it: 1 for (1, 1), (1, 2) for ((1, 1), (2, 2))."""
    if isinstance(value, tuple) or isinstance(other, tuple):
        size = len(value if isinstance(value, tuple) else other)
        one, two = (sides if isinstance(sides, tuple) else (sides,) * size for sides in (value, other))
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(value == other)


def _bounded(compute: Callable[[Any, Any], Any], a: float, b: float) -> float:
    """The result of an operator; raises ArithmeticError if it is not real, or larger than any condition needs."""
    # before it is computed, because a huge power takes too much time and memory
    if compute is operator.pow and abs(a) > 1 and abs(b) * math.log2(abs(a)) > MOST_BITS:
        raise ArithmeticError(f"{a} ** {b} is too large")
    result: float = compute(a, b)
    if isinstance(result, complex) or (isinstance(result, int) and result.bit_length() > MOST_BITS):
        raise ArithmeticError("an intermediate result is no real number, or too large")
    return result


_WORDS: dict[type[ast.AST], str] = {
    ast.Call: "a call", ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.Lambda: "a lambda",
    ast.NamedExpr: "an assignment (:=)", ast.JoinedStr: "an f-string", ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension", ast.DictComp: "a comprehension", ast.GeneratorExp: "a comprehension",
    ast.IfExp: "if … else", ast.Dict: "a dict", ast.Set: "a set, which is written [1, 3] here,",
    ast.Starred: "a star", ast.Await: "await", ast.Constant: "this constant", ast.BinOp: "this operator",
}  # fmt: skip
