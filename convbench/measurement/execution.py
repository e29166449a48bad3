"""One plan together with its operands on a device: inputs are uploaded, the plan is run, and outputs are read back.

On the host, the axes of all tensors are in the order of the equation, whatever the problem's layouts in memory.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from convbench.algorithm import Algorithm, contract
from convbench.devices import Array, Device
from convbench.problem import ConvProblem, Direction, operands


class Execution:
    """One direction of a problem, ready to `load` and `run`.

    Parameters
    ----------
    tensors : the inputs on the host, by name; their axes are in the order of the equation

    Raises what `Algorithm.plan` raises.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        problem: ConvProblem,
        direction: Direction,
        device: Device,
        tensors: Mapping[str, operands.Values],
        config: Any = None,
    ) -> None:
        self.problem, self.direction, self.device = problem, direction, device
        self._process = os.getpid()
        plan = algorithm.plan(problem, device, direction=direction, config=config)
        contract.end_copy(self._process)
        self.plan = contract.planned(algorithm, plan)
        self.inputs: dict[operands.Name, Array] = {}
        self.outputs: dict[operands.Name, Array] = {}
        self.give(tensors)

    def give(self, tensors: Mapping[str, operands.Values]) -> None:
        """Upload inputs into new arrays, and make new arrays for the outputs; those of before stay where they are."""
        problem, direction = self.problem, self.direction
        self.inputs = {
            name: self.device.upload(np.ascontiguousarray(operands.to_memory(problem, name, tensors[name])))
            for name in operands.inputs(problem, direction)
        }
        self.outputs = {
            name: self.device.empty(operands.memory_shape(problem, name), problem.dtype)
            for name in operands.outputs(problem, direction)
        }

    def overwrite(self, tensors: Mapping[str, operands.Values]) -> None:
        """Write inputs into the arrays that there are."""
        for name, array in self.inputs.items():
            self.device.write(array, np.ascontiguousarray(operands.to_memory(self.problem, name, tensors[name])))

    def load(self) -> None:
        """Pass the weights and the bias to the plan, if the direction reads them."""
        self.plan.load(*(self.inputs[name] for name in operands.LOADED[self.direction] if name in self.inputs))
        contract.end_copy(self._process)

    def run(self) -> None:
        """Queue one run on the device."""
        self.plan.run(*(self.inputs[name] for name in operands.READ[self.direction]), *self.outputs.values())
        contract.end_copy(self._process)

    def results(self) -> dict[str, operands.Values]:
        """Wait for the queued runs, and return the outputs on the host."""
        self.device.synchronize()
        return {name: self.read_back(name, array) for name, array in self.outputs.items()}

    def read_back(self, name: operands.Name, array: Array) -> operands.Values:
        """Copy the array of an operand to the host."""
        host = self.device.download(array).transpose(operands.from_memory(self.problem, name))
        return np.ascontiguousarray(host)
