"""The simulated diatoms as a population: files, truth, determinism, difficulty."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation import diatoms
from lmcore.simulation.options import draw
from lmcore.simulation.valve import OUTLINE_PARAMETERS, Outline, Pose, Valve, place

SIZE = [48, 104]


def counts(*numbers):
    return dict(zip(diatoms.GENERA, numbers, strict=True))


def simulate(root, name="population", seed=7, **options):
    options = {"size": SIZE, "counts": counts(1, 2, 1, 1)} | options
    diatoms.simulate(root / name, root / f"{name}.csv", seed, **options)
    subjects = pd.read_csv(root / name / "subjects.csv")
    return subjects, pd.read_csv(root / f"{name}.csv")


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_folder_is_a_users(tmp_path):
    subjects, truth = simulate(tmp_path)
    assert list(subjects.columns) == ["subject", "image", "genus"]
    assert list(subjects.genus) == [
        "Eunotia",
        "Fragilariforma",
        "Fragilariforma",
        "Gomphonema",
        "Stauroneis",
    ]
    files = sorted(str(path) for path in contents(tmp_path / "population"))
    assert files == sorted([*subjects.image, "subjects.csv"])
    with Image.open(tmp_path / "population" / subjects.image[0]) as image:
        assert (image.mode, image.size) == ("L", (104, 48))
    assert list(truth.subject) == list(subjects.subject)
    assert truth.columns[0] == "subject"
    assert truth.drop(columns="subject").dtypes.map(pd.api.types.is_numeric_dtype).all()
    assert set(diatoms.SHAPE_PARAMETERS) < set(truth.columns)
    np.testing.assert_allclose(truth.width * truth.slenderness, truth.length)


def test_a_frame_far_wider_than_high(tmp_path):
    subjects, _ = simulate(tmp_path, size=[16, 400])
    assert len(subjects) == 5


def test_the_papers_counts_are_the_default():
    assert diatoms.DiatomOptions().counts == {
        "Eunotia": 68,
        "Fragilariforma": 100,
        "Gomphonema": 100,
        "Stauroneis": 72,
    }


def test_the_same_seed_gives_the_same_bytes_another_seed_others(tmp_path):
    simulate(tmp_path, "a")
    simulate(tmp_path, "b")
    simulate(tmp_path, "c", seed=8)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_subject_does_not_depend_on_how_many_there_are(tmp_path):
    _, few = simulate(tmp_path, "few")
    _, many = simulate(tmp_path, "many", counts=counts(3, 3, 1, 2))
    pd.testing.assert_frame_equal(
        many[many.subject.isin(few.subject)].reset_index(drop=True), few, check_exact=True
    )
    for subject in few.subject:
        image = f"images/{subject}.png"
        assert (tmp_path / "few" / image).read_bytes() == (tmp_path / "many" / image).read_bytes()


def test_images_of_an_earlier_larger_population_do_not_stay(tmp_path):
    simulate(tmp_path, counts=counts(3, 1, 1, 1))
    subjects, _ = simulate(tmp_path)
    assert len(list((tmp_path / "population" / "images").iterdir())) == len(subjects)


def test_the_truth_says_where_the_valve_is(tmp_path):
    # nothing but a bright face on an even background, so that a threshold is the valve
    absent, plain = (0.0, 0.0), {}
    for genus in ("eunotia", "fragilariforma", "gomphonema", "stauroneis"):
        strengths = ("stria_strength", "raphe_strength", "nodule_strength", "stauros_strength")
        plain[genus] = dict.fromkeys(strengths, absent)
    for name in ("rim", "halo", "shading", "gradient", "blotches", "debris", "noise"):
        plain[name] = absent
    plain |= {"face": (0.9, 0.9), "contrast": (1.0, 1.0), "blur": (0.3, 0.3)}
    subjects, truth = simulate(tmp_path, size=[96, 208], **plain)
    for subject, one in zip(subjects.itertuples(), truth.itertuples(), strict=True):
        valve = Valve(Outline(**{name: getattr(one, name) for name in OUTLINE_PARAMETERS}))
        pose = Pose(one.rotation, one.shift_x, one.shift_y, one.magnification)
        expected = place(valve, pose, (96, 208)).coverage > 0.5
        grey = np.asarray(Image.open(tmp_path / "population" / subject.image))
        seen = grey > 127.5 + 30
        assert (seen & expected).sum() / (seen | expected).sum() > 0.95, subject.subject


def test_every_valve_lies_in_its_frame():
    options = diatoms.DiatomOptions()
    height, width = options.size
    for genus in diatoms.GENERA:
        for index in range(40):
            random = np.random.default_rng(derive_seed(1, genus, index))
            valve = Valve(diatoms.draw_outline(getattr(options, genus.lower()), random))
            pose = diatoms.draw_pose(valve, options, random)
            covered = place(valve, pose, options.size).coverage > 0.0
            rows, columns = np.nonzero(covered)
            assert min(rows.min(), height - 1 - rows.max()) >= 3
            assert min(columns.min(), width - 1 - columns.max()) >= 3


def test_shape_alone_tells_genera_apart_but_not_perfectly():
    options, shapes, genera = diatoms.DiatomOptions(), [], []
    for genus in diatoms.GENERA:
        for index in range(options.counts[genus]):
            random = np.random.default_rng(derive_seed(2021, "diatoms", genus, index))
            outline = diatoms.draw_outline(getattr(options, genus.lower()), random)
            shapes.append([getattr(outline, name) for name in diatoms.SHAPE_PARAMETERS])
            genera.append(genus)
    shapes, genera = np.array(shapes), np.array(genera)
    classifier = make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis(reg_param=0.05))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert 0.92 <= cross_val_score(classifier, shapes, genera, cv=folds).mean() <= 0.985


def test_some_eunotia_are_as_straight_as_fragilariforma():
    options = diatoms.DiatomOptions()

    def bends(genus):
        for index in range(200):
            random = np.random.default_rng(index)
            outline = diatoms.draw_outline(getattr(options, genus), random)
            yield outline.curvature, outline.dorsiventrality

    eunotia = np.array(list(bends("eunotia")))
    fragilariforma = np.array(list(bends("fragilariforma")))
    assert eunotia.min() >= 0.0  # all bend the same way
    among = np.all(eunotia < fragilariforma.max(axis=0), axis=1)
    assert 0.05 < among.mean() < 0.4


def test_a_range_is_a_truncated_normal():
    random = np.random.default_rng(0)
    values = np.array([draw(random, (2.0, 6.0)) for _ in range(4000)])
    assert values.min() > 2.0
    assert values.max() < 6.0
    assert values.mean() == pytest.approx(4.0, abs=0.05)
    assert values.std() == pytest.approx(0.8796, abs=0.03)  # of a normal cut at two deviations
    assert draw(random, (3.0, 3.0)) == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contrst": (0, 1)}, "contrst is no option .* nearest known one is contrast$"),
        ({"eunotia": {"curvatur": (0, 1)}}, "nearest known one is curvature$"),
        ({"counts": {"Eunotja": 3}}, "nearest known one is Eunotia$"),
        ({"counts": {"Eunotia": 2.5}}, "counts.Eunotia must be a whole number"),
        ({"counts": counts(0, 0, 0, 0)}, "counts must ask for one specimen"),
        ({"noise": (0.2, 0.1)}, "noise must be a range from low to high"),
        ({"noise": "0.1"}, "noise must be two numbers"),
        ({"blur": ("1e-1", 1.0)}, "blur must be a number"),
        ({"size": [4, 400]}, "size must be at least 16 pixels"),
        ({"gomphonema": {"length": (0.0, 3.0)}}, "gomphonema.length must be positive"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        diatoms.simulate(tmp_path / "population", tmp_path / "truth.csv", 1, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_earlier_population_whole(tmp_path, monkeypatch):
    simulate(tmp_path)
    before = contents(tmp_path)
    drawn = diatoms.draw_micrograph

    def fails_late(valve, *rest):
        if valve.outline.heteropolarity > 0.1:
            raise RuntimeError("drawing failed")
        return drawn(valve, *rest)

    monkeypatch.setattr(diatoms, "draw_micrograph", fails_late)
    with pytest.raises(RuntimeError, match="drawing failed"):
        simulate(tmp_path, seed=99)
    assert contents(tmp_path) == before
    with pytest.raises(RuntimeError, match="drawing failed"):
        simulate(tmp_path, "fresh")
    assert contents(tmp_path / "fresh") == {}
    assert not (tmp_path / "fresh.csv").exists()


def test_the_truth_must_not_lie_where_later_steps_read(tmp_path):
    with pytest.raises(ValueError, match="must not lie inside"):
        diatoms.simulate(tmp_path / "p", tmp_path / "p" / "truth.csv", 1, size=SIZE)
