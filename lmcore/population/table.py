"""A user's population: the table of subjects, and everything that can be wrong with it.

Only the standard library here: the workflow reads the table anew in every job.
"""

import csv
import difflib
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcore.errors import InputError

SPLITS = ("train", "validation", "test", "held_out")
KNOWN_COLUMNS = ("subject", "image", "segmentation", "split", "side", "spacing")
PATH_COLUMNS = ("image", "segmentation", "landmarks")
GIVEN_COLUMNS = ("subject", "landmarks", "split")  # of a table that gives landmarks, not images
# A row is some hundred bytes: this is a million subjects, and what is larger is no table of them
MAX_TABLE_BYTES = 2**27
# Ids become file names and, in Slicer, node names
SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
HDF5_DATASET = re.compile(r"(?P<file>.+\.(h5|hdf5)):/.*", re.IGNORECASE)
VOLUME_SUFFIXES = (
    *(".nii", ".nii.gz", ".mgh", ".mgz", ".nrrd", ".nhdr", ".mha", ".mhd"),
    *(".h5", ".hdf5"),
)


@dataclass(frozen=True)
class Subject:
    """One row of the table.

    Attributes:
        subject: its id.
        image: path of the image as the table has it; empty where landmarks are given.
        image_path: the same under the root; `file.h5:/dataset` for HDF5; or None.
        segmentation_path, landmarks_path: likewise.
        split: train, validation, test or held_out, or None where the table does not say.
        side, spacing: as the table has them, or None.
        labels: every other column, as the table has it.
    """

    subject: str
    image: str
    image_path: Path | None
    segmentation_path: Path | None
    split: str | None
    side: str | None
    spacing: str | None
    labels: dict[str, str]
    landmarks_path: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files that this subject is read from."""
        paths = [self.image_path, self.segmentation_path, self.landmarks_path]
        return [Path(file_part(str(path))) for path in paths if path is not None]


def read_subjects(
    path: str | os.PathLike,
    root: str | os.PathLike | None = None,
    class_column: str | None = None,
) -> list[Subject]:
    """Read and check a table of subjects.

    Arguments:
        path: CSV with commas, UTF-8 with or without byte order mark; columns subject and
            image, optional segmentation, split, side, spacing, and any label columns; or
            subject, landmarks, optional split, and any label columns.
        root: the folder the table's paths are relative to; by default the table's own.
        class_column: a label column that must exist and be filled.
    Returns:
        The subjects in the table's order.
    Raises:
        InputError: naming all subjects with the first kind of fault found.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    header, rows = _read_cells(path)
    _check_header(path, header)
    given = "landmarks" in header
    known = GIVEN_COLUMNS if given else KNOWN_COLUMNS
    labels = [name for name in header if name not in known]
    _check_class_column(path, labels, class_column)
    records = _as_records(path, header, rows)
    _check_ids(path, [record["subject"] for record in records])
    _check_splits(path, records)
    _check_filled(path, records, "landmarks" if given else "image")
    if class_column is not None:
        _check_filled(path, records, class_column)
    for column in PATH_COLUMNS:
        if column not in labels:
            _check_files(path, records, column, root)
    return [_as_subject(record, root, labels) for record in records]


