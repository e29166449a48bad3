"""Defines the predicted time of a result: of one run on a named GPU, from what the emulator counted; never measured."""

from dataclasses import dataclass, field

from convbench.records.timing import STRICT


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """The time of one run that a model predicts for a GPU. It has a time if and only if it has no reason.

    Parameters
    ----------
    gpu : the GPU that the time is for
    is_device : whether this GPU is the device of the record, whose timing was then measured on it
    us : the time, the sum over all launches of a run
    low_us, high_us : of 10 published times of such kernels, 9 were between these bounds of the model
    bound : what limits the launch that takes the most time, in words
    bottleneck : the limit of this launch in a sentence, with its line of source
    kernel : name of this launch's kernel
    phases_us : the time by phase
    error : median error of the model on published times, as a fraction
    blocks : about how many blocks of each grid were counted
    reason : why there is no time
    """

    gpu: str
    is_device: bool = False
    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    bound: str | None = None
    bottleneck: str | None = None
    kernel: str | None = None
    phases_us: dict[str, float] = field(default_factory=dict)
    error: float
    blocks: int
    reason: str | None = None

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        told = self.low_us, self.high_us, self.bound, self.bottleneck, self.kernel
        if (self.us is None) == (self.reason is None):
            raise ValueError("a prediction has a time or the reason why it has none, and not both")
        if any((each is None) != (self.us is None) for each in told):
            raise ValueError("a predicted time has bounds, a bottleneck and its kernel; without a time there are none")
        if self.us is not None and not (self.low_us or 0.0) <= self.us <= (self.high_us or 0.0):
            raise ValueError(f"a predicted time is between its bounds, not {self.us} outside {told[:2]}")
        if self.us is not None and self.us <= 0:
            raise ValueError(f"a predicted time is positive, not {self.us}")

    @property
    def caption(self) -> str:
        """The words that stand beside the time."""
        return caption(self.gpu)


def caption(gpu: str) -> str:
    """The words that stand beside every time that is predicted for a GPU."""
    return f"predicted for {gpu}, not measured"
