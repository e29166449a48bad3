"""Register-tiled products for the emulator's benchmark, and the multiply-adds that this processor can do."""

import ctypes
import time
from collections.abc import Callable, Iterator

import llvmlite.binding as llvm
import numpy as np

from algorithms.gemm.batched import Tile, launch_batched_gemm
from algorithms.gemm.tiled_config import TiledConfig
from convbench import parse
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice

BATCHES, SIDE = 4, 256
LAYER = parse("n1c64h56w56-k64r3s3-pad1")
TILES = {
    "32 x 32": TiledConfig(),
    "64 x 64": TiledConfig(tile_k=64, tile_o=64, thread_k=8, thread_o=8),
    "64 x 128": TiledConfig(tile_k=64, tile_o=128, thread_k=8, thread_o=8),
}
_VECTORS, _LANES, _ROUNDS = 12, 16, 2_000_000


def works(code: str) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """The name, the multiply-adds and the launches of each product, as LLVM code or as PTX."""
    device = EmulatorDevice(workers=1, code=code)
    rng = np.random.default_rng(0)
    x = device.upload(rng.standard_normal(LAYER.x_shape).astype(np.float32))
    w = device.upload(rng.standard_normal(LAYER.w_shape).astype(np.float32))
    for name, config in TILES.items():
        plan = registry.get("implicit_gemm").plan(LAYER, device, config=config)
        plan.load(w)
        y = device.empty(LAYER.y_shape, np.float32)
        yield f"implicit GEMM, tiles of {name}", LAYER.macs, lambda plan=plan, y=y: plan.run(x, y)
    u, v = (device.upload(rng.standard_normal((BATCHES, SIDE, SIDE)).astype(np.float32)) for _ in range(2))
    m = device.empty((BATCHES, SIDE, SIDE), np.float32)
    tile = Tile(tile_i=64, tile_j=64, thread_i=8, thread_j=8)
    name = f"batched GEMM, {BATCHES} of {SIDE} cubed, tiles of 64 x 64"
    yield name, BATCHES * SIDE**3, lambda: launch_batched_gemm(device, u, v, m, tile=tile)


def peak_ns() -> float:
    """Nanoseconds of one core for one fused multiply-add of float32, in vectors that do not wait for each other."""
    vector = f"<{_LANES} x float>"
    before = "".join(f"  %s{i} = phi {vector} [ zeroinitializer, %entry ], [ %n{i}, %loop ]\n" for i in range(_VECTORS))
    after = "".join(
        f"  %n{i} = call {vector} @llvm.fma.v{_LANES}f32({vector} %s{i}, {vector} %b, {vector} %b)\n"
        for i in range(_VECTORS)
    )
    sums = "".join(
        f"  %t{i} = fadd {vector} %n{i}, {'zeroinitializer' if i == 0 else f'%t{i - 1}'}\n" for i in range(_VECTORS)
    )
    text = (
        f"declare {vector} @llvm.fma.v{_LANES}f32({vector}, {vector}, {vector})\n"
        f"define void @peak(i64 %rounds, {vector}* %at) {{\nentry:\n  %b = load {vector}, {vector}* %at, align 4\n"
        f"  br label %loop\nloop:\n  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n{before}{after}"
        "  %next = add i64 %i, 1\n  %more = icmp ult i64 %next, %rounds\n  br i1 %more, label %loop, label %end\n"
        f"end:\n{sums}  store {vector} %t{_VECTORS - 1}, {vector}* %at, align 4\n  ret void\n}}\n"
    )
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    with llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine) as engine:
        engine.finalize_object()
        peak = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(engine.get_function_address("peak"))
        values = np.full(_LANES, 0.5, np.float32)
        least = float("inf")
        for _ in range(5):
            start = time.process_time()
            peak(_ROUNDS, values.ctypes.data)
            least = min(least, time.process_time() - start)
    return least / (_ROUNDS * _VECTORS * _LANES) * 1e9
