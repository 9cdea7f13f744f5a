"""population.h5: the prepared images of a population in one file."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Self

import h5py
import numpy as np

import lmcore
from lmcore.errors import InputError
from lmcore.files import whole_hdf5


class Record(NamedTuple):
    """One subject of a population.

    Attributes:
        image: (C, *spatial) float32 in [0, 1].
        affine: (d+1, d+1) from the image's index to the original's pixels (2D) or RAS mm (3D).
        original_shape: (d) array shape of the original image.
        segmentation: (*spatial) 0 and 1, or None where the subject has none.
        distance_transform: (*spatial) float32, mm (2D: pixels), negative inside; with a
            segmentation.
        oriented: whether the affine leads to the patient's axes, see `Volume`.
    """

    image: np.ndarray
    affine: np.ndarray
    original_shape: Sequence[int]
    segmentation: np.ndarray | None = None
    distance_transform: np.ndarray | None = None
    oriented: bool = True


def write_population(
    path: str | os.PathLike,
    subjects: Sequence[str],
    shape: Sequence[int],
    channels: int,
    preprocessing: dict,
    records: Iterable[Record | tuple],
    digest: str = "",
    spacing: float = 1.0,
    segmented: bool = False,
    mask: np.ndarray | None = None,
    medoid: Callable[[], str | None] | None = None,
) -> None:
    """Write a population, one subject after the other; the same input gives the same bytes.

    Arguments:
        path: appears when all is written, and not at all if a record fails.
        subjects: (N) ids.
        shape: spatial array shape of every image, (H, W) or (D, H, W).
        channels: C.
        preprocessing: plain types, kept as JSON.
        records: N, see `Record`.
        digest: of the settings this population came from.
        spacing: of the grid, mm; 1 in 2D.
        segmented: whether any subject has a segmentation.
        mask: (*shape) float32 in [0, 1], the region of interest of all, or None.
        medoid: asked for the typical subject's id when all records are written.
    Raises:
        ValueError: if a record's shape differs or there are not N records.
    """
    n, d, shape = len(subjects), len(shape), tuple(shape)
    with whole_hdf5(path) as file:
        file.attrs["lmcore_version"] = lmcore.__version__
        file.attrs["h5py_version"] = h5py.__version__
        file.attrs["digest"] = digest
        file.attrs["preprocessing"] = json.dumps(preprocessing, sort_keys=True)
        file.attrs["spacing"] = float(spacing)
        _create(file, "subject", data=list(subjects), dtype=h5py.string_dtype())
        images = _create_images(file, "image", (n, channels, *shape), np.float32)
        if segmented:
            masks = _create_images(file, "segmentation", (n, *shape), np.uint8)
            distances = _create_images(file, "distance_transform", (n, *shape), np.float32)
        digests = []
        affines, original_shapes = np.zeros((n, d + 1, d + 1)), np.zeros((n, d), dtype=np.int64)
        has_segmentation, oriented = np.zeros(n, dtype=bool), True
        for row, record in zip(range(n), records, strict=True):
            record = Record(*record)
            if record.image.shape != (channels, *shape):
                raise ValueError(
                    f"image {record.image.shape} in a population of {(channels, *shape)}"
                )
            images[row] = record.image
            digests.append(image_digest(record.image))
            affines[row], original_shapes[row] = record.affine, record.original_shape
            oriented = oriented and record.oriented
            if record.segmentation is not None:
                masks[row], distances[row] = record.segmentation, record.distance_transform
                has_segmentation[row] = True
        file.attrs["oriented"] = oriented
        _create(file, "image_digest", data=digests, dtype=h5py.string_dtype())
        _create(file, "affine", data=affines)
        _create(file, "original_shape", data=original_shapes)
        if segmented:
            _create(file, "segmented", data=has_segmentation)
        if mask is not None:
            _create(file, "mask", data=np.asarray(mask, np.float32))
        if medoid and (name := medoid()):
            file.attrs["medoid"] = name


def image_digest(image: np.ndarray) -> str:
    """What tells a prepared image (C, *spatial) from every other one."""
    return hashlib.sha256(np.ascontiguousarray(image, np.float32)).hexdigest()[:32]


def _create(file: h5py.File, name: str, **arguments: object) -> h5py.Dataset:
    # No times of day in the file, so that equal content is equal bytes
    return file.create_dataset(name, track_times=False, **arguments)


def _create_images(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type) -> h5py.Dataset:
    """Chunks of one subject, which is what is read."""
    return _create(
        file,
        name,
        shape=shape,
        dtype=dtype,
        chunks=(1, *shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )


class Population:
    """A population on disk; a context manager. Images are read when asked for.

    Attributes:
        subjects: (N) ids.
        channels: C of each image.
        shape: spatial array shape of each image, (H, W) or (D, H, W).
        digests: (N) of each image, see `image_digest`.
        seen: positions of the subjects of whom anything was read so far.
        affines: (N, d+1, d+1) from an image's index to its original's pixels (2D) or RAS mm.
        original_shapes: (N, d) array shapes of the original images.
        preprocessing: the settings, as `Preprocessing.to_dict` gives them.
        digest: of the settings this population came from.
        spacing: of the grid, mm; 1 in 2D.
        oriented: whether all affines lead to the patient's axes; where one does not, directions in
            the body are unknown and RAS mm are mm along the file's own axes.
        segmented: (N) bool, who has a segmentation.
        mask: (*shape) float32 in [0, 1], the region of interest of all, or None.
        medoid: id of the typical control of the training split, or None.
    Raises:
        InputError: if the file is missing, damaged or no population.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path
        if not os.path.isfile(path):
            raise InputError(f"{path}: no such population")
        try:
            self._file = h5py.File(path, "r", locking=False)
        except OSError as error:
            raise InputError(f"{path}: damaged, or not an HDF5 file ({error})") from error
        try:
            self.subjects: list[str] = self._file["subject"].asstr()[:].tolist()
            self.channels: int = self._file["image"].shape[1]
            self.shape: tuple[int, ...] = self._file["image"].shape[2:]
            self.digests: list[str] = self._file["image_digest"].asstr()[:].tolist()
            self.seen: set[int] = set()
            self.affines: np.ndarray = self._file["affine"][:]
            self.original_shapes: np.ndarray = self._file["original_shape"][:]
            self.preprocessing: dict = json.loads(self._file.attrs["preprocessing"])
            self.digest: str = self._file.attrs["digest"]
            self.spacing: float = float(self._file.attrs["spacing"])
            self.oriented: bool = bool(self._file.attrs.get("oriented", True))
            self.medoid: str | None = self._file.attrs.get("medoid")
            self.segmented: np.ndarray = np.zeros(len(self.subjects), dtype=bool)
            if "segmented" in self._file:
                self.segmented = self._file["segmented"][:]
            self.mask: np.ndarray | None = self._file["mask"][:] if "mask" in self._file else None
        except Exception as error:  # h5py has no error of its own for foreign content
            self.close()
            raise InputError(f"{path}: not a population, or damaged ({error})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return len(self.shape)

    def images(self, indices: Iterable[int]) -> np.ndarray:
        """(n, C, *shape) float32 images at these positions, in this order.

        Raises:
            InputError: if the file is damaged there.
        """
        return self._rows("image", indices, np.float32)

    def segmentations(self, indices: Iterable[int]) -> np.ndarray:
        """(n, *shape) uint8, 0 and 1; all 0 for a subject that has none.

        Raises:
            InputError: if the file is damaged there.
        """
        return self._rows("segmentation", indices, np.uint8)

    def distance_transforms(self, indices: Iterable[int]) -> np.ndarray:
        """(n, *shape) float32 mm (2D: pixels), negative inside; all 0 for a subject without one.

        Raises:
            InputError: if the file is damaged there.
        """
        return self._rows("distance_transform", indices, np.float32)

    def _rows(self, name: str, indices: Iterable[int], dtype: type) -> np.ndarray:
        indices = list(indices)
        self.seen.update(indices)
        if name not in self._file:  # a population without any segmentation
            return np.zeros((len(indices), *self.shape), dtype=dtype)
        dataset = self._file[name]
        rows = np.empty((len(indices), *dataset.shape[1:]), dtype=dtype)
        for row, index in enumerate(indices):
            try:
                rows[row] = dataset[index]
            except OSError as error:
                subject = self.subjects[index]
                raise InputError(f"{self.path}: subject {subject} is damaged ({error})") from error
        return rows

    def close(self) -> None:
        """Close the file; arrays already read stay valid."""
        self._file.close()
