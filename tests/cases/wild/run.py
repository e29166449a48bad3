"""Run wild kernels in fast mode, one after the other: `python -m cases.wild.run CODE [name …]`.

Prints the name of each kernel before it runs, then the outcome: "done", or the kind of error. After a crash, the last
line has the name of the kernel that crashed.
"""

import sys
from typing import Literal, cast

from numba.cuda.core.errors import NumbaError

from cases.wild import indices as wild_indices  # noqa: F401  (enters its kernels into the table)
from cases.wild import values as wild_values  # noqa: F401
from cases.wild.launches import CASES
from convbench.emulator import Emulator, EmulatorError, FaultKind, KernelFault


def main(code: Literal["llvm", "ptx"], names: list[str]) -> None:
    """Run the cases of these names, by default all."""
    emulator = Emulator(workers=2, code=code)
    for name in names or CASES:
        print(name, end=" ", flush=True)
        try:
            CASES[name](emulator)
        except KernelFault as fault:
            print(FaultKind(fault.kind).name, flush=True)
        except EmulatorError as error:
            print(type(error).__name__, flush=True)
        except NumbaError:
            print("NumbaError", flush=True)
        else:
            print("done", flush=True)


if __name__ == "__main__":
    main(cast("Literal['llvm', 'ptx']", sys.argv[1]), sys.argv[2:])
