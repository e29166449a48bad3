#!/usr/bin/env bash
# LLVM 22.1.0 in llvmlite 0.50.0, x86-64: a select of a certain NaN in the place of a square root's NaN is dropped.
#
# LLVM's Language Reference lets arithmetic such as llvm.sqrt make a NaN of either sign, with the preferred payload. Its
# select is no arithmetic and keeps the bits ("Behavior of Floating-Point NaN values"; its issue 74297 calls a change of
# them a miscompilation). So to choose the NaN 0x7fffffff, which is every computed NaN of a GPU, where the root is a NaN
# has to give 0x7fffffff. From level 1 on, the code is sqrtss alone, and -1 gives the 0xffc00000 of the processor.
# The same choice behind an addition is kept. Whoever needs the bits has to compare and choose integers.
#
# Seen, the bits for the root of -1 and for NaN + NaN: 0x7fffffff and 0x7fffffff at level 0, and 0xffc00000 and
# 0x7fffffff at levels 1 to 3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet llvmlite==0.50.0
cat > "$folder/find.py" <<'PYTHON'
import ctypes
import math

import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def function(name, operation):
    return f"""
define void @{name}(float %x, ptr %out) {{
  %value = {operation}
  %is.nan = fcmp uno float %value, %value
  %chosen = select i1 %is.nan, float 0x7FFFFFFFE0000000, float %value
  store float %chosen, ptr %out
  ret void
}}
"""


TEXT = "declare float @llvm.sqrt.f32(float)\n"
TEXT += function("root", "call float @llvm.sqrt.f32(float %x)") + function("twice", "fadd float %x, %x")
found = []
for level in range(4):
    module = llvm.parse_assembly(TEXT)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=level)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=level))
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()

    def bits(name, value):
        out = ctypes.c_uint32()
        enter = ctypes.CFUNCTYPE(None, ctypes.c_float, ctypes.c_void_p)(engine.get_function_address(name))
        enter(value, ctypes.addressof(out))
        return hex(out.value)

    found.append((bits("root", -1.0), bits("twice", math.nan)))
    print(f"level {level}: root of -1 {found[-1][0]}, NaN + NaN {found[-1][1]}")
assert found == [("0x7fffffff", "0x7fffffff"), *[("0xffc00000", "0x7fffffff")] * 3], "LLVM behaves in another way now"
PYTHON
"$folder/bin/python" "$folder/find.py"
