"""Files that appear whole or not at all."""

import contextlib
import errno
import fcntl
import glob
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lmcore.errors import InputError

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EFBIG: "the limit of a file's size is reached",
}


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the name `path` when the block succeeds.

    The temporary name keeps the suffix, since many writers choose the format by it.
    On any failure nothing is left behind and an earlier `path` stays as it was. What a killed
    process left behind goes when the file is written again.

    Raises:
        InputError: if there is no room for the file.
    """
    path = Path(path)
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix
        )
        temporary = Path(name)
        try:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield temporary
            # mkstemp makes files for their owner alone; results are for the lab
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


@contextlib.contextmanager
def whole_hdf5(path: str | os.PathLike) -> Iterator:
    """A new `h5py.File` to write to; `path` is there when the block succeeds, as of `whole_file`.

    No lock is taken: network file systems often have none.

    Raises:
        InputError: if there is no room for the file.
    """
    import h5py

    with whole_file(path) as temporary, _Sink(temporary, "w+") as sink:
        try:
            with h5py.File(sink, "w", locking=False) as file:
                yield file
        except Exception:
            if sink.error is None:
                raise
            # HDF5 may stumble over what it reads back and was never written
        if sink.error is not None:
            raise sink.error


class _Sink(io.FileIO):
    """A file that keeps the first failure to itself: told of one, HDF5 ends the process."""

    error: OSError | None = None

    def write(self, data: bytes) -> int:
        rest = memoryview(data).cast("B")
        try:
            while len(rest) and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextlib.contextmanager
def room_for(path: str | os.PathLike) -> Iterator[None]:
    """Let a full disk be an error of the user's, who can make room.

    Raises:
        InputError: naming the file.
    """
    try:
        yield
    except OSError as error:
        # HDF5 gives the number in its text alone
        told = re.search(r"errno = (\d+)", str(error))
        number = int(told[1]) if told else error.errno
        if number not in FULL:
            raise
        raise InputError(
            f"{path} cannot be written, {FULL[number]}: make room and run again"
        ) from error


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files whose writers are dead: a living one holds a lock."""
    pattern = f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"
    for abandoned in path.parent.glob(pattern):
        with contextlib.suppress(OSError), abandoned.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            abandoned.unlink()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_csv(path: str | os.PathLike, frame) -> None:
    """Write a data frame, nine significant digits, the same bytes on every run."""
    with whole_file(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write JSON with sorted keys; a NaN is refused, since JSON has none."""
    with whole_file(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
        )
