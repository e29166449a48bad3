#!/usr/bin/env bash
# numba-cuda 0.30.4: the barriers that count, syncthreads_count, syncthreads_and and syncthreads_or, refuse a comparison.
#
# Their argument is called a predicate, and CUDA C++ takes any expression that converts to int. numba-cuda types them
# for int32 alone, and a boolean does not convert, although it does for the votes of a warp, which take the same
# predicate. So `cuda.syncthreads_count(x[i] > 2)` is a TypingError, and the program has to write `1 if x[i] > 2 else 0`.
#
# Seen, compiled for compute capability 9.0 without a GPU: the three barriers refuse a boolean and take an integer;
# any_sync, all_sync and ballot_sync take a boolean.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "numba-cuda[cu13]==0.30.4" numba==0.68.1 llvmlite==0.50.0 "numpy<2.5"
cat > "$folder/find.py" <<'PYTHON'
from numba import cuda, types
from numba.core.errors import TypingError
from numba.cuda.core.errors import TypingError as CudaTypingError

BARRIERS = ("syncthreads_count", "syncthreads_and", "syncthreads_or")
VOTES = ("any_sync", "all_sync", "ballot_sync")


def compiles(name, predicate):
    mask = "0xFFFFFFFF, " if name in VOTES else ""
    source = f"def kernel(x):\n    i = cuda.grid(1)\n    x[i] = cuda.{name}({mask}{predicate})\n"
    names = {"cuda": cuda}
    exec(source, names)
    try:
        cuda.compile_ptx(names["kernel"], (types.int32[::1],), cc=(9, 0))
    except (TypingError, CudaTypingError) as error:
        assert f"{name}(bool)" in str(error), error
        return False
    return True


for name in (*BARRIERS, *VOTES):
    boolean, integer = compiles(name, "x[i] > 2"), compiles(name, "1 if x[i] > 2 else 0")
    print(f"{name}: a boolean {'compiles' if boolean else 'is refused'}, an integer {'compiles' if integer else 'is refused'}")
    assert integer
    assert boolean == (name in VOTES), "the types of predicates are others now"
PYTHON
"$folder/bin/python" "$folder/find.py"
