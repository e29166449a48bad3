"""Launch every kernel that every algorithm offers, on the checked emulator: `nox -s configs`.

Each kernel has the first case that a fuzzer draws for it. Exit status 1 if a result is wrong or a kernel has a fault.
"""

import argparse
import sys
import time
from multiprocessing import get_context

from cases.every_config import every_kernel
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.emulator.disk import nothing_kept
from convbench.fuzz import FuzzCase, Verdict, judge
from convbench.records.environment import cores


def judged(case: FuzzCase) -> tuple[FuzzCase, Verdict]:
    """The verdict on a case, from kernels that are compiled for it alone."""
    with nothing_kept():
        return case, judge(case, registry.get(case.algorithm), EmulatorDevice(checked=True, workers=1))


def main() -> int:
    """Launch them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", action="append", choices=registry.names(), help="only these algorithms")
    names = parser.parse_args().algorithm or registry.names()
    status, begin = 0, time.perf_counter()
    with get_context("spawn").Pool(cores(), maxtasksperchild=40) as pool:
        for name in names:
            cases = list(every_kernel(name).values())
            failed = [one for one in pool.imap_unordered(judged, cases) if one[1].outcome != "passed"]
            took = time.perf_counter() - begin
            print(f"{name}: {len(cases)} kernels, {len(failed)} failed, {took:,.0f} s so far", flush=True)
            for case, verdict in failed:
                print(f"{case}\n    {verdict.outcome}: {verdict.reason}", flush=True)
            status |= bool(failed)
    return status


if __name__ == "__main__":
    sys.exit(main())
