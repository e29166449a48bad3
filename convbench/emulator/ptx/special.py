"""Special registers: who a thread is, and how large its block and grid are (PTX ISA, "Special Registers")."""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.kinds import llvm
from convbench.emulator.state import WARP
from convbench.emulator.support import registers

_AXES = ("x", "y", "z")
_WOVEN = {f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in _AXES} | {"%laneid"}
_MASKS = ("%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge")
_CLOCKS = ("%clock", "%clock_hi", "%clock64", "%globaltimer", "%globaltimer_lo", "%globaltimer_hi")
_ZEROS = (
    "%smid", "%gridid", "%clusterid.x", "%clusterid.y", "%clusterid.z", "%cluster_ctaid.x", "%cluster_ctaid.y",
    "%cluster_ctaid.z", "%cluster_ctarank", *(f"%envreg{number}" for number in range(32)),
)  # fmt: skip
_ONES = ("%nsmid", "%cluster_nctaid.x", "%cluster_nctaid.y", "%cluster_nctaid.z", "%cluster_nctarank")
_OTHERS = ("%warpid", "%nwarpid", "WARP_SZ", "%dynamic_smem_size", "%total_smem_size", "%is_explicit_cluster")


def is_special(name: str) -> bool:
    """Whether this is a special register that the emulator has."""
    return name in _WOVEN or name in (*_MASKS, *_CLOCKS, *_ZEROS, *_ONES, *_OTHERS)


def read_special(e: Emitter, name: str, kind: str) -> str:
    """The value of a special register, of LLVM's type for `kind`."""
    if name in _WOVEN:
        value = e.hoist(name, lambda op: op(f"call i32 @emu.{registers.PREFIX}{name[1:]}()"))
    elif name in _MASKS:
        value = _mask(e, name)
    elif name in _CLOCKS:
        return _clock(e, name, kind)
    elif name == "WARP_SZ":
        value = str(WARP)
    elif name == "%warpid":
        value = e.op(f"lshr i32 {e.field('thread', 'index', 'i32')}, 5")
    elif name == "%nwarpid":
        threads = "1"
        for axis in _AXES:
            extent = read_special(e, f"%ntid.{axis}", "u32")
            threads = e.op(f"mul i32 {threads}, {extent}")
        value = e.op(f"lshr i32 {e.op(f'add i32 {threads}, {WARP - 1}')}, 5")
    elif name == "%dynamic_smem_size":
        value = e.field("worker", "dynamic_bytes", "i32")
    elif name == "%total_smem_size":
        value = e.field("worker", "shared_bytes", "i32")
    else:
        value = "1" if name in _ONES else "0"
    if kind == "pred":
        return e.op(f"icmp ne i32 {value}, 0")
    return e.cast(value, "i32", kind)


def _mask(e: Emitter, name: str) -> str:
    """The lanes before, at or behind this one."""
    lane = read_special(e, "%laneid", "u32")
    own = e.op(f"shl i32 1, {lane}")
    before = e.op(f"sub i32 {own}, 1")
    upto = e.op(f"or i32 {before}, {own}")
    word = {"eq": own, "lt": before, "le": upto}
    short = name[-2:]
    return word[short] if short in word else e.op(f"xor i32 {upto if short == 'gt' else before}, -1")


def _clock(e: Emitter, name: str, kind: str) -> str:
    """A counter of the processor: it grows, and says nothing about a GPU."""
    value = e.op("call i64 @llvm.readcyclecounter()")
    if name.endswith("_hi"):
        value = e.op(f"lshr i64 {value}, 32")
    return e.cast(value, "i64", kind) if llvm(kind) != "i64" else value
