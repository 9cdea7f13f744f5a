"""How much memory this process may still take."""

import math
import os
import resource
from pathlib import Path

from lmcore.errors import InputError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def spare_memory() -> float:
    """Bytes that can still be allocated: by the machine, by limits (ulimit), by a cgroup.

    Infinite where the system does not tell (macOS).
    """
    try:
        pages = [int(field) for field in (PROC / "self/statm").read_text().split()]
    except FileNotFoundError:
        return math.inf
    size, resident, data = (pages[field] * resource.getpagesize() for field in (0, 1, 5))
    spare = [_available(), *(limit - resident for limit in cgroup_limits())]
    for kind, used in ((resource.RLIMIT_AS, size), (resource.RLIMIT_DATA, data)):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            spare.append(limit - used)
    return max(0.0, min(spare))


def require_memory(needed: int, what: str) -> None:
    """Check that there is memory for something before it is begun.

    Arguments:
        needed: bytes; what: needs them.
    Raises:
        InputError: if the machine or a limit leaves less; it says how much is needed.
    """
    if needed > (spare := spare_memory()):
        raise InputError(
            f"{what} needs {needed / 1e6:,.0f} MB of memory, and {spare / 1e6:,.0f} MB are to be "
            "had: give the job more, or prepare smaller images (preprocess.size)"
        )


def _available() -> float:
    """Bytes that the machine can give without swapping."""
    for line in (PROC / "meminfo").read_text().splitlines():
        name, value = line.split(":")
        if name == "MemAvailable":
            return 1024 * int(value.split()[0])
    return math.inf


def cgroup_limits() -> list[int]:
    """Bytes that the control groups of this process allow, those that contain others included.

    Batch systems and containers limit memory so; version 1 has a tree for every controller.
    """
    limits = []
    for line in (PROC / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            base, name = CGROUPS / "memory", "memory.limit_in_bytes"
        elif not controllers:
            base, name = CGROUPS, "memory.max"
        else:
            continue
        # A container may see itself at the base, whatever its path
        group = Path(os.path.normpath(base / path.lstrip("/")))
        for folder in {base, *(f for f in (group, *group.parents) if f.is_relative_to(base))}:
            file = folder / name
            if file.is_file() and (text := file.read_text().strip()) != "max":
                limits.append(int(text))
    return limits
