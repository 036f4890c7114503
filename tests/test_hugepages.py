"""Memory in huge pages: what the kernel gives us is told by the kernel (proc(5), smaps)."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from saas import hugepages

HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def huge() -> int:
    """Octets of ours that lie in huge pages."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("AnonHugePages"))


@pytest.mark.skipif(not HUGE.exists() or "[never]" in HUGE.read_text(), reason="this kernel gives no huge pages")
def test_what_a_process_remembers_is_put_into_huge_pages_and_stays_what_it_is() -> None:
    size = 8 * hugepages.SIZE
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = at // mmap.PAGESIZE % 251
        before = huge()
        count = hugepages.collapse()
        assert huge() - before >= size - hugepages.SIZE, "all but what is cut off at its ends"
        assert count * hugepages.SIZE >= size - hugepages.SIZE
        assert all(memory[at] == at // mmap.PAGESIZE % 251 for at in range(0, size, mmap.PAGESIZE))
