"""Kernels judged without a GPU: compiled for a named architecture, read as machine code, and held against its limits.

    architecture, chip   what can be asked for, and what it is taken to be
    shell, blueprint     arrays without elements, and a device that notes what a plan launches and runs nothing
    compiler, resources  a launch compiled and linked as numba-cuda does it, with no device, and what it takes
    toolkit, sass, mix   machine code as text, its loops, and what the instructions of the hot one are for
    occupancy            how many blocks a multiprocessor holds, and what limits it
    work, bound          which limit a launch meets first, and the least time, by a static model
    inspector, page      all of it for a plan, and what is printed

What comes out is a prediction from the code that would run, never a measurement.
"""
