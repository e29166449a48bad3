#!/usr/bin/env bash
# numba-cuda-mlir 0.6.0: print of a 32-bit integer stores four bytes for a format that reads eight.
#
# The kernel's PTX calls vprintf with the format "%lld", which takes a 64-bit argument, and stores the index of the thread
# as 32 bits in a buffer of that size. So the upper half of the number that is printed is whatever lies behind. The
# kernel is compiled without a GPU; the one patch that this needs names the compute capability.
#
# Seen: the bytes of "%lld\n" as the format, a local buffer of four bytes, one store of 32 bits to it and none of 64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "numba-cuda-mlir[cu13]==0.6.0" "numpy<2.5"
cat > "$folder/find.py" <<'PYTHON'
import re

import numba_cuda_mlir.tools

numba_cuda_mlir.tools._cached_cc = 9, 0  # it asks for the device's, whatever it compiles for
from numba_cuda_mlir import cuda, types


def prints(x):
    print(cuda.threadIdx.x)


code, *_ = cuda.compile_ptx(prints, (types.Array(types.float32, 1, "A"),), cc=(9, 0))
listed = re.search(r"printfFormat_0\[\d+\] = \{([\d, ]+)\}", code)
assert listed, "the format is no longer where this script looks for it"
text = bytes(int(byte) for byte in listed[1].split(",")).rstrip(b"\0").decode()
buffer = int(re.search(r"__local_depot0\[(\d+)\]", code)[1])
stores = re.findall(r"st\.local\.[bu](\d+)", code)
print(f"format {text!r}, buffer of {buffer} bytes, stores of {', '.join(stores)} bits")
assert text == "%lld\n", "the format is another one now"
assert buffer == 4 and stores == ["32"], "the buffer has room for what the format reads now"
PYTHON
"$folder/bin/python" "$folder/find.py"
