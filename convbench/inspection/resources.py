"""Read the resources of a kernel (registers, spills, shared memory) from the assembler's verbose log."""

import re
from dataclasses import dataclass

from convbench.errors import KernelError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources of a kernel: registers, stack and spills of a thread; shared memory and barriers of a block."""

    registers: int
    stack_bytes: int  # for local arrays and spilled registers
    spill_store_bytes: int
    spill_load_bytes: int
    static_shared_bytes: int  # without the 1 KiB that the system reserves
    barriers: int
    warnings: tuple[str, ...] = ()  # for example that asynchronous products are serialised

    @property
    def spill_bytes(self) -> int:
        return self.spill_store_bytes + self.spill_load_bytes


_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:, used (\d+) barriers)?")
_SHARED = re.compile(r"(\d+) bytes smem")
_WARNING = re.compile(
    r"^(?:ptxas\s+)?(?:warning|info)\s*:\s*(\(C\d+\).*|.*Potential Performance Loss.*)$|^ptxas warning\s*:\s*(.*)$"
)


def read_log(log: str, entry: str) -> Resources:
    """The resources of the kernel `entry`, from the log of the linker. Raises KernelError if the log lacks them."""
    section = log.partition(f"Function properties for {entry}\n")[2]
    frame, used = _FRAME.search(section), _USED.search(section)
    if frame is None or used is None:
        raise KernelError(f"the assembler does not say what {entry} takes; its log is {log!r}")
    line = section[used.start() :].partition("\n")[0]
    shared = _SHARED.search(line)
    stack, stores, loads = map(int, frame.groups())
    warnings = [match[1] or match[2] for match in map(_WARNING.match, log.splitlines()) if match]
    return Resources(
        registers=int(used[1]), stack_bytes=stack, spill_store_bytes=stores, spill_load_bytes=loads,
        static_shared_bytes=int(shared[1]) if shared else 0, barriers=int(used[2] or 0), warnings=tuple(warnings),
    )  # fmt: skip
