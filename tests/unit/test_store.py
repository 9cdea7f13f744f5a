import logging
import re
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image
from real_data import real_data

import lmcore
from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.population.build import preprocess_population
from lmcore.population.parallel import for_every_subject, map_in_order
from lmcore.population.preprocessing import Preprocessing, prepare_image
from lmcore.population.readers import read_image
from lmcore.population.splits import read_splits
from lmcore.population.store import Population, Record, write_population
from lmcore.population.table import read_subjects

FRACTIONS = {"train": 0.6, "validation": 0.2, "test": 0.2}
SETTINGS = {"size": [32, 48], "intensity": "border"}


def records(n: int, shape: tuple[int, ...], channels: int = 1) -> list:
    random = np.random.default_rng(0)
    d = len(shape)
    return [
        (
            random.uniform(size=(channels, *shape)).astype(np.float32),
            random.uniform(size=(d + 1, d + 1)),
            tuple(random.integers(10, 900, d)),
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize(("shape", "channels"), [((6, 9), 1), ((4, 5, 7), 2)])
def test_round_trip(tmp_path, shape, channels):
    content = records(3, shape, channels)
    path = tmp_path / "population.h5"
    write_population(path, ["b", "a", "001"], shape, channels, {"size": [6, 9]}, content, "abc")
    with Population(path) as population:
        assert population.subjects == ["b", "a", "001"]
        assert (len(population), population.dimension, population.shape) == (3, len(shape), shape)
        assert population.channels == channels
        assert population.preprocessing == {"size": [6, 9]}
        assert population.digest == "abc"
        images = population.images([2, 0, 2])
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, [content[2][0], content[0][0], content[2][0]])
        assert population.images([]).shape == (0, channels, *shape)
        np.testing.assert_array_equal(population.affines, [record[1] for record in content])
        np.testing.assert_array_equal(population.original_shapes, [r[2] for r in content])


def test_segmentations_mask_and_medoid(tmp_path):
    path, shape = tmp_path / "population.h5", (4, 5, 7)
    random = np.random.default_rng(0)
    masks = random.integers(0, 2, (2, *shape)).astype(np.uint8)
    distances = random.normal(size=(2, *shape)).astype(np.float32)
    region = random.uniform(size=shape)
    plain = records(3, shape)
    content = [(*plain[0], masks[0], distances[0]), plain[1], (*plain[2], masks[1], distances[1])]
    arguments = {"spacing": 1.5, "segmented": True, "mask": region, "medoid": lambda: "b"}
    write_population(path, ["a", "b", "c"], shape, 1, {}, content, **arguments)
    with Population(path) as population:
        assert (population.spacing, population.medoid) == (1.5, "b")
        assert population.segmented.tolist() == [True, False, True]
        found = population.segmentations([2, 1, 0])
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, [masks[1], np.zeros(shape), masks[0]])
        found = population.distance_transforms([0, 2])
        np.testing.assert_array_equal(found, distances)
        np.testing.assert_array_equal(population.mask, region.astype(np.float32))
    with h5py.File(path) as file:
        assert file["segmentation"].chunks == file["distance_transform"].chunks == (1, *shape)


@pytest.mark.parametrize("last", [True, False])
def test_a_population_is_oriented_where_every_subject_is(tmp_path, last):
    path, shape = tmp_path / "population.h5", (4, 5, 7)
    content = [Record(*record, oriented=True) for record in records(3, shape)]
    content[1] = content[1]._replace(oriented=last)
    write_population(path, ["a", "b", "c"], shape, 1, {}, content)
    with Population(path) as population:
        assert population.oriented is last


def test_without_segmentations(tmp_path):
    path = tmp_path / "population.h5"
    write_population(path, ["a", "b"], (6, 9), 1, {}, records(2, (6, 9)))
    with Population(path) as population:
        assert (population.spacing, population.mask, population.medoid) == (1.0, None, None)
        assert population.oriented
        assert population.segmented.tolist() == [False, False]
        assert not population.segmentations([1]).any()
        assert population.distance_transforms([1, 0]).shape == (2, 6, 9)


