"""Some pairs registered for figures: of the test subjects, or one case to a case and a control.

Beside `registration_quality`, another analysis that needs torch.
"""

import os
from collections.abc import Hashable, Sequence

import h5py
import numpy as np
import pandas as pd
import torch

from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.overlap import dice, hd95
from lmcore.analysis.registration_pairs import Sample
from lmcore.discovery.objective import Registrar
from lmcore.errors import InputError
from lmcore.files import whole_hdf5
from lmcore.points.landmarks import Landmarks, check_order, read_landmarks
from lmcore.population.splits import UNSEEN
from lmcore.population.store import Population

Path = str | os.PathLike
Pair = tuple[str, str]
Content = dict[str, np.ndarray | list[str]]
SIDES = ("source", "target")


def register_groups(
    population_path: Path,
    scores_path: Path,
    score: str,
    all_path: Path,
    retained_path: Path,
    control: str,
    kernel: str,
    examples: Path,
    numbers: Path,
) -> None:
    """Register one case to another case and to a control (Figs. 4 and 7).

    Numbers written: dice_case_to_case and dice_case_to_control, hd95_case_to_case and
    hd95_case_to_control, each _before and _after; of these two pairs, with segmentations.

    Arguments:
        population_path: population.h5; of volumes or images, segmentations optional.
        scores_path: a table of subject, split, group and, in the column `score`, how far each
            subject lies from the controls, from which `typical_pairs` chooses.
        all_path, retained_path: landmark tables; all landmarks register.
        control: the class of the controls; kernel: of the spline.
        examples: HDF5 as of `write_pair_examples`; numbers: KEY.numbers.csv.
    """
    table = pd.read_csv(scores_path, dtype={"subject": str, "split": str, "group": str})
    with Population(population_path) as population:
        segmented = dict(zip(population.subjects, population.segmented, strict=True))
    if any(segmented.values()):
        table = table[table["subject"].map(segmented)]
    pairs = typical_pairs(table, score, control)
    content = write_pair_examples(population_path, all_path, retained_path, kernel, pairs, examples)
    group = table.set_index("subject")["group"]
    unit = "mm" if content["source"].ndim == 4 else "pixel"
    targets = ["control" if group[target] == control else "case" for _, target in pairs]
    rows = [
        number_row(f"{name}_case_to_{target}_{when}", value, unit_of, 1)
        for name, unit_of in (("dice", ""), ("hd95", unit))
        for when in ("before", "after")
        for target, value in zip(targets, content.get(f"{name}_{when}", []), strict=False)
    ]
    write_numbers(numbers, rows)


def typical_pairs(table: pd.DataFrame, score: str, control: str) -> list[Pair]:
    """Pairs (source, target) of one source: a case, to another case and to a control.

    The source has the median score of the cases, the first target is the case closest to it by
    score, the control has the median score of the controls; so none is chosen for how well it
    registers. Source and control are subjects that the encoder never saw, where there are any.

    Arguments:
        table: subject, split, group and the column `score`.
    Raises:
        InputError: with fewer than two cases or without a control.
    """
    table = table.sort_values([score, "subject"])
    cases, controls = (table[(table["group"] == control) == wanted] for wanted in (False, True))
    if len(cases) < 2 or controls.empty:
        raise InputError(
            f"{len(cases)} cases and {len(controls)} controls, with a segmentation if any has one: "
            "a case is registered to a case and to a control, so give two and one"
        )
    source, other = _typical(cases), _typical(controls)
    apart = (cases[score] - cases.loc[source, score]).abs().drop(source)
    return [
        (table.loc[source, "subject"], table.loc[target, "subject"])
        for target in (apart.idxmin(), other)
    ]


