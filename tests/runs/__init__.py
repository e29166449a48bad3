"""Programs that take minutes or hours, each started by a nox session. pytest does not collect them.

`mutation` belongs to the session `mutants`, `false_alarms` to `false_alarms`, `onnx_files` to `onnx_files`, and
`emulator_benchmark` to `emulator_speed`. The first two write their tables and pictures to reports/emulator, and
`onnx_files` to reports/onnx. `predictions` and `profiles` have sessions of their names, and write to reports. `packed`
is a part of the session `profiles`.
"""
