"""A blueprint accepts every call of a plan, allocates nothing, and records the launches."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import typeof

from cases.problems import PROBLEMS
from convbench.algorithm import registry
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError, DeviceError
from convbench.inspection import architecture
from convbench.inspection.blueprint import Blueprint, launches_of
from convbench.inspection.shell import Shell, bytes_touched
from convbench.measurement import Execution
from convbench.problem import DIRECTIONS
from convbench.problem.notation import parse
from convbench.reference.data import tensors

HOPPER = architecture.get("sm_90")


class Listener(SimulatorDevice):
    """Arrays of NumPy, and launches that are only noted."""

    def __init__(self):
        super().__init__()
        self.launches = []

    def _launch(self, kernel, grid, block, args, shared_bytes):
        self.launches.append((kernel, grid, block, tuple(map(kernel.typeof_pyval, args)), shared_bytes))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_blueprint_notes_what_a_device_is_asked_to_launch(algorithm, direction):
    compared = 0
    for text in PROBLEMS:
        problem = parse(text)
        if algorithm.refuses(problem, direction) is not None:
            continue
        for config in algorithm.configs_for(problem, direction)[:2]:
            device = Listener()
            execution = Execution(
                algorithm, problem, direction, device, tensors(problem, direction, 0, "integers"), config
            )
            execution.load()
            execution.run()
            noted = launches_of(algorithm, problem, direction, HOPPER, config)
            assert [(n.kernel, n.grid, n.block, n.types, n.shared_bytes) for n in noted] == device.launches, text
            compared += len(noted)
    assert compared or direction not in algorithm.plans


def test_a_problem_of_four_hundred_gigabytes_takes_no_memory():
    problem = parse("n16384c64h224w224-k64r3s3-pad1")
    assert problem.min_bytes > 4e11
    tracemalloc.start()
    try:
        for name, direction in product(("direct", "winograd_2x2_3x3"), ("forward", "backward_data")):
            assert launches_of(registry.get(name), problem, direction, HOPPER)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_what_is_done_once_is_told_from_what_every_run_does():
    launches = launches_of(registry.get("direct"), parse("n1c4h8w8-k4r3s3-pad1"), "backward_data", HOPPER)
    assert [(launch.stage, launch.phase) for launch in launches] == [("load", "transform"), ("run", "multiply")]


def test_a_launch_that_the_architecture_has_no_shared_memory_for_is_refused():
    for name, most in (("sm_75", 64), ("sm_80", 163), ("sm_86", 99), ("sm_90", 227), ("sm_100", 227)):
        device = Blueprint(architecture.get(name))
        assert device.max_shared_bytes == most * 1024
        with pytest.raises(ConfigError, match="bytes of shared memory"):
            device.launch("multiply", None, 1, 32, shared_bytes=most * 1024 + 1)


def test_nothing_on_a_blueprint_has_contents_or_takes_time():
    device = Blueprint(HOPPER)
    array = device.upload(np.ones(3))
    for ask in (
        lambda: device.download(array),
        lambda: device.elapsed_us(device.synchronize),
        lambda: device.call("multiply", device.synchronize),
    ):
        with pytest.raises(DeviceError, match="device blueprint"):
            ask()


SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def views(draw):
    """An array of NumPy and a shell, taken through the same views."""
    shape = draw(SHAPES)
    array, shell = np.zeros(shape, np.float32), Shell.contiguous(shape, np.float32)
    whole = array
    for step in draw(st.lists(st.sampled_from(["slice", "index", "transpose", "reshape", "flat", "view"]), max_size=4)):
        if step == "slice" and array.ndim:
            cut = draw(st.slices(array.shape[0]))
            array, shell = array[cut], shell[cut]
        elif step == "index" and array.ndim > 1 and array.shape[0]:
            place = draw(st.integers(-array.shape[0], array.shape[0] - 1))
            array, shell = array[place], shell[place]
        elif step == "transpose":
            order = draw(st.permutations(range(array.ndim)))
            array, shell = array.transpose(order), shell.transpose(order)
        elif step in ("reshape", "flat") and array.flags.c_contiguous:
            other = (-1,) if step == "flat" and array.size else (array.size, 1)
            array, shell = array.reshape(other), shell.reshape(*other)
        elif step == "view":
            array, shell = array.view(np.int32), shell.view(np.int32)
    return whole, array, shell


@given(pair=views())
def test_a_shell_is_what_numpy_has_but_for_its_elements(pair):
    whole, array, shell = pair
    assert (shell.shape, shell.size, shell.nbytes, shell.ndim) == (array.shape, array.size, array.nbytes, array.ndim)
    assert shell.dtype == array.dtype
    assert shell.is_contiguous == array.flags.c_contiguous
    if array.size:
        assert all(size == 1 or a == b for size, a, b in zip(array.shape, shell.strides, array.strides, strict=True))
        assert shell.offset == array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        assert typeof(shell) == typeof(array)


@given(pair=views())
def test_a_view_that_would_be_a_copy_is_refused(pair):
    _, array, shell = pair
    if array.size and not array.flags.c_contiguous:
        with pytest.raises(DeviceError, match="has no view"):
            shell.reshape(*array.shape, 1)


def test_what_a_shell_cannot_do_is_said():
    shell = Shell.contiguous((2, 3), np.float32)
    for ask in (
        lambda: shell.reshape(7), lambda: shell.view(np.float64), lambda: shell.transpose(0, 0),
        lambda: shell[2], lambda: shell[..., 0], lambda: shell[0, 0, 0],
    ):  # fmt: skip
        with pytest.raises(DeviceError, match=r"array"):
            ask()
    assert shell.view(np.uint8).shape == (2, 12)
    assert shell.T.shape == (3, 2)


def test_views_of_one_array_touch_no_more_than_it_has():
    whole, other = Shell.contiguous((4, 8), np.float32), Shell.contiguous(5, np.float64)
    assert bytes_touched([whole[:1], whole[1:2]]) == 2 * 8 * 4
    assert bytes_touched([whole[:1], whole[:1], other]) == 8 * 4 + 5 * 8
    assert bytes_touched([whole, whole[:3], whole.reshape(-1)]) == 4 * 8 * 4
