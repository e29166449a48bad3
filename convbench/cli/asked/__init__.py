"""What a call asks for: problems, algorithms, a device, and how to run them; and how it goes on, and ends."""

from convbench.cli.asked.asked import Asked, takes_asked
from convbench.cli.asked.careful import Careful
from convbench.cli.asked.elsewhere import Elsewhere, absolute, uses_gpu, version
from convbench.cli.asked.how import DEFAULT_GPU, How
from convbench.cli.asked.isolation import Isolation
from convbench.cli.asked.resumed import Known, Resumed, ResumeOption, finish

__all__ = [
    "DEFAULT_GPU",
    "Asked",
    "Careful",
    "Elsewhere",
    "How",
    "Isolation",
    "Known",
    "ResumeOption",
    "Resumed",
    "absolute",
    "finish",
    "takes_asked",
    "uses_gpu",
    "version",
]
