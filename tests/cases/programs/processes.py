"""A program that launches from threads and from processes. It prints what each of them found."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import cuda


@cuda.jit
def scale(x, factor):
    i = cuda.grid(1)
    if i < x.size:
        x[i] *= factor


def scaled(factor):
    x = cuda.to_device(np.ones(1000))
    for _ in range(3):
        scale[4, 256](x, factor)
    return float(x.copy_to_host().sum())


def told(queue, factor):
    try:
        queue.put(scaled(factor))
    except Exception as error:  # noqa: BLE001  (the parent prints it)
        queue.put(f"{type(error).__name__}: {error}")


def in_a_process(method, factor):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=told, args=(queue, factor))
    process.start()
    found = queue.get(timeout=60)
    process.join()
    return found


if __name__ == "__main__":
    print("forked first:", in_a_process("fork", 2))  # the parent has not used the device yet
    barrier = threading.Barrier(4)

    def at_once(factor):
        barrier.wait()
        return scaled(factor)

    with ThreadPoolExecutor(4) as pool:
        print("threads:", list(pool.map(at_once, range(4))))
    print("spawned:", in_a_process("spawn", 3))
    print("of a server:", in_a_process("forkserver", 4))
    print("forked later:", in_a_process("fork", 2))
