"""population.h5: the prepared images of a population in one file."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Self

import h5py
import numpy as np

import lmcore
from lmcore.errors import InputError
from lmcore.files import whole_file

Record = tuple[np.ndarray, np.ndarray, Sequence[int]]


def write_population(
    path: str | os.PathLike,
    subjects: Sequence[str],
    shape: Sequence[int],
    channels: int,
    preprocessing: dict,
    records: Iterable[Record],
    digest: str = "",
) -> None:
    """Write a population; the same input gives the same bytes.

    Arguments:
        path: appears when all is written, and not at all if a record fails.
        subjects: (N) ids.
        shape: spatial array shape of every image, (H, W) or (D, H, W).
        channels: C.
        preprocessing: plain types, kept as JSON.
        records: N of (image (C, *shape) in [0, 1], affine (d+1, d+1) from the image's index
            to the original's pixels (2D) or RAS mm (3D), original array shape (d)).
        digest: of the settings this population came from.
    Raises:
        ValueError: if a record's shape differs or there are not N records.
    """
    n, d, shape = len(subjects), len(shape), tuple(shape)
    # No locks here and below: network file systems often have none
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        file.attrs["lmcore_version"] = lmcore.__version__
        file.attrs["h5py_version"] = h5py.__version__
        file.attrs["digest"] = digest
        file.attrs["preprocessing"] = json.dumps(preprocessing, sort_keys=True)
        # No times of day in the file, so that equal content is equal bytes
        file.create_dataset(
            "subject", data=list(subjects), dtype=h5py.string_dtype(), track_times=False
        )
        images = file.create_dataset(
            "image",
            shape=(n, channels, *shape),
            dtype=np.float32,
            chunks=(1, channels, *shape),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            track_times=False,
        )
        affines, original_shapes = np.zeros((n, d + 1, d + 1)), np.zeros((n, d), dtype=np.int64)
        for row, (image, affine, original_shape) in zip(range(n), records, strict=True):
            if image.shape != (channels, *shape):
                raise ValueError(f"image {image.shape} in a population of {(channels, *shape)}")
            images[row], affines[row], original_shapes[row] = image, affine, original_shape
        file.create_dataset("affine", data=affines, track_times=False)
        file.create_dataset("original_shape", data=original_shapes, track_times=False)


class Population:
    """A population on disk; a context manager. Images are read when asked for.

    Attributes:
        subjects: (N) ids.
        channels: C of each image.
        shape: spatial array shape of each image, (H, W) or (D, H, W).
        affines: (N, d+1, d+1) from an image's index to its original's pixels (2D) or RAS mm.
        original_shapes: (N, d) array shapes of the original images.
        preprocessing: the settings, as `Preprocessing.to_dict` gives them.
        digest: of the settings this population came from.
    Raises:
        InputError: if the file is missing, damaged or no population.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = path
        try:
            self._file = h5py.File(path, "r", locking=False)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such population") from error
        except OSError as error:
            raise InputError(f"{path}: damaged, or not an HDF5 file ({error})") from error
        try:
            self._images = self._file["image"]
            self.subjects: list[str] = self._file["subject"].asstr()[:].tolist()
            self.channels: int = self._images.shape[1]
            self.shape: tuple[int, ...] = self._images.shape[2:]
            self.affines: np.ndarray = self._file["affine"][:]
            self.original_shapes: np.ndarray = self._file["original_shape"][:]
            self.preprocessing: dict = json.loads(self._file.attrs["preprocessing"])
            self.digest: str = self._file.attrs["digest"]
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
        indices = list(indices)
        images = np.empty((len(indices), self.channels, *self.shape), dtype=np.float32)
        for row, index in enumerate(indices):
            try:
                images[row] = self._images[index]
            except OSError as error:
                subject = self.subjects[index]
                raise InputError(f"{self.path}: subject {subject} is damaged ({error})") from error
        return images

    def close(self) -> None:
        """Close the file; arrays already read stay valid."""
        self._file.close()
