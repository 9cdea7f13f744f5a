"""Work on many subjects by threads: in order, with progress, all faults told at once."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lmcore.errors import InputError, lack_of_memory
from lmcore.population.table import Subject, name_some
from lmcore.progress import Progress

Item, Result = TypeVar("Item"), TypeVar("Result")


def for_every_subject(
    what: str,
    function: Callable[[Subject], Result],
    subjects: Sequence[Subject],
    workers: int,
) -> Iterator[Result]:
    """`function` of every subject, in order.

    Arguments:
        what: is done, for the lines of progress.
        function: may raise InputError.
    A subject for which there is no memory beside others is tried again alone.

    Raises:
        InputError: at the end, naming every subject it was raised for, or for which there is no
            memory. After the first one the rest is only looked through.
    """
    together, alone = threading.Semaphore(workers), threading.Lock()

    def attempt(subject: Subject) -> Result | InputError:
        try:
            with together:
                return function(subject)
        except InputError as error:
            return error
        except MemoryError:
            pass
        with alone, contextlib.ExitStack() as others:
            for _ in range(workers):
                others.enter_context(together)
            try:
                return function(subject)
            except InputError as error:
                return error
            except MemoryError as error:
                return InputError(f"{subject.image_path}: {lack_of_memory(error)}")

    progress = Progress(what, len(subjects), "images")
    faults = []
    results = map_in_order(attempt, subjects, workers)
    for done, (subject, result) in enumerate(zip(subjects, results, strict=True), 1):
        if isinstance(result, InputError):
            faults.append((subject, str(result)))
        elif not faults:
            yield result
        progress.update(done)
    if faults:
        raise InputError(
            f"{len(faults)} of {len(subjects)} images cannot be used: {_told(faults)}; "
            "mend them or take them out of the table"
        )


def _told(faults: Sequence[tuple[Subject, str]], explained: int = 20) -> str:
    """The first with their reasons, the others by name and file."""
    told = ", ".join(f"{subject.subject} ({reason})" for subject, reason in faults[:explained])
    others = name_some(
        f"{subject.subject} ({subject.image_path})" for subject, _ in faults[explained:]
    )
    return f"{told}; and also {others}" if others else told


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """`map` by threads, in order, never more than two items a worker ahead.

    `ThreadPoolExecutor.map` would hold every result that is not yet fetched.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
