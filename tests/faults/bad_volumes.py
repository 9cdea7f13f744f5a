"""Volumes that no population can use, made from good ones."""

import functools
import gzip
import os
import shutil
import struct
import tempfile
import zlib
from functools import partial
from pathlib import Path

import h5py
import nibabel
import numpy as np
from bad_images import encoded
from damage import Fault, damaged_files, files, link, write_bytes
from scans import itk_image, write, write_dicom

SHAPE = (12, 14, 10)  # x, y, z
AFFINE = np.array([[-1.5, 0, 0, 9], [0, 1.2, 0.2, -4], [0, 0, 2.0, 3], [0, 0, 0, 1.0]])
H5_COLUMNS = {"spacing": "1.5 1.2 2"}
FORMATS = ("nii", "nii.gz", "mgh", "mgz", "nrrd", "packed.nrrd", "mha", "packed.mha")


def solid(seed: int = 0) -> np.ndarray:
    """(x, y, z) int16: a bright ellipsoid on dark ground, with noise."""
    random = np.random.default_rng(seed)
    index = np.indices(SHAPE) - np.reshape([6 - seed % 2, 7, 5 - seed % 3], (3, 1, 1, 1))
    inside = np.square(index / np.reshape([4, 5, 3], (3, 1, 1, 1))).sum(axis=0) < 1
    return np.int16(20 + 200 * inside + random.integers(0, 20, SHAPE))


