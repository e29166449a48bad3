"""An option whose value is wrong, or would have no effect beside the others, is one clear error."""

import numpy as np
import pytest
from numba import cuda

from convbench.devices.emulator import EmulatorDevice
from convbench.emulator import CompilationError, Emulator, LaunchError, compiler_fault, load_ptx, profile

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
NEEDS_CHECKS = {
    "keep_going": [True], "strict_index": [True], "strict_return": [True, False], "strict_store": [True, False],
}  # fmt: skip


@pytest.mark.parametrize(("option", "value"), [(name, value) for name in NEEDS_CHECKS for value in NEEDS_CHECKS[name]])
def test_what_is_about_checks_needs_them(option, value):
    with pytest.raises(ValueError, match=f"^{option}={value} needs checked=True: without checks there are no faults"):
        Emulator(**{option: value})
    Emulator(checked=True, **{option: value})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checked": True, "workers": 4}, "workers=4 has no effect with checked=True, which runs one block at a time"),
        ({"workers": 0}, "workers is a number of blocks that run at once, at least 1, not 0"),
        ({"orders": ()}, r"orders is a list of one or more of forward, reverse, random, not \(\)"),
        ({"orders": "forward"}, "orders is a list of one or more of forward, reverse, random, not 'forward'"),
        ({"orders": ["backward"]}, r"orders is a list of one or more of forward, .*, not \['backward'\]"),
        ({"budget": 0}, "budget is a number of steps of loops, at least 1, not 0"),
        ({"code": "sass"}, "code is one of llvm, ptx, not 'sass'|code is one of ptx, llvm, not 'sass'"),
    ],
)
def test_values_without_an_effect_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Emulator(**options)


def test_a_checked_device_runs_one_block_at_a_time():
    with pytest.raises(ValueError, match="workers=4 has no effect with checked=True"):
        EmulatorDevice(checked=True, workers=4)
    assert EmulatorDevice(checked=True).describe()["workers"] == 1
    assert EmulatorDevice(checked=True, workers=1).describe()["workers"] == 1


@cuda.jit
def increment(x):
    x[cuda.grid(1)] += 1


@nvvm
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": "all", "seed": 3}, "seed=3 chooses blocks, and blocks='all' leaves no choice"),
        (
            {"blocks": "all", "l2_bytes": 1 << 16, "workers": 2},
            "workers=2: with l2_bytes, blocks run one after another",
        ),
    ],
)
def test_a_profile_takes_no_option_without_an_effect(options, message):
    with pytest.raises(LaunchError, match=message):
        profile(increment, 2, 32, np.zeros(64, np.int32), **options)


def test_ptx_takes_no_types():
    text = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry nothing() { ret; }"
    kernel = load_ptx(text)["nothing"]
    with pytest.raises(CompilationError, match="nothing is PTX, which has the types of its parameters already"):
        profile(kernel, 1, 1, types=())
