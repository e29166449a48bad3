"""Intrinsics that access memory by its address, for functions that Numba compiles for the host."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def load(typingctx: Any, address: Any) -> Any:
    """Load the word of 64 bits at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], ir.IntType(64).as_pointer()))

    return types.int64(types.int64), generate


@intrinsic
def load_byte(typingctx: Any, address: Any) -> Any:
    """Load the byte at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(builder.inttoptr(values[0], ir.IntType(8).as_pointer()))

    return types.uint8(types.int64), generate


@intrinsic
def store(typingctx: Any, address: Any, value: Any) -> Any:
    """Write a word of 64 bits at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[1], builder.inttoptr(values[0], ir.IntType(64).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def store_byte(typingctx: Any, address: Any, value: Any) -> Any:
    """Write a byte at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[1], builder.inttoptr(values[0], ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.uint8), generate


@intrinsic
def load_word(typingctx: Any, address: Any) -> Any:
    """Load the unsigned word of 32 bits at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.load(builder.inttoptr(values[0], ir.IntType(32).as_pointer()))
        return builder.zext(word, ir.IntType(64))

    return types.int64(types.int64), generate


@intrinsic
def store_word(typingctx: Any, address: Any, value: Any) -> Any:
    """Write the low 32 bits of a value at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = builder.trunc(values[1], ir.IntType(32))
        builder.store(word, builder.inttoptr(values[0], ir.IntType(32).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def store_half(typingctx: Any, address: Any, value: Any) -> Any:
    """Write the low 16 bits of a value at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        half = builder.trunc(values[1], ir.IntType(16))
        builder.store(half, builder.inttoptr(values[0], ir.IntType(16).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def float_of(typingctx: Any, bits: Any) -> Any:
    """The float32 whose bits are the low 32 bits of a word."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(builder.trunc(values[0], ir.IntType(32)), ir.FloatType())

    return types.float32(types.int64), generate


@intrinsic
def bits_of(typingctx: Any, value: Any) -> Any:
    """The bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.zext(builder.bitcast(values[0], ir.IntType(32)), ir.IntType(64))

    return types.int64(types.float32), generate


@intrinsic
def double_of(typingctx: Any, bits: Any) -> Any:
    """The float64 with these bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """The value a · b + c in float64, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fma(*values)

    return types.float64(types.float64, types.float64, types.float64), generate
