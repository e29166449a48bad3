"""Hopper's tensor cores for warpgroups: wgmma, which 128 consecutive threads call together. Only sm_90 has it.

A is 64 × k and B is k × n, where n is 64, 128 or 256. k is 8 for TF32 and 16 for halves, so that a row of A and a
column of B take 32 bytes. B comes from shared memory. A comes from there or from registers, where it has the fragments
of `intrinsics.tensor` for 16 × k: warp w of the four holds rows 16·w to 16·w + 15. With g = lane // 4 and
t = lane mod 4 a thread has the sums

    C  64 × n    c[4·j + 2·h + e] = C[16·w + g + 8·h, 8·j + 2·t + e]          j = 0 … n/8 − 1,  h, e = 0, 1

in a local array of float32.

In shared memory, each row of A and each column of B takes 128 bytes, of which a product reads 32. Groups of 8 rows lie
one after another from an address that is a multiple of 1024. Within row r of a group, the 16 bytes with number i are
stored at place i xor r. `matrix_descriptor` says where the first row is (plus a multiple of 32 bytes, which chooses
the part along k) and how far one group of 8 rows is from the next. Data that threads copied or stored there are
visible to products only after each of these threads has called `fence_async_proxy` and then all have met at a barrier.

Order     warpgroup_fence(), products, commit_warpgroup(), wait_warpgroup(…)(sums). Until the wait, nobody may touch the
          sums, the registers of A, or the shared memory that the descriptors name. The wait takes the sums, so that no
          compiler moves code that reads them before it. A wait that lets one group go on still takes the sums of the
          groups that it ends.
Source    PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions": fragments, the matrix
          descriptor, its 128-byte swizzle, and the proxy fence. CUTLASS ties sums to waits in the same way
          (`warpgroup_fence_operand`).
"""

from functools import cache
from typing import Any

from llvmlite import ir
from numba import cuda, uint64
from numba.core import errors
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.intrinsics import warpgroup_twins as twins
from convbench.intrinsics.addresses import FLOAT, element, in_shared, ptx, require_flat
from convbench.intrinsics.bare import bare
from convbench.intrinsics.tensor import of_bf16, of_f16, of_tf32
from convbench.intrinsics.twins import with_twin

WIDTHS = 64, 128, 256
DEPTHS = {"tf32": 8, "f16": 16, "bf16": 16}
_SWIZZLE_128 = 1 << 62
_SUMS = types.Array(types.float32, 1, "C")
_REGISTERS = types.UniTuple(types.uint32, 4)


def matrix_descriptor(address: Any, leading: Any, stride: Any) -> Any:
    """The descriptor of a matrix in shared memory for wgmma, with 128-byte swizzle.

    `matrix_descriptor_on_device` is the same function for kernels.

    Parameters
    ----------
    address : in the window of shared memory, as `shared_address` returns it
    leading : bytes between neighbouring swizzled parts along k; no product here is deep enough for it to be read
    stride : bytes from one group of 8 rows to the next
    """
    start = (uint64(address) & uint64(0x3FFFF)) >> uint64(4)
    across = ((uint64(leading) & uint64(0x3FFFF)) >> uint64(4)) << uint64(16)
    down = ((uint64(stride) & uint64(0x3FFFF)) >> uint64(4)) << uint64(32)
    return uint64(_SWIZZLE_128) | down | across | start


matrix_descriptor_on_device = cuda.jit(device=True)(matrix_descriptor)


@with_twin(twins.shared_address)
@intrinsic
def shared_address(typing_context: Any, array: Any, index: Any) -> Any:
    """The address of an element of a shared array, in the window of shared memory that descriptors use."""
    require_flat("shared_address", array, index)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return in_shared(builder, element(context, builder, array, values[0], values[1], index))

    return types.uint32(array, index), generate


fence_async_proxy = bare("fence.proxy.async.shared::cta;", lambda: None)
warpgroup_fence = bare("wgmma.fence.sync.aligned;", lambda: None)
commit_warpgroup = bare("wgmma.commit_group.sync.aligned;", twins.commit)


def wait_text(pending: int, width: int) -> str:
    """The PTX of a wait until at most `pending` groups are under way. Its comment tells the emulator the width."""
    return f"wgmma.wait_group.sync.aligned {pending}; /* m64n{width} */"


@cache
def _wait(pending: int, width: int) -> Any:
    count, name = _count(width), f"wait_warpgroup_{pending}"

    def twin(sums: Any) -> None:
        twins.wait(sums, pending)

    @with_twin(twin)
    @intrinsic
    def wait(typing_context: Any, sums: Any) -> Any:
        _require_sums(name, sums)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            places = _places(context, builder, values[0], count)
            given = [builder.load(place) for place in places]
            _into(builder, places, wait_text(pending, width), given, _tied(count))
            return context.get_dummy_value()

        return types.void(sums), generate

    return wait


