import time
from pathlib import Path

import pytest
from real_data import real_data

from lmcore.errors import InputError
from lmcore.population.checks import check_classes
from lmcore.population.table import name_some, read_subjects


@pytest.fixture
def write(tmp_path):
    """Writes the table and the images it names; returns the table's path."""

    def write_table(text: str | bytes, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
        folder = tmp_path / "population"
        for name in images:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        folder.mkdir(exist_ok=True)
        path = folder / "subjects.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_table


def message(path: Path, **arguments) -> str:
    with pytest.raises(InputError) as error:
        read_subjects(path, **arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_everything_a_row_can_say(write):
    path = write(
        "subject,image,segmentation,split,side,spacing,genus,note\n"
        'a-1,in/a.png,seg.h5:/label,train,left,0.625,Eunotia,"one, two"\n'
        "B_2,b.png,,held_out,,, NA ,001\n",
        ("in/a.png", "b.png", "seg.h5"),
    )
    first, second = read_subjects(path, class_column="genus")
    root = path.parent
    assert (first.subject, first.image, first.split) == ("a-1", "in/a.png", "train")
    assert (first.side, first.spacing) == ("left", "0.625")
    assert first.image_path == root / "in/a.png"
    assert str(first.segmentation_path) == f"{root}/seg.h5:/label"
    assert first.files == [root / "in/a.png", root / "seg.h5"]
    assert first.labels == {"genus": "Eunotia", "note": "one, two"}
    assert (second.segmentation_path, second.side, second.spacing) == (None, None, None)
    assert second.files == [root / "b.png"]
    assert second.labels == {"genus": " NA ", "note": "001"}


def test_byte_order_mark_windows_lines_and_empty_rows(write):
    path = write(
        b"\xef\xbb\xbfsubject,image,kind\r\na,a.png,gro\xc3\x9f\r\n\r\n,,\r\nb,b.png,x\r\n"
    )
    subjects = read_subjects(path)
    assert [subject.subject for subject in subjects] == ["a", "b"]
    assert subjects[0].labels == {"kind": "groß"}


def test_root_of_the_users_choice(write, tmp_path):
    path = write("subject,image\na,in/a.png\n", ("in/a.png",))
    moved = path.rename(tmp_path / "elsewhere.csv")
    (subject,) = read_subjects(moved, root=tmp_path / "population")
    assert subject.image_path == tmp_path / "population/in/a.png"
    assert f"a ({tmp_path}/in/a.png)" in message(moved)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subject;image\na;a.png\n", "separated by semicolons"),
        ("subject\timage\na\ta.png\n", "separated by tabs"),
        ("", "the table is empty"),
        ("subject,image\n", "without subjects"),
        ("id,image,genus\na,a.png,x\n", "no column subject; it has id, image, genus"),
        ("name,file\na,a.png\n", "no column subject and no column image; it has name, file"),
        ("Subject, image\na,a.png\n", "'Subject' (write subject), ' image' (write image)"),
        ("subject,image,Split\na,a.png,train\n", "'Split' (write split)"),
        ("subject,image,\na,a.png,\n", "a column without a name"),
        ("subject,image,x,x\na,a.png,1,2\n", "more than once: x"),
        ("subject,image,x\na,a.png,1\nb,b.png\n", "3 cells: 3 (2)"),
        ("subject,image\na,a.png,1\n", "2 cells: 2 (3)"),
        ('subject,image\na,"a.png\n', "is not CSV"),
        (b"subject,image\na,\xe4.png\n", "not UTF-8"),
        (b"subject,image\na,a\0.png\n", "not a text file"),
        ("subject,image\na,a.png\na,b.png\n", "duplicate subject ids: a;"),
        ("subject,image\nA1,a.png\na1,b.png\n", "duplicate subject ids: A1/a1;"),
        ("subject,image\na b,a.png\n", "unsafe subject ids: 'a b'"),
        ("subject,image\n-a,a.png\n", "unsafe subject ids: '-a'"),
        ("subject,image\n../a,a.png\n", "unsafe subject ids: '../a'"),
        ("subject,image\nä,a.png\n", "unsafe subject ids: 'ä'"),
        ('subject,image\n"a\n",a.png\n', "unsafe subject ids: 'a '"),
        (f"subject,image\n{'a' * 101},a.png\n", "unsafe subject ids"),
        (",image\n", "no column subject"),
        ("subject,image\n,a.png\n", "unsafe subject ids: ''"),
        ("subject,image\na,a.png\nb,\n", "column image is empty for b"),
        ("subject,image,split\na,a.png,training\n", "unknown split of a ('training')"),
        ("subject,image,split\na,a.png,train\nb,b.png,\n", "column split is empty for b"),
        ("subject,image\na,/a.png\n", "that leave"),
        ("subject,image\na,../a.png\n", "a (../a.png)"),
        ("subject,image\na,.\n", "a (.)"),
        ("subject,image,segmentation\na,a.png,s.png\n", "segmentation missing of a ("),
        ("subject,image\na,c.h5:/image\n", "population/c.h5)"),
    ],
)
def test_faults(write, text, expected):
    path = write(text)
    text = message(path)
    assert expected in text
    assert "subjects.csv" in text


