"""Kernels are compiled for any architecture as for a real GPU, and `inspect` reports the resources that they use."""

import shutil

import numpy as np
import pytest
from numba import cuda, float32, types

from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import DeviceError, KernelError, RefusedError
from convbench.inspection import architecture, compiler, inspector, toolkit
from convbench.inspection.blueprint import Launch
from convbench.inspection.shell import Shell
from convbench.problem.notation import parse

HOPPER = architecture.get("sm_90")
ARRAY = types.Array(types.float32, 1, "C")
LAYER = "n2c8h16w16-k8r3s3-pad1"


@cuda.jit(device=True)
def doubled(value):
    return value + value


@cuda.jit
def scale(x, y, factor):
    place = cuda.grid(1)
    tile = cuda.shared.array(64, float32)
    tile[cuda.threadIdx.x] = x[place]
    cuda.syncthreads()
    y[place] = doubled(tile[63 - cuda.threadIdx.x]) * factor


def looping(**options):
    """A kernel of 48 sums at once, in a loop, whose places are known when it is compiled."""

    @cuda.jit(**options)
    def sums(x, y, count):
        total = cuda.local.array(48, float32)
        for i in range(48):
            total[i] = x[i]
        for k in range(count):
            factor = x[k]
            for i in range(48):
                total[i] += factor * x[k + i]
        for i in range(48):
            y[i] = total[i]

    return sums


def inspected(kernel, *kinds, on=HOPPER, threads=128, shared_bytes=0):
    launch = Launch("run", "multiply", kernel, (1, 1, 1), (threads, 1, 1), kinds, (), shared_bytes)
    return inspector.InspectedKernel((launch,), inspector.machine_code(launch, on), on, None)


@pytest.mark.parametrize("name", architecture.KNOWN)
def test_a_kernel_compiles_for_every_architecture(name):
    """Types, shared memory and a device function, with no device of any kind."""
    found = inspected(scale, ARRAY, ARRAY, types.float32, on=architecture.get(name))
    assert found.compiled.architecture in (name, f"{name}a")
    assert f"code for {found.compiled.architecture}\n" in found.text
    assert found.resources.static_shared_bytes == 64 * 4
    assert found.resources.barriers == 1
    assert 1 <= found.resources.registers <= 64
    assert (found.resources.stack_bytes, found.resources.spill_bytes) == (0, 0)
    assert found.code.hot_loop is None
    kinds = found.hot.accesses
    assert {kind: sum(kinds[kind].values()) for kind in ("LDG", "STS", "LDS", "STG")} == dict.fromkeys(
        ("LDG", "STS", "LDS", "STG"), 1
    )
    assert found.occupancy.blocks > 0


def test_wgmma_and_the_like_need_the_suffix_that_numba_cuda_gives():
    assert inspected(scale, ARRAY, ARRAY, types.float32).compiled.architecture == "sm_90a"
    older = architecture.get("sm_80")
    assert inspected(scale, ARRAY, ARRAY, types.float32, on=older).compiled.architecture == "sm_80"


def test_the_hot_loop_of_a_kernel_is_the_one_that_multiplies():
    found = inspected(looping(), ARRAY, ARRAY, types.int64)
    assert found.hot.counts["FFMA"] % 48 == 0
    assert found.hot.counts["FFMA"] > 0
    assert "LDL" not in found.whole.accesses  # every index into the local array is a constant


