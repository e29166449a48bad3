"""Intrinsics for instructions without operands: fences, commits of groups, and waits."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.intrinsics.addresses import ptx
from convbench.intrinsics.twins import with_twin

_VOID = ir.VoidType()


def bare(text: str, twin: Callable[[], None]) -> Any:
    """The intrinsic of an instruction without operands; `text` is its PTX."""

    @with_twin(twin)
    @intrinsic
    def instruction(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            ptx(builder, text, _VOID, [], "")
            return context.get_dummy_value()

        return types.void(), generate

    return instruction
