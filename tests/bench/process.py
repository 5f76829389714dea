"""Reading what a process costs from /proc, which tells the same of all systems (Linux alone)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a process has used.

    Attributes:
        user, system: CPU time in seconds.
    """

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: Cost) -> Cost:
        return Cost(self.user - earlier.user, self.system - earlier.system)


def cost(pid: int) -> Cost:
    """CPU time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return Cost(int(fields[11]) / _TICKS_PER_SECOND, int(fields[12]) / _TICKS_PER_SECOND)


def cost_of_family() -> float:
    """CPU seconds so far of this process and all that it has started, and that have started others, and still run."""
    return sum(cost(member.pid).total for member in (psutil.Process(), *psutil.Process().children(recursive=True)))


def cost_of_machine() -> float:
    """CPU seconds so far of everything on this machine."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields[:8]
    return (user + nice + system + interrupts + soft_interrupts + stolen) / _TICKS_PER_SECOND


def resident_kib(pid: int) -> int:
    """Resident memory in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def machine() -> str:
    """This machine in one line."""
    models = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return f"{len(models)} x {models[0] if models else 'unknown CPU'}, {memory:.0f} GiB, Linux {os.uname().release}"
