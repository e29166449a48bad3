"""Shortcuts in numba-cuda and llvmlite leave every kernel as it is, and are gone when the kernel is compiled."""

import operator
import re
from itertools import product

import pytest
from numba import cuda, float32, types
from numba.cuda import literal_unroll

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


def make_unrolled():
    @cuda.jit
    def kernel(x, y, factor):
        total = x[0]
        for part in literal_unroll((1, 2.5, factor)):
            total = total * x[1] + part
        y[cuda.threadIdx.x] = total

    return kernel


def lines_of(strict, make=make_kernel):
    vectors = types.Array(types.float32, 1, "C")
    modules = lower(
        make(), (vectors, vectors, types.float32), compute_capability=(9, 0), checked=strict, strict=strict
    ).modules
    return sorted(NUMBER.sub("0", line) for module in modules for line in module.splitlines())


@pytest.mark.parametrize("make", [make_kernel, make_unrolled])
@pytest.mark.parametrize("strict", [False, True])
def test_a_kernel_is_the_same_without_shortcuts(strict, make, monkeypatch):
    """Each instruction, call and debug location; the order of equal declarations is not fixed."""
    shortened = lines_of(strict, make)
    assert len(shortened) > 300
    assert lines_of(strict, make) == shortened  # with the signatures that are kept
    monkeypatch.setattr(shortcuts, "patches", list)
    assert lines_of(strict, make) == shortened


def test_the_size_of_a_type_is_the_same_the_second_time():
    from llvmlite import ir
    from numba.cuda.descriptor import cuda_target

    context = cuda_target.target_context
    byte, word = ir.IntType(8), ir.IntType(64)
    kinds = byte, word, ir.ArrayType(word, 3), ir.LiteralStructType([byte, word]), ir.LiteralStructType([byte, byte])
    measures = [(context.get_abi_sizeof(kind), context.get_abi_alignment(kind)) for kind in kinds]
    assert measures == [(1, 1), (8, 8), (24, 8), (16, 8), (2, 1)]
    with shortcuts.taken():
        for _ in range(2):
            assert [(context.get_abi_sizeof(kind), context.get_abi_alignment(kind)) for kind in kinds] == measures


def test_a_declaration_that_is_made_after_a_refresh_is_found_by_the_next():
    from numba.cuda.cudadecl import registry
    from numba.cuda.cudaimpl import registry as implementations
    from numba.cuda.descriptor import cuda_target

    class Marked(types.Dummy):
        pass

    marked, typing, target = Marked("marked"), cuda_target.typing_context, cuda_target.target_context
    with shortcuts.taken():
        target.refresh()
        registry.register_global(marked, types.Dummy("typed"))
        implementations.lower_cast(Marked, types.float32)(lambda *_: None)
        target.refresh()
        assert typing._lookup_global(marked) == types.Dummy("typed")
        assert target._casts.find((marked, types.float32)) is not None


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


def test_flags_are_equal_where_numba_says_so():
    from numba.cuda.flags import CUDAFlags

    def flags(**values):
        made = CUDAFlags()
        for name, value in values.items():
            setattr(made, name, value)
        return made

    several = [
        flags(), flags(forceinline=False), flags(forceinline=True), flags(compute_capability=(9, 0)),
        flags(compute_capability=(9, 0), forceinline=True), flags(fastmath=True), flags(nvvm_options={"opt": 3}),
    ]  # fmt: skip
    pairs = list(product(several, several))
    equal, hashes = [one == other for one, other in pairs], [hash(one) for one in several]
    assert any(equal)
    assert not all(equal)
    with shortcuts.taken():
        assert [one == other for one, other in pairs] == equal
        assert len({hash(one) for one in several}) == len(set(hashes)) == 1


def test_the_signature_of_an_operator_is_the_same_the_second_time():
    """Its implementation too, after a call with other types that ends at the same signature."""
    from numba.cuda.descriptor import cuda_target

    context = cuda_target.typing_context
    context.refresh()
    kinds = types.int32, types.int64, types.uint32, types.float32, types.float64, types.boolean, types.literal(3)
    for function in (operator.add, operator.truediv, operator.lshift, operator.lt, operator.pow, min, abs):
        typed = context._lookup_global(function)
        count = 1 if function is abs else 2
        calls = list(product(kinds, repeat=count))
        if function is operator.lshift:
            calls = [call for call in calls if not any(isinstance(kind, types.Float) for kind in call)]

        def outcome(call, typed=typed):
            signature = typed.get_call_type(context, call, {})
            return signature, typed.get_impl_key(signature)

        expected = [outcome(call) for call in calls]
        with shortcuts.taken():
            for order in (calls, calls[::-1]):
                found = {call: outcome(call) for call in order}
                assert [found[call] for call in calls] == expected
