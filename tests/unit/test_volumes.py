import contextlib
import gzip
import itertools
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from real_data import real_data
from scans import SHAPE, affine_of, content, itk_image, rotation, write, write_dicom

from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.population.table import is_volume
from lmcore.population.volumes import Volume, read_labels, read_volume, same_grid

NAMES = (
    *("a.nii", "a.nii.gz", "a.mgh", "a.mgz", "a.nrrd", "packed.nrrd", "a.nhdr", "packed.nhdr"),
    *("a.mha", "packed.mha", "a.mhd", "packed.mhd", "dicom"),
)


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_voxel_is_at_its_place_in_the_world(tmp_path, name, left_handed):
    array, affine = content(), affine_of(left_handed)
    path = write(tmp_path / name, array, affine)
    assert is_volume(path)
    volume = read_volume(path)
    assert volume.array.dtype == np.float32
    assert volume.array.flags.c_contiguous
    # A format may turn the axes, as a DICOM series does: each value has to keep its place
    places = np.stack(np.indices(volume.array.shape)[::-1], axis=-1).reshape(-1, 3)
    found = apply_affine(volume.affine, places)[np.argsort(volume.array.ravel())]
    expected = apply_affine(affine, np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3))
    np.testing.assert_allclose(found, expected[np.argsort(array.ravel())], atol=2e-3)
    np.testing.assert_allclose(volume.spacing, [0.7, 1.1, 2.3], rtol=1e-4)


def test_itk_agrees_where_a_nifti_lies(tmp_path):
    """An oracle for the sign of two axes: ITK's own reader of the file nibabel writes."""
    path = write(tmp_path / "a.nii", content(), affine_of())
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image, str(tmp_path / "b.nrrd"))
    one, other = read_volume(path), read_volume(tmp_path / "b.nrrd")
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-4)
    world = apply_affine(one.affine, [[1, 2, 3]])[0]
    np.testing.assert_allclose(world * [-1, -1, 1], image.TransformIndexToPhysicalPoint((1, 2, 3)))


def test_nrrd_in_ras(tmp_path):
    header = (
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n"
        "space: right-anterior-superior\nspace directions: (0,2,0) (3,0,0) (0,0,-4)\n"
        "space origin: (5,6,7)\n\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header.encode() + bytes(range(24)))
    volume = read_volume(path)
    expected = [[0, 3, 0, 5], [2, 0, 0, 6], [0, 0, -4, 7], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected)
    assert volume.array[3, 2, 1] == 23
    assert volume.array[0, 1, 0] == 2


def test_slope_and_intercept(tmp_path):
    image = nibabel.Nifti1Image(content(), affine_of())
    image.header.set_slope_inter(2.5, -1000)
    image.to_filename(tmp_path / "a.nii.gz")
    raw = nibabel.load(tmp_path / "a.nii.gz").dataobj.get_unscaled()
    read = read_volume(tmp_path / "a.nii.gz").array
    np.testing.assert_allclose(read, raw.T * 2.5 - 1000)
    write_dicom(tmp_path / "dicom", itk_image(content() * 2, affine_of()), slope="2")
    np.testing.assert_allclose(np.sort(read_volume(tmp_path / "dicom").array, axis=None)[-1], 628)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_units_become_mm(tmp_path, unit, factor):
    image = nibabel.Nifti1Image(content(), affine_of())
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "a.nii")
    affine = read_volume(tmp_path / "a.nii").affine
    np.testing.assert_allclose(affine[:3], affine_of()[:3] * factor, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.int64, np.uint16])
def test_types_of_voxels(tmp_path, dtype):
    array = content().astype(dtype)
    nibabel.Nifti1Image(array, affine_of(), dtype=dtype).to_filename(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, array.T)
    nibabel.Nifti2Image(array, affine_of(), dtype=dtype).to_filename(tmp_path / "b.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii").array, array.T)


def test_a_trailing_axis_of_one_is_none(tmp_path):
    nibabel.Nifti1Image(content()[..., None, None], affine_of()).to_filename(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, content().T)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = content()[..., None]
    np.testing.assert_array_equal(read_volume(f"{tmp_path}/a.h5:/image", 1).array, content().T)


