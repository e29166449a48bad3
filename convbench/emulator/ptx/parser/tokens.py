"""The tokens of PTX: one regular expression cuts the text (PTX ISA, "Syntax")."""

import re
from collections.abc import Mapping

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.syntax import integer

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/                             # comments
    |"(?:[^"\\]|\\.)*"                                 # strings
    |0[fF][0-9a-fA-F]{8}(?![\w])|0[dD][0-9a-fA-F]{16}(?![\w])
    |0[xX][0-9a-fA-F]+U?|0[bB][01]+U?|\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\d+U?
    |[.%$_A-Za-z][\w$%]*(?:(?:\.|::)[\w$%]+)*          # words: opcodes with modifiers, directives, names
    |\S""",
    re.VERBOSE | re.DOTALL,
)


class Tokens:
    """The tokens of a text, and a place among them."""

    def __init__(self, text: str, renamed: Mapping[str, str] | None = None) -> None:
        text = text.replace("\0", "")
        self.tokens: list[str] = [token for token in _TOKEN.findall(text) if not token.startswith(("//", "/*"))]
        if renamed:
            self.tokens = [renamed.get(token, token) for token in self.tokens]
        self.tokens.append("")  # the end, which is never taken
        self.at = 0

    def peek(self) -> str:
        """The next token, or "" at the end."""
        return self.tokens[self.at]

    def take(self) -> str:
        """The next token, which is taken."""
        token = self.tokens[self.at]
        if not token:
            raise UnsupportedError("the PTX ends in the middle of a statement")
        self.at += 1
        return token

    def give_back(self, token: str) -> None:
        """Put a token, or its rest, in the place of the one taken last."""
        self.at -= 1
        self.tokens[self.at] = token

    def accept(self, token: str) -> bool:
        """Take the next token if it is this one, and tell whether it was."""
        if self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        """Take this token. Raises UnsupportedError for another one."""
        found = self.take()
        if found != token:
            raise UnsupportedError(f"PTX: expected {token!r}, found {found[:40]!r} in `{self._near()}`")

    def integer(self) -> int:
        """Take an integer literal, and return its value. Raises UnsupportedError for another token."""
        return self.value_of(self.take())

    def value_of(self, token: str) -> int:
        """The value of an integer literal that was taken. Raises UnsupportedError for another token."""
        try:
            return integer(token)
        except ValueError:
            raise UnsupportedError(f"PTX: expected an integer, found {token:.40} in `{self._near()}`") from None

    def _near(self) -> str:
        """What is before and behind the place."""
        return " ".join(f"{token:.40}" for token in self.tokens[max(self.at - 8, 0) : self.at + 4])

    def skip_to(self, end: str) -> None:
        """Take all tokens up to this one."""
        while self.take() != end:
            pass
