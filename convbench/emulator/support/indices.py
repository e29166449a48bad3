"""The checks of one array index against the extent of its axis, and of the flag of a variable that may be unset."""

from convbench.emulator.state import FaultKind


def definitions() -> str:
    """IR of `emu.axis(index, extent, axis, data, site)` and of `emu.set(flag, name, site)`.

    The unsigned comparison of an index catches negative ones too.
    """
    parameters = "i64 %index, i64 %extent, i64 %axis, ptr %data, i64 %site"
    return f"""define linkonce_odr void @emu.axis({parameters}) alwaysinline nounwind {{
  %outside = icmp uge i64 %index, %extent
  br i1 %outside, label %fault, label %inside, !prof !1
fault:
  %place = ptrtoint ptr %data to i64
  %axis.high = shl i64 %axis, 56
  %extent.low = and i64 %extent, {2**56 - 1}
  %packed = or i64 %axis.high, %extent.low
  call void @emu.fault(i64 {int(FaultKind.INDEX)}, i64 %site, i64 %index, i64 %packed, i64 %place)
  unreachable
inside:
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
!2 = !{{!"branch_weights", i32 1048576, i32 1}}
!1 = !{{!"branch_weights", i32 1, i32 1048576}}"""
