"""Functions for kernels that Numba lacks: wide and predicated accesses, asynchronous copies, pairs, tensor cores.

The call of such a function in a kernel enters; LLVM IR or inline PTX for a GPU leaves. The emulator runs the same IR,
and knows this PTX by its text. For the simulator each intrinsic has a twin in Python (`twins`). Indices count the
elements of arrays of one dimension and never wrap around. The emulator checks them against the array, for the first
and for the last element of an access.
"""

from convbench.intrinsics.copies import (
    commit_copies,
    copy_async_4,
    copy_async_4_if,
    copy_async_16,
    copy_async_16_if,
    wait_copies_0,
    wait_copies_1,
    wait_copies_2,
    wait_copies_3,
)
from convbench.intrinsics.device_functions import sum_over_block, unflatten_on_device
from convbench.intrinsics.lanes import WARPGROUP, Asked
from convbench.intrinsics.memory import (
    bits,
    load_1,
    load_1_if,
    load_2,
    load_4,
    store_1,
    store_2,
    store_4,
    unbits,
)
from convbench.intrinsics.pairs import PAIRED, multiply_add_2
from convbench.intrinsics.tensor import (
    half_bits,
    ldmatrix_x4,
    ldmatrix_x4_transposed,
    mma_bf16,
    mma_f16,
    mma_tf32,
    round_to_tf32,
)
from convbench.intrinsics.twins import twin_of
from convbench.intrinsics.unrolling import fast_kernel, static, unrolled
from convbench.intrinsics.warpgroup import (
    commit_warpgroup,
    fence_async_proxy,
    matrix_descriptor,
    matrix_descriptor_on_device,
    shared_address,
    wait_warpgroup_0,
    wait_warpgroup_1,
    warpgroup_fence,
    wgmma_bf16,
    wgmma_f16,
    wgmma_tf32,
)
from convbench.intrinsics.warps import warp_max, warp_sum

__all__ = [
    "PAIRED",
    "WARPGROUP",
    "Asked",
    "bits",
    "commit_copies",
    "commit_warpgroup",
    "copy_async_4",
    "copy_async_4_if",
    "copy_async_16",
    "copy_async_16_if",
    "fast_kernel",
    "fence_async_proxy",
    "half_bits",
    "ldmatrix_x4",
    "ldmatrix_x4_transposed",
    "load_1",
    "load_1_if",
    "load_2",
    "load_4",
    "matrix_descriptor",
    "matrix_descriptor_on_device",
    "mma_bf16",
    "mma_f16",
    "mma_tf32",
    "multiply_add_2",
    "round_to_tf32",
    "shared_address",
    "static",
    "store_1",
    "store_2",
    "store_4",
    "sum_over_block",
    "twin_of",
    "unbits",
    "unflatten_on_device",
    "unrolled",
    "wait_copies_0",
    "wait_copies_1",
    "wait_copies_2",
    "wait_copies_3",
    "wait_warpgroup_0",
    "wait_warpgroup_1",
    "warp_max",
    "warp_sum",
    "warpgroup_fence",
    "wgmma_bf16",
    "wgmma_f16",
    "wgmma_tf32",
]
