"""The line of Python of an instruction: debug locations, inlined frames, and lines that cannot be read."""

from pathlib import Path

import pytest

from convbench.emulator.source import UNKNOWN, DebugInfo, Site, Sites

MODULE = """
define void @kernel() !dbg !5 {
  ret void, !dbg !26
}
!1 = !DIFile(filename: "kernels.py", directory: "/somewhere/else")
!2 = !DIFile(filename: "device.py", directory: "/somewhere")
!5 = distinct !DISubprogram(name: "kernel", linkageName: "_ZN6kernelE", scope: !1, file: !1, line: 10)
!6 = distinct !DISubprogram(name: "neighbour", linkageName: "_ZN9neighbourE", scope: !2, file: !2, line: 3)
!7 = distinct !DILexicalBlock(scope: !6, file: !2, line: 4, column: 1)
!26 = !DILocation(line: 12, column: 1, scope: !5)
!27 = !DILocation(line: 5, column: 9, scope: !6, inlinedAt: !28)
!28 = distinct !DILocation(line: 13, column: 1, scope: !5)
!29 = !DILocation(line: 0, scope: !5)
!30 = !DILocation(line: 6, column: 2, scope: !7, inlinedAt: !28)
!31 = !DILocation(line: 6, column: 2, scope: !99)
"""
KERNELS, DEVICE = str(Path("/somewhere/else/kernels.py")), str(Path("/somewhere/device.py"))


@pytest.mark.parametrize(
    ("instruction", "site"),
    [
        ("  ret void, !dbg !26", Site(KERNELS, 12, "kernel")),
        ("  %1 = load float, ptr %p, align 4, !dbg !27", Site(DEVICE, 5, "neighbour")),  # not where it was inlined
        ("  store float %1, ptr %p, align 4, !tbaa !1, !dbg !28", Site(KERNELS, 13, "kernel")),
        ("  %2 = phi i64 [ 0, %entry ], !dbg !29", Site(KERNELS, 0, "kernel")),
        ("  %3 = load float, ptr %p, !dbg !30", Site(DEVICE, 6, "neighbour")),  # a block inside a function
        ("  %4 = load float, ptr %p", UNKNOWN),
        ("  %5 = load float, ptr %p, !dbg !31", UNKNOWN),  # its scope is not in the module
        ("  %6 = load float, ptr %p, !dbg !5", UNKNOWN),  # no location
        ("  %7 = load float, ptr %p, !dbg !1000", UNKNOWN),
    ],
)
def test_an_instruction_comes_from_its_innermost_frame(instruction, site):
    info = DebugInfo(MODULE)
    assert info.site(instruction) == site
    assert info.site(instruction) == site  # what was found once is found again


def test_the_text_of_a_site_is_its_line_without_indentation(tmp_path):
    file = tmp_path / "kernels.py"
    file.write_text("def kernel(y):\n    y[0] = 'α'\n", encoding="utf-8")
    assert Site(str(file), 2).text() == "y[0] = 'α'"


def test_a_line_that_cannot_be_read_has_no_text(tmp_path):
    file, binary = tmp_path / "kernels.py", tmp_path / "binary.py"
    file.write_text("first\n")
    binary.write_bytes(b"\xff\xfe\n")
    assert Site(str(file), 0).text() == ""  # the compiler's own code has line 0
    assert Site(str(file), 2).text() == ""
    assert Site(str(tmp_path / "none.py"), 1).text() == ""
    assert Site(str(tmp_path), 1).text() == ""
    assert Site(str(binary), 1).text() == ""


def test_a_number_stands_for_one_site_and_0_for_none():
    sites, a, b = Sites(), Site("a.py", 1), Site("a.py", 2)
    numbers = [sites.number(site) for site in (a, b, a, UNKNOWN)]
    assert numbers[0] == numbers[2] != numbers[1]
    assert numbers[3] == 0
    assert [sites[number] for number in numbers] == [a, b, a, UNKNOWN]
    assert sites[-1] == sites[99] == UNKNOWN
