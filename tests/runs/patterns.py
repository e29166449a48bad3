"""Run every pattern of `cases.patterns`, right and with its mistake, in checked mode on both codes, and compare.

    python -m runs.patterns [name …]

It fails if a right kernel is accused or refused, or if a mistake is missed or told at another line.
"""

import sys
import time
from collections.abc import Sequence

from cases.patterns import misuse, named, reductions, scans, tiles, waiting, warps  # noqa: F401  (they fill the table)
from cases.patterns.table import TABLE, Pattern
from convbench.emulator import Emulator, EmulatorError, FaultKind, KernelFault, OrderDependenceError
from convbench.emulator.sources import Code

BUDGET = 20_000
CODES: tuple[Code, ...] = "llvm", "ptx"


def wrong(row: Pattern, code: Code, *, bug: bool) -> str:
    """What checked mode says that it must not say, or what it misses; "" if all is well."""
    emulator = Emulator(checked=True, code=code, budget=BUDGET, seed=7)
    blind = bug and row.blind == code
    try:
        row.launch(emulator, bug=bug)
    except KernelFault as fault:
        if not bug or blind:
            return f"accused: {fault}"
        if fault.kind not in row.kinds:
            return f"another kind ({FaultKind(fault.kind).name}): {fault}"
        return "" if fault.line in row.lines() else f"another line: {fault}"
    except OrderDependenceError as error:
        return "" if bug and None in row.kinds else f"order: {error}"
    except EmulatorError as error:
        return f"refused: {error}"
    return "missed" if bug and not blind else ""


def main(names: Sequence[str]) -> int:
    """Run the patterns of these names, or all. Returns the exit status."""
    if unknown := set(names) - set(TABLE):
        print(f"no such pattern: {', '.join(sorted(unknown))}; the patterns are {', '.join(TABLE)}", file=sys.stderr)
        return 2
    chosen = {name: row for name, row in TABLE.items() if not names or name in names}
    failed, start = 0, time.perf_counter()
    for name, row in chosen.items():
        for code in CODES:
            for bug in (False, True):
                if said := wrong(row, code, bug=bug):
                    failed += 1
                    print(f"{name}, {code}, {'faulty' if bug else 'right'}: {said}", flush=True)
    took = time.perf_counter() - start
    print(f"{len(chosen)} patterns, right and faulty, on {len(CODES)} codes: {failed} wrong; {took:.0f} s")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
