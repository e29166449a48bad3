#!/usr/bin/env bash
# numba-cuda 0.30.4: all flags of a compilation have the same hash, whatever their values are.
#
# Flags are part of the key under which the implementations of an overloaded function are kept, so their hash is asked
# for at each call of such a function. `TargetConfig.__hash__` hashes `sorted(self.values())`, and `values()` is a dict:
# sorting it gives the names of the options, which are the same for all flags. So flags with other values collide, and a
# dict compares them one by one, each time through a property for every option. A dict of n different flags is filled by
# n (n - 1) / 2 comparisons or more, because the search for a free slot may come to one twice. Flags that hash their
# values would need next to none.
#
# Seen: one hash for 100 different flags, and more than 4,950 comparisons to put them into a dict (5,231 and others: names
# have other hashes in each process).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet "numba-cuda[cu13]==0.30.4" numba==0.68.1 llvmlite==0.50.0 "numpy<2.5"
cat > "$folder/find.py" <<'PYTHON'
from numba.cuda.flags import CUDAFlags

COUNT = 100
several = []
for number in range(COUNT):
    flags = CUDAFlags()
    flags.max_registers = number
    flags.compute_capability = (9, 0)
    several.append(flags)

compared = []
equal = CUDAFlags.__eq__


class Counted(CUDAFlags):
    __hash__ = CUDAFlags.__hash__

    def __eq__(self, other):
        compared.append(other)
        return equal(self, other)


kept = {}
for flags in several:
    kept[Counted(flags)] = flags
hashes = {hash(flags) for flags in several}
print(f"{len(hashes)} hash for {len(kept)} different flags, {len(compared):,} comparisons to put them into a dict")
assert (len(hashes), len(kept)) == (1, COUNT), "flags are hashed otherwise now"
assert len(compared) >= COUNT * (COUNT - 1) // 2, "flags are compared otherwise now"
PYTHON
"$folder/bin/python" "$folder/find.py"
