"""Where ShapeWorks is. Only the standard library: the workflow asks while it builds its graph."""

import os
import shutil
from pathlib import Path

from lmcore.errors import InputError

COMMAND = "shapeworks"


def find_shapeworks(path: str | os.PathLike | None) -> str:
    """The command that runs ShapeWorks.

    Arguments:
        path: of the executable or its folder, as the configuration has it, or None for PATH.
    Raises:
        InputError: if it is not there; the line says what was looked for, where, and what to do.
    """
    if path is None:
        found = shutil.which(COMMAND)
        where = f"no executable '{COMMAND}' in any folder of PATH"
    else:
        inside = Path(path) / COMMAND if Path(path).is_dir() else Path(path)
        found = shutil.which(str(inside.resolve()))
        where = f"particles.path is {path}, and there is no executable '{inside}'"
    if found is None:
        raise InputError(
            f"particles.engine is shapeworks, but {where}: install ShapeWorks (docs/shapeworks.md) "
            "and set particles.path, or give particles.container or particles.module; "
            "particles.engine: cpd needs no ShapeWorks"
        )
    return found
