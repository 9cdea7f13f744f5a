import json

import numpy as np
import pytest
from real_data import real_data
from scipy.ndimage import gaussian_filter, map_coordinates

from lmcore.discovery.known_maps import LARGEST_SHIFT
from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.population.intensity import normalise_intensity
from lmcore.population.preprocessing import (
    MARGIN_OF_CROPPED,
    Preprocessing,
    automatic_margin,
    automatic_size,
    prepare_image,
    prepare_mask,
)
from lmcore.population.readers import read_image


def blob_image(shape: tuple[int, int], centre: tuple[float, float], sigma: float) -> np.ndarray:
    """A Gaussian blob at (x, y), 100 on a background of 20."""
    y, x = np.indices(shape)
    squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    return 20 + 100 * np.exp(-squared / (2 * sigma**2))


def centroid(image: np.ndarray) -> np.ndarray:
    """(x, y) of what is brighter than the background, 1/2."""
    y, x = np.indices(image.shape)
    weight = np.clip(image - 0.5, 0, None)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


# original (h, w), grid (H, W), relative place of the blob
CASES = {
    "shrunk": ((300, 500), (64, 128), (0.3, 0.6)),
    "shrunk a lot": ((1000, 700), (48, 32), (0.6, 0.4)),
    "enlarged": ((40, 30), (128, 112), (0.7, 0.35)),
    "portrait in landscape": ((301, 97), (64, 128), (0.4, 0.7)),
    "landscape in portrait": ((97, 301), (128, 48), (0.3, 0.4)),
    "odd margins": ((200, 333), (77, 128), (0.65, 0.3)),
    "slender, rounded": ((601, 163), (128, 48), (0.5, 0.3)),
    "same size": ((64, 48), (64, 48), (0.4, 0.6)),
    "same size in a larger grid": ((64, 48), (64, 80), (0.4, 0.6)),
}


@pytest.mark.parametrize(("shape", "size", "place"), CASES.values(), ids=CASES)
def test_a_blob_is_where_the_affine_says(shape, size, place):
    centre = place[0] * (shape[1] - 1), place[1] * (shape[0] - 1)
    array = blob_image(shape, centre, sigma=0.07 * max(shape))
    image, affine = prepare_image(array, Preprocessing(size))
    assert (image.shape, image.dtype) == ((1, *size), np.float32)
    # Clipping above the 99th percentile and the cut of the blob's tails are symmetric in
    # neither image, so compare with the centroid of the normalised original
    original, _ = normalise_intensity(array, "border")
    found = apply_affine(affine, centroid(image[0])[None])[0]
    pixel = affine[0, 0]  # one pixel of the grid in pixels of the original
    np.testing.assert_allclose(found, centroid(original), atol=0.03 * pixel)


