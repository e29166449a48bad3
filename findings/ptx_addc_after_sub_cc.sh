#!/usr/bin/env bash
# PTX ISA 9.0 and ptxas 13.5.37 (nvidia-cuda-nvcc on PyPI): addc after sub.cc reads the complement of the borrow.
#
# The ISA says that sub.cc writes the borrow to the carry flag CC.CF, that subc subtracts CC.CF, and that addc adds it
# (PTX ISA, "Extended-Precision Integer Arithmetic Instructions"). 1 - 2 borrows, so the flag would be 1: subc.u32 of 10
# and 0 would be 9, and addc.u32 of 0 and 0 would be 1. ptxas folds the first to 9 and the second to 0: for addc the flag
# is what hardware has, a carry, which is 0 if there was a borrow. An emulator that takes the text at its word computes
# wrong quotients of 128-bit integers, whose code mixes the two.
#
# Seen, the words that the machine code stores behind sub.cc.u32 of 1 and 2: 9 by subc, 0 by addc.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet nvidia-cuda-nvcc==13.5.37 nvidia-cuda-nvdisasm==13.5.37
cat > "$folder/find.py" <<'PYTHON'
import re
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])
tools = {file.name: file for file in folder.rglob("bin/*")}
ptx = folder / "k.ptx"
ptx.write_text("""
.version 9.0
.target sm_90
.address_size 64
.visible .entry k(.param .u64 out)
{
    .reg .b64 %out;
    .reg .b32 %r<9>;
    ld.param.u64 %out, [out];
    mov.u32 %r1, 1;
    mov.u32 %r2, 2;
    sub.cc.u32 %r3, %r1, %r2;
    subc.u32 %r4, 10, 0;
    st.global.b32 [%out], %r4;
    sub.cc.u32 %r5, %r1, %r2;
    addc.u32 %r6, 0, 0;
    st.global.b32 [%out+16], %r6;
    ret;
}
""")
subprocess.run([tools["ptxas"], "-arch=sm_90", str(ptx), "-o", str(folder / "k.cubin")], check=True)
disassemble = [tools["nvdisasm"], "-c", str(folder / "k.cubin")]
sass = subprocess.run(disassemble, check=True, capture_output=True, text=True).stdout
known, stored = {"RZ": 0}, {}
for line in re.findall(r"/\*[0-9a-f]{4}\*/\s+(.*?)\s*;", sass):
    if store := re.match(r"STG\.E desc\[\w+\]\[R\d+\.64(?:\+(0x[0-9a-f]+))?\], (R\w+)", line):
        stored[int(store[1] or "0", 16)] = known.get(store[2])
    elif half := re.match(r"HFMA2(?:\.MMA)? (R\d+), -RZ, RZ, 0, (\S+)", line):
        known[half[1]] = round(float(half[2]) / 2**-24)  # small integers as the bits of a subnormal half
    elif move := re.match(r"(?:MOV|IMAD\.MOV\.U32) (R\d+), (?:RZ, RZ, )?(0x[0-9a-f]+|RZ)", line):
        known[move[1]] = known["RZ"] if move[2] == "RZ" else int(move[2], 16)
print("behind sub.cc of 1 and 2: subc of 10 and 0 is", stored[0], "and addc of 0 and 0 is", stored[16])
assert stored[0] == 9, "subc no longer subtracts the borrow, or the machine code is no longer as this script reads it"
assert stored[16] == 0, "addc adds the borrow now"
PYTHON
"$folder/bin/python" "$folder/find.py" "$folder"