def name_persons(subjects: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Whom each subject's scan is of, by a column of the table; an empty cell is another person."""
    # a person may be named as another's scan is: the mark keeps the two apart
    return [
        f"person {cell.strip()}" if cell.strip() else subject
        for subject, cell in zip(subjects, cells, strict=True)
    ]


def file_part(path: str) -> str:
    """The file of `file.h5:/dataset`; any other path as it is."""
    match = HDF5_DATASET.fullmatch(path)
    return match["file"] if match else path


def is_volume(path: str | os.PathLike) -> bool:
    """Whether a path names a volume: by its suffix, or as a folder, which is taken for DICOM."""
    name = file_part(os.fspath(path))
    return name.lower().endswith(VOLUME_SUFFIXES) or os.path.isdir(name)


def can_be_read(path: str | os.PathLike) -> bool:
    """Whether there is a file or a folder: of a pipe or a device nobody knows where it ends."""
    return os.path.isfile(path) or os.path.isdir(path)


def name_some(names: Iterable[object], limit: int = 50) -> str:
    """The first names, and how many more there are."""
    names = [str(name) for name in names]
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and each row that is not empty with its line in the file."""
    try:
        if path.exists() and not can_be_read(path):
            raise InputError(f"{path}: not a file; save the table as CSV UTF-8")
        if path.is_file() and path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path}: too large to be a table of subjects; check population.table")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such table of subjects") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the table as CSV UTF-8") from error
    if "\0" in text:
        raise InputError(f"{path}: not a text file; save the table as CSV UTF-8")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV ({error})") from error
    if not lines:
        raise InputError(f"{path}: the table is empty; it needs columns subject and image")
    return lines[0][1], lines[1:]


def _check_header(path: Path, header: list[str]) -> None:
    if len(header) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs")):
            if separator in header[0]:
                raise InputError(f"{path}: columns are separated by {name}; save it with commas")
    misspelt = [
        f"'{name}' (write {name.strip().lower()})"
        for name in header
        if name not in KNOWN_COLUMNS and name.strip().lower() in KNOWN_COLUMNS
    ]
    if misspelt:
        raise InputError(f"{path}: misspelt columns: {name_some(misspelt)}")
    if "image" in header and "landmarks" in header:
        raise InputError(
            f"{path}: columns image and landmarks: landmarks are found on images or given; keep one"
        )
    source = "landmarks" if "landmarks" in header else "image"
    missing = [name for name in ("subject", source) if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {' and no column '.join(missing)}; it has {', '.join(header)}"
        )
    if any(not name.strip() for name in header):
        raise InputError(f"{path}: a column without a name; its columns are {', '.join(header)}")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: columns that occur more than once: {name_some(repeated)}")


def _check_class_column(path: Path, labels: list[str], class_column: str | None) -> None:
    if class_column is None or class_column in labels:
        return
    lower = {name.lower(): name for name in reversed(labels)}
    near = difflib.get_close_matches(class_column.lower(), lower, n=1)
    hint = f"did you mean '{lower[near[0]]}'? " if near else ""
    raise InputError(
        f"population.class: {path} has no label column '{class_column}'; {hint}"
        f"its label columns are: {', '.join(labels) or 'none'}"
    )


def _as_records(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]]
) -> list[dict[str, str]]:
    if not rows:
        raise InputError(f"{path}: a table without subjects")
    ragged = [f"{line} ({len(row)})" for line, row in rows if len(row) != len(header)]
    if ragged:
        raise InputError(
            f"{path}: lines that do not have the header's {len(header)} cells: "
            f"{name_some(ragged)}; quote a cell that holds a comma"
        )
    return [dict(zip(header, row, strict=True)) for _, row in rows]


def _check_ids(path: Path, ids: list[str]) -> None:
    unsafe = [f"'{name}'" for name in ids if not SAFE_ID.fullmatch(name)]
    if unsafe:
        raise InputError(
            f"{path}: unsafe subject ids: {name_some(unsafe)}; use letters, digits, - and _ "
            "only, no - in front, at most 100 characters"
        )
    spellings: dict[str, list[str]] = {}
    for name in ids:
        spellings.setdefault(name.lower(), []).append(name)
    repeated = ["/".join(dict.fromkeys(same)) for same in spellings.values() if len(same) > 1]
    if repeated:
        raise InputError(
            f"{path}: duplicate subject ids: {name_some(repeated)}; ids name files, so they "
            "must differ in more than upper and lower case"
        )


def _check_splits(path: Path, records: list[dict[str, str]]) -> None:
    given = [(record["subject"], record["split"]) for record in records if record.get("split")]
    unknown = [f"{subject} ('{split}')" for subject, split in given if split not in SPLITS]
    if unknown:
        raise InputError(
            f"{path}: unknown split of {name_some(unknown)}; it is one of {', '.join(SPLITS)}"
        )
    if given:
        _check_filled(path, records, "split")


def _check_filled(path: Path, records: list[dict[str, str]], column: str) -> None:
    empty = [record["subject"] for record in records if not record[column].strip()]
    if empty:
        raise InputError(f"{path}: column {column} is empty for {name_some(empty)}; fill it in")


def _check_files(path: Path, records: list[dict[str, str]], column: str, root: Path) -> None:
    """Every file named exists, and lies under the root even where links are followed."""
    real_root = os.path.realpath(root)
    outside, missing = [], []
    for record in records:
        name = file_part(record.get(column, ""))
        if not name:
            continue
        full = str(root / name)
        if os.path.isabs(name) or not _is_under(os.path.realpath(full), real_root):
            outside.append(f"{record['subject']} ({name})")
        elif not can_be_read(full):
            missing.append(f"{record['subject']} ({full})")
    if outside:
        raise InputError(
            f"{path}: {column} paths that leave {root}: {name_some(outside)}; give them relative "
            "to the table, or set population.root to a folder that holds them all"
        )
    if missing:
        raise InputError(
            f"{path}: {column} missing of {name_some(missing)}; "
            "mend the paths or set population.root"
        )


def _is_under(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _as_subject(record: dict[str, str], root: Path, labels: list[str]) -> Subject:
    cells = {name: cell for name, cell in record.items() if name not in labels and cell}
    paths = {name: root / cells[name] if name in cells else None for name in PATH_COLUMNS}
    return Subject(
        subject=record["subject"],
        image=cells.get("image", ""),
        image_path=paths["image"],
        segmentation_path=paths["segmentation"],
        split=cells.get("split"),
        side=cells.get("side"),
        spacing=cells.get("spacing"),
        labels={name: record[name] for name in labels},
        landmarks_path=paths["landmarks"],
    )
