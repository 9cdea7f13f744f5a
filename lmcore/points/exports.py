"""Landmarks in the files that other programs read."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lmcore.files import whole_file, write_csv, write_json
from lmcore.points.files import write_points
from lmcore.points.landmarks import Landmarks

# The schema's identifier, not an address: Slicer writes and expects this very text.
SLICER_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#"
)
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


def export_landmarks(
    landmarks: Landmarks,
    images: Sequence[str],
    original_shapes: np.ndarray,
    folder: str | os.PathLike,
) -> None:
    """Write the landmarks, in physical coordinates, for other programs.

    - `landmarks.csv`: one row a subject, columns subject, x1, y1(, z1), x2, ... where
      the digits are the landmark numbers; original pixels, or RAS mm.
    - `landmarks.tps`: tpsDig, geomorph, Morpho; y counted from the image's bottom.
    - `slicer/SUBJECT.mrk.json`: 3D Slicer Markups, labelled with the landmark numbers; LPS.
    - `particles/SUBJECT_world.particles`: ShapeWorks; LPS, as its images are (ITK).

    Slicer and ShapeWorks know space only: pixels (x, y) become (x, y, 0), which is where
    Slicer lays the same image. Lines of .tps and .particles are in the order of the
    columns of `landmarks.csv`.

    Arguments:
        landmarks: N subjects with M landmarks.
        images: (N) each subject's image as its table names it.
        original_shapes: (N, d) array shapes of the original images.
        folder: made if need be; each file appears whole or not at all.
    Raises:
        ValueError: if the arguments disagree on N or d.
    """
    n, _, d = landmarks.physical.shape
    original_shapes = np.asarray(original_shapes)
    if len(images) != n or original_shapes.shape != (n, d):
        raise ValueError(
            f"{len(images)} images and original shapes {original_shapes.shape} do not fit "
            f"landmarks {landmarks.physical.shape}"
        )
    folder = Path(folder)
    write_csv(folder / "landmarks.csv", wide_table(landmarks))
    _write_text(folder / "landmarks.tps", _tps(landmarks, images, original_shapes))
    for subject, points in zip(landmarks.subjects, _in_space(landmarks.physical), strict=True):
        markups = _slicer_markups(subject, landmarks.numbers, points)
        write_json(folder / "slicer" / f"{subject}.mrk.json", markups)
        write_points(folder / "particles" / f"{subject}_world.particles", points)


def wide_table(landmarks: Landmarks) -> pd.DataFrame:
    """One row a subject: subject, x1, y1(, z1), x2, ... in physical coordinates."""
    n, _, d = landmarks.physical.shape
    names = [f"{axis}{number}" for number in landmarks.numbers for axis in "xyz"[:d]]
    table = pd.DataFrame(landmarks.physical.reshape(n, -1), columns=names)
    table.insert(0, "subject", landmarks.subjects)
    return table


def _tps(landmarks: Landmarks, images: Sequence[str], original_shapes: np.ndarray) -> str:
    """Text of a TPS file (Rohlf 2015, Hystrix 26:9-12).

    tpsDig counts y from the image's bottom edge: y = H - y from the top, as published
    TPS files of images do. In 3D there is no image plane to turn; RAS mm as they are.
    """
    points = landmarks.physical.copy()
    d = points.shape[-1]
    if d == 2:
        points[..., 1] = original_shapes[:, :1] - points[..., 1]
    keyword = "LM" if d == 2 else "LM3"
    blocks = []
    for subject, image, subject_points in zip(landmarks.subjects, images, points, strict=True):
        rows = [" ".join(f"{value:.5f}" for value in point) for point in subject_points]
        blocks += [f"{keyword}={len(rows)}", *rows, f"IMAGE={image}", f"ID={subject}"]
    return "\n".join(blocks) + "\n"


def _slicer_markups(subject: str, numbers: Sequence[int], points: np.ndarray) -> dict:
    """A fiducial list of 3D Slicer (Markups schema 1.0.3)."""
    control_points = [
        {
            "id": str(number),
            "label": str(number),
            "position": [float(value) for value in point],
            "positionStatus": "defined",
        }
        for number, point in zip(numbers, points, strict=True)
    ]
    markup = {
        "type": "Fiducial",
        "name": subject,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": control_points,
    }
    return {"@schema": SLICER_SCHEMA, "markups": [markup]}


def _in_space(physical: np.ndarray) -> np.ndarray:
    """(N, M, 3) LPS: RAS mm with two signs changed, or pixels with z = 0."""
    if physical.shape[-1] == 3:
        return physical * RAS_TO_LPS
    return np.concatenate([physical, np.zeros_like(physical[..., :1])], axis=-1)


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
