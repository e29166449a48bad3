"""The unit of a multiprocessor that executes an instruction of PTX, as far as PTX tells.

Source: NVIDIA Nsight Compute documentation, "Metrics Decoder", pipelines. Moves, conversions of addresses and loads of
parameters mostly become no instruction of the machine, or an operand of another one.
"""

FMA, IMAD, ALU, FP64, SFU, TENSOR = "fma", "imad", "alu", "fp64", "sfu", "tensor"
MEMORY, CONTROL, MOVE = "memory", "control", "move"

_BY_OPCODE = {
    **dict.fromkeys(("ld", "ldu", "st", "atom", "red", "cp", "ldmatrix", "stmatrix", "shfl", "prefetch"), MEMORY),
    **dict.fromkeys(("mma", "wmma", "wgmma"), TENSOR),
    **dict.fromkeys(("rcp", "sqrt", "rsqrt", "sin", "cos", "ex2", "lg2", "tanh", "div", "popc", "clz", "brev"), SFU),
    **dict.fromkeys(("bra", "brx", "ret", "exit", "call", "bar", "barrier", "membar", "fence", "mbarrier"), CONTROL),
    **dict.fromkeys(("trap", "brkpt", "nanosleep", "activemask", "vote", "match", "redux", "elect"), CONTROL),
    **dict.fromkeys(("mov", "cvta", "isspacep", "mapa", "createpolicy"), MOVE),
}
_PRODUCTS = {"mul", "mad", "fma", "mul24", "mad24", "dp4a", "dp2a"}
_FLOATING = {"f32", "f16", "f16x2", "bf16", "bf16x2", "f32x2"}
_ON_ALU = {"min", "max", "setp", "set", "selp", "slct", "abs", "neg", "copysign", "testp"}


def pipe_of(opcode: str, kinds: list[str], modifiers: tuple[str, ...]) -> str:
    """The unit that executes an instruction, by its opcode, its types and its other modifiers."""
    if opcode == "ld" and "param" in modifiers:
        return MOVE
    if opcode == "st" and "param" in modifiers:
        return MOVE
    if opcode == "wmma" and not {"mma"} & set(modifiers):
        return MEMORY
    if opcode in ("div", "rem") and not (_FLOATING | {"f64"}) & set(kinds):
        return IMAD
    if opcode in _BY_OPCODE and not (opcode in ("div", "rcp", "sqrt", "rsqrt") and "f64" in kinds):
        return _BY_OPCODE[opcode]
    if "f64" in kinds:
        return FP64
    if opcode == "cvt":
        return SFU if _FLOATING & set(kinds) else ALU
    if opcode in _PRODUCTS:
        return FMA if _FLOATING & set(kinds) else IMAD  # the same unit, but integers take longer
    if opcode in ("add", "sub") and _FLOATING & set(kinds):
        return FMA
    return ALU


SUMS = "add", "sub"  # of integers: ptxas gives them to the ALU or to the unit for products, where there is room
_WIDE_INTEGERS = {"s64", "u64", "b64"}
_DIVISIONS = {"32": 20, "64": 70}  # instructions of a quotient or remainder, which is a subroutine
_ROOTS = {"div": 10, "sqrt": 8, "rcp": 6}  # with correct rounding; approximations are one instruction


def slots_of(pipe: str, opcode: str, kinds: list[str], modifiers: tuple[str, ...]) -> int:
    """The instructions of the machine that an instruction of PTX becomes, about, as ptxas 13.5 writes them.

    The registers of the machine have 32 bits, so integers of 64 bits take two instructions or more.
    """
    if pipe == MOVE or "pred" in modifiers:
        return 0  # a comparison combines its result with a predicate
    if opcode in ("div", "rem") and not {"f32", "f64"} & set(kinds):
        return _DIVISIONS["64" if _WIDE_INTEGERS & set(kinds) else "32"]
    if opcode in _ROOTS and "approx" not in modifiers:
        return _ROOTS[opcode]
    if opcode == "cvt" and "sat" in modifiers and "f64" in kinds:
        return 2  # one comparison for each end
    if _WIDE_INTEGERS & set(kinds) and pipe in (ALU, IMAD):
        if opcode in _PRODUCTS and "wide" not in modifiers:
            return 4
        return 1 if opcode in ("cvt", "mul", "mad") else 2
    return 1
