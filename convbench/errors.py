"""Defines the errors that a user can cause; each message can be shown to the user as it is.

The command line prints the message of any of these errors and exits with status 2. Any other exception is a bug in
convbench and keeps its traceback.
"""


class ConvbenchError(Exception):
    """Base of all errors that a user can cause; the message explains what to change."""


class ProblemError(ConvbenchError):
    """The convolution is impossible. The message has the value, the rule that it breaks and the problem's text."""


class TensorError(ConvbenchError):
    """Arrays do not fit a convolution or each other. The message has their shapes or dtypes and a remedy."""


class NotationError(ConvbenchError):
    """A text does not describe a problem. The message has the text with a caret under the position of the mistake."""

    def __init__(self, text: str, position: int, reason: str) -> None:
        self.text, self.position, self.reason = text, position, reason
        super().__init__(f"{reason}, at position {position} of the problem text\n    {text}\n    {' ' * position}^")


class UnknownNameError(ConvbenchError):
    """A name (of an algorithm, a device or a workload, say) is unknown. The message lists the names that exist."""


class DuplicateNameError(ConvbenchError):
    """Two algorithms have the same name."""


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


class CaseError(ConvbenchError):
    """A line is not a valid case of the fuzzer. The message has the line and the mistake in it."""
