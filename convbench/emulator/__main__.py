"""Run a Numba CUDA program without a GPU: `python -m convbench.emulator script.py`."""

import argparse
import sys
from pathlib import Path

from convbench.emulator.program import Program, run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convbench.emulator",
        description="Run a Numba CUDA program on the emulator, which is the device that it sees.",
        allow_abbrev=False,
    )
    flags = {
        "--checked": "check every access and barrier",
        "--strict-index": "take a negative index for a fault",
        "--strict-return": "take a thread that returns before a barrier for a fault",
        "--strict-store": "take it for a race that several threads store one value",
        "--keep-going": "go on after a fault, and tell all faults at the end",
        "--profile": "count what the warps of each kernel do in its first launch, or in that of --only",
    }
    for flag, meaning in flags.items():
        parser.add_argument(flag, action="store_true", default=None, help=meaning)
    values = {
        "--only": ("KERNEL:N", "check (or profile) only the N-th launch of a kernel"),
        "--orders": ("NAMES", "orders of threads and blocks: forward, reverse, random"),
        "--budget": ("STEPS", "steps of loops that a thread may take in one block"),
        "--compute-capability": ("X.Y", "compute capability of the device"),
        "--memory": ("BYTES", "memory of the device, such as 8GiB"),
        "--code": ("CODE", "what runs: ptx or llvm"),
    }
    for option, (value, meaning) in values.items():
        parser.add_argument(option, metavar=value, help=meaning)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the findings as JSON")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write the findings as JUnit's XML")
    parser.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="a module to run, and its arguments")
    parser.add_argument("script", nargs=argparse.REMAINDER, help="a script to run, and its arguments")
    return parser


def main() -> None:
    """Read the command line and run the program."""
    parser = _parser()
    given = vars(parser.parse_args())
    module, script = given.pop("module"), given.pop("script")
    words = module or script
    if not words:
        parser.error("name a script, or a module with -m")
    json, junit = given.pop("json"), given.pop("junit")
    run(Program(words[0], words[1:], is_module=bool(module), json=json, junit=junit), given)


if __name__ == "__main__":
    sys.exit(main())  # type: ignore[func-returns-value]