def test_hdf5_has_axes_x_y_z_and_its_spacing_from_the_table(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["group/image"] = content()
        file["word"] = np.array([b"x", b"y"], dtype=object)
    name = f"{path}:/group/image"
    volume = read_volume(name, (0.5, 0.7, 2.0))
    assert volume.array[3, 2, 1] == content()[1, 2, 3]
    np.testing.assert_array_equal(volume.affine, np.diag([0.5, 0.7, 2.0, 1.0]))
    assert not volume.oriented
    np.testing.assert_array_equal(read_volume(name, 0.625).spacing, [0.625] * 3)
    assert "column spacing" in message(name)
    assert "no dataset '/image'; its datasets are: /group/image, /word" in message(f"{path}:/image")
    assert "name the dataset, as in a.hdf5:/image" in message(path)
    assert "not numbers" in message(f"{path}:/word", 1)
    for spacing in (0, -1, (1, 1, 0), np.nan, np.inf):
        assert "is no size of a voxel" in message(name, spacing)


def test_a_spacing_that_contradicts_the_file(tmp_path):
    path = write(tmp_path / "a.nii", content(), affine_of())
    assert read_volume(path, (0.7, 1.1, 2.3)).array.shape == SHAPE[::-1]
    assert "voxels of 0.7 x 1.1 x 2.3 mm, the table's spacing is 2 x 2 x 2" in message(path, 2)


def message(path: str | Path, spacing=None) -> str:
    with pytest.raises(InputError) as error:
        read_volume(path, spacing)
    text = str(error.value)
    assert str(path).split(":/")[0] in text
    assert "\n" not in text
    assert len(text) < 600
    return text


def test_nan_is_background_and_infinity_a_fault(tmp_path):
    array = content().astype(np.float32) - 100
    array[2:, 3:, 4] = np.nan
    write(tmp_path / "a.nii", array, affine_of())
    read = read_volume(tmp_path / "a.nii").array.T
    np.testing.assert_array_equal(read, np.where(np.isnan(array), np.nanmin(array), array))
    write(tmp_path / "b.nii", np.full(SHAPE, np.nan, np.float32), affine_of())
    assert "nothing but NaN" in message(tmp_path / "b.nii")
    array[0, 0, 0] = np.inf
    write(tmp_path / "c.nrrd", array, affine_of())
    assert "infinite" in message(tmp_path / "c.nrrd")
    write(tmp_path / "d.mha", np.full(SHAPE, 7, np.int16), affine_of())
    assert "constant (7)" in message(tmp_path / "d.mha")
    image = nibabel.Nifti1Image(np.full(SHAPE, 1e300) * (1 + content()), affine_of())
    image.to_filename(tmp_path / "e.nii")
    assert "infinite" in message(tmp_path / "e.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("shape", "fault"),
    [((5, 7, 9, 4), "series of volumes"), ((5, 7, 1), "single slice"), ((5, 7), "single slice")],
)
def test_wrong_dimensions(tmp_path, suffix, shape, fault):
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    path = tmp_path / f"a{suffix}"
    if suffix.startswith(".nii"):
        nibabel.Nifti1Image(array, np.eye(4)).to_filename(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array.T, isVector=False), str(path))
    assert fault in message(path)


def test_colour_and_complex_numbers(tmp_path):
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(rgb, np.eye(4)).to_filename(tmp_path / "a.nii")
    assert "colour" in message(tmp_path / "a.nii")
    nibabel.Nifti1Image(content() + 1j, np.eye(4)).to_filename(tmp_path / "b.nii")
    assert "complex" in message(tmp_path / "b.nii")
    vectors = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    for name in ("c.nrrd", "c.mha"):
        sitk.WriteImage(vectors, str(tmp_path / name))
        assert "colour" in message(tmp_path / name)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["image"] = content() + 1j
        file["rgb"] = rgb
    assert "complex" in message(f"{tmp_path}/d.h5:/image", 1)
    assert "colour" in message(f"{tmp_path}/d.h5:/rgb", 1)


@pytest.mark.parametrize("spacing", ["0 1 1", "1 -2 1", "1 nan 1", "1 1 x"])
def test_spacings_that_are_no_size(tmp_path, spacing):
    meta = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\n"
        f"ElementSpacing = {spacing}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(meta.encode() + bytes(range(24)))
    assert "is no size; mend its header" in message(tmp_path / "a.mha")
    nrrd = f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nspacings: {spacing}\nencoding: raw"
    (tmp_path / "a.nrrd").write_bytes(nrrd.encode() + b"\n\n" + bytes(range(24)))
    assert "is no size; mend its header" in message(tmp_path / "a.nrrd")


