"""Where the shared and local arrays of a kernel lie."""

from convbench.emulator.machine import Machine
from convbench.emulator.retarget import Retargeted
from convbench.emulator.weave import Layout

GAP = 256  # bytes between shared arrays, so that the end of one is not the beginning of the next


def lay_out(found: Retargeted, machine: Machine) -> tuple[Layout, int, int]:
    """Place shared arrays one after another with a gap after each, and dynamic memory last.

    Returns the layout, the static bytes as hardware would count them, and where dynamic memory begins.
    """
    shared: dict[str, tuple[int, int]] = {}
    place = static = 0
    for name, array in sorted(found.shared.items(), key=lambda item: item[1].dynamic):
        size = array.count * machine.size_of(array.element)
        if array.dynamic:
            shared[name] = place, 0
            continue
        shared[name] = place, size
        static = -(-static // array.align) * array.align + size
        place += -(-size // GAP) * GAP + GAP
    local = {name: array.count * machine.size_of(array.element) for name, array in found.local.items()}
    return Layout(shared, local), static, place