def wait_warpgroup_0(width: int) -> Any:
    """The intrinsic that waits for all committed groups of this thread. It takes sums of this width."""
    return _wait(0, width)


def wait_warpgroup_1(width: int) -> Any:
    """The intrinsic that waits for all committed groups but the last. It takes sums of this width."""
    return _wait(1, width)


def multiply_text(kind: str, width: int, *, begins: bool, by_descriptor: bool) -> str:
    """The PTX of a product. The sums are outputs; they are inputs too, unless the product begins them."""
    count = _count(width)
    first = count if begins else 2 * count
    left = f"${first}" if by_descriptor else "{" + ", ".join(f"${first + i}" for i in range(4)) + "}"
    right = f"${first + (1 if by_descriptor else 4)}"
    sums = "{" + ", ".join(f"${j}" for j in range(count)) + "}"
    # factors are not negated; halves could be transposed in shared memory, and are not
    rest = "1, 1" if kind == "tf32" else "1, 1, 0, 0" if by_descriptor else "1, 1, 0"
    shape = f"m64n{width}k{DEPTHS[kind]}.f32.{kind}.{kind}"
    return f"wgmma.mma_async.sync.aligned.{shape} {sums}, {left}, {right}, {0 if begins else 1}, {rest};"


@cache
def _multiply(kind: str, width: int, *, begins: bool) -> Any:
    """The intrinsic of a product, called with (sums, A, B).

    A is four words, or a descriptor as B is. With `begins` the sums start at zero, whatever the array held.
    """
    count, name = _count(width), f"wgmma_{kind}"
    numbers = {"tf32": of_tf32, "f16": of_f16, "bf16": of_bf16}[kind]

    def twin(sums: Any, a: Any, b: Any) -> None:
        twins.multiply(sums, a, b, numbers=numbers, width=width, begins=begins)

    @with_twin(twin)
    @intrinsic
    def multiply(typing_context: Any, sums: Any, a: Any, b: Any) -> Any:
        _require_sums(name, sums)
        if a not in (_REGISTERS, types.uint64) or b != types.uint64:
            raise errors.TypingError(f"{name} takes {_REGISTERS} or a descriptor, and a descriptor; not {a}, {b}")
        text = multiply_text(kind, width, begins=begins, by_descriptor=a == types.uint64)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            places = _places(context, builder, values[0], count)
            given = [] if begins else [builder.load(place) for place in places]
            if a == types.uint64:
                left, constraints = [values[1]], ["l", "l"]
            else:
                left, constraints = [builder.extract_value(values[1], i) for i in range(4)], ["r"] * 4 + ["l"]
            tied = ["=f"] * count if begins else _tied(count)
            _into(builder, places, text, [*given, *left, values[2]], tied + constraints)
            return context.get_dummy_value()

        return types.void(sums, a, b), generate

    return multiply


def wgmma_tf32(width: int, *, begins: bool = False) -> Any:
    """The product of float32 numbers, read to 11 significant bits: 64 × 8 by 8 × `width`."""
    return _multiply("tf32", width, begins=begins)


def wgmma_f16(width: int, *, begins: bool = False) -> Any:
    """The product of float16 numbers: 64 × 16 by 16 × `width`."""
    return _multiply("f16", width, begins=begins)


def wgmma_bf16(width: int, *, begins: bool = False) -> Any:
    """The product of bfloat16 numbers: 64 × 16 by 16 × `width`."""
    return _multiply("bf16", width, begins=begins)


def _count(width: int) -> int:
    """The number of sums that each thread holds for this width."""
    if width not in WIDTHS:
        raise ValueError(f"wgmma is available for B of {', '.join(map(str, WIDTHS))} columns, not {width}")
    return width // 2


def _require_sums(name: str, sums: Any) -> None:
    if sums != _SUMS:
        raise errors.TypingError(f"{name} takes sums in {_SUMS}, not {sums}")


def _places(context: Any, builder: Any, sums: Any, count: int) -> list[Any]:
    """Pointers to the sums. The emulator checks the first and the last."""
    index = ir.IntType(64)
    first = element(context, builder, _SUMS, sums, index(0), types.int64, count)
    return [builder.gep(first, [index(j)]) for j in range(count)]


def _tied(count: int) -> list[str]:
    """Constraints of values that are passed in and returned in the same registers."""
    return ["=f"] * count + [str(j) for j in range(count)]


def _into(builder: Any, places: list[Any], text: str, given: list[Any], constraints: list[str]) -> None:
    """Call inline PTX, and store its results in these places."""
    results = ir.LiteralStructType([FLOAT] * len(places))
    found = ptx(builder, text, results, given, ",".join(constraints))
    for j, place in enumerate(places):
        builder.store(builder.extract_value(found, j), place)
