"""What a kernel leaves of a multiprocessor for its blocks."""

import pytest

from convbench.profiling import chips, resident


@pytest.mark.parametrize(
    ("gpu", "threads", "shared", "share"),
    [
        ("a100", 1024, 0, (192 - 2 * 1) / 2),  # two blocks are resident, and the system takes 1 KiB for each
        ("a100", 1024, 80 * 1024, (192 - 2 * 81) / 2),
        ("t4", 1024, 0, 96),  # one block of 1,024 threads
        ("t4", 64, 0, 96 / 16),
        ("h200", 256, 200 * 1024, 256 - 201),
    ],
)
def test_the_share_of_the_l1_cache(gpu, threads, shared, share):
    found = resident.l1_share(threads, shared, resident.Resources(32, 0), chips.get(gpu))
    assert found == int(share * 1024)
