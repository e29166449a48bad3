"""The device `emulator` runs the code that a GPU gets, and `emulator-llvm` the code before NVVM."""

import numpy as np
import pytest
from numba import cuda

from convbench.algorithm import registry
from convbench.devices import select
from convbench.devices.emulator import EmulatorDevice
from convbench.emulator import sources
from convbench.emulator.ptx import numba_code
from convbench.errors import DeviceError
from convbench.measurement import Case
from convbench.problem.notation import parse
from support.running import assert_passes

DEVICE = select("emulator-llvm")
CODES = {"emulator": "ptx", "emulator-llvm": "llvm", "emulator-checked": "llvm"}
USUAL = "n2c5h7w6-k9r3s3-pad1"
PROBLEMS = {
    "direct": USUAL,
    "im2col_gemm": USUAL,
    "winograd_2x2_3x3": USUAL,
    "implicit_gemm_tf32": USUAL,
    "depthwise": "n1c4h7w7-k4r3s3-pad1-g4",
    "implicit_gemm_bf16": "n1c5h6w6-k9r3s3-pad1-bfloat16",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_algorithms_pass(name):
    problem = parse(PROBLEMS[name])
    assert_passes(registry.get(name), Case(problem, 2), DEVICE)


def test_the_device_tells_what_it_is():
    about = DEVICE.describe()
    assert (about["name"], about["is_gpu"], about["checked"]) == ("emulator-llvm", False, False)
    assert "emulated on CPU" in about["clock"]
    assert [select(name).describe()["code"] for name in CODES] == list(CODES.values())


def test_sums_of_products_are_fused_as_on_a_gpu():
    @cuda.jit
    def difference(x, y, out):
        i = cuda.threadIdx.x
        out[i] = x[i] * x[i] - y[i] * y[i]

    found = {}
    for name in ("emulator", "emulator-llvm"):
        device = select(name)
        x, out = device.upload(np.full(1, 0.1, np.float32)), device.upload(np.zeros(1, np.float32))
        device.launch("multiply", difference, 1, 1, x, x, out)
        found[name] = device.download(out)[0]
    rounded = np.float32(0.1) * np.float32(0.1)
    fused = np.float32(np.float64(np.float32(0.1)) ** 2 - np.float64(rounded))  # exact in float64 until the end
    assert found == {"emulator": fused, "emulator-llvm": fused}


def test_a_missing_compiler_is_told_with_its_remedy(monkeypatch):
    from numba.cuda.cudadrv import nvvm

    def missing():
        raise OSError("libnvvm.so not found")

    monkeypatch.setattr(nvvm, "NVVM", missing)
    assert "libnvvm" in numba_code.compiler_fault()
    with pytest.raises(DeviceError, match=r'needs NVIDIA.s compiler.*libnvvm.*pip install "convbench\[cu13\]"'):
        EmulatorDevice(code="ptx")


def test_where_the_compiler_is_missing_the_other_code_serves_and_says_so_once(monkeypatch):
    monkeypatch.setattr(sources, "compiler_fault", lambda: "OSError: libnvvm.so not found")
    sources.default_code.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r'before NVVM.*libnvvm.*pip install "convbench\[cu13\]"') as caught:
            assert [EmulatorDevice().describe()["code"] for _ in range(3)] == ["llvm"] * 3
        assert len(caught) == 1
    finally:
        sources.default_code.cache_clear()
