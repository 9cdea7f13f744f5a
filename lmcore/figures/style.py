"""The look of all figures, and how they are saved: one place for sizes, fonts and colours."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lmcore.files import whole_file

Path = str | os.PathLike

SINGLE, DOUBLE, TALLEST = 3.5, 7.2, 9.2  # journal columns and page, inches
DPI = 200
SMALL, TINY = 6.0, 5.0  # points
PAD = 0.03  # inches around every panel
NEARLY = 0.8  # a full grid is worth panels smaller by this factor

# Okabe and Ito, "Color universal design" (2008), without the black; and a grey
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
INK, FAINT, ACCENT = "#222222", "#8a8a8a", "#D55E00"

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures agree between machines
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "figure.titlesize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "pdf.fonttype": 42,
    "savefig.dpi": DPI,
    "figure.dpi": DPI,
}


@contextmanager
def saved_figure(
    outputs: Iterable[Path], width: float, height: float, footer: str = ""
) -> Iterator[Figure]:
    """A figure to draw on, which is saved when the block succeeds.

    Arguments:
        outputs: the files to write, the format by suffix (png, pdf). Each appears whole or not
            at all, and holds the same bytes on every run: no date is written.
        width, height: inches.
        footer: small print at the lower right, such as which population this is.
    """
    outputs = [os.fspath(output) for output in outputs]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(w_pad=PAD, h_pad=PAD, wspace=0, hspace=0)
        yield figure
        if footer:
            figure.supxlabel(footer, x=0.995, ha="right", fontsize=TINY, color=FAINT)
        for output in outputs:
            with whole_file(output) as temporary:
                figure.savefig(temporary, metadata=_undated(temporary.suffix))


def _undated(suffix: str) -> dict:
    if suffix == ".pdf":
        return {"CreationDate": None, "ModDate": None}
    return {"Software": None} if suffix == ".png" else {}


def landmark_colour(number: int) -> str:
    """The colour of a landmark, the same in every image of every figure."""
    return COLOURS[(number - 1) % len(COLOURS)]


def class_style(position: int) -> tuple[str, str]:
    """Colour and marker of the class at this position of the sorted classes.

    8 colours and 11 markers share no factor, so that 88 classes differ.
    """
    return COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)]


def shortened(text: str, length: int) -> str:
    """The text, or its two ends around an ellipsis where it has more than `length` signs."""
    if len(text) > length:
        head = max((length - 1) // 2, 1)
        text = f"{text[:head]}…{text[len(text) - max(length - 1 - head, 1) :]}"
    return plain(text)


def plain(text: str) -> str:
    """A name as it is: without this, matplotlib takes what is between two $ for a formula."""
    return text.replace("$", r"\$")


def signs_that_fit(width: float, size: float = SMALL) -> int:
    """How many signs of a font of `size` points fit into `width` inches."""
    return max(int(width * 72 / (0.66 * size)), 5)


def footer_of(*parts: str) -> str:
    """The parts that are not empty, in one line."""
    return " · ".join(plain(part) for part in parts if part)


def columns_that_fit(
    count: int, aspect: float, width: float, height: float, title: float
) -> tuple[int, float]:
    """How to put `count` panels into width x height inches.

    Of the grids whose panels are nearly as large as can be, the one with the fewest empty cells.

    Arguments:
        aspect: height / width of a panel.
        title: inches above each panel.
    Returns:
        Number of columns and the width of a panel in inches, without the space around it.
    """
    panels = {}
    for columns in range(1, count + 1):
        high = (height / -(-count // columns) - title - 2 * PAD) / aspect
        panels[columns] = min(width / columns - 2 * PAD, high)
    largest = max(panels.values())
    near = [columns for columns, panel in panels.items() if panel >= NEARLY * largest]
    best = min(near, key=lambda columns: (-count % columns, -round(panels[columns], 9)))
    return best, panels[best]


def hide_axes(axes_list: Sequence) -> None:
    """For the cells of a grid that stay empty."""
    for axes in axes_list:
        axes.set_axis_off()
