#!/usr/bin/env bash
# numba-cuda 0.30.4 with the CUDA 13.5 wheels: a float16 as a condition compiles to code that NVVM refuses.
#
# `if x[0]:` with a float32 array compiles. With a float16 array type inference and lowering succeed, because numba-cuda
# keeps a float16 as an integer of 16 bits; but its truth is tested by a floating comparison (`fcmp une i16`), which is no
# valid LLVM code. The error is NVVM's and names no line of the kernel. `if x[0] != np.float16(0):` compiles. No GPU is
# needed to see it.
#
# Seen: float32 compiled; float16 "nvvmError: ERROR_INVALID_IR (6)"; a comparison of float16 with 0 compiled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "numba-cuda[cu13]==0.30.4" "numpy<2.5"
cat > "$folder/find.py" <<'PYTHON'
import numpy as np
from numba import cuda
from numba.cuda import types


def is_true(x, out):
    if x[0]:
        out[0] = 1


def is_not_zero(x, out):
    if x[0] != np.float16(0):
        out[0] = 1


def compiled(function, kind):
    """None if the kernel compiles, else the reason."""
    try:
        cuda.compile_ptx(function, types.void(kind[::1], types.int32[::1]), cc=(9, 0))
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


single, half = compiled(is_true, types.float32), compiled(is_true, types.float16)
compared = compiled(is_not_zero, types.float16)
print("float32 as a condition:", single or "compiled")
print("float16 as a condition:", half or "compiled")
print("float16 compared with 0:", compared or "compiled")
assert single is None, "a float32 as a condition no longer compiles"
assert half and "INVALID_IR" in half, "a float16 as a condition compiles now, or fails in another way"
assert compared is None, "a comparison of a float16 with 0 no longer compiles"
PYTHON
"$folder/bin/python" "$folder/find.py"
