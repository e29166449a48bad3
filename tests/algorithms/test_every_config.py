"""Kernels of every kind that an algorithm offers are launched, those for large or specialised problems too.

Each runs once on each kind of data. `nox -s configs` launches all of them, several times and checked, and those of
algorithms that have the same kernels for other dtypes.
"""

from itertools import chain

import numpy as np
import pytest

from cases.every_config import every_kernel, few_kernels
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError, RefusedError
from convbench.fuzz import config_of, judge
from convbench.inspection.architecture import KNOWN
from convbench.inspection.blueprint import Blueprint
from convbench.measurement import verification
from convbench.measurement.execution import Execution
from convbench.measurement.reuse import Runs
from convbench.problem import operands
from support.strategies import RELATIVES


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice(workers=1)


@pytest.mark.parametrize("algorithm", [name for name in registry.names() if name not in chain(*RELATIVES.values())])
def test_kernels_with_each_value_of_each_field_are_right(algorithm, emulator, monkeypatch):
    monkeypatch.setattr(verification, "run_both", _run_once)
    cases = few_kernels(algorithm)
    assert len(cases) >= 4
    wrong = {str(case): verdict.reason for case in cases if (verdict := _judged(case, emulator)).outcome != "passed"}
    assert wrong == {}


def _run_once(algorithm, problem, direction, device, config, data):
    execution = Execution(algorithm, problem, direction, device, data[0], config)
    results = []
    for tensors in data:
        execution.give(tensors)
        execution.load()
        for array in (*execution.plan.scratch_arrays, *execution.outputs.values()):
            device.poison(array)
        execution.run()
        results.append(execution.results())
    return Runs(first=results[0], second=results[1])


def _judged(case, device):
    return judge(case, registry.get(case.algorithm), device)


@pytest.mark.parametrize("algorithm", registry.names())
def test_what_a_device_lacks_is_said_when_the_plan_is_made_and_not_at_its_launch(algorithm):
    """A search skips configs that have no plan; a launch that fails would end it."""
    for case in every_kernel(algorithm).values():
        problem, direction = case.problem, case.direction
        for architecture in KNOWN.values():
            device = Blueprint(architecture)
            config = config_of(registry.get(algorithm), case)
            try:
                plan = registry.get(algorithm).plan(problem, device, direction=direction, config=config)
            except (ConfigError, RefusedError):
                continue
            arrays = {
                name: device.empty(operands.memory_shape(problem, name), np.dtype(problem.dtype))
                for name in (*operands.inputs(problem, direction), *operands.outputs(problem, direction))
            }
            plan.load(*(arrays[name] for name in operands.LOADED[direction] if name in arrays))
            plan.run(*(arrays[name] for name in (*operands.READ[direction], *operands.outputs(problem, direction))))
