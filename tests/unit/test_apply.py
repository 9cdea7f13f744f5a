import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import lmcore.__main__ as command_line
from lmcore.discovery import apply
from lmcore.discovery.apply import discover_images
from lmcore.discovery.apply_registration import register_images
from lmcore.discovery.checkpoint import save_encoder
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.inference import discover_landmarks
from lmcore.errors import InputError
from lmcore.population.build import preprocess_population

SIZE = (32, 48)
PREPROCESSING = {"size": list(SIZE), "intensity": "border", "margin": 0.1}


def write_blob(path, shape, centre, width=5.0):
    """A bright blob at pixel (x, y) of a dark image (h, w); returns what was written."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    grey = np.uint8(np.round(30 + 180 * np.exp(-squared / (2 * width**2))))
    Image.fromarray(grey).save(path)
    return grey


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    encoder = LandmarkEncoder(SIZE, 4, widths=(2, 2, 2, 2), hidden=4)
    torch.nn.init.normal_(encoder.linear[-1].weight, std=5)
    path = tmp_path / "encoder.pt"
    save_encoder(path, encoder, kernel="paper", preprocessing=PREPROCESSING)
    return path


class BlobFinder:
    """In the place of an encoder: one landmark on the blob, three around it."""

    landmarks = 4

    def __call__(self, images):
        weight = (images[:, 0] - 0.5).clamp_min(0).square()
        y, x = (torch.linspace(-1, 1, n) for n in images.shape[2:])
        total = weight.sum((1, 2))
        at = torch.stack([(weight.sum(1) @ x) / total, (weight.sum(2) @ y) / total], dim=-1)
        around = torch.tensor([[0, 0], [0.15, 0.05], [-0.1, 0.15], [0.0, -0.2]])
        return at[:, None] + around


@pytest.fixture
def blob_finder(monkeypatch):
    content = {"preprocessing": PREPROCESSING, "kernel": "paper"}
    monkeypatch.setattr(apply, "load_encoder", lambda path: (BlobFinder(), content))


def brightest(path):
    grey = np.asarray(Image.open(path), dtype=float)
    return np.array(np.unravel_index(grey.argmax(), grey.shape))[::-1]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (((60, 100), (30, 22)), ((90, 40), (25, 60))),  # bars left and right of the target
        (((90, 40), (14, 30)), ((50, 130), (90, 20))),  # bars above and below it
        (((64, 96), (40, 30)), ((64, 96), (55, 36))),
    ],
)
def test_the_source_moves_to_the_targets_raw_pixels(tmp_path, blob_finder, source, target):
    write_blob(tmp_path / "s.png", *source)
    write_blob(tmp_path / "t.png", *target)
    output = tmp_path / "made" / "warped.png"
    register_images("encoder.pt", tmp_path / "s.png", tmp_path / "t.png", output)
    assert Image.open(output).size == target[0][::-1]
    np.testing.assert_allclose(brightest(output), target[1], atol=1.5)
    assert np.abs(np.subtract(source[1], target[1])).max() > 5


def test_an_image_registers_to_itself_unchanged(tmp_path, model):
    grey = write_blob(tmp_path / "a.png", (61, 103), (30, 22)).astype(float)
    register_images(model, tmp_path / "a.png", tmp_path / "a.png", tmp_path / "out.png")
    stretched = 255 * (grey - grey.min()) / (grey.max() - grey.min())
    found = np.asarray(Image.open(tmp_path / "out.png"), dtype=float)
    np.testing.assert_allclose(found, stretched, atol=0.6)


def test_many_pixels_are_warped_part_by_part(tmp_path, blob_finder):
    write_blob(tmp_path / "s.png", (150, 200), (70, 60), 12)
    write_blob(tmp_path / "t.png", (290, 310), (200, 130), 18)  # more than one part
    register_images("encoder.pt", tmp_path / "s.png", tmp_path / "t.png", tmp_path / "out.png")
    np.testing.assert_allclose(brightest(tmp_path / "out.png"), (200, 130), atol=3)


def test_another_format_is_refused_before_anything_is_read(tmp_path, blob_finder):
    with pytest.raises(InputError, match=r"out\.nii\.gz: the encoder's images are 2D.*\.png"):
        register_images("e.pt", tmp_path / "a.png", tmp_path / "b.png", tmp_path / "out.nii.gz")


def test_landmarks_that_coincide(tmp_path, blob_finder, monkeypatch):
    monkeypatch.setattr(BlobFinder, "__call__", lambda self, images: torch.zeros(1, 4, 2))
    write_blob(tmp_path / "t.png", (60, 100), (30, 22))
    with pytest.raises(InputError, match=r"the landmarks of .*t\.png coincide"):
        register_images("e.pt", tmp_path / "t.png", tmp_path / "t.png", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    paths = []
    for k, (shape, centre) in enumerate(
        [((60, 100), (30, 22)), ((90, 40), (25, 60)), ((50, 70), (40, 9))] * 4
    ):
        paths.append(folder / f"image{k}.png")
        write_blob(paths[-1], shape, np.add(centre, k))
    return paths


def test_command_line_finds_what_the_workflow_finds(tmp_path, model, images):
    table = tmp_path / "images" / "subjects.csv"
    rows = [{"subject": path.stem, "image": path.name} for path in images]
    pd.DataFrame(rows).to_csv(table, index=False)
    population = tmp_path / "population.h5"
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    preprocess_population(
        table, None, PREPROCESSING, shares, None, 0, population, tmp_path / "subjects.csv"
    )
    discover_landmarks(population, model, tmp_path / "all.csv", tmp_path / "timings.csv")
    discover_images(model, images, tmp_path / "found.csv")
    expected, found = (pd.read_csv(tmp_path / name) for name in ("all.csv", "found.csv"))
    assert found["subject"].tolist() == expected["subject"].tolist()
    assert list(found) == list(expected)
    # float32, and a pixel of the frame is up to three of the original's
    pd.testing.assert_frame_equal(found, expected, atol=1e-3, rtol=0)
    assert found.groupby("landmark")["x"].std().min() > 1e-3


def test_landmarks_in_the_pixels_of_each_image(tmp_path, blob_finder, images):
    discover_images("encoder.pt", images[:3], tmp_path / "found.csv")
    found = pd.read_csv(tmp_path / "found.csv").query("landmark == 1")
    pixels = found[["pixel_x", "pixel_y"]].to_numpy()
    np.testing.assert_allclose(pixels, [(30, 22), (26, 61), (42, 11)], atol=1)


class TestCommandLine:
    @staticmethod
    def run(monkeypatch, capsys, *arguments):
        monkeypatch.setattr(sys, "argv", ["lmcore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    def test_discover(self, monkeypatch, capsys, tmp_path, model, images):
        output = tmp_path / "landmarks.csv"
        code, _, err = self.run(
            monkeypatch, capsys, "discover", model, *images[:2], "--output", output
        )
        assert (code, err) == (0, "")
        discover_images(model, images[:2], tmp_path / "expected.csv")
        assert output.read_bytes() == (tmp_path / "expected.csv").read_bytes()

    def test_register(self, monkeypatch, capsys, tmp_path, model, images):
        output = tmp_path / "warped.png"
        code, _, err = self.run(
            monkeypatch, capsys, "register", model, images[0], images[1], "--output", output
        )
        assert (code, err) == (0, "")
        assert Image.open(output).size == (40, 90)

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("model", r"encoder.pt does not exist"),
            ("damaged model", r"is not an encoder of this project"),
            ("image", r"nobody.png: no such file"),
            ("suffix", r"no reader for '.csv' files"),
            ("twice", r"two images are named image0: rename one"),
            ("folder", r"images: the encoder"),
            ("spacing", r"spacing, segmentation and reflect are of volumes"),
        ],
    )
    def test_a_users_error_is_one_line(
        self, monkeypatch, capsys, tmp_path, model, images, fault, message
    ):
        given = images[:2]
        if fault == "model":
            model.unlink()
        elif fault == "damaged model":
            model.write_bytes(model.read_bytes()[:1000])
        elif fault == "image":
            given = [images[0], tmp_path / "nobody.png"]
        elif fault == "suffix":
            given = [images[0], tmp_path / "table.csv"]
            given[1].touch()
        elif fault == "folder":
            given = [images[0], tmp_path / "images"]
        elif fault == "spacing":
            given = [images[0], "--spacing", "0.5"]
        else:
            given = [images[0], images[0]]
        output = tmp_path / "landmarks.csv"
        code, out, err = self.run(
            monkeypatch, capsys, "discover", model, *given, "--output", output
        )
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert message in err
        assert not output.exists()

    def test_an_output_that_cannot_be_written(self, monkeypatch, capsys, tmp_path, model, images):
        (tmp_path / "taken").write_text("a file, not a folder")
        output = tmp_path / "taken/landmarks.csv"
        arguments = ("discover", model, *images, "--output", output)
        code, _, error = self.run(monkeypatch, capsys, *arguments)
        assert code == 1
        assert error.startswith("error: ")
        assert "taken" in error
        assert len(error.splitlines()) == 1

    def test_wrong_usage(self, monkeypatch, capsys, model):
        code, _, err = self.run(monkeypatch, capsys, "discover", model)
        assert code == 2
        assert "Traceback" not in err
