"""Shortcuts in numba-cuda and llvmlite leave every kernel as it is, and are gone when the kernel is compiled."""

import re

import pytest
from numba import cuda, float32, types

from convbench.emulator import compiler_fault, shortcuts
from convbench.emulator.front_end import lower
from convbench.emulator.ptx import numba_code

NUMBER = re.compile(r"\d+")  # functions are numbered, and their names end with the number


@cuda.jit(device=True, inline="always")
def clipped(values, i, least):
    value = values[i]
    while value < least:
        value += float32(1)
    return value


@cuda.jit(device=True)
def scaled(value, factor):
    for _ in range(3):
        value *= factor
    return value


def make_kernel():
    @cuda.jit
    def kernel(x, y, factor):
        i = cuda.grid(1)
        if i < y.size:
            y[i] = clipped(x, i, float32(0)) + scaled(clipped(x, i, float32(2)), factor) ** 2

    return kernel


def lines_of(strict):
    vectors = types.Array(types.float32, 1, "C")
    modules = lower(
        make_kernel(), (vectors, vectors, types.float32), compute_capability=(9, 0), checked=strict, strict=strict
    ).modules
    return sorted(NUMBER.sub("0", line) for module in modules for line in module.splitlines())


@pytest.mark.parametrize("strict", [False, True])
def test_a_kernel_is_the_same_without_shortcuts(strict, monkeypatch):
    """Each instruction, call and debug location; the order of equal declarations is not fixed."""
    shortened = lines_of(strict)
    assert len(shortened) > 300
    monkeypatch.setattr(shortcuts, "patches", list)
    assert lines_of(strict) == shortened


@cuda.jit
def reshaped(x, y, factor):
    i = cuda.grid(1)
    y[i] = x.reshape((2, 3))[1, i] * factor


@pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
@pytest.mark.parametrize(("kernel", "compilations"), [(make_kernel(), 1), (reshaped, 2)])
def test_nvvm_compiles_a_kernel_once_unless_functions_of_numba_cuda_may_be_linked(kernel, compilations, monkeypatch):
    """Without the shortcut, it writes PTX that nobody runs."""
    from numba.cuda.cudadrv import nvvm

    compiled, compile_ir = [], nvvm.compile_ir
    monkeypatch.setattr(nvvm, "compile_ir", lambda *args, **options: compiled.append(1) or compile_ir(*args, **options))
    vectors = types.Array(types.float32, 1, "C")

    def ptx():
        compiled.clear()
        texts = numba_code.ptx_of(kernel, (vectors, vectors, types.float32), (9, 0)).texts
        return [NUMBER.sub("0", text) for text in texts], len(compiled)

    shortened, count = ptx()
    assert count == compilations
    monkeypatch.setattr(numba_code, "without_assembly", list)
    assert ptx() == (shortened, 2)


def test_flags_are_equal_if_all_options_have_equal_values():
    from numba.cuda.flags import CUDAFlags

    given = [{}, {"fastmath": True}, {"nrt": False}, {"nrt": True}, {"nrt": True, "fastmath": True}]
    flags = [CUDAFlags() for _ in given]
    for one, options in zip(flags, given, strict=True):
        for name, value in options.items():
            setattr(one, name, value)
    whole = [[one == other for other in flags] for one in flags]
    with shortcuts.taken():
        assert [[one == other for other in flags] for one in flags] == whole
    assert whole[0][2]
    assert not whole[0][3]


def test_no_shortcut_is_left_after_an_error():
    owners = {owner for owner, _, _ in shortcuts.patches()}
    before = {owner: dict(vars(owner)) for owner in owners}
    with pytest.raises(ValueError, match="of the kernel"), shortcuts.taken():
        raise ValueError("of the kernel")
    assert {owner: dict(vars(owner)) for owner in owners} == before


def test_no_shortcut_is_left_after_a_compilation():
    owners = {owner for owner, _, _ in shortcuts.patches()}
    before = {owner: dict(vars(owner)) for owner in owners}
    lines_of(strict=False)
    assert {owner: dict(vars(owner)) for owner in owners} == before


def test_a_node_of_metadata_computes_its_hash_once():
    from llvmlite import ir

    node = ir.Module().add_debug_info("DIFile", {"filename": "a.py", "directory": "/"})
    computed = []
    kept = shortcuts._kept(lambda node: computed.append(node) or 5)
    assert [kept(node), kept(node)] == [5, 5]
    assert computed == [node]
