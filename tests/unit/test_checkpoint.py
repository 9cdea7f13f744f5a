import logging
import pickle

import pytest
import torch

from lmcore.discovery.checkpoint import (
    load_checkpoint,
    load_encoder,
    save_checkpoint,
    save_encoder,
)
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.errors import InputError

PREPROCESSING = {"size": [16, 32], "intensity": "border"}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    found = LandmarkEncoder((16, 32), 4, widths=(2, 2, 2, 2), hidden=4)
    found.standardise_by(0.4, 0.2)
    return found


def test_round_trip(tmp_path, encoder):
    path = tmp_path / "deep" / "encoder.pt"
    save_encoder(path, encoder, kernel="thin_plate", preprocessing=PREPROCESSING)
    again, content = load_encoder(path)
    assert content["kernel"] == "thin_plate"
    assert content["preprocessing"] == PREPROCESSING
    assert not again.training
    images = torch.rand(2, 1, 16, 32)
    assert torch.equal(again(images), encoder(images))
    assert [entry.name for entry in path.parent.iterdir()] == ["encoder.pt"]


def test_equal_encoders_are_equal_bytes(tmp_path, encoder):
    for name in ("one.pt", "another name.pt"):
        save_encoder(tmp_path / name, encoder, kernel="paper", preprocessing=PREPROCESSING)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another name.pt").read_bytes()


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("plain", [True, False])
def test_code_in_a_file_is_not_run(tmp_path, plain):
    path, harm = tmp_path / "encoder.pt", tmp_path / "harm"
    content = {"kind": Exploit(str(harm))}
    if plain:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"encoder\.pt is not an encoder"):
        load_encoder(path)
    assert load_checkpoint(path, "digest") is None
    assert not harm.exists()


def test_files_that_are_no_encoders(tmp_path, encoder):
    path = tmp_path / "encoder.pt"
    with pytest.raises(InputError, match=r"encoder\.pt does not exist"):
        load_encoder(path)
    save_encoder(path, encoder, kernel="paper", preprocessing=PREPROCESSING)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"\x89PNG\r\n\x1a\n", whole[:-1]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"encoder\.pt is not an encoder .*or is damaged"):
            load_encoder(path)
    for foreign in ({"state_dict": {}}, [1, 2], torch.zeros(3)):
        torch.save(foreign, path)
        with pytest.raises(InputError, match=r"encoder\.pt is not an encoder of this project$"):
            load_encoder(path)
    with pytest.raises(InputError, match="is not an encoder"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2, "lmcore": "9.1"}, r"has format 2, this version reads 1: use lmcore 9\.1"),
        ({"state": {}}, "damaged: its weights do not fit"),
        ({"encoder": {"shape": [16, 32]}}, "damaged"),
        ({"encoder": {"shape": [4, 4], "landmarks": 4}}, "damaged"),
    ],
)
def test_encoders_that_cannot_be_used(tmp_path, encoder, change, message):
    path = tmp_path / "encoder.pt"
    save_encoder(path, encoder, kernel="paper", preprocessing=PREPROCESSING)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(InputError, match=message) as raised:
        load_encoder(path)
    assert "encoder.pt" in str(raised.value)


def test_checkpoint(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    with caplog.at_level(logging.INFO, logger="lmcore"):
        assert load_checkpoint(path, "abc") is None
        assert not caplog.messages  # a first start is nothing to speak of
        save_checkpoint(path, "abc", {"pairs": 7, "weights": torch.arange(3)})
        state = load_checkpoint(path, "abc")
        assert state["pairs"] == 7
        assert state["weights"].tolist() == [0, 1, 2]
        assert not caplog.messages
        assert load_checkpoint(path, "other") is None
        assert len(caplog.messages) == 1
        assert "of other settings, code or population" in caplog.messages[0]
        caplog.clear()
        path.write_bytes(path.read_bytes()[:100])
        assert load_checkpoint(path, "abc") is None
    assert len(caplog.messages) == 1
    assert "checkpoint.pt cannot be read: training starts afresh" in caplog.messages[0]
