"""A dataset in an HDF5 file, by h5py."""

import os
from pathlib import Path

import h5py
import numpy as np

from lmcore.errors import InputError
from lmcore.population.formats.stored import Stored, check_not_structured, check_room, three_axes


def read_hdf5(path: Path, dataset: str) -> Stored:
    """Read one dataset; nothing in HDF5 says where its voxels lie, or how in the body.

    The dataset's axes are x, y, z in this order, as in NIfTI and in the arrays that nibabel and
    pynrrd give, from which such files are made (the left atria of the 2018 challenge among them).

    Arguments:
        path: of the file.
        dataset: its name inside.
    Raises:
        InputError: if there is none, or it is no single grey volume, or lies in another file.
    """
    with h5py.File(path, "r", locking=False) as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            names = []
            file.visititems(lambda name, item: names.append(f"/{name}") if _is(item) else None)
            known = ", ".join(sorted(names)[:10]) or "none"
            raise InputError(f"{path}: no dataset '{dataset}'; its datasets are: {known}")
        _check_own(path, found)
        check_not_structured(path, found.dtype)
        shape = three_axes(path, found.shape)
        claimed = found.dtype.itemsize * int(np.prod(shape))
        check_room(path, claimed, os.path.getsize(path), compressed=True)
        return Stored(np.reshape(found[()], shape).T, None)


def _is(item: object) -> bool:
    return isinstance(item, h5py.Dataset)


def _check_own(path: Path, dataset: h5py.Dataset) -> None:
    """Links, virtual datasets and external storage could name any file of the machine."""
    elsewhere = not os.path.samefile(dataset.file.filename, path)
    if elsewhere or dataset.is_virtual or dataset.external:
        raise InputError(f"{path}: {dataset.name} lies in another file; give that one, or copy it")