@functools.cache
def good(suffix: str) -> bytes:
    """A good file of this suffix; with `packed.` in front its voxels are compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (f"a.{suffix}" if "packed" not in suffix else suffix)
        if suffix == "h5":
            write_h5(path, image=solid())
        else:
            write(path, solid(), AFFINE)
        return path.read_bytes()


def write_h5(path: Path, **datasets: np.ndarray) -> None:
    """An HDF5 file of these datasets."""
    with h5py.File(path, "w") as file:
        for name, array in datasets.items():
            file[name] = array


def name_of(suffix: str) -> str:
    """How the table calls the faulty file of a suffix."""
    return f"s03.{suffix.removeprefix('packed.')}" + (":/image" if suffix == "h5" else "")


def nifti(changes: dict[int, bytes], packed: bool = False) -> bytes:
    """A good NIfTI file with some bytes of its header replaced, by their place."""
    content = bytearray(good("nii"))
    for place, part in changes.items():
        content[place : place + len(part)] = part
    return gzip.compress(bytes(content)) if packed else bytes(content)


def nifti_of(array: np.ndarray, affine: np.ndarray = AFFINE, packed: bool = False) -> bytes:
    """A NIfTI file of any array, compressed or not."""
    content = nibabel.Nifti1Image(array, affine).to_bytes()
    return gzip.compress(content, mtime=0) if packed else content


def short(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}h", *numbers)


def floats(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def with_voxel(value: float) -> np.ndarray:
    array = solid().astype(np.float32)
    array[3, 4, 5] = value
    return array


COLOUR = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
DIM, DATATYPE, PIXDIM, OFFSET, SFORM = 40, 70, 76, 108, 280  # places in a NIfTI header

NIFTI = {
    "whose header claims 30,000^3 voxels": nifti({DIM: short(3, 30_000, 30_000, 30_000)}),
    "of negative size": nifti({DIM: short(3, -12, 14, 10)}),
    "of no dimension": nifti({DIM: short(0)}),
    "of 99 dimensions": nifti({DIM: short(99)}),
    "of two axes": nifti_of(solid()[:, :, 0]),
    "of one slice": nifti_of(solid()[:, :, :1]),
    "of a series of volumes": nifti_of(np.stack([solid()] * 3, axis=-1)),
    "of negative spacing": nifti({PIXDIM: floats(1, -1.5, 1.2, 2)}),
    "of spacing 0": nifti({PIXDIM: floats(1, 0, 1.2, 2)}),
    "of spacing NaN": nifti({PIXDIM: floats(1, np.nan, 1.2, 2)}),
    "of infinite spacing": nifti({PIXDIM: floats(1, np.inf, 1.2, 2)}),
    "with NaN in its affine": nifti({SFORM: floats(*[np.nan] * 12)}),
    "whose axes lie in one plane": nifti({SFORM: floats(*[1, 2, 3, 4] * 2, 0, 0, 1, 0)}),
    "of an unknown type": nifti({DATATYPE: short(31, 77)}),
    "of complex numbers": nifti_of(solid().astype(np.complex64)),
    "of colours": nifti_of(COLOUR),
    "whose voxels begin behind its end": nifti({OFFSET: floats(1e6)}),
    "whose voxels begin before it": nifti({OFFSET: floats(-352)}),
    "whose voxels begin at NaN": nifti({OFFSET: floats(np.nan)}),
    "of NaN alone": nifti_of(np.full(SHAPE, np.nan, np.float32)),
    "with infinity": nifti_of(with_voxel(np.inf)),
    "of numbers beyond float32": nifti_of(solid() * 1e300),
    "of one value": nifti_of(np.full(SHAPE, 7, np.int16)),
    "that is a PNG": encoded("PNG"),
}
PACKED = {
    "that claims 800^3 voxels in few bytes": nifti({DIM: short(3, 800, 800, 800)}, packed=True),
    "with other bytes at its end": good("nii.gz")[:-12] + zlib.compress(b"x" * 99),
}

NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 12 14 10\nspacings: 1 1 2\nencoding: raw\n"
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 12 14 10\nElementSpacing = 1 1 2\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)
TEXTS = {
    "nrrd that claims 90,000^3 voxels": ("s03.nrrd", NRRD, "12 14 10", "90000 90000 90000"),
    "nrrd of negative spacing": ("s03.nrrd", NRRD, "1 1 2", "1 -1 2"),
    "nrrd of spacing NaN": ("s03.nrrd", NRRD, "1 1 2", "1 nan 2"),
    "nrrd of two axes": ("s03.nrrd", NRRD, "3\nsizes: 12 14 10\nspacings: 1 1 2", "2\nsizes: 9 9"),
    "nrrd of blocks": ("s03.nrrd", NRRD, "short", "block"),
    "nrrd of no type": ("s03.nrrd", NRRD, "type: short\n", ""),
    "nrrd of no sizes": ("s03.nrrd", NRRD, "sizes: 12 14 10\n", ""),
    "nhdr with its data outside": ("s03.nhdr", NRRD, "encoding", "data file: ../secret\nencoding"),
    "nhdr with its data nowhere": ("s03.nhdr", NRRD, "encoding", "data file: none\nencoding"),
    "mha that claims 90,000^3 voxels": ("s03.mha", META, "12 14 10", "90000 90000 90000"),
    "mha of negative spacing": ("s03.mha", META, "1 1 2", "1 -1 2"),
    "mha of spacing 0": ("s03.mha", META, "1 1 2", "1 0 2"),
    "mha of four axes": ("s03.mha", META, "3\nDimSize = 12 14", "4\nDimSize = 4 3 14"),
    "mha of vectors": ("s03.mha", META, "ElementType", "ElementNumberOfChannels = 3\nElementType"),
    "mha of an unknown type": ("s03.mha", META, "MET_SHORT", "MET_STRING"),
    "mhd with its data outside": ("s03.mhd", META, "LOCAL", "../secret"),
    "mhd with its data in a list": ("s03.mhd", META, "LOCAL", "LIST\nsecret"),
}


def text(name: str, header: str, old: str, new: str, what: str) -> Fault:
    """A file of a changed header and good voxels."""
    assert old in header
    blank = "\n" if header is NRRD else ""
    content = (header.replace(old, new, 1) + blank).encode() + solid().T.tobytes()
    return Fault(what, name, lambda path: path.write_bytes(content))


def mgh(*numbers: int) -> bytes:
    """A good MGH file with the first numbers of its header replaced: version, sizes, type."""
    return struct.pack(f">{len(numbers)}i", *numbers) + good("mgh")[4 * len(numbers) :]


MGH = {
    "that claims 90,000^3 voxels": mgh(1, 90_000, 90_000, 90_000),
    "of negative size": mgh(1, -12, 14, 10),
    "of version 9": mgh(9),
    "of four volumes": mgh(1, 12, 14, 2, 5),
    "of an unknown type": mgh(1, 12, 14, 10, 1, 99),
}


def outside(path: Path) -> None:
    """An HDF5 file whose dataset is a link to another file."""
    with h5py.File(path, "w") as file:
        file["image"] = h5py.ExternalLink("../secret.h5", "/image")


def virtual(path: Path) -> None:
    """An HDF5 file whose dataset is another file's."""
    layout = h5py.VirtualLayout(SHAPE, np.int16)
    layout[:] = h5py.VirtualSource("../secret.h5", "image", SHAPE)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("image", layout)