def test_a_population_larger_than_the_memory_it_is_written_and_read_with(tmp_path):
    """80 MB of images; both ways hold a few of them."""
    image = np.random.default_rng(0).integers(0, 4, (1, 1000, 1000)).astype(np.float32)
    path = tmp_path / "population.h5"
    names = [f"s{n}" for n in range(20)]
    tracemalloc.start()
    lazily = ((image + n, np.eye(3), (1000, 1000)) for n in range(20))
    write_population(path, names, (1000, 1000), 1, {}, lazily)
    with Population(path) as population:
        assert all(population.images([n])[0, 0, 0, 0] == image[0, 0, 0] + n for n in (3, 19))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_the_file_for_other_readers(tmp_path):
    path = tmp_path / "population.h5"
    write_population(path, ["a", "b"], (6, 9), 1, {}, records(2, (6, 9)))
    with h5py.File(path) as file:
        assert set(file) == {"subject", "image", "image_digest", "affine", "original_shape"}
        assert file["image"].chunks == (1, 1, 6, 9)
        assert file["image"].compression == "gzip"  # what every HDF5 library reads
        assert file.attrs["lmcore_version"] == lmcore.__version__
        assert file.attrs["h5py_version"] == h5py.__version__


def test_equal_content_is_equal_bytes(tmp_path):
    for name in ("one.h5", "two.h5"):
        write_population(tmp_path / name, ["a", "b"], (6, 9), 1, {"x": 1}, records(2, (6, 9)))
        time.sleep(1.1)  # HDF5 would store whole seconds
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


@pytest.mark.parametrize("given", [1, 3])
def test_records_that_do_not_match_leave_nothing(tmp_path, given):
    with pytest.raises(ValueError, match="zip"):
        write_population(tmp_path / "p.h5", ["a", "b"], (6, 9), 1, {}, records(given, (6, 9)))
    with pytest.raises(ValueError, match=r"\(1, 9, 6\).*\(1, 6, 9\)"):
        write_population(tmp_path / "p.h5", ["a", "b"], (6, 9), 1, {}, records(2, (9, 6)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.99])
def test_truncated_files(tmp_path, part):
    path = tmp_path / "population.h5"
    write_population(path, ["a", "b"], (60, 90), 1, {}, records(2, (60, 90)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=r"population\.h5"):
        Population(path)


def test_damaged_pixels_name_the_subject(tmp_path):
    path = tmp_path / "population.h5"
    write_population(path, ["a", "b"], (60, 90), 1, {}, records(2, (60, 90)))
    with h5py.File(path) as file:
        chunk = file["image"].id.get_chunk_info_by_coord((1, 0, 0, 0))
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset : chunk.byte_offset + 200] = bytes(200)
    path.write_bytes(whole)
    with Population(path) as population:
        assert population.images([0]).shape == (1, 1, 60, 90)
        with pytest.raises(InputError, match=r"population\.h5: subject b is damaged"):
            population.images([0, 1])


