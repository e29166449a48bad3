"""What the CUTLASS profiler prints and writes is a workload: each problem once, however many kernels ran on it."""

import pytest

from convbench import workload
from convbench.errors import ConvbenchError

ARGUMENTS = """\
       Arguments: --conv_kind={kind} --n=8 --h=56 --w=56 --c=64 --k=64 --r=3 --s=3 --p=56 --q=56 --pad_h=1 --pad_w=1  \\
                  --stride_h=1 --stride_w=1 --dilation_h=1 --dilation_w=1 --Activation=f32:nhwc --Filter=f32:nhwc  \\
                  --Output=f32:nhwc --conv_mode=cross --alpha=1 --beta=0 --split_k_slices=1
"""
REPORT = """

=============================
  Problem ID: 1

        Provider: CUTLASS
   OperationKind: conv2d
       Operation: cutlass_simt_s{kind}_optimized_128x128_8x{stages}_nhwc

          Status: Success
    Verification: ON
     Disposition: Passed

reference_device: Passed

{arguments}
           Bytes: 2055798784  bytes
           FLOPs: 118482796544  flops
           FLOPs/Byte: 57

         Runtime: 8.13237  ms
          Memory: 235.431 GiB/s

            Math: 14569.3 GFLOP/s
"""
HEADER = (
    "Problem,Provider,OperationKind,Operation,Disposition,Status,conv_kind,n,h,w,c,k,r,s,p,q,g,pad_h,pad_w,stride_h"
)
ROW = "1,{by},conv2d,cutlass_simt_s{kind},passed,success,{kind},8,56,56,64,64,3,3,28,56,1,1,1,2"


def report(kind, stages):
    return REPORT.format(kind=kind, stages=stages, arguments=ARGUMENTS.format(kind=kind))


def found(path):
    return [(str(layer.problem), layer.direction, layer.count, layer.place) for layer in workload.load(path).layers]


def test_reports_of_several_kernels_are_one_layer(tmp_path):
    path = tmp_path / "run.log"
    path.write_text(report("fprop", 2) + report("fprop", 3) + report("wgrad", 2))
    problem = "n8c64h56w56-k64r3s3-pad1-NHWC"
    assert found(str(path)) == [(problem, "forward", 1, "line 16"), (problem, "backward_weights", 1, "line 70")]
    assert not workload.load(str(path)).skipped


def test_a_command_line_counts_and_its_report_does_not(tmp_path):
    path = tmp_path / "run.log"
    command = "cutlass_profiler --operation=Conv2d --conv_kind=fprop --n=8 --h=56 --w=56\n"
    path.write_text(command + report("fprop", 2) + command)
    assert found(str(path)) == [
        ("n8c64h56w56-k64r3s3-pad1-NHWC", "forward", 1, f"line {line}")
        for line in (1, 2 + report("fprop", 2).count("\n"))
    ]


@pytest.mark.parametrize(("file", "tags"), [("run.conv2d.csv", ""), ("run.txt", "machine,")])
def test_a_csv_of_the_profiler_has_each_problem_once(tmp_path, file, tags):
    path = tmp_path / file
    value = "mine," if tags else ""
    rows = [
        ROW.format(by="CUTLASS", kind="fprop"), ROW.format(by="cuDNN", kind="fprop"),
        ROW.format(by="CUTLASS", kind="dgrad"), "2,CUTLASS,gemm,cutlass_sgemm,passed,success",
        ROW.format(by="x", kind="y"),
    ]  # fmt: skip
    path.write_text("\n".join([f"{tags}{HEADER}", *(value + row for row in rows)]) + "\n")
    problem = "n8c64h56w56-k64r3s3-pad1-stride2x1-NHWC"
    assert found(str(path)) == [(problem, "forward", 1, "line 2"), (problem, "backward_data", 1, "line 4")]
    loaded = workload.load(str(path))
    assert loaded.notes == (f"{path}: rows of other operations: 1 × gemm",)
    (skipped,) = loaded.skipped
    assert skipped == f"{path}, line 6: conv_kind is 'y'; it must be one of fprop, dgrad, wgrad"


def test_a_csv_without_a_convolution_is_refused(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text(f"{HEADER}\n1,CUTLASS,gemm,cutlass_sgemm,passed,success\n")
    with pytest.raises(ConvbenchError, match="no problem in it"):
        workload.load(str(path))
