"""Profiling: what an algorithm's kernels do on a GPU, counted on the emulator without one.

An algorithm, a problem and an architecture enter. `runs` launches the plan on a device that profiles each kernel.
`page` prints the counts by line, `tables` writes them as JSON and CSV, and `nsight` puts them beside a profile of
Nsight Compute. `model` predicts times for the GPUs of `chips`, and `predicted` those of all launches of a plan.
`forecast` makes the prediction that a record holds.
"""

from convbench.profiling import machine_code
from convbench.profiling.chips import Chip
from convbench.profiling.chips import get as chip
from convbench.profiling.chips import known as known_chips
from convbench.profiling.forecast import Forecast, chip_of_device, lacking
from convbench.profiling.nsight import compared, read_profile
from convbench.profiling.page import to_markdown
from convbench.profiling.predicted import PredictedPlan, predict_plan
from convbench.profiling.runs import Blocks, ProfiledLaunch, ProfiledPlan, counts_by_kernel, profile_plan
from convbench.profiling.tables import to_csv, to_json

__all__ = [
    "Blocks", "Chip", "Forecast", "PredictedPlan", "ProfiledLaunch", "ProfiledPlan", "chip", "chip_of_device",
    "compared", "counts_by_kernel", "known_chips", "lacking", "machine_code", "predict_plan", "profile_plan",
    "read_profile", "to_csv", "to_json", "to_markdown",
]  # fmt: skip
