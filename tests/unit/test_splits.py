from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.files import whole_file
from lmcore.population.splits import (
    assign_splits,
    draw_splits,
    read_splits,
    split_counts,
    splits_of,
    write_splits,
)
from lmcore.population.table import Subject, name_persons

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
# the paper's diatoms
SUBJECTS = [f"s{n:03d}" for n in range(340)]
GENERA = ["Eunotia"] * 68 + ["Fragilariforma"] * 100 + ["Gomphonema"] * 100 + ["Stauroneis"] * 72


def test_counts_follow_the_fractions_within_every_class():
    splits = assign_splits(SUBJECTS, GENERA, FRACTIONS, seed=1)
    assert Counter(splits) == {"train": 272, "validation": 34, "test": 34}
    for genus, size in Counter(GENERA).items():
        counts = Counter(
            split for split, label in zip(splits, GENERA, strict=True) if label == genus
        )
        for name, fraction in FRACTIONS.items():
            assert abs(counts[name] - fraction * size) <= 1


def test_the_order_of_the_table_does_not_matter():
    splits = dict(zip(SUBJECTS, assign_splits(SUBJECTS, GENERA, FRACTIONS, 1), strict=True))
    order = np.random.default_rng(0).permutation(340)
    subjects, labels = [SUBJECTS[i] for i in order], [GENERA[i] for i in order]
    again = assign_splits(subjects, labels, FRACTIONS, 1)
    assert dict(zip(subjects, again, strict=True)) == splits


def test_the_seed_matters_and_each_split_is_a_fair_draw():
    draws = [assign_splits(SUBJECTS, GENERA, FRACTIONS, seed) for seed in range(200)]
    assert draws[0] == assign_splits(SUBJECTS, GENERA, FRACTIONS, 0)
    assert draws[0] != draws[1]
    share = np.mean([[split == "test" for split in draw] for draw in draws], axis=0)
    # 200 draws at 0.1: standard deviation 0.021
    assert abs(share.mean() - 0.1) < 1e-9
    assert np.abs(share - 0.1).max() < 4.7 * 0.021


def test_a_subject_more_hardly_disturbs_the_others():
    before = assign_splits(SUBJECTS, GENERA, FRACTIONS, 1)
    after = assign_splits([*SUBJECTS, "new"], [*GENERA, "Eunotia"], FRACTIONS, 1)
    assert sum(a != b for a, b in zip(before, after, strict=False)) <= 6


def test_without_labels():
    splits = assign_splits(SUBJECTS[:10], None, FRACTIONS, 3)
    assert Counter(splits) == {"train": 8, "validation": 1, "test": 1}


def test_given_splits_are_kept_and_the_fractions_are_of_the_others():
    given = dict.fromkeys(SUBJECTS[:68], "held_out") | {"s100": "test"}
    splits = assign_splits(SUBJECTS, GENERA, FRACTIONS, 1, given)
    assert splits[:68] == ["held_out"] * 68
    assert splits[100] == "test"
    assert Counter(splits[68:100] + splits[101:]) == split_counts(271, FRACTIONS)


def test_all_given():
    assert assign_splits(["b", "a"], None, FRACTIONS, 0, {"a": "test", "b": "train"}) == [
        "train",
        "test",
    ]


@pytest.mark.parametrize(
    ("n", "fractions", "counts"),
    [
        (30, FRACTIONS, (24, 3, 3)),
        (971, FRACTIONS, (777, 97, 97)),
        (58, FRACTIONS, (46, 6, 6)),
        (5, FRACTIONS, (3, 1, 1)),
        (9, {"train": 1.0}, (9, 0, 0)),
        (10, {"train": 0.5, "test": 0.5}, (5, 0, 5)),
        (100, {"train": 0.57, "validation": 0.29, "test": 0.14}, (57, 29, 14)),  # 0.29 x 100 < 29
        (7, {"train": 0.34, "validation": 0.33, "test": 0.33}, (3, 2, 2)),
        (20, {"train": 0.98, "validation": 0.01, "test": 0.01}, (18, 1, 1)),
    ],
)
def test_largest_remainder(n, fractions, counts):
    assert tuple(split_counts(n, fractions).values()) == counts


@settings(deadline=None, max_examples=50)
@given(st.integers(5, 400), st.integers(1, 98), st.integers(1, 98))
def test_counts_are_never_lost_nor_empty(n, a, b):
    total = a + b + 7
    fractions = {"train": a / total, "validation": b / total, "test": 7 / total}
    counts = split_counts(n, fractions)
    assert sum(counts.values()) == n
    assert min(counts.values()) >= 1


def test_too_few_subjects():
    with pytest.raises(InputError, match="4 subjects .* at least 5"):
        assign_splits(["a", "b", "c", "d"], None, FRACTIONS, 0)


@pytest.mark.parametrize(
    "fractions",
    [{"train": 0.8}, {"train": 1.2, "test": -0.2}, {"train": 0.5, "held_out": 0.5}, {}],
)
def test_fractions_that_are_none(fractions):
    with pytest.raises(InputError, match=r"population\.split"):
        assign_splits(SUBJECTS, None, fractions, 0)


def subject(name: str, image: str, **labels: str) -> Subject:
    return Subject(name, image, image, None, None, None, None, labels)


