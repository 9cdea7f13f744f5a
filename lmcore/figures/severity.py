"""How far subjects lie from the controls, and what that agrees with (analysis/severity.csv)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from lmcore.analysis.numbers import read_numbers
from lmcore.figures import style
from lmcore.figures.style import DOUBLE, SMALL, TINY, Path, class_style, saved_figure
from lmcore.particles.table import read_engine

BINS = 24
EQUAL = 1e-6  # relative spread of distances that are equal but for rounding
LABELS = {
    "z": "Z of the landmarks",
    "z_particles": "Z of the particles",
    "rating": "mean rating",
    "severity": "true severity",
    "z_truth": "Z of the true parameters",
}


@dataclass(frozen=True)
class Agreement:
    """A scatter plot of two scores: columns of severity.csv, and what its numbers begin with."""

    x: str
    y: str
    name: str


AGREEMENTS = (
    Agreement("z_particles", "z", "z_particles"),
    Agreement("rating", "z", "z_rating"),
    Agreement("rating", "z_particles", "particles_rating"),
    Agreement("severity", "z", "z_truth"),
    Agreement("severity", "z_truth", "z_truth_best"),
)


def plot_severity(
    severity: Path,
    numbers: Path,
    control: str,
    outputs: Iterable[Path],
    origin: str,
    engine: Path | None = None,
) -> None:
    """Histograms of Z by group, cross-fitted and the paper's, and all scatter plots there are.

    Arguments:
        severity, numbers: analysis/severity.csv and severity.numbers.csv.
        control: the class of the controls.
        engine: engine.json of the particles, which the small print names; or None.
    """
    table, found = read_severity(severity), read_numbers(numbers).set_index("name")
    shown = [one for one in AGREEMENTS if has_agreement(one, found)]
    rows = 1 + -(-len(shown) // 3)
    with saved_figure(outputs, DOUBLE, 2.5 * rows + 0.15, small_print(engine, origin)) as figure:
        top, *below = figure.subfigures(rows, 1, squeeze=False).ravel()
        fitted, in_sample = top.subplots(1, 2)
        draw_distances(fitted, table, "z", control)
        fitted.set_title(f"each scan by models without it\n{auc_text(found)}", fontsize=SMALL)
        draw_distances(in_sample, table, "z_in_sample", control)
        in_sample.set_title(in_sample_text(table, found, control), fontsize=SMALL)
        for number, part in enumerate(below):
            axes = part.subplots(1, 3)
            chosen = shown[3 * number : 3 * number + 3]
            style.hide_axes(axes[len(chosen) :])
            for ax, agreement in zip(axes, chosen, strict=False):
                draw_agreement(ax, table, agreement, found, control)


def small_print(engine: Path | None, origin: str) -> str:
    """The footer: which particles these are, and which population."""
    particles = f"particles: {read_engine(engine)['name']}" if engine else ""
    return style.footer_of(particles, origin)


def read_severity(path: Path) -> pd.DataFrame:
    """severity.csv with subject, split and group as text."""
    text = dict.fromkeys(("subject", "split", "group"), str)
    scores = pd.read_csv(path, nrows=0).columns.drop(list(text))
    return pd.read_csv(
        path, dtype=text, keep_default_na=False, na_values={name: [""] for name in scores}
    )


def groups_of(table: pd.DataFrame, control: str) -> list[str]:
    """Names of the groups, the controls first, which fixes their colours."""
    return sorted(set(table["group"]), key=lambda name: (name != control, name))


def has_agreement(agreement: Agreement, numbers: pd.DataFrame) -> bool:
    """Whether the scores have been compared."""
    names = (agreement.name, f"{agreement.name}_pearson")  # the best is one number, of ranks
    return any(name in numbers.index for name in names)


def draw_distances(axes: Axes, table: pd.DataFrame, column: str, control: str) -> None:
    """Histogram of a distance by group, the controls at the back.

    Arguments:
        table: severity.csv.
    """
    table = table[table[column].notna()]
    low, high = table[column].min(), table[column].max()
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for place, group in enumerate(groups_of(table, control)):
        values = table.loc[table["group"] == group, column]
        colour = class_style(place)[0]
        axes.hist(
            values, edges, histtype="stepfilled", facecolor=to_rgba(colour, 0.45), edgecolor=colour,
            linewidth=1.0, label=f"{style.shortened(group, 20)}, n = {len(values)}",
        )  # fmt: skip
    axes.set_xlabel("Mahalanobis distance Z from the controls")
    axes.set_ylabel("subjects")
    axes.legend()


def auc_text(numbers: pd.DataFrame) -> str:
    """Areas under the curve with interval and corrected p: of all, and of those unseen."""
    lines = []
    for name, what in (("z_auc", "AUC"), ("z_auc_unseen", "AUC of subjects the encoder never saw")):
        if name in numbers.index:
            p = numbers.loc[f"{name}_p", "value"]
            said = f"corrected p = {p:.2g}" if p >= 1e-3 else "corrected p < 0.001"
            lines.append(f"{what} {with_interval(numbers.loc[name])}, {said}")
    return "\n".join(lines)


def in_sample_text(table: pd.DataFrame, numbers: pd.DataFrame, control: str) -> str:
    """What the paper's distances are, and that they say nothing where all controls have one."""
    controls = table.loc[table["group"] == control, "z_in_sample"]
    if controls.std() > EQUAL * controls.mean():
        area = numbers.loc["z_auc_in_sample_paper", "value"]
        return f"in the sample, 100 % of the variance\nAUC {area:.2f}"
    n = len(controls)
    return (
        "degenerate: in the sample, 100 % of the variance,\n"
        f"all {n} controls are at (N - 1) / √N = {(n - 1) / np.sqrt(n):.2f}, whatever their shape"
    )


