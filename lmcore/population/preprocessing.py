"""From an image as it was taken to one of the population's grid and intensities."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lmcore.errors import InputError
from lmcore.population.checks import IMAGE_INTENSITIES
from lmcore.population.intensity import normalise_intensity

if TYPE_CHECKING:
    from lmcore.population.volume_preprocessing import VolumePreprocessing


LARGEST_SIDE = 4096  # pixels, as the configuration allows
LARGEST_MARGIN = 0.25
# As far as known maps shift: an object that fills its image is then hardly cut, and landmarks tell
# where they are by what they see of it.
MARGIN_OF_CROPPED = 0.1


@dataclass(frozen=True)
class Preprocessing:
    """All that is needed to prepare an image the model has never seen.

    Attributes:
        size: (H, W) of the population's grid.
        intensity: how intensities are normalised, see `normalise_intensity`.
        margin: what stays free on each side, as a share of the grid's height and width.
    """

    size: tuple[int, int]
    intensity: str = "border"
    margin: float = 0.0

    def __post_init__(self):
        sides = all(type(n) is int and 2 <= n <= LARGEST_SIDE for n in self.size)
        if len(self.size) != 2 or not sides:
            raise InputError(
                f"preprocess.size: {self.size} is not a height and a width of 2 to "
                f"{LARGEST_SIDE} pixels"
            )
        if self.intensity not in IMAGE_INTENSITIES:
            raise InputError(
                f"preprocess.intensity: '{self.intensity}' is none of "
                f"{', '.join(IMAGE_INTENSITIES)} (of 2D images)"
            )
        if not 0 <= self.margin <= LARGEST_MARGIN:
            raise InputError(
                f"preprocess.margin: {self.margin} is no share from 0 to {LARGEST_MARGIN}"
            )

    @property
    def inner(self) -> tuple[int, int]:
        """(H, W) of what images are fitted into, in the middle of the grid."""
        return tuple(n - 2 * round(self.margin * n) for n in self.size)

    def to_dict(self) -> dict:
        """Plain types only, for JSON and for `torch.load(weights_only=True)`."""
        return asdict(self) | {"size": list(self.size)}

    @classmethod
    def from_dict(cls, content: dict) -> "Preprocessing | VolumePreprocessing":
        """The inverse of `to_dict`, of images and of volumes: the grid's dimension tells them."""
        if len(content["size"]) == 3:
            from lmcore.population.volume_preprocessing import VolumePreprocessing

            return VolumePreprocessing.from_dict(content)
        return cls(**content | {"size": tuple(content["size"])})


def prepare_image(array: np.ndarray, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Normalise an image's intensity and letterbox it into the population's grid.

    The aspect ratio is kept up to rounding to whole pixels; what the image does not
    cover has the value of its background. Shrinking averages, so nothing aliases.

    Arguments:
        array: (h, w) grey image, finite and not constant.
        preprocessing: the population's.
    Returns:
        (1, H, W) float32 in [0, 1], and the (3, 3) affine from its pixels (x, y, 1) to the
        original's; (0, 0) is the centre of the top left pixel in both.
    """
    values, background = normalise_intensity(array, preprocessing.intensity)
    image, affine = _letterbox(values, preprocessing, background)
    return np.clip(image, 0.0, 1.0)[None], affine


def prepare_mask(mask: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Letterbox a segmentation as its image: a pixel belongs to it if half of its area does.

    Arguments:
        mask: (h, w) bool.
        preprocessing: the population's.
    Returns:
        (H, W) uint8, 0 or 1.
    """
    share, _ = _letterbox(mask.astype(np.float32), preprocessing, 0.0)
    return (share >= 0.5).astype(np.uint8)


def _letterbox(
    values: np.ndarray, preprocessing: Preprocessing, background: float
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32, and the (3, 3) affine back to the pixels of (h, w)."""
    size, inner = preprocessing.size, preprocessing.inner
    scale = min(inner[0] / values.shape[0], inner[1] / values.shape[1])
    height, width = (
        min(room, max(1, round(n * scale))) for n, room in zip(values.shape, inner, strict=True)
    )
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    # Pillow widens the bilinear kernel by the factor of shrinking
    resized = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
    image = np.full(size, background, dtype=np.float32)
    image[top : top + height, left : left + width] = resized
    step_x, step_y = values.shape[1] / width, values.shape[0] / height
    # The edges of the outer pixels coincide: centre u of the content lies at
    # (u + 1/2) step - 1/2 of the original, on each axis with its own rounding
    affine = np.array(
        [
            [step_x, 0.0, (step_x - 1) / 2 - step_x * left],
            [0.0, step_y, (step_y - 1) / 2 - step_y * top],
            [0.0, 0.0, 1.0],
        ]
    )
    return image, affine


def automatic_margin(shapes: Sequence[tuple[int, int]]) -> float:
    """The margin for images (h, w) of these shapes.

    Images of several shapes were cropped to their objects, which then fill them; in those of one
    shape, a camera's, objects lie with room around them.
    """
    return MARGIN_OF_CROPPED if len(set(shapes)) > 1 else 0.0


def automatic_size(
    shapes: Sequence[tuple[int, int]],
    margin: float = 0.0,
    longest: int = 128,
    multiple: int = 16,
    least: int = 64,
) -> tuple[int, int]:
    """A grid for a population, of the median aspect ratio of its images and a margin around it.

    Arguments:
        shapes: (h, w) of each original image.
        margin: what stays free on each side, as a share of the grid's side.
        longest: about the length of the longer side within the margin, in pixels.
        multiple: sides are rounded to a multiple of this: the encoder halves the image four times.
        least: about the least length of the shorter side within the margin; in a narrower frame a
            long object could not turn without leaving it.
    Returns:
        (H, W).
    """
    # The median of logarithms, so that turning every image turns the grid
    ratio = math.exp(np.median([math.log(h / w) for h, w in shapes]))
    shorter = max(least, longest * min(ratio, 1 / ratio))
    longest, shorter = (
        multiple * math.floor(side / (1 - 2 * margin) / multiple + 0.5)
        for side in (longest, shorter)
    )
    return (longest, shorter) if ratio >= 1 else (shorter, longest)
