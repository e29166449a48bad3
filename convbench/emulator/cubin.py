"""Properties of a kernel, read from a cubin: an ELF file with sections that NVIDIA's tools document by their output.

Sections `.nv.info` hold records: a format, an attribute, and a value of 16 bits that is the size of what follows where
the format is 4. `cuobjdump -elf` prints them with their names.
"""

import struct
from dataclasses import dataclass

from convbench.emulator.limits import MAX_THREADS
from convbench.emulator.state import WARP

SIZED = 4  # the format of a record with bytes behind it
FRAME_SIZE, REGISTERS, MOST_THREADS = 0x11, 0x2F, 0x05  # EIATTR_FRAME_SIZE, EIATTR_REGCOUNT, EIATTR_MAX_THREADS
# of a multiprocessor of compute capability 9.0: CUDA C++ Programming Guide, "Technical Specifications"
REGISTER_FILE, REGISTER_UNIT, WARPS_TOGETHER = 65536, 256, 4
RESIDENT_THREADS, RESIDENT_BLOCKS, SHARED_BYTES, RESERVED_BYTES = 2048, 32, 228 * 1024, 1024


@dataclass(frozen=True)
class Properties:
    """What an assembler says of a kernel."""

    registers: int
    shared: int
    local: int
    constants: int
    bound: int  # threads of a block that the kernel promised; 0 if it promised none

    @property
    def warps(self) -> int:
        """The warps whose registers a multiprocessor can hold at once."""
        each = -(-self.registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
        return REGISTER_FILE // each // WARPS_TOGETHER * WARPS_TOGETHER

    @property
    def most_threads(self) -> int:
        """The threads that a block can have."""
        return min(MAX_THREADS, self.bound or MAX_THREADS, self.warps * WARP)

    def blocks_per_multiprocessor(self, threads: int, dynamic_bytes: int) -> int:
        """The blocks that run at once on a multiprocessor."""
        warps = -(-threads // WARP)
        shared = self.shared + dynamic_bytes + RESERVED_BYTES
        fit = RESIDENT_BLOCKS, RESIDENT_THREADS // (warps * WARP), self.warps // warps, SHARED_BYTES // shared
        return min(fit)


class Cubin:
    """The sections of a cubin."""

    def __init__(self, image: bytes) -> None:
        (offset,) = struct.unpack_from("<Q", image, 0x28)
        size, count, names = struct.unpack_from("<HHH", image, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", image, offset + number * size) for number in range(count)]
        table = headers[names][4]
        self._sizes: dict[str, int] = {}
        self._bytes: dict[str, bytes] = {}
        for header in headers:
            begin = table + header[0]
            name = image[begin : image.index(b"\0", begin)].decode()
            self._sizes[name] = header[5]
            self._bytes[name] = image[header[4] : header[4] + header[5]]
        self._symbols = self._names()

    def _names(self) -> list[str]:
        symbols, strings = self._bytes[".symtab"], self._bytes[".strtab"]
        found = []
        for place in range(0, len(symbols), 24):
            (begin,) = struct.unpack_from("<I", symbols, place)
            found.append(strings[begin : strings.index(b"\0", begin)].decode())
        return found

    def _records(self, section: str) -> list[tuple[int, bytes]]:
        raw, place, found = self._bytes.get(section, b""), 0, []
        while place < len(raw):
            form, attribute, value = struct.unpack_from("<BBH", raw, place)
            place += 4
            if form == SIZED:
                found.append((attribute, raw[place : place + value]))
                place += value
        return found

    def _of_function(self, wanted: int, name: str) -> int:
        for attribute, raw in self._records(".nv.info"):
            if attribute == wanted:
                symbol, value = struct.unpack("<II", raw)
                if self._symbols[symbol] == name:
                    return int(value)
        return 0

    def properties(self, name: str) -> Properties:
        """The properties of a kernel."""
        records = self._records(f".nv.info.{name}")
        bounds = [struct.unpack("<III", raw) for attribute, raw in records if attribute == MOST_THREADS]
        x, y, z = bounds[0] if bounds else (0, 0, 0)
        return Properties(
            self._of_function(REGISTERS, name),
            max(self._sizes.get(f".nv.shared.{name}", 0) - RESERVED_BYTES, 0),  # the section begins with the system's
            self._of_function(FRAME_SIZE, name),
            self._sizes.get(".nv.constant3", 0),
            x * y * z,
        )
