"""Inspection: what a kernel costs on a GPU, read from its machine code without a GPU.

An algorithm, a problem and an architecture enter; an `inspector.Inspection` leaves, with the registers, the hot loop
and the least time of every kernel. `compiler` builds the cubin as numba-cuda does, `sass` reads it, `bound` has the
model. The result is a prediction from the code that would run. It is never a measurement.
"""
