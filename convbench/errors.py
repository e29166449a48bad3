"""Defines the errors that a user can cause; each message can be shown to the user as it is.

The command line prints the message of any of these errors and exits with status 2. Any other exception is a bug in
convbench and keeps its traceback.

A text from a file or a plugin may contain anything. `visible` and `shortened` make it one that a terminal, a page and a
record can hold.
"""

import re
import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

MOST_CHARACTERS = 100  # of a name for which similar ones are looked for
MOST_SHOWN = 4_000  # characters of one text of somebody else
MOST_AROUND = 500  # characters of a text on either side of a mistake
MOST_OF_VALUE = 200  # characters of a value in a message

# control characters except line ends and tabs, characters that change the direction of the text around them, and
# halves of surrogate pairs, which no file can hold
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with its control characters as escapes, such as `\x1b`."""
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shortened(text: str, most: int = MOST_SHOWN) -> str:
    """The text, visible, and cut after so many characters; at its end it is told how many were cut off."""
    shown = visible(text)
    if len(shown) <= most:
        return shown
    return f"{shown[:most]}… ({len(shown) - most:,} more characters)"


def shown(value: object) -> str:
    """A value of anybody in a message: its `repr`, shortened; its own `__repr__` may raise an error."""
    try:
        return shortened(repr(value), MOST_OF_VALUE)
    except Exception as error:  # noqa: BLE001  (the code of a plugin may raise anything)
        return f"a {type(value).__name__} whose __repr__ raises {type(error).__name__}"


def message_of(error: BaseException) -> str:
    """The message of an exception of anybody, as `shortened` gives it; its own `__str__` may raise another one."""
    try:
        return shortened(str(error))
    except BaseException as other:  # noqa: BLE001  (the code of a plugin may raise anything)
        return f"its message cannot be read, because __str__ raises {type(other).__name__}"


class ConvbenchError(Exception):
    """Base of all errors that a user can cause; the message explains what to change."""


class ProblemError(ConvbenchError):
    """The convolution is impossible. The message has the value, the rule that it breaks and the problem's text."""


class TensorError(ConvbenchError):
    """Arrays do not fit a convolution or each other. The message has their shapes or dtypes and a remedy."""


class NotationError(ConvbenchError):
    """A text does not describe a problem. The message has the text with a caret under the position of the mistake.

    Of a long text it has the part around the position.
    """

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text, self.position, self.reason = text, position, reason
        first = max(0, position - MOST_AROUND)
        before = "…" * (first > 0) + text[first:position]
        after = text[position : position + MOST_AROUND] + "…" * (position + MOST_AROUND < len(text))
        place = f"at position {position} of the problem text"
        super().__init__(f"{reason}, {place}\n    {before}{after}\n    {' ' * len(before)}^")


class UnknownNameError(ConvbenchError):
    """A name (of an algorithm, a device or a workload, say) is unknown. The message lists the names that exist."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known names that are like it, as a question; empty without any.

    Upper and lower case are not distinguished, and `_` is the same as `-`.
    """

    def plain(text: str) -> str:
        return text.casefold().replace("_", "-")

    if len(name) > MOST_CHARACTERS:  # no name is so long, and the comparison would take long
        return ""
    spelled = {plain(one): one for one in known}
    like = [spelled[one] for one in get_close_matches(plain(name), spelled, n=3, cutoff=0.7)]
    return f"; did you mean {' or '.join(like)}?" if like else ""


class DuplicateNameError(ConvbenchError):
    """Two algorithms have the same name."""


class ContractError(ConvbenchError):
    """An algorithm's class breaks a rule of its contract. The message has class, method, what it gave, and the rule."""


class ConfigError(ConvbenchError):
    """A config or a launch cannot be used: it is not the algorithm's, or the device cannot run it."""


class KernelError(ConvbenchError):
    """A kernel is wrong: it broke a rule of CUDA, or its result depends on the order in which its threads run."""


class CompileError(ConvbenchError):
    """A kernel does not compile. The message has the user's file and line, and the reason."""


class RefusedError(ConvbenchError):
    """The algorithm or the device refuses the problem, so no plan can be made or run."""


class DeviceError(ConvbenchError):
    """A device is absent or broken, or cannot do something that was asked of it."""


class OutOfDeviceMemoryError(DeviceError):
    """A device has too little free memory for an array."""


class RecordsError(ConvbenchError):
    """A records file cannot be read or written."""


class FileInUseError(ConvbenchError):
    """Another process is writing a file that has one writer at a time. The message says which process."""


class CaseError(ConvbenchError):
    """A line is not a valid case of the fuzzer. The message has the line and the mistake in it."""


def told(error: BaseException) -> str:
    """The type and the message of an exception of anybody."""
    name, message = type(error).__name__, message_of(error)
    return f"{name}: {message}" if message else name


def last_place(error: BaseException) -> str:
    """Where an exception was raised: the last line that is neither convbench's nor an installed package's.

    If there is none, it is the last line of all; it is empty for an exception without a traceback.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    own = (str(Path(__file__).parent), *{sys.prefix, sys.base_prefix})
    last = next((one for one in reversed(frames) if not one.filename.startswith(own)), frames[-1])
    return f"in {last.name}, {Path(last.filename).name}, line {last.lineno}"
