#!/usr/bin/env bash
# numba-cuda 0.30.4 with the CUDA 13.5 wheels: a kernel that uses bfloat16 does not link if it has line numbers.
#
# cuda.jit(lineinfo=True) is the usual way to see lines in a profiler or a disassembly. With bfloat16 (or another
# function that numba-cuda takes from CUDA's C++ headers through NVRTC), nvJitLink refuses the link-time code of the two
# compilers: numba-cuda marks its debug information as one to warn about (behaviour 2 of LLVM's module flags) where NVRTC
# marks its own as an error (behaviour 1). No GPU is needed to see it.
#
# Seen: without lines linked; with lines "linking module flags 'Debug Info Version': IDs have conflicting behaviors".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "numba-cuda[cu13]==0.30.4" "numpy<2.5"
cat > "$folder/find.py" <<'PYTHON'
from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import cuda
from numba.cuda import types
from numba.cuda.bf16 import bfloat16


def narrow(x, out):
    i = cuda.grid(1)
    out[i] = bfloat16(x[i])


def linked(*, lines):
    """None if the link-time code of the kernel and its shims links, else the reason."""
    signature = types.void(types.float32[::1], types.bfloat16[::1])
    codes, _ = cuda.compile_all(
        narrow, signature, cc=(9, 0), lineinfo=lines, output="ltoir", device=False, abi="numba"
    )
    objects = [code if isinstance(code, ObjectCode) else ObjectCode.from_ltoir(code) for code in codes]
    try:
        Linker(*objects, options=LinkerOptions(arch="sm_90", link_time_optimization=True)).link("cubin")
    except Exception as error:
        return str(error)
    return None


without, with_lines = linked(lines=False), linked(lines=True)
print("without lines:", without or "linked")
print("with lines:", with_lines or "linked")
assert without is None, "it no longer links without lines"
assert with_lines and "Debug Info Version" in with_lines, "it links with lines now"
PYTHON
"$folder/bin/python" "$folder/find.py"
