"""Where the object is, by Otsu's threshold, and its outline as elliptical Fourier descriptors."""

import numpy as np
from contourpy import contour_generator
from PIL import Image
from scipy import ndimage

# Outlines are traced on images of at most so many pixels a side.
LONGEST = 400
# Standard deviation over which edges are gathered, as a share of the longest side.
SMOOTHING = 0.01
BINS = 256
# A landmark farther than this share of the longest side from the object is off it.
OFF_OBJECT = 0.02


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold with the largest variance between the two classes (Otsu 1979).

    Raises:
        ValueError: if all values are equal.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise ValueError(f"all values are {low}: nothing to separate")
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above, total = values.size - below, float(counts @ centres)
    between = below * above * (sums / below - (total - sums) / above) ** 2
    # a gap in the histogram makes equal maxima: the middle of them
    best = np.flatnonzero(between == between.max())
    return float(edges[1:-1][best].mean())


def small_copy(image: np.ndarray) -> np.ndarray:
    """(h, w) float32 the image with at most LONGEST pixels a side, averaged."""
    scale = min(1.0, LONGEST / max(image.shape))
    height, width = (max(2, round(n * scale)) for n in image.shape)
    grey = Image.fromarray(np.asarray(image, dtype=np.float32))
    return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))


def foreground(image: np.ndarray) -> np.ndarray:
    """The object of a 2D image: its largest connected part without holes.

    Otsu's threshold separates where edges are strong from where they are weak, and what strong
    edges enclose is object; the square root of the gradient lets a faint rim count beside a sharp
    one. By the grey values themselves a transparent object, of which only the rim differs from
    the background, falls apart: on the four genera of real diatoms the Fourier descriptors of
    such outlines tell less (balanced accuracy 0.39 against 0.56).

    Arguments:
        image: (h, w), not constant.
    Returns:
        (h, w) bool; nowhere empty.
    """
    grey = np.asarray(image, dtype=float)
    edges = np.sqrt(ndimage.gaussian_gradient_magnitude(grey, 1.0, mode="nearest"))
    edges = ndimage.gaussian_filter(edges, SMOOTHING * max(grey.shape), mode="nearest")
    parts, count = ndimage.label(edges > otsu_threshold(edges))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    return ndimage.binary_fill_holes(parts == 1 + sizes.argmax())


def outline(image: np.ndarray) -> np.ndarray:
    """(n, 2) closed outline (x, y) of the object of an image, in pixels of a small copy of it.

    The longest contour at half the height of the slightly smoothed object, whatever its turning
    sense; the first point is not repeated.
    """
    padded = np.pad(foreground(small_copy(image)), 4).astype(float)
    lines = contour_generator(z=ndimage.gaussian_filter(padded, 1.0)).lines(0.5)
    # so little may be inside that smoothing leaves no contour
    lines = lines or contour_generator(z=padded).lines(0.5)
    longest = max(lines, key=lambda line: np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
    return longest[:-1]


def fourier_descriptors(points: np.ndarray, count: int) -> np.ndarray:
    """Elliptical Fourier descriptors, free of size, place, rotation and starting point.

    Kuhl and Giardina, Computer Graphics and Image Processing 18 (1982) 236-258. Of the two ends
    of the first ellipse's long axis the one to the right is the start (the upper one where the
    axis is steeper than 45 degrees), so that an object hardly turned keeps its descriptors.

    Arguments:
        points: (n, 2) closed outline (x, y), y downwards, first point not repeated.
        count: how many values.
    Returns:
        (count,): d_1 (the ratio of the first ellipse's axes), then a_n, b_n, c_n, d_n of the
        harmonics n = 2, 3, ...; a_1 = 1 and b_1 = c_1 = 0 by the normalisation.
    """
    harmonics = 1 + -(-(count - 1) // 4)
    coefficients = _elliptic_fourier(_counterclockwise(points), harmonics)
    (a, b), (c, d) = coefficients[0]
    # the phase of the long axis: there x^2 + y^2 of the first ellipse is largest
    phase = 0.5 * np.arctan2(2 * (a * b + c * d), a * a + c * c - b * b - d * d)
    x, y = coefficients[0] @ [np.cos(phase), np.sin(phase)]
    if (x if abs(x) >= abs(y) else -y) < 0:
        phase, x, y = phase + np.pi, -x, -y
    n = np.arange(1, harmonics + 1)
    cos, sin = np.cos(n * phase), np.sin(n * phase)
    start = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)
    upright = np.array([[x, y], [-y, x]]) / (x * x + y * y)  # turns and scales the axis to (1, 0)
    return (upright @ coefficients @ start).ravel()[3 : 3 + count]


def _counterclockwise(points: np.ndarray) -> np.ndarray:
    x, y = points.T
    area = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
    return points if area > 0 else points[::-1]


def _elliptic_fourier(points: np.ndarray, harmonics: int) -> np.ndarray:
    """(harmonics, 2, 2): [[a_n, b_n], [c_n, d_n]] of the polygon, by arc length."""
    closed = np.vstack([points, points[:1]])
    steps = np.diff(closed, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    steps, lengths = steps[lengths > 0], lengths[lengths > 0]
    times = np.concatenate([[0], np.cumsum(lengths)])
    n = np.arange(1, harmonics + 1)[:, None]
    angles = 2 * np.pi * n * times / times[-1]
    slopes = steps / lengths[:, None]
    weight = times[-1] / (2 * np.pi**2 * n**2)
    cosines = weight * (np.diff(np.cos(angles), axis=1) @ slopes)
    sines = weight * (np.diff(np.sin(angles), axis=1) @ slopes)
    return np.stack([cosines, sines], axis=-1)


def off_object_share(index: np.ndarray, inside: np.ndarray) -> float:
    """Share of landmarks farther from the object than OFF_OBJECT of the image's longest side.

    Arguments:
        index: (M, d) landmarks (x, y[, z]) in pixels of the image; inside: (*spatial) bool.
    """
    distance = ndimage.distance_transform_edt(~inside)
    last = np.array(inside.shape) - 1
    place = np.clip(np.rint(index[:, ::-1]).astype(int), 0, last)
    return float((distance[tuple(place.T)] > OFF_OBJECT * max(inside.shape)).mean())


def off_photographed_share(index: np.ndarray, image: np.ndarray) -> float:
    """`off_object_share` of the object that `foreground` finds.

    Arguments:
        index: (M, 2) landmarks (x, y) in pixels of the image (h, w).
    """
    small = small_copy(image)
    scale = np.divide(small.shape, image.shape)[::-1]
    return off_object_share((index + 0.5) * scale - 0.5, foreground(small))
