"""Hostile and foreign encoders

Given as `encoder.pt` to `python -m lmcore discover`, and as `model.pretrained` to the rules that
prepare the population and adopt the encoder. Nothing in a file is run, and no memory is taken for
what it only claims.
"""

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from projects import ROOT
from sandbox import error_lines
from users import assert_refused

from lmcore.discovery.checkpoint import save_encoder
from lmcore.discovery.encoder import LandmarkEncoder


class Harm:
    """Unpickled, it creates a file."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


HARM = "harm"


def content_of(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def saved(change):
    """A writer of the good encoder with its content changed."""

    def write(path: Path, good: Path) -> None:
        torch.save(content_of(good) | change(content_of(good)), path)

    return write


def settings(**change: object):
    return saved(lambda content: {"encoder": content["encoder"] | change})


def claims_much(content: dict) -> dict:
    """Weights of 10 GB that share four bytes."""
    wide = content["encoder"] | {"hidden": 2**28}
    state = dict(content["state"])
    state["linear.0.weight"] = torch.zeros(1, 1).expand(2**28, 8)
    state["linear.0.bias"] = torch.zeros(1).expand(2**28)
    state["linear.2.weight"] = torch.zeros(1, 1).expand(8, 2**28)
    return {"encoder": wide, "state": state}


def not_a_number(content: dict) -> dict:
    state = dict(content["state"])
    state["linear.2.bias"] = torch.full((8,), torch.nan)
    return {"state": state}


def archive(path: Path, good: Path) -> None:
    """The good archive with a pickle in it that runs code."""
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.infolist():
            text = pickle.dumps(Harm(path.parent / HARM), protocol=2)
            new.writestr(part, text if part.filename.endswith("data.pkl") else old.read(part))


def flipped(path: Path, good: Path) -> None:
    """One bit of one weight is another: torch alone would not see it."""
    content = bytearray(good.read_bytes())
    bias = content_of(good)["state"]["trunk.0.weight"].numpy().tobytes()
    content[content.index(bias) + 7] ^= 16
    path.write_bytes(content)


WRITERS = {
    "pickle that runs code": lambda path, good: path.write_bytes(
        pickle.dumps({"kind": Harm(path.parent / HARM)}, protocol=2)
    ),
    "torch file that runs code": lambda path, good: torch.save(Harm(path.parent / HARM), path),
    "encoder whose archive runs code": archive,
    "whole module, as the paper's public code saves": lambda path, good: torch.save(
        torch.nn.Linear(2, 2), path
    ),
    "encoder of zero bytes": lambda path, good: path.write_bytes(b""),
    "encoder truncated at half": lambda path, good: path.write_bytes(good.read_bytes()[:6000]),
    "encoder with one bit of a weight flipped": flipped,
    "encoder that is a named pipe": lambda path, good: os.mkfifo(path),
    "encoder that is a folder": lambda path, good: path.mkdir(),
    "encoder that is missing": lambda path, good: None,
    "network of another project": lambda path, good: torch.save({"state_dict": {}}, path),
    "encoder of a newer version": saved(lambda _: {"format": 9, "lmcore": "7.0"}),
    "encoder of another kind": saved(lambda _: {"kind": "other"}),
    "encoder without weights": saved(lambda _: {"state": {}}),
    "encoder of weights that are words": saved(lambda c: {"state": dict.fromkeys(c["state"], "a")}),
    "encoder that claims 10 GB of weights": saved(claims_much),
    "encoder that claims 2^30 units": settings(hidden=2**30),
    "encoder that claims 10^9 landmarks": settings(landmarks=10**9),
    "encoder that claims images of 10^9 pixels": settings(shape=[2**15, 2**15]),
    "encoder of images unlike its preprocessing": settings(shape=[48, 32]),
    "encoder of five dimensions": settings(shape=[32] * 5),
    "encoder without settings": saved(lambda _: {"encoder": None}),
    "encoder of NaN": saved(not_a_number),
    "encoder of an unknown kernel": saved(lambda _: {"kernel": "__import__('os')"}),
    "encoder without preprocessing": saved(lambda _: {"preprocessing": None}),
    "encoder prepared for 10^12 pixels": saved(
        lambda _: {"preprocessing": {"size": [10**6, 10**6], "intensity": "border"}}
    ),
}


@pytest.mark.parametrize("sandbox", [2], indirect=True)
@pytest.mark.parametrize("what", WRITERS)
def test_it_is_refused_by_name(sandbox, models, what, survived):
    path = sandbox.data / "encoder.pt"
    WRITERS[what](path, models[2])
    sandbox.write_table()
    before = sandbox.contents()
    by_command = assert_refused(sandbox.discover(path, "s00.png"), "encoder.pt")
    prepared = sandbox.preprocess(pretrained=path)
    if prepared.code:
        assert_refused(prepared, "encoder.pt")
    else:
        assert_refused(sandbox.adopt(path), "encoder.pt")
        assert not (sandbox.results / "model").exists()
        (sandbox.results / "population.h5").unlink()
        (sandbox.results / "subjects.csv").unlink()
    assert sandbox.contents() == before
    assert not (sandbox.data / HARM).exists()
    survived(what, by_command.removeprefix("error: "))


def test_the_exploits_would_work(tmp_path, models):
    """Read as a pickle each of them does what the tests say that it never does."""
    path = tmp_path / "encoder.pt"
    for what in ("pickle that runs code", "torch file that runs code"):
        WRITERS[what](path, models[2])
        with path.open("rb") as file:
            pickle.load(file) if "pickle" in what else torch.load(file, weights_only=False)
        assert (tmp_path / HARM).exists()
        (tmp_path / HARM).unlink()


@pytest.mark.sample
def test_a_pickle_given_to_the_real_command(tmp_path, models, survived):
    path = tmp_path / "encoder.pt"
    WRITERS["pickle that runs code"](path, models[2])
    ended = subprocess.run(
        [sys.executable, "-m", "lmcore", "discover", path, path, "--output", tmp_path / "x.csv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == error_lines(ended.stderr)
    assert len(error_lines(ended.stderr)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["encoder.pt"]
    survived("pickle that runs code, `python -m lmcore` in a shell", ended.stderr[7:].strip())


@pytest.mark.parametrize(("sandbox", "of"), [(2, 3), (3, 2)], indirect=["sandbox"])
def test_an_encoder_of_another_dimension(sandbox, models, of, survived):
    sandbox.write_table()
    before = sandbox.contents()
    line = assert_refused(sandbox.discover(models[of], sandbox.rows[0]["image"]), f"{of}d.pt")
    assert_refused(sandbox.preprocess(pretrained=models[of]), "model.pretrained")
    assert sandbox.contents() == before
    survived(f"encoder of {of}D images for {sandbox.dimension}D", line.removeprefix("error: "))


def colours(path: Path) -> None:
    """An encoder of images with three channels."""
    encoder = LandmarkEncoder((32, 32), 4, widths=(2, 2, 2, 2), hidden=4, channels=3)
    preprocessing = {"size": [32, 32], "intensity": "border"}
    save_encoder(path, encoder, kernel="paper", preprocessing=preprocessing)


@pytest.mark.parametrize("sandbox", [2], indirect=True)
def test_an_encoder_that_does_not_fit_the_run(sandbox, models, survived):
    path = sandbox.data / "encoder.pt"
    sandbox.write_table()
    for key, value in (("landmarks", 5), ("kernel", "thin_plate")):
        assert sandbox.preprocess(pretrained=models[2]).code == 0
        line = assert_refused(sandbox.adopt(models[2], **{key: value}), f"model.{key}")
        survived(f"encoder of other {key} than model.{key}", line.removeprefix("error: "))
    colours(path)
    line = assert_refused(sandbox.discover(path, "s00.png"), "encoder.pt")
    assert_refused(sandbox.adopt(path), "encoder.pt")
    survived("encoder of colour images", line.removeprefix("error: "))
    assert not (sandbox.results / "model").exists()
