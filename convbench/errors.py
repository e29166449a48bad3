"""Every error that a person can cause, with a message that is meant to be read as it stands.

The command line turns any of these into one message and exit status 2; anything else is a bug of ours and
keeps its traceback.
"""


class ConvbenchError(Exception):
    """Base of all errors whose message explains what to change."""


class ProblemError(ConvbenchError):
    """A convolution that cannot exist: the message has the value, the rule and the problem's text."""


class TensorError(ConvbenchError):
    """Arrays that do not fit a convolution or each other: the message has their shapes or dtypes, and what to do."""


class NotationError(ConvbenchError):
    """Text that is not a problem: the message has the text and a caret under the position."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text, self.position, self.reason = text, position, reason
        super().__init__(f"{reason}, at position {position} of the problem text\n    {text}\n    {' ' * position}^")


class UnknownNameError(ConvbenchError):
    """A name that nothing answers to: the message lists the names that exist."""


class DuplicateNameError(ConvbenchError):
    """A name that two algorithms claim."""


class ConfigError(ConvbenchError):
    """A launch configuration that no device can run."""


class KernelError(ConvbenchError):
    """A kernel did what it must not, or its result depends on the order of its threads: the algorithm is wrong."""


class RefusedError(ConvbenchError):
    """A plan was asked for a problem that the algorithm or the device refuses."""


class DeviceError(ConvbenchError):
    """A device that is absent, broken or asked for more than it has."""


class OutOfDeviceMemoryError(DeviceError):
    """An allocation that the device could not serve."""


class RecordsError(ConvbenchError):
    """A records file that cannot be read or written."""


class CaseError(ConvbenchError):
    """A line that is no case of the fuzzer: the message has the line and what is wrong with it."""
