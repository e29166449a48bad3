"""Measure the emulator's speed against the same loops compiled by numba.njit: `python -m nox -s emulator_speed`.

Every figure is the least of several runs, in processor time of one core, so that other work on the machine counts
little; the sides of a ratio take turns. Prints a Markdown table, and fails where a promise is broken.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runs.emulator_benchmark_kernels import (
    SIDE,
    naive_convolution,
    naive_loops,
    nothing,
    only_barriers,
    only_shuffles,
    tiled_gemm,
    tiled_loops,
)

SMALL_LAYER = 16, 28  # channels and extent
SMALL_GEMM = 128, 128, 64


@dataclass(frozen=True)
class Line:
    """One line of the table. A promise is the upper limit of the figure, or the lower limit if it is negative."""

    what: str
    figure: float
    unit: str
    promise: float | None = None

    def __str__(self) -> str:
        kept = (
            ""
            if self.promise is None
            else f"at most {self.promise:g}"
            if self.promise > 0
            else f"at least {-self.promise:g}"
        )
        return f"| {self.what} | {self.figure:.3g} {self.unit} | {kept} |"

    @property
    def is_broken(self) -> bool:
        if self.promise is None:
            return False
        return self.figure > self.promise if self.promise > 0 else self.figure < -self.promise


def least_s(*works: Callable[[], object], times: int = 5) -> list[float]:
    """The least processor time of each function. One run of each compiles; then they take turns."""
    for work in works:
        work()
    least = [float("inf")] * len(works)
    for _ in range(times):
        for number, work in enumerate(works):
            start = time.process_time()
            work()
            least[number] = min(least[number], time.process_time() - start)
    return least


def main() -> int:
    """Measure and print; returns the exit status, which is 0 if every promise is kept."""
    interpreted = simulate()
    lines = [*convolution(interpreted["convolution"]), *gemm(interpreted["gemm"]), *products(), *small_things()]
    print(f"One core of {os.cpu_count()}; the emulator with one worker.\n")
    print("| what | measured | promised |\n| --- | --- | --- |")
    for line in lines:
        print(line)
    return int(any(line.is_broken for line in lines))


def simulate() -> dict[str, float]:
    """Seconds of the small shapes in Numba's own simulator, measured in a separate process."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "runs.emulator_benchmark", "--simulate"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def simulated() -> dict[str, float]:
    """The measurements of that process."""
    x, w, y = _layer(*SMALL_LAYER)
    a, b, out = _matrices(*SMALL_GEMM)
    works = {
        "convolution": lambda: naive_convolution[-(-y.size // 128), 128](x, w, y, 1),
        "gemm": lambda: tiled_gemm[(2, 2), SIDE * SIDE](a, b, out),
    }
    found = {}
    for name, work in works.items():
        start = time.process_time()
        work()
        found[name] = time.process_time() - start
    return found


def convolution(interpreted: float) -> list[Line]:
    """64 channels of 56 x 56 for the fast mode, and a shape that the simulator can finish in a minute."""
    from convbench.emulator import Emulator  # not at the top: Numba's simulator and the emulator exclude each other

    fast, checked = Emulator(workers=1, code="llvm"), Emulator(checked=True, orders=("forward",))
    lowered = Emulator(workers=1, code="ptx")
    x, w, y = _layer(64, 56)
    loops, fused = np.empty_like(y), np.empty_like(y)
    macs = y.size * 64 * 9
    grid = -(-y.size // 128)
    native, ours, ptx = least_s(
        lambda: naive_loops(x, w, loops, 1),
        lambda: fast.launch(naive_convolution, grid, 128, x, w, y, 1),
        lambda: lowered.launch(naive_convolution, grid, 128, x, w, fused, 1),
    )
    assert np.array_equal(y, fused), "LLVM code and PTX differ"
    assert np.allclose(y, loops, rtol=1e-4, atol=1e-4), "the emulator and njit, which fuses nothing, differ"
    x, w, y = _layer(*SMALL_LAYER)
    grid, small = -(-y.size // 128), y.size * SMALL_LAYER[0] * 9
    ours_small, watched = least_s(
        lambda: fast.launch(naive_convolution, grid, 128, x, w, y, 1),
        lambda: checked.launch(naive_convolution, grid, 128, x, w, y, 1),
    )
    return [
        Line(f"naive convolution, {macs / 1e6:.0f} M MACs, njit", native / macs * 1e9, "ns/MAC"),
        Line("the same, emulated", ours / macs * 1e9, "ns/MAC"),
        Line("emulated / njit", ours / native, "", 1.3),
        Line("the same, as PTX", ptx / macs * 1e9, "ns/MAC"),
        Line("as PTX / emulated", ptx / ours, "", 1.1),
        Line(f"naive convolution, {small / 1e6:.1f} M MACs, Numba's simulator", interpreted / small * 1e9, "ns/MAC"),
        Line("Numba's simulator / emulated", interpreted / ours_small, "", -1000),
        Line("naive convolution, checked", watched / small * 1e9, "ns/MAC", 25),
    ]


def _layer(channels: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((channels, side, side)).astype(np.float32)
    w = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    return x, w, np.empty((channels, side, side), np.float32)


def gemm(interpreted: float) -> list[Line]:
    """512 cubed for both modes; 128 x 128 x 64 for the simulator."""
    from convbench.emulator import Emulator

    fast, checked = Emulator(workers=1, code="llvm"), Emulator(checked=True, orders=("forward",))
    every_order, lowered = Emulator(checked=True), Emulator(workers=1, code="ptx")
    a, b, out = _matrices(512, 512, 512)
    loops, fused = np.empty_like(out), np.empty_like(out)
    grid, macs = (8, 8), 512**3
    native, ours, ptx, watched, orders = least_s(
        lambda: tiled_loops(a, b, loops),
        lambda: fast.launch(tiled_gemm, grid, SIDE * SIDE, a, b, out),
        lambda: lowered.launch(tiled_gemm, grid, SIDE * SIDE, a, b, fused),
        lambda: checked.launch(tiled_gemm, grid, SIDE * SIDE, a, b, out),
        lambda: every_order.launch(tiled_gemm, grid, SIDE * SIDE, a, b, out),
        times=3,
    )
    assert np.array_equal(out, fused), "LLVM code and PTX differ"
    assert np.allclose(out, loops, rtol=1e-4, atol=1e-4), "the emulator and njit, which fuses nothing, differ"
    a, b, out = _matrices(*SMALL_GEMM)
    (small,) = least_s(lambda: fast.launch(tiled_gemm, (2, 2), SIDE * SIDE, a, b, out))
    return [
        Line("tiled GEMM, 512 cubed, njit by hand", native / macs * 1e9, "ns/MAC"),
        Line("the same, emulated", ours / macs * 1e9, "ns/MAC"),
        Line("emulated / njit by hand", ours / native, "", 2),
        Line("the same, as PTX", ptx / macs * 1e9, "ns/MAC"),
        Line("as PTX / njit by hand", ptx / native, "", 1.1),
        Line("checked", watched / macs * 1e9, "ns/MAC"),
        Line("checked / as PTX", watched / ptx, "", 40),
        Line("checked, in all three orders / as PTX", orders / ptx, "", 40),
        Line("tiled GEMM, 128 x 128 x 64, Numba's simulator / emulated", interpreted / small, "", -1000),
    ]


def _matrices(m: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((k, n)).astype(np.float32)
    return a, b, np.empty((m, n), np.float32)


def products() -> list[Line]:
    """Register-tiled products as LLVM code and as PTX, and the share of the processor's peak that PTX reaches."""
    from runs.emulator_products import peak_ns, works

    peak = peak_ns()
    lines = [Line("fused multiply-add of float32, the processor's peak", peak, "ns")]
    for (name, macs, as_llvm), (_, _, as_ptx) in zip(works("llvm"), works("ptx"), strict=True):
        llvm, ptx = (least / macs * 1e9 for least in least_s(as_llvm, as_ptx))
        lines += [
            Line(name, llvm, "ns/MAC"),
            Line("the same, as PTX", ptx, "ns/MAC"),
            Line("emulated / as PTX", llvm / ptx, ""),
            Line("share of the peak, as PTX", 100 * peak / ptx, "%"),
        ]
    return lines


def small_things() -> list[Line]:
    """Barriers, shuffles, threads and launches."""
    from convbench.emulator import Emulator

    fast = Emulator(workers=1)
    y = np.zeros(1024, np.float32)
    lines = []
    for threads in (32, 256, 1024):
        barriers, shuffles = least_s(
            lambda n=threads: fast.launch(only_barriers, 1, n, y, 1000),
            lambda n=threads: fast.launch(only_shuffles, 1, n, y, 1000),
        )
        lines.append(Line(f"barrier, {threads} threads", barriers / threads / 1000 * 1e9, "ns/thread"))
        lines.append(Line(f"shuffle, {threads} threads", shuffles / threads / 1000 * 1e9, "ns/thread"))

    def hundred() -> None:
        for _ in range(100):
            fast.launch(nothing, 1, 32, y)

    launches, threads = least_s(hundred, lambda: fast.launch(nothing, 10_000, 256, y))
    return [
        *lines,
        Line("launch that ran before", launches * 1e4, "us", 45),
        Line("thread", threads / 2.56e6 * 1e9, "ns"),
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--simulate"]:
        print(json.dumps(simulated()))
    else:
        sys.exit(main())
