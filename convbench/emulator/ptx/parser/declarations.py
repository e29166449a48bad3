"""Declarations and lines, which modules and functions have alike."""

from collections.abc import Iterator, Mapping
from itertools import count

from convbench.emulator.ptx.parser.tokens import Tokens
from convbench.emulator.ptx.syntax import Line, Variable, bytes_of, integer

SPACES = (".global", ".const", ".shared", ".local", ".param")


class Declarations(Tokens):
    """Reads variables, and notes the line of the source that the next instructions belong to."""

    def __init__(self, text: str, renamed: Mapping[str, str] | None = None) -> None:
        super().__init__(text, renamed)
        self.numbers = count(1)  # of names that must be unique
        self.line = Line()

    def loc(self) -> None:
        """Read a line, behind its directive."""
        file, line, _column = int(self.take()), int(self.take()), self.take()
        caller = None
        while self.accept(","):  # function_name label+offset, or inlined_at file line column
            word = self.take()
            if word == "inlined_at":
                caller = Line(int(self.take()), int(self.take()))
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
                align = int(self.take())
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
                number = int(self.take())
                self.expect(">")
                name += "<"
            while self.accept("["):
                number *= 0 if self.peek() == "]" else integer(self.take())
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
        if not self.accept("{"):
            yield self._value()
            return
        while not self.accept("}"):
            if self.peek() == "{":
                yield from self._initial_values()
            else:
                yield self._value()
            self.accept(",")

    def _value(self) -> str:
        sign = "-" if self.accept("-") else ""
        word = self.take()
        if word.startswith("generic"):
            self.expect("(")
            word = self.take()
            self.expect(")")
        if self.accept("+"):
            word = f"{word}+{integer(self.take())}"
        return sign + word
