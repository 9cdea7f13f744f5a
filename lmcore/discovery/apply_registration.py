"""One image registered to another by a trained encoder, on the target's own grid."""

import gzip
import math
import os
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from lmcore.discovery.apply import Model, Spacing, StrPath
from lmcore.errors import InputError
from lmcore.files import whole_file
from lmcore.points.geometry import apply_affine, index_to_normalised, normalised_to_index
from lmcore.population.preprocessing import prepare_image
from lmcore.population.readers import read_image
from lmcore.population.segmentations import read_segmentation
from lmcore.population.volume_preprocessing import about, prepare_volume
from lmcore.population.volumes import read_volume
from lmcore.progress import Progress
from lmcore.registration import spline, warp
from lmcore.registration.evaluation import evaluate

SUFFIXES = {2: (".png",), 3: (".nii", ".nii.gz")}


@dataclass(frozen=True)
class Scan:
    """An image or a scan as it was taken, with its landmarks.

    Attributes:
        path: its file.
        array: (*spatial) intensities of the file.
        affine: (d+1, d+1) from its index to where it lies: pixels in 2D, RAS mm in 3D.
        landmarks: (M, d) in [-1, 1] of the prepared image.
        prepared: (d+1, d+1) from the prepared image's index to the same pixels or mm.
    """

    path: StrPath
    array: np.ndarray
    affine: np.ndarray
    landmarks: np.ndarray
    prepared: np.ndarray

    @classmethod
    def of(
        cls,
        model: Model,
        path: StrPath,
        spacing: Spacing = None,
        reflect: bool = False,
        segmentation: StrPath | None = None,
    ):
        """Read one of the model's dimension; all but model and path are of volumes."""
        if len(model.size) == 2:
            array, affine = read_image(path), np.eye(3)
            image, prepared = prepare_image(array, model.preprocessing)
        else:
            volume, mask = read_volume(path, spacing), None
            array, affine = volume.array, volume.affine
            if segmentation is not None:
                label = model.preprocessing.segmentation_label
                mask = read_segmentation(segmentation, volume, path, label, spacing)
            with about(path):
                image, prepared = prepare_volume(volume, model.preprocessing, mask, reflect)
        return cls(path, array, affine, model(image), prepared)


def register_images(
    model_path: StrPath,
    source_path: StrPath,
    target_path: StrPath,
    output: StrPath,
    source_spacing: Spacing = None,
    target_spacing: Spacing = None,
    reflect_source: bool = False,
    reflect_target: bool = False,
    source_segmentation: StrPath | None = None,
    target_segmentation: StrPath | None = None,
) -> None:
    """Write the source as the landmarks carry it onto the target.

    Of 2D images a PNG of the target's size, the source's range of intensities stretched to
    8 bits. Of volumes a NIfTI file with the target's grid and affine and the source's own
    intensities, its lowest one where the source was not scanned.

    Arguments:
        model_path: encoder.pt.
        source_path, target_path: both of the encoder's dimension.
        output: .png, or .nii or .nii.gz.
        source_spacing, target_spacing: mm, of a volume that carries none.
        reflect_source, reflect_target: whether the volume is of the side that was reflected in
            training.
        source_segmentation, target_segmentation: of volumes, where the encoder aligns by them.
    Raises:
        InputError: if a file cannot be read, it does not fit the encoder, the output is of
            another format, or the target's landmarks coincide.
    """
    model = Model(model_path)
    suffixes = SUFFIXES[len(model.size)]
    if not os.fspath(output).lower().endswith(suffixes):
        raise InputError(
            f"{output}: the encoder's images are {len(model.size)}D, so the registered one is "
            f"written as {' or '.join(suffixes)}"
        )
    for path, spacing, segmentation, reflect in (
        (source_path, source_spacing, source_segmentation, reflect_source),
        (target_path, target_spacing, target_segmentation, reflect_target),
    ):
        model.check([path], spacing, [segmentation] if segmentation else [], reflect)
    target = Scan.of(model, target_path, target_spacing, reflect_target, target_segmentation)
    source = Scan.of(model, source_path, source_spacing, reflect_source, source_segmentation)
    registered = register_scan(source, target, model.size, model.kernel)
    if registered.ndim == 2:
        _write_png(output, registered, source.array.min(), source.array.max())
    else:
        _write_nifti(output, registered, target.affine)


@torch.no_grad()
def register_scan(source: Scan, target: Scan, size: tuple[int, ...], kernel: str) -> np.ndarray:
    """The source on the target's own grid, by linear interpolation of its own intensities.

    The spline is fitted in the prepared images' coordinates, where its corners are, and
    evaluated at every pixel or voxel of the target, beyond the prepared image too. Where that
    leads out of the source, a 2D image goes on with its border, a volume has its lowest value.

    Arguments:
        size: array shape of prepared images.
        kernel: of the spline.
    Returns:
        (*spatial of the target) of the source's dtype.
    Raises:
        InputError: if the target's landmarks coincide.
    """
    fitted = spline.fit(spline.with_corners(torch.from_numpy(target.landmarks)[None]), kernel)
    if fitted.failed.item():
        raise InputError(f"the landmarks of {target.path} coincide: the model cannot register it")
    landmarks = spline.with_corners(torch.from_numpy(source.landmarks)[None])
    to_prepared = np.linalg.inv(target.prepared) @ target.affine
    to_source = np.linalg.inv(source.affine) @ source.prepared
    shape, last = target.array.shape, np.array(source.array.shape[::-1]) - 1
    intensities = torch.from_numpy(source.array)[None, None]
    lowest = source.array.min()
    count = math.prod(shape)
    registered = np.empty(count, source.array.dtype)
    progress = Progress(f"registering {source.path}", count, "voxels")
    for begin in range(0, count, spline.GRID_POINTS):  # a scan has 10^8 voxels
        part = slice(begin, min(begin + spline.GRID_POINTS, count))
        index = np.unravel_index(np.arange(part.start, part.stop), shape)
        at_target = apply_affine(to_prepared, np.stack(index[::-1], axis=-1))
        grid = torch.from_numpy(index_to_normalised(at_target, size))
        moved = evaluate(fitted, landmarks, grid)[0, 0].T.numpy()
        at_source = apply_affine(to_source, normalised_to_index(moved, size))
        where = torch.from_numpy(index_to_normalised(at_source, source.array.shape))
        values = warp.sample(intensities, where.view(*[1] * (len(shape) + 1), *where.shape))
        registered[part] = values.flatten().numpy()
        if len(shape) == 3:
            beyond = ((at_source < -0.5) | (at_source > last + 0.5)).any(axis=1)
            registered[part][beyond] = lowest
        progress.update(part.stop)
    return registered.reshape(shape)


def _write_png(path: StrPath, grey: np.ndarray, low: float, high: float) -> None:
    with whole_file(path) as temporary:
        Image.fromarray(np.uint8(np.round(255 * (grey - low) / (high - low)))).save(temporary)


def _write_nifti(path: StrPath, array: np.ndarray, affine: np.ndarray) -> None:
    import nibabel  # only volumes need it

    file = nibabel.Nifti1Image(array.T, affine)  # NIfTI has x first
    file.header.set_xyzt_units("mm")
    with whole_file(path) as temporary, temporary.open("wb") as raw:
        if os.fspath(path).lower().endswith(".gz"):
            # Neither a name nor a time of day: the same bytes every time
            with gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
                file.to_stream(packed)
        else:
            file.to_stream(raw)
