"""The front end refuses unsupported versions of packages, and kernels that it cannot compile."""

import numpy as np
import pytest
from numba import cuda
from numba.cuda.core.errors import NumbaError

from convbench.emulator import Emulator, UnsupportedError, VersionError, front_end
from convbench.emulator.front_end import check_versions

RANGES = {
    "numba-cuda": (front_end.NUMBA_CUDA, "the emulator uses its internals, which other versions have moved"),
    "numba": (front_end.NUMBA, "numba-cuda shares its types and its intermediate representation"),
    "llvmlite": (front_end.LLVMLITE, "the emulator reads and writes the text of its LLVM"),
    "numpy": (front_end.NUMPY, "numba-cuda cannot compile a kernel with another"),
}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that a version of a package is installed."""
    real = front_end.version

    def pretend(package, found):
        monkeypatch.setattr(front_end, "version", lambda name: found if name == package else real(name))

    return pretend


def test_the_installed_versions_are_known():
    check_versions()


@pytest.mark.parametrize("found", ["0.0.1", "99.0"])
@pytest.mark.parametrize("package", RANGES)
def test_another_version_is_refused_with_the_range_and_the_reason(installed, package, found):
    wanted, reason = RANGES[package]
    installed(package, found)
    with pytest.raises(VersionError) as caught:
        check_versions()
    assert str(caught.value) == f"{package} {found} is installed; the emulator needs {package}{wanted}, for {reason}"


@pytest.mark.parametrize("package", RANGES)
def test_nothing_is_compiled_with_another_version(installed, package):
    @cuda.jit
    def kernel(y):
        y[0] = 1

    y = np.zeros(1)
    installed(package, "0.0.1")
    with pytest.raises(VersionError, match=f"^{package} 0.0.1 is installed"):
        Emulator().launch(kernel, 1, 1, y)
    assert y[0] == 0


def test_a_release_candidate_of_a_known_version_is_known(installed):
    installed("numba", "0.68.1rc1")
    check_versions()


def test_foreign_code_is_refused_by_the_kernels_name():
    @cuda.jit(link=["other.cu"])
    def kernel(y):
        y[0] = 1

    with pytest.raises(UnsupportedError, match=r"^kernel: linked code is not emulated"):
        Emulator(code="llvm").launch(kernel, 1, 1, np.zeros(1))


def test_what_numba_cannot_compile_is_numbas_error():
    @cuda.jit
    def kernel(y):
        y[0] = y.no_such_attribute

    with pytest.raises(NumbaError, match="no_such_attribute"):
        Emulator().launch(kernel, 1, 1, np.zeros(1))


@pytest.mark.parametrize("strict", [False, True])
def test_numba_cuda_is_as_it_was_after_a_kernel_that_does_not_compile(strict):
    from numba.cuda import cgutils, dispatcher
    from numba.cuda.descriptor import cuda_target
    from numba.cuda.np import arrayobj

    def state():
        return (
            cgutils.do_boundscheck, cgutils.get_item_pointer, arrayobj.basic_indexing, arrayobj.fix_integer_index,
            dispatcher.get_current_device, dispatcher.CUDADispatcher.compile_device,
            dispatcher.CUDADispatcher.get_call_template, cuda_target._typingctx, cuda_target._targetctx,
        )  # fmt: skip

    @cuda.jit
    def kernel(y):
        y[0] = y.no_such_attribute

    before = state()
    with pytest.raises(NumbaError):
        Emulator(checked=strict).launch(kernel, 1, 1, np.zeros(1))
    assert state() == before
