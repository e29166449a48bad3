"""Warpgroup products: fragments follow the figures of the PTX ISA, sums agree with NumPy, missing steps are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.cuda import types

from cases import warpgroup_kernels as kernels
from cases.tensor_kernels import KINDS
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import DeviceError, KernelError
from convbench.inspection import architecture, sass
from convbench.inspection.compiler import compile_kernel
from convbench.inspection.toolkit import disassemble
from convbench.intrinsics import matrix_descriptor, wgmma_tf32
from support.devices import DEVICES

# PTX is computed where it is issued, so that only these see what nobody waits for
WATCHFUL = {"llvm": EmulatorDevice(code="llvm"), "checked": DEVICES["checked"], "simulator": DEVICES["simulator"]}

# PTX ISA, the figure of "WGMMA .m64nNk8 register fragment layout for accumulator matrix D": which thread of the first
# four has an element, and in which of its numbers: columns 0 to 15 of row 0, and the numbers of row 8
D_ROW_0 = "0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1 0:4 0:5 1:4 1:5 2:4 2:5 3:4 3:5"
D_ROW_8 = "0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3 0:6 0:7 1:6 1:7 2:6 2:7 3:6 3:7"


def owners(width):
    """(64, width) of threads and of numbers: row r + 1 belongs to the next four threads, row 16 to the next warp."""
    threads, numbers = np.empty((64, width), int), np.empty((64, width), int)
    patterns = [[tuple(map(int, entry.split(":"))) for entry in text.split()] for text in (D_ROW_0, D_ROW_8)]
    for row in range(64):
        warp, within = divmod(row, 16)
        for column in range(width):
            lane, number = patterns[within // 8][column % 16]
            threads[row, column] = 32 * warp + 4 * (within % 8) + lane
            numbers[row, column] = number + 8 * (column // 16)
    return threads, numbers


def product(device, kind, a, b, c, *, in_registers, begins=False):
    """C + A·Bᵀ of a (64, k) and a (width, k) matrix by one warpgroup."""
    width, where = len(b), owners(len(b))
    words = [np.ascontiguousarray(matrix).view(np.uint32) for matrix in (a, b)]
    fragments = np.zeros((128, width // 2), np.float32)
    fragments[where] = c
    y = device.upload(np.full((128, width // 2), np.nan, np.float32))
    kernel = kernels.multiply(kind, width, words[0].shape[1] // 8, in_registers, begins)
    given = *map(device.upload, words), device.upload(fragments), y
    device.launch("multiply", kernel, 1, 128, *given, shared_bytes=(64 + width) * 128)
    return device.download(y)[where]


def whole_numbers(kind, width, parts):
    """Exact in every kind; and each row, column and place in the sum weighs differently."""
    depth = (8 if kind == "tf32" else 16) * parts
    a = (np.arange(64 * depth).reshape(64, depth) % 13 - 5).astype(KINDS[kind])
    b = (np.arange(width * depth).reshape(width, depth) % 11 - 4).astype(KINDS[kind])
    c = np.arange(64 * width, dtype=np.float32).reshape(64, width)
    return a, b, c, a.astype(np.float64) @ b.astype(np.float64).T


@pytest.mark.parametrize("in_registers", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["emulator", "simulator"])
def test_every_element_is_where_the_figures_have_it(name, kind, in_registers):
    device = DEVICES[name]
    a, b, c, expected = whole_numbers(kind, 64, 4)
    np.testing.assert_array_equal(product(device, kind, a, b, c, in_registers=in_registers), c + expected)


@pytest.mark.parametrize("width", [128, 256])
def test_wide_products_too(width):
    a, b, c, expected = whole_numbers("tf32", width, 1)
    for in_registers in (False, True):
        actual = product(DEVICES["emulator"], "tf32", a, b, c, in_registers=in_registers)
        np.testing.assert_array_equal(actual, c + expected)


def test_a_product_that_begins_a_sum_forgets_what_was_there(device):
    a, b, c, expected = whole_numbers("tf32", 64, 2)
    np.testing.assert_array_equal(product(device, "tf32", a, b, c, in_registers=True, begins=True), expected)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), scale=st.integers(-6, 6))
def test_a_product_is_exact_and_then_cut_to_float32(seed, scale):
    """Towards zero, by less than the last bit of the result: 2⁻²³ of it."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(64, 8)), random.normal(size=(64, 8)) * 2.0**scale
    a, b = ((x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for x in (a, b))
    c = random.normal(size=(64, 64)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64).T + c
    actual = product(DEVICES["emulator"], "tf32", a, b, c, in_registers=False).astype(np.float64)
    assert (np.abs(actual - exact) <= 2.0**-23 * np.abs(exact)).all()
    assert (np.abs(actual) <= np.abs(exact) * (1 + 2.0**-48)).all()  # float64 sums, in another order


def swizzled(matrix):
    """Rows of 32 words as 128-byte swizzle has them."""
    chunks = matrix.reshape(-1, 8, 4)
    rows = np.arange(len(chunks))[:, None]
    out = np.empty_like(chunks)
    out[rows, np.arange(8) ^ rows % 8] = chunks
    return out.reshape(-1, 32)


def operands():
    values = (np.arange(128 * 32).reshape(128, 32) % 7 - 3).astype(np.float32)
    return values, swizzled(values).view(np.uint32)


def test_a_group_ends_while_the_next_is_under_way(device):
    values, words = operands()
    c = np.ones((128, 32), np.float32)
    y = device.upload(np.zeros((128, 32), np.float32))
    device.launch(
        "multiply", kernels.two_groups(), 1, 128, device.upload(words), device.upload(words), device.upload(c), y
    )
    expected = 1 + values[:64, :24].astype(np.float64) @ values[64:, :24].T
    np.testing.assert_array_equal(device.download(y)[owners(64)], expected)


def run_faulty(device, fault):
    _, words = operands()
    y = device.upload(np.zeros((128, 32), np.float32))
    device.launch("multiply", kernels.faulty(fault), 1, 128, device.upload(words), y)
    return device.download(y)[owners(64)]


def expected_of_faulty():
    values, _ = operands()
    return values[:64, :8].astype(np.float64) @ values[64:, :8].T


def test_a_right_product_is_no_fault(device):
    np.testing.assert_array_equal(run_faulty(device, "nothing"), expected_of_faulty())


UNWAITED = ["no commit", "no wait", "a wait too lazy", "another array waits", "touched"]


@pytest.mark.parametrize("fault", UNWAITED)
@pytest.mark.parametrize("name", ["llvm", "simulator"])
def test_what_nobody_waits_for_is_no_number(name, fault):
    if (name, fault) != ("simulator", "touched"):
        assert np.isnan(run_faulty(WATCHFUL[name], fault)).all()


@pytest.mark.parametrize("fault", UNWAITED)
@pytest.mark.parametrize("code", ["llvm", "ptx"])
def test_checked_mode_names_the_line_that_uses_a_sum_too_early(code, fault):
    if (code, fault) == ("ptx", "another array waits"):
        return  # PTX ties no registers to a wait
    device = EmulatorDevice(code=code, checked=True)
    with pytest.raises(KernelError, match=r"`.* = -?sums\[j\]`: uses a sum that wgmma still writes"):
        run_faulty(device, fault)


def test_what_is_overwritten_before_the_wait_spoils_the_sum():
    """Behind a barrier, so that it is no race: the sum is of what is there at the wait."""
    assert (run_faulty(WATCHFUL["llvm"], "overwritten") != expected_of_faulty()).any()


FOUND = {
    "no fence": "no wgmma.fence behind the last wait",
    "no barrier": r"data race: .*with no barrier between",
    "not written": "which was never written",
    "overwritten": r"writes shared\[.*, which the wgmma of line \d+ still uses: wait for its group first",
    "outside": "bytes outside every array",
    "descriptors differ": "threads of one warpgroup bring different descriptors",
    "half a warpgroup": "only a part of the 128 threads of a warpgroup is here, and all must be",
}


@pytest.mark.parametrize("fault", FOUND)
def test_what_a_warpgroup_must_not_do_is_found_and_named(fault):
    with pytest.raises(KernelError, match=FOUND[fault]):
        run_faulty(DEVICES["checked"], fault)


@pytest.mark.parametrize("fault", ["no fence", "outside", "descriptors differ", "half a warpgroup"])
def test_fast_mode_finds_what_is_left_without_a_shadow(fault):
    with pytest.raises(KernelError, match=FOUND[fault]):
        run_faulty(WATCHFUL["llvm"], fault)


@pytest.mark.parametrize("fault", ["outside", "descriptors differ", "half a warpgroup"])
def test_ptx_finds_what_is_wrong_where_it_is_issued(fault):
    with pytest.raises(KernelError, match=FOUND[fault]):
        run_faulty(DEVICES["emulator"], fault)


def test_the_simulator_says_so_too():
    for fault, words in (
        ("outside", "leads out of shared memory"),
        ("descriptors differ", "different descriptors"),
        ("half a warpgroup", "64 threads of a warpgroup ask for what all 128 must do together"),
    ):
        with pytest.raises(DeviceError, match=words):
            run_faulty(DEVICES["simulator"], fault)


# PTX ISA, "Matrix Descriptor Format": bits 0-13 address, 16-29 leading, 32-45 stride, each without its low 4 of 18
# bits; bits 62-63 are 1 for 128-byte swizzle
DESCRIPTORS = (
    ((0, 0, 0), 0x4000000000000000),
    ((0x400, 16, 1024), 0x4000004000010040),
    ((0x3FFFF, 0x3FFFF, 0x3FFFF), 0x40003FFF3FFF3FFF),
    ((0x40010, 0, 0x100), 0x4000001000000001),
    ((0x8020, 0x2000, 0x800), 0x4000008002000802),
)


def test_descriptors_follow_the_table():
    for given_values, expected in DESCRIPTORS:
        assert int(matrix_descriptor(*given_values)) == expected


def test_no_width_but_those_that_are_here():
    with pytest.raises(ValueError, match="64, 128, 256 columns, not 32"):
        wgmma_tf32(32)


@pytest.mark.parametrize(("kind", "in_registers"), [("tf32", True), ("f16", False), ("f16", True), ("bf16", False)])
def test_a_gpu_gets_the_instructions_themselves(kind, in_registers):
    word, number = types.Array(types.uint32, 2, "C"), types.Array(types.float32, 2, "C")
    kernel = kernels.multiply(kind, 64, 2, in_registers)
    made = compile_kernel(kernel, (word, word, number, number), architecture.get("sm_90"))
    code = sass.read(disassemble(made.cubin), made.entry)
    shape = f"HGMMA.64x64x{8 if kind == 'tf32' else 16}.F32"
    assert sum(each.opcode.startswith(shape) for each in code.instructions) == 2
    assert not made.resources.spill_bytes
    assert not made.resources.warnings  # the assembler warns if it serialises the products
