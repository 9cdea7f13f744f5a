"""The paper's Fig. 5: severity by distance from the controls."""

from collections.abc import Iterable

from lmcore.analysis.numbers import read_numbers
from lmcore.figures import style
from lmcore.figures.severity import (
    AGREEMENTS,
    auc_text,
    draw_agreement,
    draw_distances,
    has_agreement,
    read_severity,
    small_print,
)
from lmcore.figures.style import DOUBLE, SMALL, Path, saved_figure


def figure_5(
    severity: Path,
    numbers: Path,
    control: str,
    outputs: Iterable[Path],
    origin: str,
    engine: Path | None = None,
) -> None:
    """Histogram of Z, and Z against the particles' and the ratings (Fig. 5).

    The fourth panel, particles against ratings, is a number in the paper's text alone.

    Arguments:
        severity: analysis/severity.csv.
        numbers: the run's numbers.csv, whose column `paper` is written beside.
        control: the class of the controls.
        engine: engine.json of the particles, or None.
    """
    table, found = read_severity(severity), read_numbers(numbers).set_index("name")
    with saved_figure(outputs, DOUBLE, 5.4, small_print(engine, origin)) as figure:
        axes = figure.subplots(2, 2).ravel()
        draw_distances(axes[0], table, "z", control)
        axes[0].set_title(auc_text(found), fontsize=SMALL)
        for ax, agreement in zip(axes[1:], AGREEMENTS[:3], strict=True):
            if has_agreement(agreement, found):
                draw_agreement(ax, table, agreement, found, control)
            else:
                style.hide_axes([ax])