def test_an_empty_split_column_is_none_at_all(write):
    path = write("subject,image,split\na,a.png,\nb,b.png,\n")
    assert [subject.split for subject in read_subjects(path)] == [None, None]


def test_no_table(tmp_path):
    assert "no such table" in message(tmp_path / "none.csv")
    assert "cannot be read" in message(tmp_path)


def test_all_missing_images_are_counted_and_fifty_named(write):
    rows = "".join(f"s{n},in/{n}.png\n" for n in range(53))
    text = message(write("subject,image\n" + rows))
    assert "s0 (" in text
    assert "population/in/49.png) and 3 more" in text
    assert "s50" not in text


def test_a_link_out_of_the_root_is_refused_and_one_within_is_not(write, tmp_path):
    path = write("subject,image\na,link.png\n", ("in/a.png",))
    link = path.parent / "link.png"
    link.symlink_to("in/a.png")
    assert read_subjects(path)[0].image_path == link
    link.unlink()
    (tmp_path / "outside.png").touch()
    link.symlink_to("../outside.png")
    assert "a (link.png)" in message(path)


def test_a_folder_that_only_begins_like_the_root_is_outside(write, tmp_path):
    path = write("subject,image\na,../population2/a.png\n")
    (tmp_path / "population2").mkdir()
    (tmp_path / "population2/a.png").touch()
    assert "that leave" in message(path)


def test_class_column(write):
    path = write("subject,image,genus,species\na,a.png,x,y\nb,b.png,,z\n")
    text = message(path, class_column="Genus")
    assert "did you mean 'genus'? its label columns are: genus, species" in text
    assert "label columns are: genus" in message(path, class_column="image")
    assert "column genus is empty for b" in message(path, class_column="genus")
    assert len(read_subjects(path, class_column="species")) == 2


def test_classes_need_a_subject_for_every_fold(write):
    names = [f"s{n}" for n in range(9)]
    rows = [f"{name},{name}.png,{'abc'[n % 3 if n < 6 else 0]},k" for n, name in enumerate(names)]
    path = write("subject,image,kind,one\n" + "\n".join(rows), tuple(f"{n}.png" for n in names))
    subjects = read_subjects(path)
    check_classes(subjects, "kind", 2)
    with pytest.raises(InputError, match=r"the 3 folds .* kind: 'b' \(2\), 'c' \(2\)"):
        check_classes(subjects, "kind", 3)
    with pytest.raises(InputError, match="only the class 'k'"):
        check_classes(subjects, "one", 2)


def test_two_scans_of_a_person_are_in_one_fold_and_count_once(write):
    rows = "".join(f"s{n},a.png,{'ab'[n >= 6]},p{n // 2 if n < 6 else n}\n" for n in range(9))
    subjects = read_subjects(write("subject,image,kind,who\n" + rows))
    check_classes(subjects, "kind", 3, "who")
    with pytest.raises(InputError, match=r"fewer persons than the 4 folds .* 'a' \(3\)"):
        check_classes(subjects, "kind", 4, "who")


def test_names_are_not_piled_up():
    assert name_some("abcde") == "a, b, c, d, e"
    assert name_some(range(1006), limit=3) == "0, 1, 2 and 1,003 more"


def test_ten_thousand_rows_are_quick(write):
    rows = "".join(f"s{n},a.png,x\n" for n in range(10_000))
    path = write("subject,image,kind\n" + rows)
    begin = time.process_time()
    assert len(read_subjects(path, class_column="kind")) == 10_000
    assert time.process_time() - begin < 3


def test_real_tables():
    diatoms = read_subjects(real_data("diatoms_4genus/subjects.csv"), class_column="genus")
    assert len(diatoms) == 971
    assert list(diatoms[0].labels) == ["genus", "species", "width", "height", "mode"]
    check_classes(diatoms, "genus", 5)
    wings = read_subjects(real_data("fly_wings/subjects.csv"))
    assert (len(wings), wings[0].labels) == (58, {})
    volumes = read_subjects(real_data("left_atrium_lge/subjects.csv"))
    assert volumes[0].spacing == "0.625"
    assert volumes[0].files[0].suffix == ".h5"