def test_registers_are_spilled_where_the_kernel_is_told_to_take_few():
    """Spills are distinguished from a local array, which uses the stack and spills nothing."""
    free, tight = (inspected(looping(**options), ARRAY, ARRAY, types.int64) for options in ({}, {"max_registers": 24}))
    assert free.resources.spill_bytes == 0
    assert tight.resources.registers <= 24
    assert tight.resources.spill_store_bytes > 0
    assert tight.resources.spill_load_bytes > 0
    assert tight.whole.counts["local memory"] > 0

    @cuda.jit
    def picked(x, y, at):
        own = cuda.local.array(32, float32)
        for i in range(at):
            own[i % 32] += x[i]
        y[0] = own[at // 2]

    local = inspected(picked, ARRAY, ARRAY, types.int64)
    assert local.resources.stack_bytes >= 32 * 4
    assert local.resources.spill_bytes == 0


def test_launch_bounds_are_the_kernels_own():
    """1024 threads twice on a multiprocessor leave 32 registers for each."""
    assert inspected(looping(launch_bounds=(1024, 2)), ARRAY, ARRAY, types.int64).resources.registers <= 32


def test_fast_mathematics_is_the_kernels_own():
    def divided(x, y):
        y[0] = x[0] / x[1]

    exact, fast = (inspected(cuda.jit(fastmath=fastmath)(divided), ARRAY, ARRAY) for fastmath in (False, True))
    assert fast.whole.total < exact.whole.total


def test_dynamic_shared_memory_counts():
    found = inspected(scale, ARRAY, ARRAY, types.float32, shared_bytes=100 * 1024)
    assert found.shared_bytes == 100 * 1024 + 64 * 4
    assert found.occupancy.limited_by == ("shared memory",)
    assert found.occupancy.blocks == 2


def test_a_kernel_that_is_compiled_here_still_runs_on_the_emulator(monkeypatch):
    """The device function is not the one of the checked emulator, which checks every index."""
    before = inspected(scale, ARRAY, ARRAY, types.float32)
    device = EmulatorDevice(checked=True)
    x, y = device.upload(np.arange(64, dtype=np.float32)), device.empty((64,), np.float32)
    device.launch("multiply", scale, 1, 64, x, y, np.float32(3))
    assert device.download(y).tolist() == [6 * (63 - i) for i in range(64)]
    assert not scale.overloads  # nothing that a GPU would take for its own
    monkeypatch.setattr(inspector, "_made", {})
    after = inspected(scale, ARRAY, ARRAY, types.float32)
    assert (after.code, after.resources) == (before.code, before.resources)


def test_a_kernel_that_does_not_compile_is_named():
    @cuda.jit
    def confused(x):
        x[0] = "text"

    with pytest.raises(KernelError, match="confused does not compile for sm_90: TypingError"):
        inspected(confused, ARRAY)


def test_launches_of_one_kernel_are_one_row():
    """A plan by halves launches each kernel twice; its arrays count once."""
    algorithm, problem = registry.get("im2col_gemm"), parse(LAYER)
    (config,) = {each for each in algorithm.configs_for(problem, "forward") if each.max_columns_bytes == 1}
    found = inspector.inspect(algorithm, problem, "forward", HOPPER, config)
    assert [(kernel.name, len(kernel.launches)) for kernel in found.kernels] == [("im2col", 2), ("gemm", 2)]
    x, columns = problem.n * 8 * 16 * 16, 72 * 16 * 16
    assert found.kernels[0].bound.memory_us == pytest.approx(4 * (x + columns) / found.chip.tbytes / 1e6)


def test_what_a_run_takes_is_without_what_is_done_once():
    found = inspector.inspect(registry.get("direct"), parse(LAYER), "backward_data", HOPPER)
    assert [(kernel.name, kernel.launch.stage) for kernel in found.kernels] == [
        ("turn_filters", "load"),
        ("direct", "run"),
    ]
    assert found.least_us == found.kernels[1].bound.least_us > 0
    assert found.is_complete


# ---- what is missing


@pytest.fixture
def fresh(monkeypatch):
    """Start with empty caches."""
    monkeypatch.setattr(inspector, "_made", {})
    compiler._kernel_object.cache_clear()
    toolkit.tool.cache_clear()
    yield
    toolkit.tool.cache_clear()


@pytest.mark.parametrize("lacking", toolkit.PACKAGES)
def test_a_missing_disassembler_is_told_with_the_command_that_installs_it(convbench, fresh, monkeypatch, lacking):
    found = toolkit.files
    monkeypatch.setattr(toolkit, "files", lambda package: [] if lacking in package else found(package))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    status, out, err = convbench("inspect", "direct", LAYER)
    assert (status, out) == (2, "")
    assert err == f'convbench: {lacking}, the toolkit\'s disassembler, is missing: pip install "convbench[inspect]"\n'


def test_an_installed_toolkit_serves_as_well(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr(toolkit, "files", lambda package: None)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    assert toolkit.tool("nvdisasm") == tmp_path / "nvdisasm"


def test_a_missing_compiler_is_not_blamed_on_the_kernel(convbench, fresh, monkeypatch):
    from numba.cuda.cudadrv import nvvm

    def missing(*_, **__):
        raise OSError("libnvvm.so.4: cannot open shared object file")

    monkeypatch.setattr(nvvm, "compile_ir", missing)
    status, _, err = convbench("inspect", "direct", LAYER)
    assert status == 2
    assert "libnvvm.so.4" in err
    assert 'pip install "convbench[cu13]" (or [cu12])' in err


@pytest.mark.parametrize("found", ["0.29.0", "0.31.0"])
def test_another_numba_cuda_is_refused(convbench, fresh, monkeypatch, found):
    monkeypatch.setattr(compiler, "version", lambda package: found)
    status, _, err = convbench("inspect", "direct", LAYER)
    assert status == 2
    assert f"numba-cuda {found} is installed; `inspect` needs numba-cuda" in err


def test_what_is_no_cubin_is_refused_with_the_disassemblers_words():
    with pytest.raises(DeviceError, match="cuobjdump -sass fails with status"):
        toolkit.disassemble(b"no cubin")


def test_an_algorithm_that_launches_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(inspector, "launches_of", lambda *_: [])
    with pytest.raises(RefusedError, match="direct launches no kernel of its own"):
        inspector.planned(registry.get("direct"), parse(LAYER), "forward", HOPPER)


def test_a_shell_is_typed_as_what_a_gpu_gets():
    assert Shell.contiguous((2, 3), np.float32)._numba_type_ == types.Array(types.float32, 2, "C")
