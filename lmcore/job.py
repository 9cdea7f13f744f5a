"""What every workflow script does around its one call: log, lock, threads, errors."""

import contextlib
import fcntl
import io
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lmcore.errors import InputError, lack_of_memory

logger = logging.getLogger("lmcore")


@contextlib.contextmanager
def job(snakemake) -> Iterator[None]:
    """Run a script's work with its log, its threads, and errors as the user should see them.

    - Progress goes to the terminal and to the rule's log file.
    - A lock file beside the log is held: a job of a killed run that is still at work is waited
      for, so that two jobs never write the same results. (Not the log itself: Snakemake deletes
      it before a job.)
    - Threads are those the configuration fixed (`params.threads`), whatever `--cores` is.
    - An InputError, and lack of memory, become one line `error: ...` at the end of the log, which
      Snakemake prints (`show-failed-logs`), and exit code 1. Any other exception keeps its
      traceback.
    - Where the disk takes no log, the work goes on, and an error is told on the terminal.

    Arguments:
        snakemake: the object Snakemake gives to a script.
    """
    path = Path(str(snakemake.log[0]))
    with _locked(path.with_name(f".{path.name}.lock"), snakemake.rule), _Log(path) as log:
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
            log.end(f"error: {error}\n")
        except Exception as error:
            lack = lack_of_memory(error)
            log.end(f"error: {snakemake.rule}: {lack}\n" if lack else traceback.format_exc())
        finally:
            for handler in handlers:
                logger.removeHandler(handler)


class _Log(io.TextIOBase):
    """A job's log file. What a full disk does not take is lost, and never an error of its own."""

    def __init__(self, path: Path):
        self._whole = True
        try:
            self._file = path.open("wb", buffering=0)
        except OSError:
            self._file, self._whole = io.BytesIO(), False

    def write(self, text: str) -> int:
        content, begin, whole = text.encode("utf-8", "backslashreplace"), self._file.tell(), False
        with contextlib.suppress(OSError):
            whole = self._file.write(content) == len(content)
        if not whole:  # half a line would be worse than none
            self._whole = False
            self._file.seek(begin)
            self._file.truncate()
        return len(text)

    def end(self, text: str) -> NoReturn:
        """Write the last words, to the terminal where the log is not whole, and exit."""
        self.write(text)
        if not self._whole:
            sys.stderr.write(text)
        sys.exit(1)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def _locked(path: Path, rule: str) -> Iterator[None]:
    """Hold the lock file while the block runs; wait first if another job holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        print(f"{rule}: no lock and no log, {error}", file=sys.stderr)
        yield
        return
    with file:
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
