"""What the settings and the table can tell together, before any image is read.

Only the standard library here, as in `table`: the workflow checks while it builds its graph.
"""

import math
from collections.abc import Mapping, Sequence

from lmcore.errors import InputError
from lmcore.population.table import Subject, is_volume, name_persons, name_some

# Keys of `preprocess`, and what they are where nobody sets them
DEFAULTS = {
    "size": None,
    "margin": None,
    "spacing": None,
    "reflect": None,
    "align": "image",
    "crop": None,
    "intensity": "border",
    "window": None,
    "intensity_over": "subject",
    "region": None,
}
OF_IMAGES = ("size", "margin", "intensity")
IMAGE_INTENSITIES = ("border", "percentile")
VOLUME_INTENSITIES = (*IMAGE_INTENSITIES, "window", "z_score")


def check_settings(subjects: Sequence[Subject], settings: Mapping) -> dict:
    """The settings with their defaults.

    Arguments:
        subjects: of the table.
        settings: the block `preprocess`; see DEFAULTS for its keys.
    Raises:
        InputError: if they contradict each other or the table, naming the key.
    """
    settings = DEFAULTS | dict(settings)
    if _are_volumes(subjects):
        _check_volumes(subjects, settings)
    else:
        _check_images(settings)
    return settings


def check_classes(
    subjects: Sequence[Subject], class_column: str, folds: int, person_column: str | None = None
) -> None:
    """Check that there are classes to tell apart, each with a person for every fold.

    Arguments:
        person_column: the label that says whom a scan is of, or None: each of another person.
    Raises:
        InputError: naming the classes that are too small.
    """
    names = [subject.subject for subject in subjects]
    cells = [subject.labels[person_column] if person_column else "" for subject in subjects]
    people: dict[str, set[str]] = {}
    for subject, person in zip(subjects, name_persons(names, cells), strict=True):
        people.setdefault(subject.labels[class_column], set()).add(person)
    if len(people) < 2:
        raise InputError(
            f"population.class: column {class_column} holds only the class "
            f"'{next(iter(people), '')}'; two are needed to classify"
        )
    small = [f"'{name}' ({len(who)})" for name, who in people.items() if len(who) < folds]
    if small:
        raise InputError(
            f"population.class: fewer {'persons' if person_column else 'subjects'} than the "
            f"{folds} folds in these classes of {class_column}: {name_some(small)}; leave them "
            "out or join them"
        )


def check_training(
    subjects: Sequence[Subject], class_column: str | None, control: str | None, train_on: str
) -> None:
    """Check whom to train on.

    Arguments:
        subjects: of the table.
        class_column: the label column with the class, or None.
        control: the class of the controls, or None.
        train_on: all, or control, with which all others are held out.
    Raises:
        InputError: if the controls cannot be told, or the table trains on somebody else.
    """
    if control is not None and class_column is not None:
        classes = sorted({subject.labels[class_column] for subject in subjects})
        if control not in classes:
            raise InputError(
                f"population.control: no subject's {class_column} is '{control}'; it is "
                f"{name_some(classes)}"
            )
    if train_on != "control":
        return
    if class_column is None or control is None:
        raise InputError("population.train_on: control needs population.class and .control")
    others = [
        subject.subject
        for subject in subjects
        if subject.labels[class_column] != control and subject.split not in (None, "held_out")
    ]
    if others:
        raise InputError(
            f"population.train_on is control, but the table gives a split to {name_some(others)}, "
            "who are none; make it held_out there, or set train_on to all"
        )


