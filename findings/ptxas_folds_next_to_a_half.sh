#!/usr/bin/env bash
# ptxas 13.5.37 (nvidia-cuda-nvcc on PyPI): rounding the number next to 0.5 to the nearest integer is folded to 0.
#
# PTX's cvt.rni rounds to the nearest integer, and to the even one only if both are equally near (PTX ISA, "cvt"). The
# double 0.5 + 2^-53 is nearer to 1. ptxas folds it to 0 when the operand is a constant, as if it were 0.5. So a kernel
# can give another result when a value becomes known to the compiler. The number next to 1.5 and the one next to 2.5
# are folded rightly, and so is the float32 next to 0.5.
#
# Seen, the words that the machine code stores: 0 for 0.5 + 2^-53, where 1 is right; 2 and 3 for the numbers next to 1.5
# and 2.5; 1 for the float32 next to 0.5.
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
values = {"0d3FE0000000000001": "f64", "0d3FF8000000000001": "f64", "0d4004000000000001": "f64", "0f3F000001": "f32"}
lines = []
for number, (value, kind) in enumerate(values.items()):
    lines.append(f"cvt.rni.s32.{kind} %r{number}, {value};")
    lines.append(f"st.global.b32 [%out+{16 * number}], %r{number};")
ptx = folder / "k.ptx"
ptx.write_text(
    ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out)\n"
    "{\n.reg .b64 %out;\n.reg .b32 %r<9>;\nld.param.u64 %out, [out];\n" + "\n".join(lines) + "\nret;\n}\n"
)
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
found = [stored[16 * number] for number in range(len(values))]
print(dict(zip(values, found)))
assert found[1:] == [2, 3, 1], "the machine code is no longer as this script reads it"
assert found[0] == 0, "the number next to 0.5 is rounded to 1 now"
PYTHON
"$folder/bin/python" "$folder/find.py" "$folder"
