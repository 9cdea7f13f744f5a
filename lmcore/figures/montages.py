"""Montages: many subjects on one page, as images or as three mid slices of volumes.

Where they exist, the outlines of the segmentation and of the mask are drawn on them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath

import pandas as pd

from lmcore.errors import InputError
from lmcore.figures.layouts import montage, outline_keys, subject_title, volume_montage, widths_of
from lmcore.figures.panels import MASK, draw_outline, show_image
from lmcore.figures.selection import evenly, spread_over_classes
from lmcore.figures.slices import convention
from lmcore.figures.style import TINY, Path
from lmcore.figures.volumes import SubjectVolume
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

IMAGES, VOLUMES = 24, 12  # subjects on a page


def plot_population(
    population: Path,
    subjects: Path,
    outputs: Iterable[Path],
    origin: str,
    class_column: str | None = None,
) -> None:
    """What preprocessing made of the images: subjects spread over the classes.

    Arguments:
        population: population.h5; subjects: subjects.csv.
        origin: which population this is, for the small print.
        class_column: of subjects.csv.
    """
    table = read_splits(subjects)
    with Population(population) as store:
        volumes = store.dimension == 3
        names = spread_over_classes(table, class_column, VOLUMES if volumes else IMAGES)
        shown = table.set_index("subject").loc[names]
        above = pd.Series("", index=names) if class_column is None else shown[class_column]
        if volumes:
            above = above.str.cat(shown["split"], sep=" · ").str.removeprefix(" · ")
        said = f"{len(names)} of {len(table)} subjects after preprocessing"
        draw_montage(store, names, above, outputs, (said, origin))


def inspect_population(population: Path, output: Path, count: int = VOLUMES) -> None:
    """A montage of any population.h5: `count` subjects at most, evenly spread.

    Arguments:
        output: the file to write, .png or .pdf.
    Raises:
        InputError: if the population cannot be read or the output has another suffix.
    """
    if FilePath(output).suffix.lower() not in (".png", ".pdf"):
        raise InputError(f"{os.fspath(output)}: name a montage .png or .pdf")
    with Population(population) as store:
        names = evenly(store.subjects, min(count, len(store)))
        size = " x ".join(str(length) for length in store.shape[::-1])
        unit = f"voxels of {store.spacing:.3g} mm" if store.dimension == 3 else "pixels"
        said = f"{len(names)} of {len(store)} subjects", f"{size} {unit}"
        draw_montage(store, names, {}, [output], said)


def draw_montage(
    store: Population,
    names: Sequence[str],
    above: Mapping[str, str],
    outputs: Iterable[Path],
    said: Sequence[str],
) -> None:
    """Subjects with the outlines that the population has.

    Arguments:
        above: of some subjects, what stands over their name.
        said: parts of the small print.
    """
    rows = [store.subjects.index(name) for name in names]
    keys = outline_keys(store.segmented[rows].any(), store.mask is not None)
    labels = [above.get(name, "") for name in names]
    if store.dimension == 3:
        said = (*said, convention(store.oriented))
        with volume_montage(outputs, len(rows), store.shape, 0, said, keys) as (parts, width):
            for part, row, label in zip(parts, rows, labels, strict=True):
                volume = SubjectVolume(store, row)
                axes = part.subplots(1, 3, width_ratios=widths_of(store.shape))
                volume.draw_slices(axes)
                part.suptitle(volume.title(label, width), fontsize=TINY)
        return
    lines = 2 if any(labels) else 1
    height, width = store.shape
    with montage(outputs, len(rows), height / width, lines, said, keys) as (axes, panel):
        for ax, row, label in zip(axes, rows, labels, strict=True):
            show_image(ax, store.images([row])[0])
            if store.segmented[row]:
                draw_outline(ax, store.segmentations([row])[0])
            if store.mask is not None:
                draw_outline(ax, store.mask, MASK, "--")
            subject_title(ax, store.subjects[row], label, panel)