def test_headers_without_a_spacing_take_the_tables(tmp_path):
    meta = b"NDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(meta + bytes(range(24)))
    nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(nrrd + bytes(range(24)))
    for name in ("a.mha", "a.nrrd"):
        assert "column spacing" in message(tmp_path / name)
        volume = read_volume(tmp_path / name, (1, 2, 3))
        np.testing.assert_array_equal(volume.affine, np.diag([1, 2, 3, 1]))
        assert volume.array[3, 1, 0] == 20
        assert not volume.oriented


@pytest.mark.parametrize("pixdim", [(0, 1, 1), (1, -1, 1), (1, 1, np.nan)])
def test_nifti_headers_without_a_size(tmp_path, pixdim):
    path = write(tmp_path / "a.nii", content(), affine_of())
    whole = bytearray(path.read_bytes())
    whole[80:92] = struct.pack("<3f", *pixdim)
    path.write_bytes(whole)
    assert "is no size; mend its header" in message(path)


def test_affines_without_volume(tmp_path):
    path = write(tmp_path / "a.nii", content(), affine_of())
    whole = bytearray(path.read_bytes())
    whole[280:328] = struct.pack("<12f", *[1, 2, 3, 4] * 2, *[0, 0, 1, 0])
    path.write_bytes(whole)
    assert "lie in one plane" in message(path)
    whole[280:328] = struct.pack("<12f", *[0, 1, 0, 0] * 3)
    path.write_bytes(whole)
    assert "no size" in message(path)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.97])
@pytest.mark.parametrize("name", NAMES[:-1])
def test_truncated_files(tmp_path, name, part):
    """The file that holds the voxels, which need not be the one that is named."""
    array = np.random.default_rng(0).integers(0, 9000, (40, 50, 60)).astype(np.int16)
    path = write(tmp_path / name, array, affine_of())
    largest = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    whole = largest.read_bytes()
    largest.write_bytes(whole[: int(part * len(whole))])
    assert message(path)


def huge_headers(folder: Path) -> list[Path]:
    """Small files that claim 1000 x 1000 x 500 voxels, or 1e9 and more."""
    paths = []
    for n, name in itertools.product((500, 30_000), ("a.nii", "a.nii.gz", "a.mgh", "a.mgz")):
        path = write(folder / f"{n}{name}", content(), affine_of())
        opened = gzip.open if name.endswith("z") else open
        with opened(path, "rb") as file:
            whole = bytearray(file.read())
        if ".nii" in name:
            whole[42:48] = struct.pack("<3h", 1000, 1000, n)
        else:
            whole[4:16] = struct.pack(">3i", 1000, 1000, n)
        with opened(path, "wb") as file:
            file.write(whole)
        paths.append(path)
        nrrd = f"NRRD0004\nendian: little\ntype: short\ndimension: 3\nsizes: 1000 1000 {n}\n"
        for encoding in ("raw", "gzip"):
            paths.append(folder / f"{n}{encoding}.nrrd")
            text = f"{nrrd}spacings: 1 1 1\nencoding: {encoding}\n\n"
            paths[-1].write_bytes(text.encode() + bytes(50))
        meta = f"NDims = 3\nDimSize = 1000 1000 {n}\nElementSpacing = 1 1 1\n"
        for packed in (True, False):
            paths.append(folder / f"{n}{packed}.mha")
            text = f"{meta}CompressedData = {packed}\nElementType = MET_SHORT\n"
            paths[-1].write_bytes(f"{text}ElementDataFile = LOCAL\n".encode() + bytes(50))
        with h5py.File(folder / f"{n}.h5", "w") as file:
            file.create_dataset("image", (1000, 1000, n), np.int16, chunks=(100, 100, 100))
    return paths


