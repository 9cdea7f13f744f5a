"""Work in a process of its own under limits, as a user's job or command is."""

import mmap
import os
import resource
import runpy
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from projects import ROOT

SECONDS = 30
# What reading and preparing small images may take beyond what Python and torch already have.
MEMORY = 400_000_000


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit code; minus the signal where one ended it.
        output: stdout and stderr, together.
        peak: bytes of memory beyond what it started with.
        seconds: it took.
    """

    code: int
    output: str
    peak: int
    seconds: float


def run(
    function: Callable[[], object],
    memory: int | None = None,
    file_size: int | None = None,
    seconds: float = SECONDS,
) -> Ended:
    """Call a function in a forked process, which has all imports already, and wait for it.

    Arguments:
        memory: bytes that it may allocate beyond what it has (RLIMIT_DATA).
        file_size: bytes that a file may grow to (RLIMIT_FSIZE).
        seconds: after which it is killed, and code is -SIGKILL.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = os.pipe()  # to which no limit of files applies
    os.set_blocking(ours, False)
    begin, at_start = time.monotonic(), mmap.mmap(-1, 8)
    child = os.fork()
    if child == 0:
        at_start[:] = struct.pack("q", resident_bytes())
        _work(function, theirs, memory, file_size)
    os.close(theirs)
    code, usage, text = _wait(child, begin + seconds, ours)
    elapsed = time.monotonic() - begin
    peak = 1024 * usage.ru_maxrss - struct.unpack("q", at_start)[0]
    return Ended(os.waitstatus_to_exitcode(code), text, peak, elapsed)


def _work(function, output: int, memory: int | None, file_size: int | None) -> None:
    """Never returns: whatever happens, the copy of pytest must not go on."""
    code = 70
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", errors="backslashreplace")
        if memory is not None:
            limit = data_bytes() + memory
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        try:
            function()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int, deadline: float, pipe: int) -> tuple[int, resource.struct_rusage, str]:
    """Status, use of resources, and all that the process has written."""
    written, found = [], 0
    with os.fdopen(pipe, "rb", buffering=0) as reader:
        while not found:
            found, status, usage = os.wait4(child, os.WNOHANG)
            if not found and time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                found, status, usage = os.wait4(child, 0)
            written.append(reader.read() or b"")
            time.sleep(0 if found else 0.002)
    return status, usage, b"".join(written).decode("utf-8", "backslashreplace")


def resident_bytes() -> int:
    """Bytes of memory that this process occupies."""
    return _pages(1)


def data_bytes() -> int:
    """Bytes that count against RLIMIT_DATA."""
    return _pages(5)


def _pages(field: int) -> int:
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


class Names(SimpleNamespace):
    """Named files or parameters of a job, as Snakemake gives them to a script."""

    def get(self, name: str, default: object = None) -> object:
        """One of them, where there may be none."""
        return getattr(self, name, default)


def run_script(
    script: str, log: Path, inputs: dict, outputs: dict, params: dict, **wildcards: object
) -> None:
    """What Snakemake does to run a rule's script; the script is told everything by name."""
    snakemake = SimpleNamespace(
        rule=script,
        log=[str(log)],
        input=Names(**inputs),
        output=Names(**outputs),
        params=Names(**params),
        wildcards=Names(run="mine", experiment="mine", **wildcards),
        threads=2,
    )
    path = ROOT / "workflow_scripts" / f"{script}.py"
    runpy.run_path(str(path), init_globals={"snakemake": snakemake})


def run_command(*arguments: object) -> None:
    """`python -m lmcore ARGUMENTS`."""
    from lmcore import __main__

    sys.argv = ["lmcore", *map(str, arguments)]
    __main__.main()


def files_below(folder: Path) -> dict[str, tuple]:
    """What lies in a folder: path -> kind, size and time of the last change; links as links."""
    found = {}
    for base, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(base, name)
            status = os.lstat(path)
            is_folder = os.path.isdir(path) and not os.path.islink(path)
            changed = () if is_folder else (status.st_size, status.st_mtime_ns)
            found[os.path.relpath(path, folder)] = (status.st_mode, *changed)
    return found


def error_lines(text: str) -> list[str]:
    """The lines that begin with `error:`."""
    return [line for line in text.splitlines() if line.startswith("error:")]
