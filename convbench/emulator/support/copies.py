"""cp.async, and its addresses in PTX's window of shared memory, which begins where the block's memory begins.

In checked mode `emu.copy.issue.*`, `.commit` and `.wait` are markers, and a copy lands when its thread waits for it
(`asynchronous`). Fast mode copies at once.
"""

from convbench.emulator.support.registers import WORKER_ROW, field

SIZES = {4: "i32", 8: "i64", 16: "<4 x i32>"}
_CACHED = {4: "ca", 8: "ca", 16: "cg"}
WAITS = range(8)
_SHARED = WORKER_ROW + field("shared", "worker", "shared", mark=", !invariant.load !{}")
TO = (
    _SHARED
    + "  %begin = inttoptr i64 %shared to ptr\n  %far = zext i32 %window to i64\n"
    + "  %to = getelementptr i8, ptr %begin, i64 %far\n"
)


def bodies() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Result type, parameters and body by PTX, as in `inline_ptx`."""
    found: dict[str, tuple[str, tuple[str, ...], str]] = {
        "cp.async.commit_group;": ("void", (), "  call void @emu.copy.commit()\n")
    }
    for pending in WAITS:
        body = f"  call void @emu.copy.wait(i64 {pending})\n"
        found[f"cp.async.wait_group {pending};"] = "void", (), body
    for size, cached in _CACHED.items():
        copy = f"cp.async.{cached}.shared.global [$0], [$1], {size}"
        always = TO + f"  call void @emu.copy.issue.{size}(ptr %to, ptr %from, i32 1)\n"
        found[f"{copy};"] = "void", ("i32 %window", "ptr %from"), always
        condition = TO + f"  call void @emu.copy.issue.{size}(ptr %to, ptr %from, i32 %ok)\n"
        text = f"{{ .reg .pred p; setp.eq.u32 p, $2, 0; {copy}, p; }}"
        found[text] = "void", ("i32 %window", "ptr %from", "i32 %ok"), condition
    return found


def definitions(*, checked: bool) -> str:
    """IR of `emu.window` and of the copies. In checked mode the copies are only declared."""
    window = (
        "define linkonce_odr i32 @emu.window(ptr %p) alwaysinline nounwind {\n" + _SHARED
        + "  %address = ptrtoint ptr %p to i64\n  %far = sub i64 %address, %shared\n"
        "  %r = trunc i64 %far to i32\n  ret i32 %r\n}"
    )  # fmt: skip
    found = [window]
    plain = {"commit": (), "wait": ("i64 %pending",)}
    for name, parameters in plain.items():
        found.append(_marker(name, parameters, "  ret void\n", checked=checked))
    for size, kind in SIZES.items():
        body = (
            "  %wanted = icmp ne i32 %ok, 0\n  br i1 %wanted, label %copy, label %clear\n"
            f"copy:\n  %v = load {kind}, ptr %from, align 1\n  store {kind} %v, ptr %to, align 1\n  ret void\n"
            f"clear:\n  store {kind} zeroinitializer, ptr %to, align 1\n  ret void\n"
        )
        parameters = ("ptr %to", "ptr %from", "i32 %ok")
        found.append(_marker(f"issue.{size}", parameters, body, checked=checked))
    return "\n".join(found)


def _marker(name: str, parameters: tuple[str, ...], body: str, *, checked: bool) -> str:
    if checked:
        kinds = ", ".join(parameter.split()[0] for parameter in parameters)
        return f"declare void @emu.copy.{name}({kinds}) nounwind"
    return f"define linkonce_odr void @emu.copy.{name}({', '.join(parameters)}) alwaysinline nounwind {{\n{body}}}"
