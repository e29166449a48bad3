"""The check of one array index against the extent of its axis."""

from convbench.emulator.state import FaultKind


def definitions() -> str:
    """IR of `emu.axis(index, extent, axis, data, site)`. Its unsigned comparison catches negative indices too."""
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
!1 = !{{!"branch_weights", i32 1, i32 1048576}}"""