def test_headers_that_claim_what_is_not_there_cost_no_memory(tmp_path):
    """In a process that may not have more than it needs for small scans."""
    paths = [*map(str, huge_headers(tmp_path)), *(f"{p}:/image" for p in tmp_path.glob("*.h5"))]
    program = """
import resource, sys
from lmcore.errors import InputError
from lmcore.population.formats import dicom, hdf5, itk, nifti
from lmcore.population.volumes import read_volume
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + 2**27,) * 2)
for path in sys.argv[1:]:
    try:
        read_volume(path, 1)
    except InputError as error:
        print(path, error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True
    )
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths)
    for line in lines:
        assert "too many" in line or "header claims" in line
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.nrrd", "packed.nrrd", "a.mha"])
def test_damaged_bytes_never_raise_anything_else(tmp_path, name):
    random = np.random.default_rng(1)
    whole = np.frombuffer(write(tmp_path / name, content(), affine_of()).read_bytes(), np.uint8)
    for _ in range(40):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
        damaged[random.integers(0, 120, 2)] = random.integers(0, 256, 2)
        (tmp_path / name).write_bytes(damaged.tobytes())
        with contextlib.suppress(InputError):
            volume = read_volume(tmp_path / name)
            assert np.isfinite(volume.array).all()
            assert volume.array.size < 1e6


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mgz", "packed.nrrd", "packed.mha"])
def test_no_flipped_bit_of_packed_voxels_is_let_in(tmp_path, name):
    """Their checksum stands at the end, where nibabel and ITK do not look."""
    whole = write(tmp_path / name, content(), affine_of()).read_bytes()
    expected = read_volume(tmp_path / name).array
    for place in range(len(whole) // 2, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        (tmp_path / name).write_bytes(damaged)
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(read_volume(tmp_path / name).array, expected)


def test_big_endian_packed_voxels(tmp_path):
    """That are read without ITK, which would turn the bytes."""
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 7 9\nspacings: 1 1 1\n"
        "encoding: gzip\nendian: big\n\n"
    )
    packed = gzip.compress(content().T.astype(">i2").tobytes())
    (tmp_path / "a.nrrd").write_bytes(header.encode() + packed)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd").array, content().T)


def test_a_slice_that_claims_a_gigabyte_costs_none(series, tmp_path):
    """GDCM allocates whatever an element claims: of the file's header, and of what follows."""
    whole = (series / "86.dcm").read_bytes()
    for tag in (b"\x02\x00\x10\x00UI", b"\x08\x00\x60\x00", b"\x20\x00\x32\x00"):
        place = whole.index(tag) + len(tag)
        (series / "86.dcm").write_bytes(whole[:place] + b"\xff\xff" + whole[place + 2 :])
        assert "86.dcm is damaged or truncated" in message(series)


def test_compressed_data_that_are_not_the_headers(tmp_path):
    """ITK would read a damaged stream of a MetaImage as whatever lies in memory."""
    meta = (
        "NDims = 3\nDimSize = 2 3 4\nElementSpacing = 1 1 1\nCompressedData = True\n"
        "ElementType = MET_UCHAR\n"
    )
    right = zlib.compress(bytes(range(24)))
    damaged = right[:12] + bytes(6) + right[18:]
    too_much = zlib.compress(bytes(2**26))
    name = "a.mha"
    for end, data in itertools.product(
        ("LOCAL", "a.zraw"), (damaged, too_much, right[:-9], b"", right)
    ):
        (tmp_path / "a.zraw").write_bytes(data)
        text = f"{meta}ElementDataFile = {end}\n".encode()
        (tmp_path / name).write_bytes(text + (data if end == "LOCAL" else b""))
        if data == right:
            assert read_volume(tmp_path / name).array.ravel().tolist() == list(range(24))
        else:
            assert "damaged" in message(tmp_path / name)
    size = meta + "CompressedDataSize = 100000000000\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(size.encode() + right)  # and 93 GiB are not allocated
    assert read_volume(tmp_path / "a.mha").array.ravel().tolist() == list(range(24))
    nrrd = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nspacings: 1 1 1\nbyte skip: -1\n"
    (tmp_path / "a.nrrd").write_bytes(f"{nrrd}encoding: gzip\n\n".encode() + gzip.compress(right))
    assert "byte skip" in message(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.nhdr", "data file: ../b.raw"),
        ("a.nhdr", "data file: /etc/hostname"),
        ("a.nhdr", "Data File: ../b.raw"),
        ("a.nhdr", "datafile: link.raw"),
        ("a.nhdr", "data file: b%d.raw 1 2 1"),
        ("a.nhdr", "data file: LIST\n../b.raw"),
        ("a.nrrd", "data file: ../b.raw"),
        ("a.mhd", "ElementDataFile = ../b.raw"),
        ("a.mhd", "ElementDataFile: ../b.raw"),
        ("a.mhd", "ElementDataFile = link.raw"),
        ("a.mhd", "ElementDataFile = LIST\n../b.raw"),
        ("a.mha", "ElementDataFile = ../b.raw"),
        ("a.mhd", "ElementDataFile = none.raw"),
    ],
)
def test_data_outside_the_headers_folder(tmp_path, name, data):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "b.raw").write_bytes(bytes(range(24)))
    (folder / "link.raw").symlink_to("../b.raw")
    if name.startswith("a.m"):
        header = "NDims = 3\nDimSize = 2 3 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    else:
        header = (
            "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 3 4\nspacings: 1 1 1\nencoding: raw\n"
        )
    (folder / name).write_text(f"{header}{data}\n")
    text = message(folder / name)
    assert any(part in text for part in ("lies outside", "several files", "does not exist"))


