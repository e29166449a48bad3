"""Barriers with a number and a count of threads, written as inline PTX: producers, consumers, warps in pairs."""

from llvmlite import ir
from numba import cuda, int32
from numba.cuda import types
from numba.cuda.extending import intrinsic

from cases.patterns.table import RACES, numbers, pattern
from convbench.emulator import FaultKind


@intrinsic
def wait_at(typingctx, number, threads):
    """Wait at the barrier of a number for a count of threads."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)] * 2)
        words = [builder.trunc(arg, ir.IntType(32)) if arg.type.width > 32 else arg for arg in args]
        builder.call(ir.InlineAsm(kind, "bar.sync $0, $1;", "r,r,~{memory}", side_effect=True), words)
        return context.get_dummy_value()

    return types.void(number, threads), generate


@intrinsic
def arrive_at_one(typingctx):
    """Arrive at barrier 1 of 64 threads."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(ir.InlineAsm(kind, "bar.arrive 1, 64;", "~{memory}", side_effect=True), [])
        return context.get_dummy_value()

    return types.void(), generate


@pattern(RACES, 1, 128, numbers(128, 128))
def pairs_of_warps_with_a_barrier_each(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(128, int32)
        i = cuda.threadIdx.x
        pair = i // 64
        tile[i] = x[i]  # here
        if not bug or pair == 0:
            wait_at(pair + 1, 64)
        y[i] = tile[i ^ 32]  # here

    return kernel


@pattern(frozenset({FaultKind.INCOMPLETE_BARRIER}), 1, 96, numbers(96, 96))
def named_barrier_that_waits_for_one_warp_too_many(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(96, int32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        if i < 64:
            wait_at(1, 96 if bug else 64)  # here
            y[i] = tile[63 - i]

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def producer_that_arrives_before_it_has_written(bug):
    @cuda.jit
    def kernel(x, y):
        box = cuda.shared.array(32, int32)
        i = cuda.threadIdx.x
        if i < 32:
            if bug:
                arrive_at_one()
            box[i] = x[i] * 2  # here
            if not bug:
                arrive_at_one()
        else:
            wait_at(1, 64)
            y[i] = box[63 - i]  # here

    return kernel


@pattern(frozenset({FaultKind.INCOMPLETE_BARRIER, FaultKind.EARLY_EXIT}), 1, 64, numbers(64, 64))
def warps_that_wait_at_two_numbers(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        wait_at(2 if bug and i >= 32 else 1, 64)  # here
        y[i] = x[i]

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def lanes_that_are_active_together(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i] = x[i]  # here
        if x[i] > 4:
            mask = cuda.activemask()
            if mask >> (i % 32) & 1:
                y[i] = 1
        if not bug:
            cuda.syncthreads()
        y[i] += tile[(i + 1) % 64]  # here

    return kernel