def test_files_that_are_no_population(tmp_path):
    with pytest.raises(InputError, match=r"none\.h5: no such population"):
        Population(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match=r"text\.h5: damaged, or not an HDF5 file"):
        Population(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.zeros((2, 3))
    with pytest.raises(InputError, match=r"other\.h5: not a population"):
        Population(tmp_path / "other.h5")


@pytest.fixture
def table(tmp_path):
    """Ten images of mixed size, kind and orientation, with a bright box off the centre."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["subject,image,kind,note"]
    for n in range(10):
        height, width = (60 + 10 * n, 100) if n % 2 else (80, 50 + 7 * n)
        array = np.full((height, width), 40 + n, np.uint8)
        array[height // 4 : height // 2, width // 2 : 3 * width // 4] = 200
        image = Image.fromarray(array)
        name = f"{n}.{('png', 'tif', 'jpg')[n % 3]}"
        (image.convert("RGB") if n % 4 == 1 else image).save(folder / name)
        rows.append(f"s{n:02d},{name},{'ab'[n % 2]},0{n}")
    (folder / "subjects.csv").write_text("\n".join(rows) + "\n")
    return folder / "subjects.csv"


def build(table: Path, folder: Path, settings: dict = SETTINGS, **arguments) -> tuple[Path, Path]:
    paths = folder / "population.h5", folder / "subjects.csv"
    preprocess_population(table, None, settings, FRACTIONS, "kind", 7, *paths, **arguments)
    return paths


def test_preprocess_population(table, tmp_path):
    population_path, subjects_path = build(table, tmp_path / "out", digest="d")
    splits = read_splits(subjects_path)
    assert list(splits) == ["subject", "image", "split", "kind", "note"]
    assert splits["subject"].tolist() == [f"s{n:02d}" for n in range(10)]
    assert splits["image"].tolist()[:3] == ["0.png", "1.tif", "2.jpg"]
    assert splits["note"].tolist()[3] == "03"
    counts = splits.value_counts(["split", "kind"]).to_dict()
    assert counts == {(s, k): {"train": 3}.get(s, 1) for s in FRACTIONS for k in "ab"}
    with Population(population_path) as population:
        assert population.shape == (32, 48)
        preprocessing = Preprocessing((32, 48), margin=0.1)
        assert Preprocessing.from_dict(population.preprocessing) == preprocessing
        assert population.digest == "d"
        assert population.original_shapes[[1, 2]].tolist() == [[70, 100], [80, 64]]
        images = population.images(range(10))
        for n, subject in enumerate(read_subjects(table)):
            image, affine = prepare_image(read_image(subject.image_path), preprocessing)
            np.testing.assert_array_equal(images[n], image)
            np.testing.assert_array_equal(population.affines[n], affine)
            # the box comes back to its place in the original
            box = np.argwhere(images[n, 0] > 0.9)[:, ::-1].mean(axis=0)
            height, width = population.original_shapes[n]
            expected = (width // 2 + 3 * width // 4 - 1) / 2, (height // 4 + height // 2 - 1) / 2
            found = apply_affine(population.affines[n], box[None])[0]
            np.testing.assert_allclose(found, expected, atol=affine[0, 0])


def test_size_that_suits_the_images(table, tmp_path):
    population_path, _ = build(table, tmp_path, {"size": None, "intensity": "percentile"})
    shapes = [read_image(s.image_path).shape for s in read_subjects(table)]
    ratio = np.exp(np.median([np.log(h / w) for h, w in shapes]))
    with Population(population_path) as population:
        assert population.shape == (160, 16 * round(160 / ratio / 16))
        assert population.preprocessing["intensity"] == "percentile"


def test_threads_do_not_change_the_bytes(table, tmp_path):
    one, four = build(table, tmp_path / "1", workers=1), build(table, tmp_path / "4", workers=4)
    for a, b in zip(one, four, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_all_unusable_images_are_named_at_once(table, tmp_path):
    (table.parent / "1.tif").write_bytes(b"")
    (table.parent / "9.png").write_bytes((table.parent / "9.png").read_bytes()[:60])
    for size in ([32, 48], None):
        with pytest.raises(InputError) as error:
            build(table, tmp_path / "out", {"size": size, "intensity": "border"})
        message = str(error.value)
        assert message.startswith("2 of 10 images cannot be used: s01 (")
        assert "1.tif: the file is empty" in message
        assert "s09 (" in message
        assert not list((tmp_path / "out").iterdir())


def test_no_usable_image_at_all(table, tmp_path):
    for path in table.parent.glob("[0-9]*"):
        path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"10 of 10 images .*s09 \(\S*9\.png: the file is empty\);"
    ):
        build(table, tmp_path / "out", {"size": None, "intensity": "border"})


def test_splits_of_the_table_are_kept(table, tmp_path):
    lines = table.read_text().splitlines()
    given = ["held_out", *["test"] * 2, *["validation"] * 2, *["train"] * 5]
    rows = [f"{line},{split}" for line, split in zip(lines[1:], given, strict=True)]
    table.write_text("\n".join([lines[0] + ",split", *rows]) + "\n")
    _, subjects_path = build(table, tmp_path)
    assert read_splits(subjects_path)["split"].tolist() == given


def test_a_split_that_makes_no_pair_is_refused(table, tmp_path):
    lines = table.read_text().splitlines()
    given = ["test", *["validation"] * 2, *["train"] * 7]
    rows = [f"{line},{split}" for line, split in zip(lines[1:], given, strict=True)]
    table.write_text("\n".join([lines[0] + ",split", *rows]) + "\n")
    with pytest.raises(InputError, match="split test gets 1 of 10 subjects"):
        build(table, tmp_path)
    assert not list(tmp_path.glob("*.h5"))


def test_progress_is_told(table, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("lmcore.progress.time.monotonic", iter(range(0, 1000, 3)).__next__)
    with caplog.at_level(logging.INFO, "lmcore"):
        build(table, tmp_path)
    assert re.search(r"Preparing images: \d+ of 10 images", caplog.text)


def test_a_hundred_faults_are_told_without_a_hundred_reasons():
    def refuse(subject):
        raise InputError(f"{subject.image_path}: damaged")

    subjects = [SimpleNamespace(subject=f"s{n}", image_path=f"{n}.png") for n in range(100)]
    with pytest.raises(InputError, match="100 of 100 images") as error:
        list(for_every_subject("reading", refuse, subjects, workers=2))
    text = str(error.value)
    assert text.count("damaged") == 20
    assert "and also s20 (20.png), s21 (21.png), " in text
    assert "s69 (69.png) and 30 more; mend them" in text


def test_map_in_order_stays_in_order_and_near():
    running, most, lock = set(), 0, threading.Lock()

    def work(n: int) -> int:
        nonlocal most
        with lock:
            running.add(n)
            most = max(most, n - consumed)
        time.sleep(0.001 * (n % 3))
        return n * n

    consumed = 0
    results = []
    for result in map_in_order(work, range(40), workers=3):
        results.append(result)
        consumed = len(results)
        time.sleep(0.003)  # slower than three workers
    assert results == [n * n for n in range(40)]
    assert running == set(range(40))
    assert most <= 2 * 3 + 1


def test_real_diatoms(tmp_path):
    folder = real_data("diatoms_4genus")
    lines = (folder / "subjects.csv").read_text(encoding="utf-8").splitlines()
    table = tmp_path / "subjects.csv"
    table.write_text("\n".join([lines[0], *lines[1::40]]) + "\n", encoding="utf-8")
    paths = tmp_path / "population.h5", tmp_path / "splits.csv"
    settings = {"size": None, "intensity": "border"}
    preprocess_population(table, folder, settings, FRACTIONS, "genus", 1, *paths)
    with Population(paths[0]) as population:
        assert len(population) == 25
        assert population.shape == (160, 80)
        images = population.images(range(25))
        assert images.min() >= 0
        assert images.max() <= 1
        # the valves' own background, not what is beside their images
        rows, columns = images[:, 0, 16:-16].shape[1:]
        assert (rows, columns) == (128, 80)
        background = np.median(images[:, 0, 16], axis=1)
        np.testing.assert_allclose(background, 0.5, atol=0.2)
        grid = np.array([[0, 0], np.array(population.shape[::-1]) - 1])
        corners = apply_affine(population.affines, np.tile(grid, (25, 1, 1)))
        # centred: the grid's corners lie as far from the original on either side
        original = population.original_shapes[:, ::-1] - 1
        margin = -corners[:, 0] - (corners[:, 1] - original)
        assert np.abs(margin).max() <= population.affines[:, 0, 0].max() + 1e-9
