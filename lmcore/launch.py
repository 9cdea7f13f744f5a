"""`make results`: Snakemake and its report, one at a time, and on from where a crash left off."""

import fcntl
import subprocess
import sys
from pathlib import Path

STATE = Path(".snakemake")
LOCK, MARKER = STATE / "make_results.lock", STATE / "make_results.running"
REPORT = Path("results/report.html")


def main(arguments: list[str]) -> int:
    """Run `snakemake --cores all all` and its report in the current folder.

    A second call in the same folder says so and waits. The lock is a file lock that Snakemake's
    process shares: it ends with both of them, however they end. Only when it is free and the
    marker of an unfinished call is there, Snakemake's own lock is known to be stale.

    Arguments:
        arguments: handed on to Snakemake.
    Returns:
        Snakemake's exit code.
    """
    STATE.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another `make results` is at work in this folder: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if MARKER.exists():
            print("the last `make results` did not end: going on from where it was", flush=True)
            snakemake("--unlock", quiet=True)
        MARKER.touch()
        code = snakemake(
            *("--cores", "all", "--report", str(REPORT), "--report-after-run"),
            *(arguments or ["all"]),
            keep=lock.fileno(),
        )
        MARKER.unlink(missing_ok=True)
    if code == 0:
        print(f"\nreport:  {REPORT.resolve()}\nnumbers: {Path('results/summary.md').resolve()}")
    return code


def snakemake(*arguments: str, keep: int | None = None, quiet: bool = False) -> int:
    """Run Snakemake of this Python; `keep` is a file descriptor it inherits."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    output = subprocess.DEVNULL if quiet else None
    kept = () if keep is None else (keep,)
    return subprocess.run(command, pass_fds=kept, stdout=output, stderr=output).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
