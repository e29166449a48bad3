"""The unit of a multiprocessor that executes an instruction of PTX, as far as PTX tells.

Source: NVIDIA Nsight Compute documentation, "Metrics Decoder", pipelines. Moves, conversions of addresses and loads of
parameters mostly become no instruction of the machine, or an operand of another one.
"""

FMA, ALU, FP64, SFU, TENSOR, MEMORY, CONTROL, MOVE = "fma", "alu", "fp64", "sfu", "tensor", "memory", "control", "move"
PIPES = (FMA, ALU, FP64, SFU, TENSOR, MEMORY, CONTROL, MOVE)

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
    if opcode in _BY_OPCODE and not (opcode in ("div", "rcp", "sqrt", "rsqrt") and "f64" in kinds):
        return _BY_OPCODE[opcode]
    if "f64" in kinds:
        return FP64
    if opcode == "cvt":
        return SFU if _FLOATING & set(kinds) else ALU
    if opcode in _PRODUCTS:
        return FMA
    if opcode in ("add", "sub") and _FLOATING & set(kinds):
        return FMA
    return ALU
