"""Inspection: what a kernel costs on a GPU, read from its machine code without a GPU.

An algorithm, a problem and an architecture enter. An `inspector.Inspection` leaves, with the registers, the hot loop
and the least time of every kernel. It is a prediction from the code that would run, never a measurement.

Modules, in the order of the work: `blueprint` notes what a plan launches, on arrays without elements (`shell`).
`compiler` builds each kernel's cubin as numba-cuda does, `resources` reads the assembler's log, and `toolkit`
disassembles the cubin. `sass` finds the hot loop, and `mix` counts its instructions. `architecture` and `chip` have the
limits of GPUs, `occupancy` the blocks that fit, `work` the number of products, and `bound` the model of the least time.
`inspector` puts all this together, and `page` prints it.
"""
