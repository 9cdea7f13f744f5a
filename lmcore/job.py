"""What every workflow script does around its one call: log, lock, threads, errors."""

import contextlib
import fcntl
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from lmcore.errors import InputError

logger = logging.getLogger("lmcore")


@contextlib.contextmanager
def job(snakemake) -> Iterator[None]:
    """Run a script's work with its log, its threads, and errors as the user should see them.

    - Progress goes to the terminal and to the rule's log file.
    - A lock file beside the log is held: a job of a killed run that is still at work is waited
      for, so that two jobs never write the same results. (Not the log itself: Snakemake deletes
      it before a job.)
    - Threads are those the configuration fixed (`params.threads`), whatever `--cores` is.
    - An InputError becomes one line `error: ...` at the end of the log, which Snakemake prints
      (`show-failed-logs`), and exit code 1. Any other exception keeps its traceback.

    Arguments:
        snakemake: the object Snakemake gives to a script.
    """
    path = Path(str(snakemake.log[0]))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock_path = path.with_name(f".{path.name}.lock")
    with _locked(lock_path, snakemake.rule), path.open("w", encoding="utf-8") as log:
        handlers = [logging.StreamHandler(sys.stderr), logging.StreamHandler(log)]
        for handler in handlers:
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            with _threads(getattr(snakemake.params, "threads", None) or snakemake.threads):
                yield
        except InputError as error:
            log.write(f"error: {error}\n")
            log.flush()
            sys.exit(1)
        except Exception:
            log.write(traceback.format_exc())
            log.flush()
            sys.exit(1)
        finally:
            for handler in handlers:
                logger.removeHandler(handler)


@contextlib.contextmanager
def _locked(path: Path, rule: str) -> Iterator[None]:
    """Hold the lock file while the block runs; wait first if another job holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{rule}: waiting for the same job of an interrupted run to end", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            # some network file systems have no locks
            print(f"{rule}: {path} cannot be locked on this file system", file=sys.stderr)
        yield


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(count))
    if "numpy" not in sys.modules:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(int(count)):
        yield
