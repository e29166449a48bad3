"""Kernels with planted bugs of variables that one path leaves unset and another reads."""

from numba import cuda, float32

from cases.planted.bugs import FaultKind, pair, planted


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64), thread=(16, 0, 0))
def variable_that_one_branch_leaves_unset(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 16 or not bug:
            value = x[i]
        y[i] = value  # planted

    return kernel


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64), thread=(0, 0, 0))
def variable_of_a_loop_without_a_turn(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for j in range(i + 1 - bug):
            last = x[j] + j
        y[i] = last  # planted

    return kernel


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64))
def counter_of_a_loop_that_one_branch_leaves_unset(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 8:
            first, rest = i, 2
        elif x[i] > 30 or not bug:
            first, rest = 0, 1
        while rest > 0:  # planted
            y[i] += x[first]
            rest -= 1

    return kernel


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64), thread=(1, 0, 0))
def variable_that_no_element_sets(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        found = False
        for j in range(i % 2 * 3, 4):
            if x[j] < 3:
                place = j
                found = True
        if found or bug:
            y[i] = x[place]  # planted

    return kernel


@cuda.jit(device=True)
def doubled(x, i, all_of_them):
    if i % 2 == 0 or all_of_them:
        value = x[i]
    return value * 2  # planted


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64), thread=(1, 0, 0), beside=doubled.py_func)
def variable_of_a_device_function(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = doubled(x, i, not bug)

    return kernel


@planted(FaultKind.UNSET, "", 1, 64, args=pair(64), thread=(40, 0, 0))
def variable_that_a_later_version_takes_over(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        if i < 40 or not bug:
            value = tile[63 - i]
        for j in range(3):
            if x[j] > i:
                value = x[j]
        y[i] = value + 1  # planted

    return kernel
