"""A trained encoder on images it has never seen, prepared as it knows them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lmcore.discovery.checkpoint import load_encoder
from lmcore.errors import InputError
from lmcore.files import whole_file, write_csv
from lmcore.points.geometry import apply_affine, index_to_normalised, normalised_to_index
from lmcore.points.landmarks import landmark_table
from lmcore.population.preprocessing import Preprocessing, prepare_image
from lmcore.population.readers import read_image
from lmcore.registration import spline, warp

StrPath = str | os.PathLike


class Model:
    """An encoder with the preprocessing it was trained with.

    Arguments:
        path: of encoder.pt.
    """

    def __init__(self, path: StrPath):
        self.encoder, content = load_encoder(path)
        self.preprocessing = Preprocessing.from_dict(content["preprocessing"])
        self.kernel = content["kernel"]

    @torch.no_grad()
    def __call__(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks of a raw image.

        Arguments:
            array: (h, w) grey image.
        Returns:
            (M, 2) landmarks in [-1, 1] of the prepared image, and its (3, 3) affine to the
            pixels of the raw one.
        """
        image, affine = prepare_image(array, self.preprocessing)
        points = self.encoder(torch.from_numpy(image)[None])[0]
        return points.double().numpy(), affine


def discover_images(model_path: StrPath, images: Sequence[StrPath], output: StrPath) -> None:
    """Write the landmark table of image files; the subject is a file's name without its suffix.

    Raises:
        InputError: if the model or an image cannot be read, or two images have one name.
    """
    model = Model(model_path)
    subjects = [Path(image).stem for image in images]
    twice = sorted({name for name in subjects if subjects.count(name) > 1})
    if twice:
        raise InputError(f"two images are named {twice[0]}: rename one, names tell them apart")
    found = [model(read_image(image)) for image in images]
    points, affines = (np.stack(part) for part in zip(*found, strict=True))
    numbers = list(range(1, model.encoder.landmarks + 1))
    table = landmark_table(subjects, points, numbers, model.preprocessing.size, affines)
    write_csv(output, table)


@torch.no_grad()
def register_images(
    model_path: StrPath, source_path: StrPath, target_path: StrPath, output: StrPath
) -> None:
    """Write the source image as the landmarks carry it onto the target, in the target's pixels.

    The spline is fitted in the prepared images' coordinates, where its corners are, and
    evaluated at every pixel of the raw target; it is the raw source that is sampled, its range
    of intensities stretched to 8 bits.

    Raises:
        InputError: if a file cannot be read, or the target's landmarks coincide.
    """
    model = Model(model_path)
    source, target = read_image(source_path), read_image(target_path)
    (source_points, source_affine), (target_points, target_affine) = model(source), model(target)
    height, width = target.shape
    size = model.preprocessing.size
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    grid = index_to_normalised(apply_affine(np.linalg.inv(target_affine), pixels), size)
    fitted = spline.fit(spline.with_corners(torch.from_numpy(target_points)[None]), model.kernel)
    if fitted.failed.item():
        raise InputError(f"the landmarks of {target_path} coincide: the model cannot register it")
    sources = spline.with_corners(torch.from_numpy(source_points)[None])
    registered = np.empty(len(grid))
    raw = torch.from_numpy(source)[None, None]
    for begin in range(0, len(grid), spline.GRID_POINTS):  # a photograph has millions of pixels
        part = torch.from_numpy(grid[begin : begin + spline.GRID_POINTS])
        basis = spline.cardinal_basis(fitted, part)
        moved = normalised_to_index(spline.transform(basis, sources)[0, 0].T.numpy(), size)
        at = index_to_normalised(apply_affine(source_affine, moved), source.shape)
        values = warp.sample(raw, torch.from_numpy(at)[None, None, None])
        registered[begin : begin + len(part)] = values.flatten().numpy()
    grey = registered.reshape(height, width)
    low, high = source.min(), source.max()
    with whole_file(output) as temporary:
        Image.fromarray(np.uint8(np.round(255 * (grey - low) / (high - low)))).save(
            temporary, format="PNG"
        )