def parse_spacing(subject: Subject) -> tuple[float, float, float] | None:
    """The spacing that the table gives, (x, y, z) mm; None where the cell is empty.

    Raises:
        InputError: if it is neither one positive number nor three with spaces between.
    """
    if subject.spacing is None or not subject.spacing.strip():
        return None
    try:
        numbers = [float(part) for part in subject.spacing.split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(0 < mm < math.inf for mm in numbers):
        raise InputError(
            f"the table's spacing of {subject.subject} is '{subject.spacing}'; give mm above 0, "
            "one number or three for x y z with spaces between"
        )
    return tuple(numbers * (3 // len(numbers)))


def _are_volumes(subjects: Sequence[Subject]) -> bool:
    volumes = [subject.subject for subject in subjects if is_volume(subject.image_path)]
    images = [subject.subject for subject in subjects if not is_volume(subject.image_path)]
    if volumes and images:
        raise InputError(
            f"the table mixes 2D images ({name_some(images)}) and volumes ({name_some(volumes)}); "
            "make two tables"
        )
    mixed = [
        subject.subject
        for subject in subjects
        if subject.segmentation_path and is_volume(subject.segmentation_path) != bool(volumes)
    ]
    if mixed:
        raise InputError(
            f"one of image and segmentation is a volume, the other is not: {name_some(mixed)}"
        )
    return bool(volumes)


def _check_images(settings: Mapping) -> None:
    for key, default in DEFAULTS.items():
        if key not in OF_IMAGES and settings[key] != default:
            raise InputError(f"preprocess.{key} is for volumes, and the table holds 2D images")
    if settings["intensity"] not in IMAGE_INTENSITIES:
        raise InputError(
            f"preprocess.intensity: '{settings['intensity']}' is for volumes, and the table holds "
            f"2D images; theirs are {', '.join(IMAGE_INTENSITIES)}"
        )
    if settings["size"] and len(settings["size"]) != 2:
        raise InputError(f"preprocess.size: {settings['size']} is not a height and a width")


def _check_volumes(subjects: Sequence[Subject], settings: Mapping) -> None:
    if settings["size"] and len(settings["size"]) != 3:
        raise InputError(
            f"preprocess.size: {settings['size']} is not a depth, a height and a width, "
            "and the table holds volumes"
        )
    if settings["margin"]:
        raise InputError(
            "preprocess.margin is for 2D images, and the table holds volumes; what is around "
            "theirs is decided by preprocess.crop"
        )
    spacing = settings["spacing"]
    if spacing is not None and not 0 < spacing < math.inf:
        raise InputError(f"preprocess.spacing: {spacing} mm is no size of a voxel")
    faults = []
    for subject in subjects:
        try:
            parse_spacing(subject)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError(name_some(faults))
    _check_window(settings)
    _check_crop(settings["crop"])
    check_sides(subjects, settings["reflect"])
    _check_segmentations(subjects, settings)


def _check_window(settings: Mapping) -> None:
    window = settings["window"]
    if (settings["intensity"] == "window") != (window is not None):
        raise InputError(
            "preprocess.window, [low, high], goes with preprocess.intensity: window; "
            f"they are {window} and {settings['intensity']}"
        )
    if window is not None and not (len(window) == 2 and window[0] < window[1]):
        raise InputError(f"preprocess.window: {window} is not [low, high]")


def _check_crop(crop: Mapping | None) -> None:
    if not crop:
        return
    if set(crop) not in ({"margin"}, {"box"}):
        raise InputError(f"preprocess.crop: {dict(crop)} is neither {{margin: mm}} nor {{box: mm}}")
    if "margin" in crop and not 0 <= crop["margin"] < math.inf:
        raise InputError(f"preprocess.crop.margin: {crop['margin']} mm is no distance")
    if "box" in crop and not (
        len(crop["box"]) == 3 and all(0 < mm < math.inf for mm in crop["box"])
    ):
        raise InputError(f"preprocess.crop.box: {crop['box']} is not [x, y, z] mm")


def check_sides(subjects: Sequence[Subject], reflect: object) -> None:
    """Check that the table says which subjects are reflected.

    Raises:
        InputError: if it does not.
    """
    if reflect is None:
        return
    without = [subject.subject for subject in subjects if not subject.side]
    if without:
        raise InputError(
            f"preprocess.reflect: the table gives no side for {name_some(without)}; fill in its "
            "column side"
        )
    sides = sorted({subject.side for subject in subjects})
    if str(reflect) not in sides and len(sides) > 1:
        raise InputError(
            f"preprocess.reflect: no subject's side is '{reflect}'; they are {', '.join(sides)}"
        )


def _check_segmentations(subjects: Sequence[Subject], settings: Mapping) -> None:
    if any(subject.segmentation_path for subject in subjects):
        return
    if settings["crop"] and "margin" in settings["crop"]:
        raise InputError("preprocess.crop.margin needs segmentations, and the table names none")
    if settings["align"] == "segmentation":
        raise InputError("preprocess.align: segmentation, but the table names none")
