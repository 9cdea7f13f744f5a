"""What is written of two mean shapes: for the figures, and as surfaces for other programs."""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath

import numpy as np

from lmcore.analysis.mesh_files import write_mesh
from lmcore.analysis.two_groups import Groups
from lmcore.files import whole_hdf5

Path = str | os.PathLike


def write_content(
    path: Path,
    found: Mapping[str, np.ndarray],
    groups: Groups,
    attributes: Mapping[str, object],
) -> None:
    """What the figures show.

    `vertices` (V, 3) of the normal mean, mm from the grid's first voxel, `faces` (F, 3) where it
    has some, and at the vertices `distance` to the case mean, `difference` of the displacements'
    means (mm, both negative outward), `p`, `corrected_p`, `areas` (mm^2), `counted` (not where a
    surface is cut) and, of a simulated population, `bump`; `case_vertices` and `case_faces`;
    `control_points` and `case_points` (M, 3), the mean landmarks, and their `numbers` (M).
    """
    attributes = dict(attributes) | {"control": groups.control, "case": groups.case}
    with whole_hdf5(path) as file:
        for name, values in found.items():
            file.create_dataset(name, data=values, track_times=False)
        file.attrs.update(attributes)


def write_meshes(folder: Path, found: Mapping[str, np.ndarray], centre: np.ndarray) -> None:
    """control_mean.vtp, with the distance and the test at its vertices, and case_mean.vtp.

    The folder stays empty where points have no faces.

    Arguments:
        found: as of `write_content`; centre: (3,) of the grid, mm, which becomes the origin.
    """
    import pyvista  # takes a second

    folder = FilePath(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, start in (("control_mean", ""), ("case_mean", "case_")) if "faces" in found else ():
        vertices = np.float32(found[f"{start}vertices"] - centre)
        mesh = pyvista.PolyData.from_regular_faces(vertices, found[f"{start}faces"])
        if not start:
            for array in ("distance", "difference", "p", "corrected_p"):
                mesh.point_data[array] = np.float32(found[array])
        write_mesh(folder / f"{name}.vtp", mesh)
