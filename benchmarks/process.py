"""What a process that measures one work does around it. Imports nothing but Python, for environments of rivals."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def bind() -> None:
    """Bind this process to one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peak_bytes() -> int:
    """The most memory this process had. What getrusage says may be the parent's, from before the exec."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * (peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are here."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def say(found: dict[str, Any]) -> None:
    """The result on a line of its own, behind whatever libraries print."""
    sys.stdout.write("\n" + json.dumps(found))
    sys.stdout.flush()