def test_hdf5_that_lies_elsewhere(tmp_path):
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["image"] = content()
    (tmp_path / "b.raw").write_bytes(content().tobytes())
    layout = h5py.VirtualLayout(shape=SHAPE, dtype=np.int16)
    layout[:] = h5py.VirtualSource(str(tmp_path / "b.h5"), "image", shape=SHAPE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("b.h5", "/image")
        file.create_virtual_dataset("virtual", layout)
        external = [(str(tmp_path / "b.raw"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("external", SHAPE, np.int16, external=external)
        file["soft"] = h5py.SoftLink("/own")
        file["own"] = content()
    for name in ("link", "virtual", "external"):
        assert "lies in another file" in message(f"{tmp_path}/a.h5:/{name}", 1)
    np.testing.assert_array_equal(read_volume(f"{tmp_path}/a.h5:/soft", 1).array, content().T)


@pytest.fixture
def series(tmp_path):
    """A folder with a series of nine slices and a file that is none."""
    write_dicom(tmp_path / "scan", itk_image(content(), affine_of()))
    (tmp_path / "scan/README.txt").write_text("hello")
    return tmp_path / "scan"


def test_dicom_folder(series):
    (series / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert np.sort(read_volume(series).array, axis=None).tolist() == list(range(315))


def test_dicom_gantry_tilt(tmp_path):
    """Slices that are shifted within their plane: the affine is sheared, not turned."""
    image = itk_image(content(), np.diag([0.7, 1.1, 2.3, 1.0]))
    for k in range(9):
        position = {"0020|0032": f"0\\{-0.4 * k}\\{2.3 * k}", "0008|0018": f"1.2.3.{k}"}
        write_dicom(tmp_path / "one", image[:, :, k : k + 1], position)
        (tmp_path / "scan").mkdir(exist_ok=True)
        (tmp_path / "one/90.dcm").rename(tmp_path / f"scan/{k}.dcm")
    volume = read_volume(tmp_path / "scan")
    np.testing.assert_allclose(
        apply_affine(volume.affine, [[0, 0, 8]]), [[0, 3.2, 18.4]], atol=1e-9
    )


def test_dicom_faults(series, tmp_path):
    def faulty(change) -> str:
        shutil.rmtree(tmp_path / "faulty", ignore_errors=True)
        shutil.copytree(series, tmp_path / "faulty")
        change(tmp_path / "faulty")
        return message(tmp_path / "faulty")

    other = itk_image(content(), affine_of())
    assert "missing slices: 8" in faulty(lambda f: (f / "86.dcm").unlink())
    assert "4.6 mm apart, others 2.3 mm" in faulty(lambda f: (f / "86.dcm").unlink())
    assert "duplicate slices: 86.dcm and copy.dcm" in faulty(
        lambda f: shutil.copy(f / "86.dcm", f / "copy.dcm")
    )
    small = sitk.RegionOfInterest(other, (4, 7, 1), (0, 0, 3))
    assert "mixed size: 82.dcm has 5 x 7 pixels, 90.dcm has 4 x 7" in faulty(
        lambda f: write_dicom(f, small)
    )
    assert "2 DICOM series" in faulty(lambda f: write_dicom(f, small, {"0020|000e": "9.9"}))
    turned = {"0020|0037": "1\\0\\0\\0\\0\\1"}
    assert "differ in orientation" in faulty(lambda f: write_dicom(f, other[:, :, 3:4], turned))
    whole = (series / "86.dcm").read_bytes()
    assert "86.dcm is damaged" in faulty(lambda f: (f / "86.dcm").write_bytes(whole[:-20]))
    assert "no DICOM" in faulty(lambda f: [p.unlink() for p in f.glob("*.dcm")])
    assert "one DICOM slice alone" in faulty(
        lambda f: [p.unlink() for p in f.glob("*.dcm") if p.name != "86.dcm"]
    )
    (tmp_path / "outside.dcm").write_bytes(whole)
    assert "link.dcm is a link out of the folder" in faulty(
        lambda f: (f / "link.dcm").symlink_to(tmp_path / "outside.dcm")
    )


def test_damage_is_told_by_nobody_else(series, tmp_path):
    """ITK and nibabel would write warnings of their own beside our error."""
    (series / "86.dcm").write_bytes((series / "86.dcm").read_bytes()[:-20])
    paths = [str(series)]
    array = np.random.default_rng(0).integers(0, 9000, (40, 50, 60)).astype(np.int16)
    for name in ("a.nii", "a.nii.gz", "a.mgz", "a.nrrd", "packed.nrrd", "a.mha"):
        path = write(tmp_path / name, array, affine_of())
        path.write_bytes(path.read_bytes()[:-9000])
        paths.append(str(path))
    program = """
import sys
from lmcore.errors import InputError
from lmcore.population.volumes import read_volume
for path in sys.argv[1:]:
    try:
        read_volume(path)
    except InputError:
        print("refused")
"""
    result = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["refused"] * len(paths)
    assert result.stderr == ""


def test_other_faults(tmp_path):
    assert "no such file" in message(tmp_path / "none.nii")
    assert "no such file" in message(tmp_path / "none.h5:/image")
    assert "no reader for volumes" in message(tmp_path / "none.xyz")
    for name in ("a.nii", "a.nii.gz", "a.mgh", "a.mgz", "a.nrrd", "a.mha", "a.nhdr", "a.mhd"):
        (tmp_path / name).write_bytes(b"hello")
        assert message(tmp_path / name)
    (tmp_path / "a.h5").write_bytes(b"hello")
    assert "a.h5" in message(f"{tmp_path}/a.h5:/image")


def test_is_volume(tmp_path):
    names = "a.nii a.nii.gz A.NII.GZ a.mgh a.mgz a.nrrd a.nhdr a.mha a.mhd a.h5:/x a.hdf5:/x/y"
    assert all(is_volume(name) for name in names.split())
    assert is_volume(tmp_path)
    assert not any(is_volume(name) for name in ("a.png", "a.jpg", "a.tif", "nii", "a.gz"))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_labels(tmp_path, dtype):
    array = (content() % 7).astype(dtype)
    write(tmp_path / "a.nii", array, affine_of())
    labels = read_labels(tmp_path / "a.nii")
    assert labels.array.dtype == np.int32
    np.testing.assert_array_equal(labels.array, array.T)


def test_labels_keep_their_digits(tmp_path):
    """float32 ends at 16777216."""
    array = content().astype(np.int32) + 614454000
    write(tmp_path / "a.nii.gz", array, affine_of())
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii.gz").array, array.T)
    write(tmp_path / "b.nii", np.full(SHAPE, 3, np.uint8), affine_of())
    assert read_labels(tmp_path / "b.nii").array.max() == 3


@pytest.mark.parametrize(
    ("value", "fault"), [(0.5, "whole numbers"), (-1, "labels from -1"), (np.inf, "whole numbers")]
)
def test_labels_that_are_none(tmp_path, value, fault):
    array = (content() % 3).astype(np.float32)
    array[1, 2, 3] = value
    write(tmp_path / "a.nii", array, affine_of())
    with pytest.raises(InputError, match=fault):
        read_labels(tmp_path / "a.nii")
    array[1, 2, 3] = np.nan
    write(tmp_path / "a.nii", array, affine_of())
    assert read_labels(tmp_path / "a.nii").array[3, 2, 1] == 0


def test_same_grid():
    array, affine = np.zeros((4, 5, 6), np.float32), affine_of()
    one = Volume(array, affine)
    assert same_grid(one, Volume(array.copy(), affine + 1e-4))
    assert not same_grid(one, Volume(array[1:], affine))
    moved, turned = affine.copy(), affine.copy()
    moved[0, 3] += 0.1
    turned[:3, :3] = rotation((0, 3, 0)) @ turned[:3, :3]
    assert not same_grid(one, Volume(array, moved))
    assert not same_grid(one, Volume(array, turned))


def test_real_scans():
    atria, hippocampi = real_data("left_atrium_lge"), real_data("hippocampus")
    name = "06SR5RBREL16DQ6M8LWS.h5"
    scan = read_volume(f"{atria}/{name}:/image", 0.625)
    labels = read_labels(f"{atria}/{name}:/label", 0.625)
    assert scan.shape == (88, 140, 183)  # 88 slices
    assert same_grid(scan, labels)
    volume_ml = labels.array.sum() * 0.625**3 / 1000
    assert 30 < volume_ml < 200  # of a left atrium
    scan = read_volume(hippocampi / "images/hippocampus_001.nii.gz")
    labels = read_labels(hippocampi / "labels/hippocampus_001.nii.gz")
    assert same_grid(scan, labels)
    assert set(np.unique(labels.array)) == {0, 1, 2}
