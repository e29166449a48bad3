"""The checks of one array index against the extent of its axis, and of the flag of a variable that may be unset."""

from convbench.emulator.state import FaultKind

_AXIS = """define linkonce_odr void @emu.axis{name}({parameters}) alwaysinline nounwind {{
  %outside = icmp uge i64 %index, %extent
  br i1 %outside, label %fault, label %inside, !prof !1
fault:
{told}  %place = ptrtoint ptr %data to i64
  %axis.high = shl i64 %axis, 56
  %extent.low = and i64 %extent, {low}
  %packed = or i64 %axis.high, %extent.low
  call void @emu.fault(i64 {kind}, i64 %site, i64 %told, i64 %packed, i64 %place)
  unreachable
inside:
  ret void
}}"""
# numba-cuda has added the extent to a negative index, and the report tells the index of the source
_WRAPPED = """  %negative = icmp slt i64 %index, 0
  %before = sub i64 %index, %extent
  %told = select i1 %negative, i64 %before, i64 %index
"""


def definitions() -> str:
    """IR of `emu.axis(index, extent, axis, data, site)`, `emu.negative(…)` and `emu.set(flag, name, site)`.

    The unsigned comparison of an index catches negative ones too.
    """
    parameters = "i64 %index, i64 %extent, i64 %axis, ptr %data, i64 %site"
    found = [
        _AXIS.format(name=name, parameters=parameters, told=told, low=2**56 - 1, kind=int(FaultKind.INDEX))
        for name, told in (("", "  %told = add i64 %index, 0\n"), (".wrapped", _WRAPPED))
    ]
    parameters = parameters.replace("i64 %axis, ", "")
    found.append(f"""define linkonce_odr void @emu.negative({parameters}) alwaysinline nounwind {{
  %negative = icmp slt i64 %index, 0
  %from.end = add i64 %index, %extent
  %inside = icmp ult i64 %from.end, %extent
  %both = and i1 %negative, %inside
  br i1 %both, label %remark, label %done, !prof !1
remark:
  %place = ptrtoint ptr %data to i64
  %packed = or i64 %extent, {-1 << 56}
  call void @emu.note(i64 {int(FaultKind.NEGATIVE_INDEX)}, i64 %site, i64 %index, i64 %packed, i64 %place)
  br label %done
done:
  ret void
}}
define linkonce_odr void @emu.set(i1 %is.set, i64 %name, i64 %site) alwaysinline nounwind {{
  br i1 %is.set, label %inside, label %fault, !prof !2
fault:
  call void @emu.fault(i64 {int(FaultKind.UNSET)}, i64 %site, i64 %name, i64 0, i64 0)
  unreachable
inside:
  ret void
}}
!1 = !{{!"branch_weights", i32 1, i32 1048576}}
!2 = !{{!"branch_weights", i32 1048576, i32 1}}""")
    return "\n".join(found)