def test_subjects_csv_keeps_the_users_text(tmp_path):
    path = tmp_path / "subjects.csv"
    rows = [
        subject("001", "a, b.png", kind="NA", age="7.50"),
        subject("b", "b.png", kind="", age="1e3"),
    ]
    write_splits(path, rows, ["test", "train"])
    assert path.read_text() == (
        'subject,image,split,kind,age\n001,"a, b.png",test,NA,7.50\nb,b.png,train,,1e3\n'
    )
    table = read_splits(path)
    assert table.to_dict("list") == {
        "subject": ["001", "b"],
        "image": ["a, b.png", "b.png"],
        "split": ["test", "train"],
        "kind": ["NA", ""],
        "age": ["7.50", "1e3"],
    }


@pytest.mark.parametrize("text", ["", "subject,image\na,a.png\n"])
def test_a_file_that_is_no_subjects_csv(tmp_path, text):
    with whole_file(tmp_path / "subjects.csv") as path:
        path.write_text(text)
    with pytest.raises(InputError, match=r"subjects\.csv"):
        read_splits(tmp_path / "subjects.csv")


def test_scans_of_a_person_share_a_split_and_persons_are_counted():
    subjects = [f"{person:02d}{side}" for person in range(40) for side in "LR"]
    persons = [subject[:2] for subject in subjects]
    labels = ["a"] * 40 + ["b"] * 40
    splits = assign_splits(subjects, labels, FRACTIONS, 5, persons=persons)
    by_person = {}
    for person, split in zip(persons, splits, strict=True):
        assert by_person.setdefault(person, split) == split
    assert Counter(by_person.values()) == {"train": 32, "validation": 4, "test": 4}
    assert Counter(splits[:40]) == {"train": 32, "validation": 4, "test": 4}  # within a class
    # drawn side by side they would not
    alone = assign_splits(subjects, labels, FRACTIONS, 5)
    assert any(left != right for left, right in zip(alone[::2], alone[1::2], strict=True))


def test_who_is_alone_is_drawn_as_without_persons():
    assert assign_splits(SUBJECTS, GENERA, FRACTIONS, 1, persons=SUBJECTS) == assign_splits(
        SUBJECTS, GENERA, FRACTIONS, 1
    )


def test_a_persons_given_split_is_that_of_all_its_scans_and_must_be_one():
    subjects = [f"s{number}" for number in range(12)]
    persons = ["p0", "p0", *subjects[2:]]
    splits = assign_splits(subjects, None, FRACTIONS, 1, {"s0": "held_out"}, persons)
    assert splits[:2] == ["held_out", "held_out"]
    assert splits.count("held_out") == 2
    with pytest.raises(InputError, match="s1 is in split test and another scan .* in train"):
        assign_splits(subjects, None, FRACTIONS, 1, {"s0": "train", "s1": "test"}, persons)


def test_an_empty_cell_is_another_person():
    names = name_persons(["a", "b", "c", "d"], [" x", "x ", "", "a"])
    assert names[0] == names[1]
    assert len(set(names)) == 3


def test_the_column_of_persons_decides_in_a_table():
    def subject(name, person):
        return Subject(name, name, name, None, None, None, None, {"kind": "k", "who": person})

    subjects = [subject(f"{person}{side}", person) for person in "abcdefghijklmnopqrst"
                for side in "LR"]  # fmt: skip
    splits = draw_splits(subjects, "kind", FRACTIONS, 2, person_column="who")
    assert splits[::2] == splits[1::2]
    assert Counter(splits) == {"train": 32, "validation": 4, "test": 4}


def written(tmp_path, splits, people):
    """subjects.csv of subjects s00, s01, ..."""
    subjects = [
        Subject(f"s{number:02d}", "x", "x", None, split, None, None, {"who": person})
        for number, (split, person) in enumerate(zip(splits, people, strict=True))
    ]
    write_splits(tmp_path / "subjects.csv", subjects, splits)
    return tmp_path / "subjects.csv"


def test_over_all_folds_everybody_is_tested_once_and_nobody_trains_and_is_tested(tmp_path):
    splits = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2 + ["held_out"] * 3
    path = written(tmp_path, splits, [""] * 15)
    tested = []
    for fold in range(4):
        found = splits_of(path, {"fold": fold, "folds": 4})
        own = [name for name, split in found.items() if split == "test"]
        assert len(own) == 3
        assert list(found.values())[12:] == ["held_out"] * 3
        # who validates does not train; the test split of the table does
        assert {found["s08"], found["s09"]} <= {"validation", "test"}
        assert {found["s10"], found["s11"]} <= {"train", "test"}
        tested += own
    assert sorted(tested) == [f"s{number:02d}" for number in range(12)]


def test_a_fold_holds_all_scans_of_a_person(tmp_path):
    path = written(tmp_path, ["train"] * 12, [f"p{number // 2}" for number in range(12)])
    found = list(splits_of(path, {"fold": 1, "folds": 3}, "who").values())
    assert found[::2] == found[1::2]
    assert found.count("test") == 4


def test_everybody_trains_who_is_not_held_out(tmp_path):
    path = written(tmp_path, ["train", "validation", "test", "held_out"], [""] * 4)
    assert list(splits_of(path, "all").values()) == ["train", "train", "train", "held_out"]
    assert list(splits_of(path).values()) == ["train", "validation", "test", "held_out"]