def _typical(group: pd.DataFrame) -> Hashable:
    """Label of the row in the middle of a sorted table, of unseen subjects where there are any."""
    unseen = group[group["split"].isin(UNSEEN)]
    group = unseen if len(unseen) else group
    return group.index[len(group) // 2]


def write_pair_examples(
    population_path: Path,
    all_path: Path,
    retained_path: Path,
    kernel: str,
    pairs: Sequence[Pair],
    output: Path,
) -> Content:
    """Register these pairs by all landmarks on the full grid, for a figure.

    Arguments:
        pairs: (source, target) ids.
        output: HDF5 with the content of `register_examples`, which is returned.
    Raises:
        InputError: for a subject that is unknown, or a target whose landmarks coincide.
    """
    every, kept = read_landmarks(all_path), read_landmarks(retained_path)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    with Population(population_path) as population:
        for table, path in ((every, all_path), (kept, retained_path)):
            check_order(table, population.subjects, path)
        unknown = sorted(set(names) - set(population.subjects))
        if unknown:
            raise InputError(f"{population_path}: no subject '{unknown[0]}' to register")
        rows = [population.subjects.index(name) for name in names]
        sample = Sample.of(population, rows)
    points = torch.from_numpy(every.normalised[rows])
    places = [(names.index(source), names.index(target)) for source, target in pairs]
    content, failed = register_examples(sample, points, places, every, kept, kernel)
    if failed:
        raise InputError(
            f"the landmarks of {names[failed[0]]} coincide, so nothing can be registered to it: "
            "raise training.regularization"
        )
    write_examples(output, content)
    return content


@torch.no_grad()
def register_examples(
    sample: Sample,
    points: torch.Tensor,
    places: Sequence[tuple[int, int]],
    every: Landmarks,
    kept: Landmarks,
    kernel: str,
) -> tuple[Content, list[int]]:
    """Register some pairs of a sample, one by one, on the full grid.

    Arguments:
        points: (N, M, d) all landmarks of the sample's subjects, in [-1, 1].
        places: (source, target) of each of K pairs, positions in the sample.
        every, kept: the tables that say the landmarks' numbers.
        kernel: of the spline.
    Returns:
        the content of examples.h5, one entry a pair but of `numbers` and `retained`: source,
        target, registered (K, *spatial); their points; grid_points, T (K, *spatial, d);
        subjects; affine (K, 2, d+1, d+1) of source and target; spacing; oriented. Where all of the
        pairs' subjects have a segmentation, all three of them, the registered one by its linear
        value, and dice_before, dice_after, hd95_before and hd95_after (mm; 2D: pixels).
        And the targets whose landmarks coincide.
    """
    registrar = Registrar(sample.shape, kernel)
    registered, grids, failed = [], [], []
    for source, target in places:
        one, other = slice(source, source + 1), slice(target, target + 1)
        result = registrar.register(sample.moving[one], points[one], points[other])
        registered.append(result.registered[0, 0])
        grids.append(result.points[0, 0])
        if result.fitted.failed.item():
            failed.append(target)
    registered = torch.stack(registered).numpy()
    content = {
        "registered": registered[:, 0],
        "grid_points": torch.stack(grids).float().numpy(),
        "numbers": np.array(every.numbers),
        "retained": np.isin(every.numbers, kept.numbers),
        "affine": sample.affines[np.array(places)],
        "spacing": np.full(len(places), sample.spacing),
        "oriented": np.full(len(places), sample.oriented),
    }
    sides = {side: list(rows) for side, rows in zip(SIDES, zip(*places, strict=True), strict=True)}
    segmented = sample.segmentations is not None and sample.segmented[sum(sides.values(), [])].all()
    for side, rows in sides.items():
        content[side] = sample.images[rows, 0].numpy()
        content[f"{side}_points"] = points[rows].numpy()
        content[f"{side}_subjects"] = [sample.subjects[row] for row in rows]
        if segmented:
            content[f"{side}_segmentation"] = sample.segmentations[rows].astype(np.float32)
    if segmented:
        content["registered_segmentation"] = registered[:, -1]
        content |= _measure(sample, places, registered[:, -1])
    return content, failed


def write_examples(path: Path, content: Content) -> None:
    """Write what `register_examples` gives, and what else belongs to it, as HDF5."""
    with whole_hdf5(path) as file:
        for name, values in content.items():
            text = h5py.string_dtype() if name.endswith("_subjects") else None
            file.create_dataset(name, data=values, dtype=text, track_times=False)


def _measure(
    sample: Sample, places: Sequence[tuple[int, int]], warped: np.ndarray
) -> dict[str, np.ndarray]:
    """Dice and HD95 of each pair's target and its source, before and after; (pairs,) each."""
    found = {f"{name}_{when}": [] for name in ("dice", "hd95") for when in ("before", "after")}
    for (source, target), moved in zip(places, warped, strict=True):
        fixed = sample.segmentations[target]
        for when, shape in (("before", sample.segmentations[source]), ("after", moved >= 0.5)):
            found[f"dice_{when}"].append(dice(fixed, shape))
            found[f"hd95_{when}"].append(hd95(fixed, shape, sample.spacing))
    return {name: np.array(values) for name, values in found.items()}
