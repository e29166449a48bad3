"""Profiling: what an algorithm's kernels do on a GPU, counted on the emulator without one.

An algorithm, a problem and an architecture enter. `runs` launches the plan on a device that profiles each kernel.
`page` prints the counts by line, `tables` writes them as JSON and CSV, and `nsight` puts them beside a profile of
Nsight Compute.
"""

from convbench.profiling.nsight import compared, read_profile
from convbench.profiling.page import to_markdown
from convbench.profiling.runs import Blocks, ProfiledLaunch, ProfiledPlan, counts_by_kernel, profile_plan
from convbench.profiling.tables import to_csv, to_json

__all__ = [
    "Blocks", "ProfiledLaunch", "ProfiledPlan", "compared", "counts_by_kernel", "profile_plan", "read_profile",
    "to_csv", "to_json", "to_markdown",
]  # fmt: skip
