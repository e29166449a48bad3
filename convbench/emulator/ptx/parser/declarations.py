"""Declarations and lines, which modules and functions have alike."""

from collections.abc import Iterator, Mapping
from itertools import count

from convbench.emulator.ptx.parser.tokens import Tokens
from convbench.emulator.ptx.syntax import Line, Variable, bytes_of

SPACES = (".global", ".const", ".shared", ".local", ".param")


class Declarations(Tokens):
    """Reads variables, and notes the line of the source that the next instructions belong to."""

    def __init__(self, text: str, renamed: Mapping[str, str] | None = None) -> None:
        super().__init__(text, renamed)
        self.numbers = count(1)  # of names that must be unique
        self.line = Line()

    def loc(self) -> None:
        """Read a line, behind its directive."""
        file, line, _column = self.integer(), self.integer(), self.take()
        caller = None
        while self.accept(","):  # function_name label+offset, or inlined_at file line column
            word = self.take()
            if word == "inlined_at":
                caller = Line(self.integer(), self.integer())
                self.take()
            else:
                self.take()
                if self.accept("+"):
                    self.take()
        self.line = Line(file, line, caller)

    def variables(self, space: str, *, external: bool = False) -> Iterator[Variable]:
        """The variables of one declaration, behind its state space, to its semicolon or closing bracket."""
        align, vector, kind = 0, 1, ""
        while self.peek().startswith("."):
            word = self.take()
            if word == ".align":
                align = self.integer()
            elif word == ".ptr":
                if self.peek() in SPACES:
                    self.take()
            elif word in (".v2", ".v4", ".v8"):
                vector = int(word[2:])
            elif word != ".attribute":
                kind = word[1:]
            else:
                self.expect("(")
                self.skip_to(")")
        while True:
            name = self.take()
            number = 1
            is_array = self.peek() == "["
            if self.accept("<"):  # a family, %r<13>
                number = self.integer()
                self.expect(">")
                name += "<"
            while self.accept("["):
                number *= 0 if self.peek() == "]" else self.integer()
                self.expect("]")
            values = tuple(self._initial_values()) if self.accept("=") else ()
            if values and number == 0:
                number = len(values)
            size = bytes_of(kind) * vector
            yield Variable(name, space[1:], kind, align or size, number * vector, values, external, is_array)
            if not self.accept(","):
                break
            if self.peek() in SPACES:  # the next parameter of a list
                self.at -= 1
                break
        if self.peek() == ";":
            self.take()

    def _initial_values(self) -> Iterator[str]:
        """Numbers and names of an initialiser, in order; `name+4` and `generic(name)` are one each."""
        depth = 0
        while True:
            if self.accept("{"):
                depth += 1
            elif depth and self.accept("}"):
                depth -= 1
            else:
                yield self._value()
            if not depth:
                return
            self.accept(",")

    def _value(self) -> str:
        sign = "-" if self.accept("-") else ""
        word = self.take()
        if word.startswith("generic"):
            self.expect("(")
            word = self.take()
            self.expect(")")
        if self.accept("+"):
            word = f"{word}+{self.integer()}"
        return sign + word
