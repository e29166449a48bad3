"""Python values become the words of a kernel's parameters, and their arrays enter the table of memory."""

import enum
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import cuda
from numba.cuda import types

from convbench.emulator import CompilationError, UnsupportedError, launch
from convbench.emulator.arguments import Arguments, Passed, marshal, types_of
from convbench.emulator.checks.shadow import CELL_BYTES
from convbench.emulator.ranges import Ranges, WrittenMemory


@cuda.jit
def kernel(x, y):
    pass


class Colour(enum.IntEnum):
    RED = 7


def words_of(value, kind=None):
    """The words of one argument."""
    return marshal(kernel, types_of(kernel, (value,)) if kind is None else (kind,), (value,)).words.tolist()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, [5]),
        (-5, [-5]),
        (2**64 - 1, [-1]),
        (True, [1]),
        (np.int8(-1), [-1]),
        (np.uint16(65535), [65535]),
        (Colour.RED, [7]),
        (1.5, [0x3FF8_0000_0000_0000]),
        (np.float32(-2), [0xC000_0000]),
        (np.float16(1), [0x3C00]),
        (np.float64("nan"), [0x7FF8_0000_0000_0000]),
        (1 + 2j, [0x3FF0_0000_0000_0000, 0x4000_0000_0000_0000]),
        (np.complex64(1 + 2j), [0x3F80_0000, 0x4000_0000]),
        (np.datetime64(3, "s"), [3]),
        (np.timedelta64(-4, "ms"), [-4]),
        ((), [0]),  # no words at all, and yet an address
        ((1, (np.float32(1), False)), [1, 0x3F80_0000, 0]),
    ],
)
def test_a_value_has_words(value, words):
    assert words_of(value) == words


def test_a_float_is_rounded_to_the_type_that_the_kernel_was_compiled_for():
    assert words_of(1e300, types.float32) == [0x7F80_0000]
    assert words_of(3, types.float32) == [0x4040_0000]


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:, ::-1], lambda a: a.T, lambda a: a[1:2, ::2]])
def test_an_array_is_its_description(view):
    array = view(np.zeros((3, 4), np.float32))
    found = marshal(kernel, types_of(kernel, (array,)), (array,))
    assert found.words.tolist() == [0, 0, array.size, 4, array.ctypes.data, *array.shape, *array.strides]
    ((name, passed, word),) = found.arrays
    assert (name, word) == ("x", 4)
    assert passed is array


def test_arrays_in_tuples_have_names_and_places_of_their_own():
    a, b = np.zeros(2), np.zeros((2, 2))
    args = (3, (1.0, a, (b,)))
    found = marshal(kernel, types_of(kernel, args), args)
    assert [(item.name, item.word) for item in found.arrays] == [("y[1]", 6), ("y[2][0]", 13)]
    assert [found.words[item.word] for item in found.arrays] == [a.ctypes.data, b.ctypes.data]


def test_a_record_is_the_address_of_its_own_bytes():
    records = np.zeros(3, [("a", np.float32), ("b", np.int16)])
    found = marshal(kernel, types_of(kernel, (records[1],)), (records[1],))
    assert found.words.tolist() == [records.ctypes.data + records.itemsize]
    found.arrays[0].array[:4] = np.frombuffer(np.float32(7).tobytes(), np.uint8)
    assert records["a"].tolist() == [0, 7, 0]


@pytest.mark.parametrize("value", ["a string", object(), {1: 2}, [1, 2], None])
def test_what_cannot_be_passed_is_refused_by_the_name_of_its_parameter(value):
    with pytest.raises(UnsupportedError, match="kernel: argument y: "):
        marshal(kernel, types_of(kernel, (1, value)), (1, value))


def test_an_argument_that_no_parameter_takes_is_refused_by_its_number():
    with pytest.raises(UnsupportedError, match="argument number 2: numba-cuda has no type for"):
        types_of(kernel, (1, 2, object()))


# ---- the memory behind


def table_of(*arrays, shift=2, atomics=False):
    """What keeps the table alive, and its rows, for a kernel that takes these arrays."""
    words = np.array([array.ctypes.data for array in arrays])
    arguments = Arguments(words, [Passed(f"a{number}", array, number) for number, array in enumerate(arrays)])
    watch = SimpleNamespace(rows=[("argument", str(j)) for j in range(len(arrays))], shift=shift, atomics=atomics)
    compiled = SimpleNamespace(watch=watch)
    ranges = Ranges(compiled, arguments, WrittenMemory(), np.empty(0, np.uint8), 0)
    return ranges, ranges.table


def cell_of(row, address, shift=2):
    return int(row["cells"]) + ((address - int(row["begin"])) >> shift) * CELL_BYTES


slices = st.builds(
    slice, st.none() | st.integers(0, 30), st.none() | st.integers(0, 30), st.sampled_from((1, 2, -1, -3))
)


@given(slices, slices, st.booleans())
def test_two_arguments_share_a_cell_exactly_where_they_share_memory(first, second, apart):
    whole, other = np.zeros(32, np.float32), np.zeros(32, np.float32)
    a, b = whole[first], (other if apart else whole)[second]
    _, (row_a, row_b) = table_of(a, b)
    of_a, of_b = ({cell_of(row, address) for address in addresses(array)} for row, array in ((row_a, a), (row_b, b)))
    assert len(of_a) == a.size
    assert len(of_b) == b.size
    assert len(of_a & of_b) == len(set(addresses(a)) & set(addresses(b)))


def addresses(array):
    """Of every element."""
    return [array.ctypes.data + i * array.strides[0] for i in range(array.size)]


def test_a_range_begins_at_the_lowest_byte_whatever_the_strides():
    whole = np.zeros((4, 4), np.float32)
    _, rows = table_of(whole[::-1], whole[:, ::-1], whole[1:3, 1])
    begin = whole.ctypes.data
    assert rows["begin"].tolist() == [begin, begin, begin + 20]
    assert rows["size"].tolist() == [64, 64, 20]


def test_an_empty_array_has_no_range():
    _, rows = table_of(np.zeros(0, np.float32), np.zeros(2, np.float32))
    assert rows["size"].tolist() == [0, 8]


@pytest.mark.parametrize("atomics", [False, True])
def test_there_is_a_table_of_atomics_where_the_kernel_has_some(atomics):
    _, rows = table_of(np.zeros(2, np.float32), atomics=atomics)
    assert bool(rows["atomics"][0]) is atomics


# ---- what is no kernel, and what no kernel can take


def plain(x, y):
    pass


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (plain, "plain is a plain function and no kernel: decorate the function with @numba.cuda.jit"),
        (cuda.jit(device=True)(plain), "plain is a device function, which only kernels can call"),
        (None, "NoneType is of type NoneType and no kernel"),
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_what_is_no_kernel_is_refused_with_its_remedy(wrong, words, checked):
    with pytest.raises(CompilationError) as raised:
        launch(wrong, 1, 1, np.zeros(1), np.zeros(1), checked=checked)
    assert words in str(raised.value)


@pytest.mark.parametrize("value", [[1.0, 2.0], [], {1: 2}, {1}, "text", b"bytes", (1, ([2],))])
@pytest.mark.parametrize("checked", [True, False])
def test_a_container_is_refused_by_the_name_of_its_argument(value, checked):
    with pytest.raises(CompilationError, match=r"argument y: a kernel cannot take a \w+: pass a NumPy array"):
        launch(kernel, 1, 1, np.zeros(1), value, checked=checked)
