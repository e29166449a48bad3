#!/usr/bin/env bash
# NVRTC 13.5.37, sm_90: in a * b + c * d, the order of the loads, not of the terms, decides which product is fused.
#
# One of the two products becomes part of a fused multiply-add and is exact. The other one is rounded. A reader of
# `a * b + c * d` expects the compiler to take the one or the other by its place in the sum. NVVM sorts the operands of
# commutative additions first, also those of floats, by a rank that grows from load to load. So `c * d + a * b` gives the
# same instruction as `a * b + c * d`, and to move two loads changes the last bit of the result.
# CUDA's documentation on floating point says that products and sums are contracted; it does not say which.
#
# Seen, the factors of fma.rn.f32: a and b where a and b are loaded first, c and d where c and d are, for both orders of
# the terms.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet nvidia-cuda-nvrtc==13.5.37 cuda-bindings==13.5.0
cat > "$folder/find.py" <<'PYTHON'
import re

from cuda.bindings import nvrtc

SOURCE = """
extern "C" __global__ void sum(const float *x, float *y) {
    float LOADS;
    y[0] = TERMS;
}
"""
LOADS = "a = x[0], b = x[1], c = x[2], d = x[3]", "c = x[2], d = x[3], a = x[0], b = x[1]"
TERMS = "a * b + c * d", "c * d + a * b"


def call(name, *arguments):
    error, *found = getattr(nvrtc, name)(*arguments)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, (name, error)
    return found[0] if found else None


def factors(loads, terms):
    """The names of the factors of the fused multiply-add."""
    source = SOURCE.replace("LOADS", loads).replace("TERMS", terms)
    program = call("nvrtcCreateProgram", source.encode(), b"sum.cu", 0, [], [])
    call("nvrtcCompileProgram", program, 1, [b"-arch=sm_90"])
    ptx = bytes(call("nvrtcGetPTXSize", program))
    call("nvrtcGetPTX", program, ptx)
    loaded = re.finditer(r"ld\.global\.f32\s+(%\w+), \[%rd\d+(?:\+(\d+))?\]", ptx.decode())
    name_of = {load[1]: "abcd"[int(load[2] or 0) // 4] for load in loaded}
    fused = re.search(r"fma\.rn\.f32\s+%\w+, (%\w+), (%\w+), ", ptx.decode())
    return "".join(sorted(name_of[fused[place]] for place in (1, 2)))


found = {(loads, terms): factors(loads, terms) for loads in LOADS for terms in TERMS}
for (loads, terms), names in found.items():
    print(f"{loads:40} {terms}: fused is {' * '.join(names)}")
assert list(found.values()) == ["ab", "ab", "cd", "cd"], "NVVM fuses in another way now"
PYTHON
"$folder/bin/python" "$folder/find.py"
