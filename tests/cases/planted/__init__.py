"""Kernels with one planted bug each, and the same kernels without the bug.

The checked mode of the emulator must report each bug, by kind, line and array, and must report nothing without it.
`bugs` has the type of a case, the other modules have the cases, and `algorithms` has whole algorithms for the fuzzer.
"""
