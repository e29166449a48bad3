"""Arithmetic on pairs of float32 (`fma.rn.f32x2`): each of the two is computed as one number alone would be."""

DECLARED = "declare float @llvm.fma.f32(float, float, float)"
_TEXT = (
    "{ .reg .b64 a, b, c; mov.b64 a, {$2, $2}; mov.b64 b, {$3, $4}; mov.b64 c, {$5, $6}; "
    "fma.rn.f32x2 c, a, b, c; mov.b64 {$0, $1}, c; }"
)
_PAIR = "{float, float}"


def bodies() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Result type, parameters and body by PTX, as in `inline_ptx`. Both products have the same first factor."""
    body = ""
    for lane, before in enumerate(("undef", "%r0")):
        name = "%r" if lane else "%r0"
        body += f"  %sum{lane} = call float @llvm.fma.f32(float %factor, float %x{lane}, float %c{lane})\n"
        body += f"  {name} = insertvalue {_PAIR} {before}, float %sum{lane}, {lane}\n"
    return {_TEXT: (_PAIR, ("float %factor", "float %x0", "float %x1", "float %c0", "float %c1"), body)}
