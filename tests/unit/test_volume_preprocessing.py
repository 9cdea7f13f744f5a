import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.population.grids import (
    aligned_box,
    common_box,
    common_grid,
    field_of_view,
    grid_affine,
    resample,
)
from lmcore.population.intensity import background_of, intensity_range, mean_range
from lmcore.population.preprocessing import Preprocessing
from lmcore.population.region import Medoid, region_mask
from lmcore.population.segmentations import (
    centroid,
    distance_transform,
    mask_box,
    resample_mask,
    select_label,
)
from lmcore.population.volume_preprocessing import (
    VolumePreprocessing,
    prepare_volume,
    subject_centre,
)
from lmcore.population.volumes import Volume

ANGLES = {"straight": 0.0, "oblique": 0.4}


def scan_affine(angle: float, left_handed: bool = False) -> np.ndarray:
    """0.8 x 1.3 x 2.1 mm, turned about all axes."""
    a, b, c = angle, -0.7 * angle, 0.5 * angle
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = z @ y @ x @ np.diag([-0.8 if left_handed else 0.8, 1.3, 2.1])
    affine[:3, 3] = 30.0, -80.0, 11.0
    return affine


def world_of(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(z, y, x, 3) RAS mm of every voxel."""
    index = np.stack(np.indices(shape)[::-1], axis=-1).reshape(-1, 3)
    return apply_affine(affine, index).reshape(*shape, 3)


def blob_scan(affine: np.ndarray, at: np.ndarray, shape=(26, 44, 60), sigma=5.0) -> Volume:
    """A Gaussian blob of so many mm at a place of the world, 1000 on a background of 100."""
    squared = ((world_of(affine, shape) - at) ** 2).sum(axis=-1)
    return Volume((100 + 900 * np.exp(-squared / (2 * sigma**2))).astype(np.float32), affine)


def blob_place(affine: np.ndarray, shape=(26, 44, 60)) -> np.ndarray:
    """Off the centre of a scan along every axis."""
    return apply_affine(affine, np.array([[0.62, 0.45, 0.56]]) * (np.array(shape[::-1]) - 1))[0]


def preprocessing(**changes) -> VolumePreprocessing:
    settings = {"size": (40, 48, 56), "spacing": 1.5, "intensity": "percentile"} | changes
    return VolumePreprocessing(**settings)


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("angle", ANGLES.values(), ids=ANGLES)
@pytest.mark.parametrize("align", ["image", "intensity", "segmentation", "world"])
def test_a_blob_comes_back_to_its_place_in_the_scan(align, angle, left_handed, reflect):
    affine = scan_affine(angle, left_handed)
    place = blob_place(affine)
    scan = blob_scan(affine, place)
    settings = preprocessing(align=align, centre=(3.0, -2.0, 4.0))
    if align == "world":
        settings = preprocessing(
            align=align, centre=tuple(place * [-1 if reflect else 1, 1, 1] + 4)
        )
    mask = scan.array > 500
    image, grid = prepare_volume(scan, settings, mask, reflect)
    assert (image.shape, image.dtype) == ((1, 40, 48, 56), np.float32)
    assert np.sign(np.linalg.det(grid)) == (-1 if reflect else 1)
    np.testing.assert_allclose(np.abs(grid[:3, :3]), 1.5 * np.eye(3))
    weight = np.clip(image[0] - image[0].min(), 0, None) ** 2
    found = apply_affine(grid, centroid(weight, np.eye(4))[None])[0]
    np.testing.assert_allclose(found, place, atol=0.1)
    # where the centre is decides where in the grid it is seen
    if align in ("intensity", "segmentation"):
        index = centroid(weight, np.eye(4))
        aligned = (index - (np.array([56, 48, 40]) - 1) / 2) * 1.5 + [3, -2, 4]
        np.testing.assert_allclose(aligned, 0, atol=0.3)


def test_reflection_is_about_the_subjects_own_centre():
    affine = scan_affine(0.4)
    place = blob_place(affine)
    scan = blob_scan(affine, place)
    centre = subject_centre(scan, "image")
    np.testing.assert_allclose(centre, apply_affine(affine, [[29.5, 21.5, 12.5]])[0])
    image, _ = prepare_volume(scan, preprocessing())
    turned, grid = prepare_volume(scan, preprocessing(), reflect=True)
    np.testing.assert_allclose(turned, image[..., ::-1], atol=1e-5)
    middle = apply_affine(grid, [[27.5, 23.5, 19.5]])[0]
    np.testing.assert_allclose(middle, centre, atol=1e-9)


def test_scans_without_a_segmentation_are_shifted_by_the_offset():
    scan = blob_scan(scan_affine(0.4), blob_place(scan_affine(0.4)))
    centre = subject_centre(scan, "intensity")
    settings = preprocessing(align="segmentation", offset=(5.0, -3.0, 2.0))
    for reflect in (False, True):
        _, grid = prepare_volume(scan, settings, reflect=reflect)
        middle = apply_affine(grid, [[27.5, 23.5, 19.5]])[0]
        expected = centre + np.array([-5.0 if reflect else 5.0, -3.0, 2.0])
        np.testing.assert_allclose(middle, expected, atol=1e-9)


def test_the_scans_own_grid_changes_no_voxel():
    array = np.random.default_rng(0).normal(size=(6, 7, 9)).astype(np.float32)
    affine = scan_affine(0.4)
    np.testing.assert_allclose(resample(array, affine, (6, 7, 9), affine, 0.0), array, atol=1e-4)
    part = affine.copy()
    part[:3, 3] = apply_affine(affine, [[2, 1, 3]])[0]
    np.testing.assert_allclose(
        resample(array, affine, (2, 4, 5), part, 0.0), array[3:5, 1:5, 2:7], atol=1e-4
    )


def test_linear_content_is_exact_and_outside_is_the_background():
    affine, shape = scan_affine(0.4), (26, 44, 60)
    world = world_of(affine, shape)
    array = (world @ [2.0, -3.0, 0.5] + 7).astype(np.float32)
    grid = grid_affine(
        (10, 11, 12), 0.6, (2, -3, 1), subject_centre(Volume(array, affine), "image"), True
    )
    found = resample(array, affine, (10, 11, 12), grid, 0.0)
    np.testing.assert_allclose(
        found, world_of(grid, (10, 11, 12)) @ [2.0, -3.0, 0.5] + 7, atol=1e-2
    )
    far = grid_affine((4, 5, 6), 1.0, (500, 0, 0), np.zeros(3), False)
    np.testing.assert_array_equal(
        resample(array, affine, (4, 5, 6), far, 42.0), np.full((4, 5, 6), 42)
    )


def test_downsampling_averages_so_that_nothing_aliases():
    """Planes of period two become grey; sampling every third would give waves."""
    array = np.zeros((60, 60, 60), np.float32)
    array[..., ::2] = 100
    image = resample(array, np.eye(4), (16, 16, 16), np.diag([3.0, 3, 3, 1]), 50.0)
    assert np.abs(image[2:-2, 2:-2, 2:-2] - 50).max() < 3
    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(60, 60, 60)), 6)
    found = resample(smooth.astype(np.float32), np.eye(4), (20, 20, 20), np.diag([3.0, 3, 3, 1]), 0)
    assert np.corrcoef(found[3:-3].ravel(), smooth[::3, ::3, ::3][3:-3].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("intensity", ["border", "percentile", "z_score", "window"])
def test_what_the_scan_does_not_cover_is_its_background(intensity):
    scan = blob_scan(np.diag([1.0, 1, 1, 1]), np.array([30.0, 20, 12]))
    window = (50.0, 600.0) if intensity == "window" else None
    settings = preprocessing(size=(64, 80, 96), intensity=intensity, range=window)
    image, _ = prepare_volume(scan, settings)
    low, high = window or intensity_range(scan.array, intensity)
    background = 0 if intensity == "window" else (background_of(scan.array) - low) / (high - low)
    np.testing.assert_allclose(image[0, :5, 40, 48], background, atol=1e-6)
    at = (scan.array[12, 20, 30] - low) / (high - low)
    assert abs(image.max() - min(at, 1)) < 0.05


def test_intensity_ranges_in_closed_form():
    array = np.arange(1000.0).reshape(10, 10, 10)
    low, high = intensity_range(array, "z_score")
    np.testing.assert_allclose([(low + high) / 2, high - low], [499.5, 6 * array.std()])
    np.testing.assert_allclose(intensity_range(array, "percentile"), (9.99, 989.01))
    array[:] = 10
    array[4:6, 4:6, 4:6] = 60  # 8 of 1000
    assert intensity_range(array, "border") == (-40, 60)
    array[4:8, 4:8, 4:8] = 30
    assert intensity_range(array, "border") == (-10, 30)
    assert mean_range([(0, 10), (4, 30)]) == (2, 20)


def test_statistics_of_a_large_volume_are_of_a_sample():
    array = np.random.default_rng(0).normal(5, 2, (165, 166, 167)).astype(np.float32)
    low, high = intensity_range(array, "z_score")
    np.testing.assert_allclose([low, high], [-1, 11], atol=0.02)
    np.testing.assert_allclose(intensity_range(array, "percentile"), (0.347, 9.653), atol=0.02)
    assert intensity_range(array, "border") == intensity_range(array, "border")


def test_a_window_that_shows_nothing():
    scan = blob_scan(np.eye(4), np.array([30.0, 20, 12]))
    with pytest.raises(InputError, match="nothing of the scan is seen"):
        prepare_volume(scan, preprocessing(intensity="window", range=(5000, 6000)))


def test_a_dark_object_has_no_centre_of_mass():
    scan = blob_scan(np.eye(4), np.array([30.0, 20, 12]))
    with pytest.raises(InputError, match="align to image"):
        subject_centre(Volume(-scan.array.round(), scan.affine), "intensity")


def test_centroid_and_box_of_a_mask():
    affine = np.array([[0, -2.0, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    mask = np.zeros((5, 6, 7), bool)
    mask[1:4, 2:4, 3:7] = True  # x 3-6, y 2-3, z 1-3
    np.testing.assert_allclose(centroid(mask, affine), [5 - 2 * 2.5, 6 + 3 * 4.5, 7 + 4 * 2])
    expected = [[5 - 2 * 3.5, 6 + 3 * 2.5, 7 + 4 * 0.5], [5 - 2 * 1.5, 6 + 3 * 6.5, 7 + 4 * 3.5]]
    np.testing.assert_allclose(mask_box(mask, affine), expected)
    mask[4, 5, 0] = True
    turned = scan_affine(0.4)
    corners = np.array(list(np.ndindex(2, 2, 2))) - 0.5
    every = (np.argwhere(mask)[:, None, ::-1] + corners).reshape(-1, 3)
    points = apply_affine(turned, every)
    np.testing.assert_allclose(mask_box(mask, turned), [points.min(axis=0), points.max(axis=0)])


def test_select_label():
    labels = np.array([[[0, 2], [7, 2]]])
    assert select_label(labels, None, "s").sum() == 3
    assert select_label(labels, 2, "s").sum() == 2
    with pytest.raises(InputError, match="segmentation s has no label 3; it holds 0, 2, 7"):
        select_label(labels, 3, "s")
    with pytest.raises(InputError, match="segmentation s is empty"):
        select_label(labels * 0, None, "s")


def test_distance_to_a_ball_in_mm():
    spacing, radius = 1.5, 12.0
    z, y, x = np.indices((24, 28, 32))
    distance = spacing * np.sqrt((x - 15) ** 2 + (y - 13) ** 2 + (z - 11) ** 2)
    found = distance_transform((distance <= radius).astype(np.uint8), spacing)
    assert found.dtype == np.float32
    # the outline lies between voxels, up to half a diagonal from where it was drawn
    np.testing.assert_allclose(found, distance - radius, atol=np.sqrt(3) * spacing)
    assert abs(np.mean(found - (distance - radius))) < spacing / 2
    flat = np.zeros((5, 9), np.uint8)
    flat[:, 4:] = 1  # it begins between the fourth and the fifth pixel
    np.testing.assert_array_equal(
        distance_transform(flat, 2.0)[2], [7, 5, 3, 1, -1, -3, -5, -7, -9]
    )


def test_a_mask_keeps_its_volume_and_place():
    affine = scan_affine(0.4, left_handed=True)
    place = blob_place(affine)
    scan = blob_scan(affine, place)
    mask = ((world_of(affine, scan.shape) - place) ** 2).sum(axis=-1) < 9**2
    _, grid = prepare_volume(scan, preprocessing(), reflect=True)
    found = resample_mask(mask, affine, (40, 48, 56), grid)
    assert set(np.unique(found)) == {0, 1}
    volume = 4 / 3 * np.pi * 9**3
    np.testing.assert_allclose(mask.sum() * 0.8 * 1.3 * 2.1, volume, rtol=0.02)
    np.testing.assert_allclose(found.sum() * 1.5**3, volume, rtol=0.05)
    np.testing.assert_allclose(centroid(found, grid), place, atol=0.1)


def test_boxes_of_fields_of_view():
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    box = field_of_view(affine, (7, 5, 3))  # x 3, y 5, z 7
    np.testing.assert_allclose(box, [[-5, -1.5, -2], [1, 13.5, 26]])
    centre = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(aligned_box(box, centre, False), [[-6, -3.5, -5], [0, 11.5, 23]])
    np.testing.assert_allclose(aligned_box(box, centre, True), [[0, -3.5, -5], [6, 11.5, 23]])


def test_common_box():
    fields = [np.array([[-n, -2.0 * n, -3.0 * n], [n, 2.0 * n, 4.0 * n]]) for n in (10, 11, 500)]
    parts = [np.array([[-3.0, 1, 2], [4, 5, 6]]), np.array([[-2.0, 0, 3], [5, 4, 9]])]
    np.testing.assert_allclose(common_box(None, "image", fields, []), fields[1])
    box = common_box({"margin": 2.5}, "image", fields, parts)
    np.testing.assert_allclose(box, [[-5.5, -2.5, -0.5], [7.5, 7.5, 11.5]])
    box = common_box({"box": [10, 20, 30]}, "segmentation", fields, parts)
    np.testing.assert_allclose(box, [[-5, -10, -15], [5, 10, 15]])
    box = common_box({"box": [10, 20, 30]}, "world", fields, parts)
    np.testing.assert_allclose(box, [[-5, -10, -9.5], [5, 10, 20.5]])
    with pytest.raises(InputError, match=r"preprocess\.crop\.margin needs segmentations"):
        common_box({"margin": 2}, "image", fields, [])


@pytest.mark.parametrize(
    ("size", "spacing", "expected"),
    [
        ((32, 40, 48), 2.0, ((32, 40, 48), 2.0)),
        ((40, 40, 40), None, ((40, 40, 40), 3.0)),  # y has 120 mm
        ((80, 20, 40), None, ((80, 20, 40), 6.0)),
        (None, 2.0, ((32, 64, 48), 2.0)),  # z 15 voxels, y 60, x 45
        (None, 1.0, ((32, 128, 96), 1.0)),
        (None, None, ((32, 64, 48), 1.875)),
    ],
)
def test_common_grid(size, spacing, expected):
    assert common_grid([90, 120, 30], size, spacing) == expected  # mm along x, y, z


def test_a_grid_that_is_too_large():
    with pytest.raises(InputError, match=r"preprocess\.spacing: 0\.1 mm make 912 x 1200 x 304"):
        common_grid([90, 120, 30], None, 0.1)
    with pytest.raises(InputError, match=r"preprocess\.size"):
        preprocessing(size=(1000, 1000, 1000))


def test_region_mask():
    region = {"low": [-0.5, -1, 0.0], "high": [0.25, 0.5, 1.0], "blur": 0.0}
    mask = region_mask(region, (9, 17, 33), 2.0)
    expected = np.zeros((9, 17, 33), np.float32)
    expected[4:, :13, 8:21] = 1
    np.testing.assert_array_equal(mask, expected)
    # Ends halfway between voxels: there the box of voxels is as large as the region
    ends = {"low": [7.5 / 16 - 1, -1, 3.5 / 4 - 1], "high": [20.5 / 16 - 1, 12.5 / 8 - 1, 1.0]}
    blurred = region_mask(ends | {"blur": 3.0}, (9, 17, 33), 2.0)
    sampled = gaussian_filter(expected.astype(float), 1.5, mode="nearest", truncate=6)
    np.testing.assert_allclose(blurred, sampled, atol=0.01)
    half = region_mask(region | {"blur": 3.0}, (9, 17, 33), 2.0)
    np.testing.assert_allclose(half[8, 0, [8, 20]], 0.5, atol=5e-3)
    assert half.max() <= 1
    with pytest.raises(InputError, match=r"along y, low is 0\.5 and high 0\.5"):
        region_mask(region | {"low": [0, 0.5, 0]}, (9, 17, 33), 2.0)
    with pytest.raises(InputError, match="holds no voxel"):
        region_mask({"low": [0.01] * 3, "high": [0.02] * 3, "blur": 0}, (9, 17, 33), 2.0)


@pytest.mark.parametrize("shape", [(34, 50), (9, 40, 17), (5, 6, 7)])
def test_the_medoid_by_its_definition(shape):
    random = np.random.default_rng(0)
    images = [gaussian_filter(random.normal(size=shape), 3) * 5 for _ in range(9)]
    medoid = Medoid()
    for name, image in zip("abcdefghi", images, strict=True):
        medoid.add(name, image.astype(np.float32))
    if max(shape) < 16:  # nothing is averaged
        cost = [sum(((a - b) ** 2).sum() for b in images) for a in images]
        assert medoid.find() == "abcdefghi"[int(np.argmin(cost))]
    middle = Medoid()
    for name, factor in (("low", 0.1), ("mean", 1.0), ("high", 2.1)):
        middle.add(name, images[0] * factor)
    assert middle.find() == "mean"
    assert Medoid().find() is None


def test_description_survives_json():
    settings = preprocessing(
        align="segmentation", offset=(1.0, 2.0, 3.5), reflect="R", range=(0.5, 9.0)
    )
    content = json.loads(json.dumps(settings.to_dict()))
    assert Preprocessing.from_dict(content) == settings
    assert Preprocessing.from_dict(preprocessing().to_dict()) == preprocessing()
    assert isinstance(
        Preprocessing.from_dict({"size": [6, 7], "intensity": "border"}), Preprocessing
    )


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"size": (3, 4)}, "size"),
        ({"size": (3, 4, 1)}, "size"),
        ({"size": (3, 4, 5.0)}, "size"),
        ({"spacing": 0.0}, "spacing"),
        ({"spacing": -1.0}, "spacing"),
        ({"align": "centre"}, "align"),
        ({"intensity": "zscore"}, "intensity"),
        ({"intensity": "window"}, "window"),
    ],
)
def test_descriptions_that_are_none(changes, key):
    with pytest.raises(InputError, match=rf"preprocess\..*{key}"):
        preprocessing(**changes)