def unwritten(path: Path) -> None:
    """An HDF5 file that claims a terabyte, of which nothing was written."""
    with h5py.File(path, "w") as file:
        file.create_dataset("image", (9000, 9000, 9000), np.int16, chunks=(9, 9, 9))


H5 = {
    "without the dataset": lambda path: write_h5(path, other=solid()),
    "whose dataset is a group": lambda path: h5py.File(path, "w").create_group("image"),
    "of words": lambda path: write_h5(path, image=np.array([b"a", b"b"])),
    "of colours": lambda path: write_h5(path, image=COLOUR),
    "of a series of volumes": lambda path: write_h5(path, image=np.stack([solid()] * 3)),
    "whose dataset is in another file": outside,
    "whose dataset is made of another file's": virtual,
    "that claims a terabyte": unwritten,
    "with NaN alone": lambda path: write_h5(path, image=np.full(SHAPE, np.nan)),
}


def series(change) -> None:
    """A writer of a DICOM folder with something changed."""

    def make(folder: Path) -> None:
        write_dicom(folder, itk_image(solid(), np.diag([1.0, 1.2, 2.0, 1.0])))
        change(folder)

    return make


def cut(folder: Path) -> None:
    path = folder / "85.dcm"
    path.write_bytes(path.read_bytes()[:-90])


def second(folder: Path) -> None:
    write_dicom(folder / "x", itk_image(solid(), np.eye(4)), {"0020|000e": "9.9"})
    shutil.move(folder / "x/85.dcm", folder / "other.dcm")
    shutil.rmtree(folder / "x")


def odd_name(folder: Path) -> None:
    """A damaged slice whose name is no UTF-8."""
    os.rename(folder / "85.dcm", os.path.join(os.fsencode(folder), b"85\xff.dcm"))
    path = Path(os.fsdecode(os.path.join(os.fsencode(folder), b"85\xff.dcm")))
    path.write_bytes(path.read_bytes()[:-90])


DICOM = {
    "that is empty": lambda folder: [path.unlink() for path in folder.iterdir()],
    "of one slice": lambda folder: [path.unlink() for path in sorted(folder.iterdir())[1:]],
    "without a slice in the middle": lambda folder: (folder / "85.dcm").unlink(),
    "with a slice twice": lambda folder: shutil.copy(folder / "85.dcm", folder / "again.dcm"),
    "with a truncated slice": cut,
    "with a truncated slice whose name is no UTF-8": odd_name,
    "of two series": second,
    "with a link out of it": lambda folder: (folder / "z.dcm").symlink_to("../../secret"),
    "of text files": lambda folder: [path.write_text("no scan") for path in folder.iterdir()],
}

# A MetaImage has no magic, and its first line says nothing that is needed
NO_FAULTS = ("mha with another magic", "packed.mha with another magic")

FAULTS = [
    *(
        fault
        for suffix in FORMATS
        for fault in damaged_files(suffix, name_of(suffix), good(suffix))
        if fault.what not in NO_FAULTS
    ),
    *damaged_files("h5", "s03.h5:/image", good("h5"), H5_COLUMNS),
    *files("nii", "s03.nii", NIFTI),
    *files("nii.gz", "s03.nii.gz", PACKED),
    *files("mgh", "s03.mgh", MGH),
    *(text(*parts, what=what) for what, parts in TEXTS.items()),
    *(Fault(f"h5 {what}", "s03.h5:/image", make, H5_COLUMNS) for what, make in H5.items()),
    Fault("h5 without a dataset's name", "s03.h5", partial(write_bytes, good("h5"))),
    Fault("h5 without spacing", "s03.h5:/image", partial(write_bytes, good("h5"))),
    *(Fault(f"DICOM folder {what}", "s03", series(change)) for what, change in DICOM.items()),
    Fault("nii that is a named pipe", "s03.nii", os.mkfifo),
    Fault("nii that is a link out of the folder", "s03.nii", partial(link, "../secret")),
]
