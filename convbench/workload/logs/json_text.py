"""Reads JSON piece by piece, with the line on which each piece starts; the parser of Python tells no lines."""

import json
import re
from collections.abc import Iterator
from typing import Any

from convbench.errors import ConvbenchError

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(strict=False)  # control characters in strings are accepted, because PyTorch writes them


class BrokenJsonError(ConvbenchError):
    """The text is no JSON from here on; `line` is the line of the mistake."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        super().__init__(f"no JSON from here on: {reason}")


class Cursor:
    """A place in a text, which only moves forward."""

    def __init__(self, text: str, position: int = 0, line: int = 1) -> None:
        self.text, self.position, self.line = text, position, line

    def to(self, position: int) -> None:
        """Move to a later position."""
        self.line += self.text.count("\n", self.position, position)
        self.position = position

    def skip_space(self) -> str:
        """Move over white space, and return the character that follows; empty at the end."""
        space = _SPACE.match(self.text, self.position)
        assert space is not None  # the pattern matches the empty text
        self.to(space.end())
        return self.text[self.position : self.position + 1]

    def take(self, wanted: str) -> str:
        """Move over white space and one of the characters that are wanted, and return it."""
        found = self.skip_space()
        if not found or found not in wanted:
            raise BrokenJsonError(self.line, f"expected {' or '.join(wanted)}, found {found or 'the end'}")
        self.to(self.position + 1)
        return found

    def value(self) -> Any:
        """Move over a value, and return it."""
        self.skip_space()
        try:
            found, end = _DECODER.raw_decode(self.text, self.position)
        except json.JSONDecodeError as error:
            self.to(max(self.position, min(error.pos, len(self.text))))
            raise BrokenJsonError(self.line, error.msg) from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists in lists in lists
            raise BrokenJsonError(self.line, f"{error}") from error
        self.to(end)
        return found


def items(text: str, key: str) -> Iterator[tuple[int, Any]]:
    """The items of the list under a key of the text's object, or of the list that the text is, with their lines.

    Raises BrokenJsonError where the text ends too early or has a mistake; the items before it have come out then.
    """
    cursor = Cursor(text)
    if cursor.take("{[") == "{":
        while cursor.skip_space() == '"':
            name = cursor.value()
            cursor.take(":")
            if name == key and cursor.skip_space() == "[":
                cursor.take("[")
                break
            cursor.value()
            if cursor.take(",}") == "}":
                return
        else:
            return
    while cursor.skip_space() != "]":
        start = cursor.line
        yield start, cursor.value()
        if cursor.take(",]") == "]":
            return