@pytest.mark.parametrize(("shape", "size", "place"), CASES.values(), ids=CASES)
def test_the_affine_puts_the_edges_of_the_content_on_the_edges_of_the_original(shape, size, place):
    """A bright image on zero: content is what was padded around."""
    array = np.full(shape, 200.0)
    array[0], array[:, 0], array[-1], array[:, -1] = 0, 0, 0, 0
    array[shape[0] // 2] += 1
    image, affine = prepare_image(np.pad(array[1:-1, 1:-1], 1), Preprocessing(size))
    corners = apply_affine(np.linalg.inv(affine), [[-0.5, -0.5], [shape[1] - 0.5, shape[0] - 0.5]])
    edges = corners + 0.5  # pixel edges, whole numbers
    np.testing.assert_allclose(edges, np.round(edges), atol=1e-9)
    (left, top), (right, bottom) = np.round(edges).astype(int)
    assert min(left, top, size[1] - right, size[0] - bottom) >= 0
    assert right - left == size[1] or bottom - top == size[0]
    assert abs(left - (size[1] - right)) <= 1
    assert abs(top - (size[0] - bottom)) <= 1
    outside = np.ones(size, bool)
    outside[top:bottom, left:right] = False
    np.testing.assert_array_equal(image[0][outside], 0.5)
    # aspect ratio kept but for the rounding to whole pixels
    scale = min(size[0] / shape[0], size[1] / shape[1])
    assert abs((right - left) - scale * shape[1]) <= 0.5
    assert abs((bottom - top) - scale * shape[0]) <= 0.5


@pytest.mark.parametrize(
    ("shape", "size", "margin", "inner"),
    [
        ((300, 100), (128, 64), 0.1, (102, 52)),  # 12.8 and 6.4 pixels on each side
        ((60, 90), (64, 96), 0.25, (32, 48)),
        ((64, 48), (64, 48), 0.0, (64, 48)),
    ],
)
def test_the_margin_stays_free(shape, size, margin, inner):
    preprocessing = Preprocessing(size, margin=margin)
    assert preprocessing.inner == inner
    centre = 0.3 * (shape[1] - 1), 0.6 * (shape[0] - 1)
    array = blob_image(shape, centre, sigma=0.07 * max(shape))
    image, affine = prepare_image(array, preprocessing)
    # the closed form of what fits into the inner box and lies in the middle of the grid
    scale = min(inner[0] / shape[0], inner[1] / shape[1])
    top, left = apply_affine(np.linalg.inv(affine), [[-0.5, -0.5]])[0][::-1] + 0.5
    height, width = round(scale * shape[0]), round(scale * shape[1])
    assert (top, left) == pytest.approx(((size[0] - height) // 2, (size[1] - width) // 2))
    outside = np.ones(size, bool)
    outside[round(top) :, round(left) :][:height, :width] = False
    np.testing.assert_array_equal(image[0][outside], 0.5)
    original, _ = normalise_intensity(array, "border")
    found = apply_affine(affine, centroid(image[0])[None])[0]
    np.testing.assert_allclose(found, centroid(original), atol=0.03 * affine[0, 0])
    mask = prepare_mask(np.ones(shape, bool), preprocessing)
    np.testing.assert_array_equal(mask == 1, ~outside)


def test_images_of_several_shapes_get_a_margin_as_wide_as_known_maps_shift():
    assert automatic_margin([(60, 80), (60, 80), (60, 81)]) == LARGEST_SHIFT
    assert automatic_margin([(60, 80)] * 3) == 0


@pytest.mark.parametrize("margin", [-0.01, 0.26, float("nan")])
def test_a_margin_that_is_none(margin):
    with pytest.raises(InputError, match=r"preprocess\.margin: .* is no share from 0 to 0\.25"):
        Preprocessing((32, 32), margin=margin)


def test_same_size_changes_no_pixel():
    array = np.random.default_rng(0).uniform(0, 1000, (20, 30))
    image, affine = prepare_image(array, Preprocessing((20, 30)))
    np.testing.assert_array_equal(affine, np.eye(3))
    np.testing.assert_array_equal(image[0], normalise_intensity(array, "border")[0])


def test_halving_averages_so_that_nothing_aliases():
    """Columns of period two become grey; sampling every second would give stripes."""
    array = np.zeros((64, 128))
    array[:, ::2] = 100
    image, affine = prepare_image(array, Preprocessing((32, 64), "percentile"))
    np.testing.assert_allclose(image[0, :, 2:-2], 0.5, atol=1e-6)
    np.testing.assert_allclose(affine, [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])


def test_border_normalisation_in_closed_form():
    array = np.full((40, 50), 30.0)
    array[10:20, 10:30] = 80  # 200 of 2000 pixels: above the 99th percentile of |I - 30|
    array[25:30, 10:20] = 10
    values, background = normalise_intensity(array, "border")
    assert background == 0.5
    np.testing.assert_allclose(values[0, 0], 0.5)
    np.testing.assert_allclose(values[15, 20], 1.0)  # scale is 50
    np.testing.assert_allclose(values[27, 15], 0.5 - 20 / 100)


def test_border_scale_is_the_99th_percentile_of_the_deviation():
    array = np.zeros((52, 102))  # 5304 pixels, 5000 of them inside
    array[1:-1, 1:-1] = np.arange(1.0, 5001).reshape(50, 100) * (-1) ** np.arange(100)
    # 53 of the 5303 intervals between sorted deviations lie above: 5000 - 53.03
    values, _ = normalise_intensity(array, "border")
    np.testing.assert_allclose(values, np.clip(0.5 + array / (2 * 4946.97), 0, 1), atol=1e-6)


def test_background_is_the_median_of_the_outermost_pixels_each_once():
    array = np.full((4, 6), 100.0)  # 16 outermost pixels
    array[0], array[1:3, 0], array[-1, 0] = 10, 10, 10  # 9 of them
    array[1, 1] = 210
    values, background = normalise_intensity(array, "border")
    assert background == 0.5
    np.testing.assert_allclose(values[[0, 3], [0, 0]], 0.5)
    assert values[2, 2] > 0.5
    array[0, :2] = 0  # the corner counts once: 7 of 16 are 10, 2 are 0
    array[3, 0] = 100
    values, _ = normalise_intensity(array, "border")
    scale = np.percentile(np.abs(array - 55), 99)  # 8 below 55, 8 above
    np.testing.assert_allclose(values[0, 3], 0.5 - 45 / (2 * scale), atol=1e-6)


@pytest.mark.parametrize("intensity", ["border", "percentile"])
def test_brightness_and_contrast_do_not_matter(intensity):
    array = gaussian_filter(np.random.default_rng(0).normal(size=(30, 41)), 2)
    image, _ = prepare_image(array, Preprocessing((32, 48), intensity))
    other, _ = prepare_image(7000 + 250 * array, Preprocessing((32, 48), intensity))
    np.testing.assert_allclose(image, other, atol=1e-5)


def test_inverted_contrast_is_mirrored_about_the_background():
    array = gaussian_filter(np.random.default_rng(0).normal(size=(31, 41)), 2)
    image, _ = prepare_image(array, Preprocessing((32, 48)))
    inverted, _ = prepare_image(-array, Preprocessing((32, 48)))
    np.testing.assert_allclose(image, 1 - inverted, atol=1e-5)


def test_percentile_normalisation_in_closed_form():
    array = np.arange(101.0 * 3).reshape(3, 101) // 3  # 0 to 100, each three times
    values, background = normalise_intensity(array, "percentile")
    low, high = np.percentile(array, [1, 99])
    np.testing.assert_allclose(values, np.clip((array - low) / (high - low), 0, 1), atol=1e-6)
    outermost = [*array[0], *array[2], array[1, 0], array[1, -1]]
    np.testing.assert_allclose(background, (np.median(outermost) - low) / (high - low))


@pytest.mark.parametrize("intensity", ["border", "percentile"])
def test_a_speck_alone_is_still_seen(intensity):
    array = np.full((50, 60), 9.0)
    array[20, 30] = 4  # far less than 1 % of the pixels
    values, background = normalise_intensity(array, intensity)
    assert (values[20, 30], values[0, 0], background) == (
        0,
        *[0.5 if intensity == "border" else 1] * 2,
    )


def test_padding_has_the_background_of_the_percentile_scale():
    array = np.linspace(0, 1, 100 * 40).reshape(40, 100)
    array[[0, -1]], array[:, [0, -1]] = 0.25, 0.25
    image, _ = prepare_image(array, Preprocessing((64, 64), "percentile"))
    low, high = np.percentile(array, [1, 99])
    np.testing.assert_allclose(image[0, :19], (0.25 - low) / (high - low), atol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(600, 200)] * 3, (128, 64)),  # 43 is too narrow to turn in
        ([(480, 632)], (96, 128)),
        ([(632, 480)], (128, 96)),
        ([(100, 100), (300, 300)], (128, 128)),
        ([(1000, 10)], (128, 64)),
        ([(100, 200), (200, 100)], (128, 128)),
        ([(100, 200), (100, 200), (200, 100)], (64, 128)),
        ([(10, 16), (1000, 1600)], (80, 128)),
    ],
)
def test_automatic_size(shapes, size):
    assert automatic_size(shapes) == size


