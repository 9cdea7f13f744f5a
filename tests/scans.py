"""Small scans of known content, written in every format that is read."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

SHAPE = (5, 7, 9)  # x, y, z
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """About x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        matrix = turn @ matrix
    return matrix


def affine_of(left_handed: bool = False) -> np.ndarray:
    """Oblique, 0.7 x 1.1 x 2.3 mm."""
    affine = np.eye(4)
    affine[:3, :3] = rotation((20, -35, 10)) * [0.7, 1.1, -2.3 if left_handed else 2.3]
    affine[:3, 3] = 12.5, -40.25, 7.0
    return affine


def content() -> np.ndarray:
    """(x, y, z) int16, no two voxels alike."""
    return np.random.default_rng(0).permutation(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)


def itk_image(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Of (x, y, z) and an affine to RAS; ITK's world is LPS."""
    image = sitk.GetImageFromArray(array.T)
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_dicom(
    folder: Path, image: sitk.Image, tags: dict | None = None, slope: str = "1"
) -> None:
    """A series, one file a slice, named against the order of positions."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = np.reshape(image.GetDirection(), (3, 3))
    for k in range(image.GetDepth()):
        part = image[:, :, k]
        position = image.TransformIndexToPhysicalPoint((0, 0, k))
        values = {
            "0008|0060": "CT",
            "0008|0018": f"1.2.3.{k}",
            "0020|000e": "1.2.3",
            "0020|000d": "1.2",
            "0020|0032": "\\".join(f"{mm:.6f}" for mm in position),
            "0020|0037": "\\".join(f"{n:.8f}" for n in [*direction[:, 0], *direction[:, 1]]),
            "0028|1053": slope,
            "0028|1052": "0",
        }
        for tag, value in (values | (tags or {})).items():
            part.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{90 - k}.dcm"))
        writer.Execute(part)


def write(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """Write (x, y, z) with its affine to RAS in the format of the suffix."""
    name = path.name
    if name.endswith((".nii", ".nii.gz")):
        nibabel.Nifti1Image(array, affine).to_filename(path)
    elif name.endswith((".mgh", ".mgz")):
        nibabel.MGHImage(array.astype(np.int32), affine).to_filename(path)
    elif path.suffix:
        sitk.WriteImage(itk_image(array, affine), str(path), useCompression="packed" in name)
    else:
        write_dicom(path, itk_image(array, affine))
    return path