def draw_agreement(
    axes: Axes, table: pd.DataFrame, agreement: Agreement, numbers: pd.DataFrame, control: str
) -> None:
    """Two scores of the subjects that have both, each divided by its maximum among them (Fig. 5).

    Arguments:
        table: severity.csv.
        numbers: by name; the column `paper`, where there is one, stands beside ours.
    """
    both = table[table[[agreement.x, agreement.y]].notna().all(axis=1)]
    x, y = (both[column] / both[column].max() for column in (agreement.x, agreement.y))
    for place, group in enumerate(groups_of(table, control)):
        here = both["group"] == group
        colour, marker = class_style(place)
        if here.any():
            axes.scatter(
                x[here], y[here], s=10, color=colour, marker=marker, alpha=0.8, linewidths=0.2,
                edgecolors="white", label=style.shortened(group, 20), clip_on=False, zorder=3,
            )  # fmt: skip
    axes.set_xlabel(f"{LABELS[agreement.x]} / maximum")
    axes.set_ylabel(f"{LABELS[agreement.y]} / maximum")
    axes.set_title(agreement_text(agreement.name, numbers), fontsize=SMALL)
    axes.legend(loc="upper left", fontsize=TINY, handletextpad=0.1)


def agreement_text(name: str, numbers: pd.DataFrame) -> str:
    """Both correlations with interval and n, and the paper's beside."""
    lines = []
    for key, sign in ((f"{name}_pearson", "r"), (f"{name}_spearman", "ρ"), (name, "ρ")):
        if key in numbers.index:
            row = numbers.loc[key]
            paper = row.get("paper", np.nan)
            beside = f" (paper {paper:.2f})" if np.isfinite(paper) else ""
            lines.append(f"{sign} = {with_interval(row)}{beside}")
            n = row["n"]
    return "\n".join([*lines[:-1], f"{lines[-1]}, n = {n}"])


def with_interval(row: pd.Series) -> str:
    """A number with two digits and its interval in brackets."""
    if not np.isfinite(row["ci_low"]):
        return f"{row['value']:.2f}"
    return f"{row['value']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