@pytest.mark.parametrize(
    ("shape", "size", "inner"),
    [
        ((600, 200), (160, 80), (128, 64)),
        ((480, 632), (128, 160), (102, 128)),
        ((100, 100), (160, 160), (128, 128)),
    ],
)
def test_automatic_size_with_a_margin_loses_no_pixel_to_it(shape, size, inner):
    assert automatic_size([shape], 0.1) == size
    assert Preprocessing(size, margin=0.1).inner == inner


def test_automatic_size_of_the_users_length():
    assert automatic_size([(100, 260)], longest=256) == (96, 256)


def test_preprocessing_survives_json():
    preprocessing = Preprocessing((96, 128), "percentile", 0.1)
    content = json.loads(json.dumps(preprocessing.to_dict()))
    assert content == {"size": [96, 128], "intensity": "percentile", "margin": 0.1}
    assert Preprocessing.from_dict(content) == preprocessing


def test_preprocessing_from_before_there_were_margins():
    content = {"size": [96, 128], "intensity": "border"}
    assert Preprocessing.from_dict(content) == Preprocessing((96, 128), margin=0.0)


@pytest.mark.parametrize("size", [(128,), (1, 128), (128, "64"), (128, 64.5), (3, 4, 5)])
def test_sizes_that_are_none(size):
    with pytest.raises(InputError, match=r"preprocess\.size"):
        Preprocessing(size)


def test_an_unknown_intensity():
    with pytest.raises(InputError, match=r"preprocess\.intensity: 'zscore' is none of border"):
        Preprocessing((64, 64), "zscore")


@pytest.mark.parametrize(
    "name", ["diatoms_4genus/Eunotia/Eunotia_0001.jpg", "fly_wings/images/63001.jpg"]
)
@pytest.mark.parametrize("margin", [0.0, MARGIN_OF_CROPPED])
def test_real_images_agree_with_an_independent_resampling(name, margin):
    array = read_image(real_data(name))
    size = automatic_size([array.shape], margin)
    image, affine = prepare_image(array, Preprocessing(size, margin=margin))
    values, background = normalise_intensity(array, "border")
    smooth = gaussian_filter(values, 0.4 * affine[0, 0])
    j, i = np.indices(size)
    original = apply_affine(affine, np.stack([i, j], axis=-1).reshape(-1, 2)[None])[0]
    expected = map_coordinates(smooth, original[:, ::-1].T, order=1, cval=background)
    inside = ((original >= 0) & (original <= np.array(array.shape[::-1]) - 1)).all(axis=1)
    error = (image.reshape(-1) - expected)[inside]
    assert np.sqrt(np.mean(error**2)) < 0.02
    assert image.reshape(-1)[inside].std() > 0.1
