"""The kernels that the shipped algorithms offer, each with a case that launches it.

The cases are those that a fuzzer draws, without running any.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import islice
from unittest import mock

from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import Campaign, FuzzCase, Verdict, campaign, config_of
from convbench.fuzz.tour import Facet, kernel_of

__all__ = ["every_kernel", "few_kernels"]

MOST_VALUES = 8  # a field with more is a size in small steps: tile_j of a window
DRAWS = 400  # cases; a tour of all configs of every algorithm is complete by then


@cache
def every_kernel(name: str) -> Mapping[Facet, FuzzCase]:
    """The kernels of an algorithm, each with the first case that launches it."""
    algorithm = registry.get(name)
    with mock.patch.object(campaign, "judge", return_value=Verdict(outcome="passed")):
        steps = list(islice(Campaign([algorithm], EmulatorDevice(workers=1), seed=0).steps(), DRAWS))
    found: dict[Facet, FuzzCase] = {}
    for case in [step.case for step in steps if step.case]:
        found.setdefault(kernel_of(config_of(algorithm, case), case.direction), case)
    return found


def few_kernels(name: str) -> list[FuzzCase]:
    """Few cases, whose configs have each value of each field of each class of config, but of sizes in small steps."""
    chosen, every = [], [(_values_of(kernel), case) for kernel, case in every_kernel(name).items()]
    counts = Counter(value[:-1] for value in set[Facet]().union(*(values for values, _ in every)))
    drawn = [({value for value in values if counts[value[:-1]] <= MOST_VALUES}, case) for values, case in every]
    seen = set[Facet]()
    while drawn:
        values, case = max(drawn, key=lambda one: len(one[0] - seen))
        if values <= seen:
            break
        seen |= values
        chosen.append(case)
    return chosen


def _values_of(kernel: Facet) -> set[Facet]:
    """The values of the fields of a kernel that `kernel_of` names."""
    _, kind, of_weights, *fields = kernel
    return {("class", kind, of_weights)} | {("value", kind, of_weights, *field) for field in fields}
