import errno
import os
import resource

import h5py
import numpy as np
import pandas as pd
import pytest

from lmcore.errors import InputError
from lmcore.files import whole_file, whole_hdf5, write_csv, write_json
from lmcore.seeds import derive_seed
from lmcore.timings import write_timings


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TestWholeFile:
    def test_appears_when_it_is_done(self, tmp_path):
        path = tmp_path / "new" / "folder" / "image.nii.gz"
        with whole_file(path) as temporary:
            assert temporary.parent == path.parent  # a rename within one file system
            assert temporary.suffix == ".gz"
            temporary.write_text("whole")
            assert not path.exists()
        assert path.read_text() == "whole"
        assert names_in(path.parent) == ["image.nii.gz"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_the_earlier_file(self, tmp_path, error):
        path = tmp_path / "table.csv"
        path.write_text("earlier")

        def write():
            with whole_file(path) as temporary:
                temporary.write_text("half")
                raise error

        with pytest.raises(error):
            write()
        assert path.read_text() == "earlier"
        assert names_in(tmp_path) == ["table.csv"]

    @pytest.mark.parametrize("umask", [0o022, 0o077])
    def test_is_readable_for_whom_the_umask_allows(self, tmp_path, umask):
        before = os.umask(umask)
        try:
            with whole_file(tmp_path / "a.txt"):
                pass
            assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask
            assert os.umask(umask) == umask  # asking for it did not change it
        finally:
            os.umask(before)

    def test_what_a_killed_writer_left_goes_and_a_living_ones_stays(self, tmp_path):
        abandoned, other = tmp_path / ".a-12345678.txt", tmp_path / ".b-12345678.txt"
        abandoned.write_text("half")
        other.write_text("half of another file")
        with whole_file(tmp_path / "a.txt") as living:
            assert not abandoned.exists()
            with whole_file(tmp_path / "a.txt") as later:
                assert living.exists()
                later.write_text("later")
            living.write_text("last")
        assert (tmp_path / "a.txt").read_text() == "last"
        assert names_in(tmp_path) == [other.name, "a.txt"]

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
    @pytest.mark.parametrize("told", [False, True])
    def test_no_room_is_an_error_of_the_users(self, tmp_path, number, told):
        """HDF5 gives the number in its text alone."""
        error = OSError(f"write failed, errno = {number}, no") if told else OSError(number, "no")

        def write():
            with whole_file(tmp_path / "a.txt"):
                raise error

        with pytest.raises(InputError, match=r"a\.txt cannot be written, the .*: make room"):
            write()
        assert names_in(tmp_path) == []

    def test_any_other_failure_is_not(self, tmp_path):
        def write():
            with whole_file(tmp_path / "a.txt"):
                raise PermissionError(errno.EACCES, "no")

        with pytest.raises(PermissionError):
            write()


class TestWholeHdf5:
    def write(self, file):
        random = np.random.default_rng(0)
        chunks = {"chunks": (1, 40, 50), "compression": "gzip", "track_times": False}
        images = file.create_dataset("image", (9, 40, 50), np.float32, **chunks)
        for row in range(9):
            images[row] = random.random((40, 50))
        file.create_dataset("name", data=["a", "b"], track_times=False)
        file.attrs["digest"] = "x"

    def test_holds_what_was_written(self, tmp_path):
        for name in ("one.h5", "two.h5"):
            with whole_hdf5(tmp_path / name) as file:
                self.write(file)
        assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
        with h5py.File(tmp_path / "one.h5") as file:
            expected = np.random.default_rng(0).random((9, 40, 50)).astype(np.float32)
            np.testing.assert_array_equal(file["image"], expected)
            assert file["name"].asstr()[:].tolist() == ["a", "b"]
            assert file.attrs["digest"] == "x"

    @pytest.mark.parametrize("room", [0, 1000, 20_000])
    def test_without_room(self, tmp_path, room):
        """In this process: HDF5 itself would end it."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        (tmp_path / "a.h5").write_text("earlier")

        def write():
            with whole_hdf5(tmp_path / "a.h5") as file:
                self.write(file)

        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
            with pytest.raises(InputError, match=r"a\.h5 cannot be written, the limit of"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (tmp_path / "a.h5").read_text() == "earlier"
        assert names_in(tmp_path) == ["a.h5"]


def test_write_csv(tmp_path):
    frame = pd.DataFrame(
        {"subject": ["001", 'a,"b"'], "n": [1, 20], "x": [1 / 3, np.nan]}, index=[7, 3]
    )
    write_csv(tmp_path / "table.csv", frame)
    expected = b'subject,n,x\n001,1,0.333333333\n"a,""b""",20,\n'
    assert (tmp_path / "table.csv").read_bytes() == expected


def test_write_json(tmp_path):
    path = tmp_path / "choice.json"
    write_json(path, {"weight": 1e-5, "at_grid_end": False})
    assert path.read_text() == '{\n  "at_grid_end": false,\n  "weight": 1e-05\n}\n'
    with pytest.raises(ValueError, match="nan|Out of range"):
        write_json(path, {"weight": float("nan")})
    assert "1e-05" in path.read_text()
    assert names_in(tmp_path) == ["choice.json"]


def test_write_timings(tmp_path):
    path = tmp_path / "timings.csv"
    write_timings(path, ("training_seconds", 12.3456789, "s", 300), ("speed", 2e6, "1/s", 1))
    lines = ["name,value,unit,n,ci_low,ci_high", "training_seconds,12.3457,s,300,,"]
    assert path.read_text() == "\n".join([*lines, "speed,2e+06,1/s,1,,\n"])


def test_every_stage_has_its_own_seed():
    seeds = {
        derive_seed(seed, experiment, stage)
        for seed in range(20)
        for experiment in ("toy", "diatoms")
        for stage in ("training", "splits", 3)
    }
    assert len(seeds) == 120
    assert all(0 <= seed < 2**32 for seed in seeds)
    # the same on every machine and in every version: sha256 of "2021/toy/training"
    assert derive_seed(2021, "toy", "training") == 2939786198
