"""The kernels that the shipped algorithms offer, each with a case that launches it.

The cases are those that a fuzzer draws, without running any.
"""

from collections.abc import Mapping
from functools import cache
from itertools import islice
from unittest import mock

from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import Campaign, FuzzCase, Verdict, campaign, config_of
from convbench.fuzz.tour import Facet, kernel_of

__all__ = ["every_kernel", "few_kernels"]

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
    """Few cases, whose configs have each value of each field of each class of config."""
    chosen, seen = [], set[Facet]()
    drawn = [(_values_of(kernel), case) for kernel, case in every_kernel(name).items()]
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
    return {("value", kind, of_weights)} | {("value", kind, of_weights, field) for field in fields}
