"""The GPUs that times are predicted for: a table of chips (`chips.toml`), and what all chips of an architecture share.

A user's own chip is a TOML file with the same fields.
"""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean
from convbench.inspection import architecture as architectures

DEFAULT = "h200"
WARP = 32
MOST_CHARACTERS = 65_536  # of a file of chips


@dataclass(frozen=True)
class Rates:
    """What a multiprocessor does in a clock, and how long it takes.

    Sources: CUDA C++ Programming Guide, "Arithmetic Instructions", for lanes of arithmetic; the white papers of TU102,
    GA100, GA102, AD102, GH100 and GB202 for load/store units and L1 caches (that of GA102 has 128 bytes a clock for the
    bandwidth of shared memory, and 64 for Turing); published tables of latencies for V100,
    RTX 4090, GH200, B200 and RTX 5090 (L1, L2 and DRAM); Jia et al. 2018 and 2019, "Dissecting the NVIDIA Volta GPU
    architecture via microbenchmarking" and "… Turing T4 GPU …", for arithmetic, shared memory and the 64 bytes from L2;
    the white papers and data sheets for tensor cores; Sun et al. 2023, "Dissecting tensor cores via microbenchmarks",
    for the latency of a product of 16 × 8 × 16 on an A100; the machine code that ptxas 13.5 writes for `fma.rn.f32x2`:
    one FFMA2 for compute capabilities 10.0 and 10.3, and two FFMA for others. The guide gives both of the former 128
    results of float32 in a clock, so one FFMA2 occupies the lanes for as long as two FFMA.
    """

    fma: int  # lanes of float32
    alu: int  # lanes of integers
    float64: int
    functions: int
    memory: int  # load/store units: lanes whose addresses are taken in a clock
    l1_kib: int  # L1 cache and shared memory together
    l1_clocks: int
    l2_clocks: int
    dram_clocks: int
    tensor: int  # multiply-adds of 16 bits
    products: int = 64  # of integers
    arithmetic_clocks: int = 4
    shared_clocks: int = 23
    tensor_clocks: int = 33
    l2_bytes: int = 64
    l1_bytes: int = 128  # of the L1 cache and shared memory
    of_pair: int = 2  # instructions of the machine for one of PTX on a pair of float32


_RATES = {
    "sm_75": Rates(64, 64, 2, 16, 16, 96, 32, 188, 460, 512, l1_bytes=64),
    "sm_80": Rates(64, 64, 32, 16, 32, 192, 36, 221, 460, 1024),
    "sm_86": Rates(128, 64, 2, 16, 16, 128, 40, 296, 636, 512),
    "sm_87": Rates(128, 64, 2, 16, 16, 192, 40, 296, 636, 1024),
    "sm_89": Rates(128, 64, 2, 16, 16, 128, 40, 296, 636, 512),
    "sm_90": Rates(128, 64, 64, 16, 32, 256, 40, 281, 690, 2048),
    "sm_100": Rates(128, 64, 64, 16, 32, 256, 40, 295, 860, 4096, of_pair=1),
    "sm_103": Rates(128, 64, 2, 16, 32, 256, 40, 295, 860, 4096, of_pair=1),
    "sm_110": Rates(128, 64, 2, 16, 32, 256, 40, 295, 860, 4096),
    "sm_120": Rates(128, 128, 2, 16, 16, 128, 44, 360, 936, 512),
    "sm_121": Rates(128, 128, 2, 16, 16, 128, 44, 360, 936, 512),
}


@dataclass(frozen=True)
class Chip:
    """A GPU."""

    name: str
    architecture: str
    multiprocessors: int
    clock_mhz: float
    dram_gbytes: float
    l2_kib: int
    source: str

    @property
    def limits(self) -> architectures.Architecture:
        """The limits of its compute capability."""
        return architectures.get(self.architecture)

    @property
    def rates(self) -> Rates:
        """The rates of its multiprocessors."""
        return _RATES[self.limits.name]


@cache
def known() -> dict[str, Chip]:
    """All chips of the table, by their short names."""
    return _read((Path(__file__).parent / "chips.toml").read_text(encoding="utf-8"), "chips.toml")


def get(name: str) -> Chip:
    """The chip with this short name, or the only one of a TOML file.

    Raises UnknownNameError for a name that is not known, and ConvbenchError for a file that does not describe a chip.
    """
    if name.endswith(".toml"):
        try:
            found = _read(Path(name).read_text(encoding="utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            raise ConvbenchError(f"{name} cannot be read: {error}") from error
        if len(found) != 1:
            raise ConvbenchError(f"{name} describes {len(found)} chips; it must describe one: [mine] and its fields")
        return next(iter(found.values()))
    if name not in known():
        listed = ", ".join(known())
        raise UnknownNameError(f"GPU {name!r} is unknown; there are {listed}{did_you_mean(name, known())}")
    return known()[name]


def _read(text: str, file: str) -> dict[str, Chip]:
    if len(text) > MOST_CHARACTERS:
        raise ConvbenchError(f"{file} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read")
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and lists in lists in lists
        raise ConvbenchError(f"{file} is no TOML: {error}") from error
    return {name: _chip(table, f"{file}, [{name}]") for name, table in tables.items()}


def _chip(table: object, where: str) -> Chip:
    names = {field.name for field in fields(Chip)}
    if not isinstance(table, dict) or set(table) != names:
        has = ", ".join(sorted(table)) if isinstance(table, dict) else repr(table)
        raise ConvbenchError(f"{where}: a chip has the fields {', '.join(sorted(names))}; this has {has}")
    for field in fields(Chip):
        value = table[field.name]
        if field.type is str or field.type == "str":
            is_good = isinstance(value, str) and bool(value)
        else:
            is_good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
        if not is_good:
            raise ConvbenchError(f"{where}: {field.name} is {value!r}; it is a positive number, or a text for names")
    chip = Chip(**table)
    if chip.limits.name not in _RATES:
        raise ConvbenchError(f"{where}: no time can be predicted for {chip.architecture}, whose rates are not known")
    return chip
