"""When jobs ran and how long they took, from the `benchmark:` files that Snakemake writes."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from lmcore.errors import InputError
from lmcore.figures.style import COLOURS, DOUBLE, FAINT, TALLEST, Path, saved_figure, shortened

# Between two calls of Snakemake nothing runs; so long a rest, in seconds, is cut out and marked.
REST = 600.0
MOST_RULES = len(COLOURS) - 1  # with a colour of their own; the others share the last one, grey
LANE = 0.11  # inches
NARROWEST = 1 / 500  # of the axis; a job of a second in a day can still be seen


def plot_schedule(benchmarks: Path, runs: Sequence[str], outputs: Iterable[Path]) -> None:
    """A bar for every job from its begin to its end, jobs at the same time in lanes.

    Arguments:
        benchmarks: folder of the benchmark files, `RUN/RULE.jsonl` or `RUN/RULE/JOB.jsonl`.
        runs: whose jobs to draw, from top to bottom.
    Raises:
        InputError: if no job left a benchmark file.
    """
    jobs = read_jobs(benchmarks, runs)
    if jobs.empty:
        raise InputError(f"{benchmarks} has no benchmark files: their jobs are to run first")
    jobs, rests = without_rests(jobs)
    longest = jobs.groupby("rule")["seconds"].sum().sort_values(ascending=False).index
    colours = dict(zip(longest[:MOST_RULES], COLOURS, strict=False))
    unit, name = (3600, "hours") if jobs["end"].max() > 2 * 3600 else (60, "minutes")
    rows = sum(lanes_of(part).max() + 1 for _, part in jobs.groupby("run"))
    narrowest = NARROWEST * jobs["end"].max()
    height = min(1.2 + LANE * rows + 0.06 * jobs["run"].nunique(), TALLEST)
    with saved_figure(outputs, DOUBLE, height) as figure:
        axes, top, labels = figure.subplots(), 0.0, {}
        for run in runs:
            part = jobs[jobs["run"] == run]
            if part.empty:
                continue
            lanes = lanes_of(part)
            axes.barh(
                top + lanes,
                np.maximum(part["seconds"], narrowest) / unit,
                left=part["begin"] / unit,
                height=0.8,
                color=[colours.get(rule, COLOURS[-1]) for rule in part["rule"]],
                edgecolor="white",
                linewidth=0.2,
            )
            labels[top + lanes.max() / 2] = shortened(run, 40)
            top += lanes.max() + 1.6
        for rest in rests:
            axes.axvline(rest / unit, color=FAINT, linestyle=":", linewidth=0.8)
        axes.set_yticks(list(labels), list(labels.values()))
        axes.set_ylim(top - 1, -0.8)
        axes.set_xlim(0, None)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{name} since the first job began")
        shown = {**colours, **({"others": COLOURS[-1]} if len(longest) > MOST_RULES else {})}
        handles = [Line2D([], [], color=colour, linewidth=4) for colour in shown.values()]
        figure.legend(handles, list(shown), loc="outside upper left", ncols=4)


def read_jobs(benchmarks: Path, runs: Sequence[str]) -> pd.DataFrame:
    """Columns run, rule, begin, end, seconds; times in seconds since the first begin.

    Snakemake writes a job's file when it ends, so the file's own time is the end.
    """
    rows = []
    for run in runs:
        folder = FilePath(benchmarks) / run
        for path in sorted(folder.rglob("*.jsonl")):
            rule = path.relative_to(folder).with_suffix("").parts[0]
            if rule != "variants":  # runs of their own
                measured = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
                rows.append((run, rule, path.stat().st_mtime, float(measured["s"])))
    jobs = pd.DataFrame(rows, columns=["run", "rule", "end", "seconds"])
    jobs["begin"] = jobs["end"] - jobs["seconds"]
    first = jobs["begin"].min()
    return jobs.assign(begin=jobs["begin"] - first, end=jobs["end"] - first)


def without_rests(jobs: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    """The jobs with every rest longer than `REST` cut out, and the times of the cuts."""
    jobs = jobs.sort_values("begin", ignore_index=True)
    busy_until = jobs["end"].cummax().shift(fill_value=0.0)
    rest = (jobs["begin"] - busy_until).where(lambda gap: gap > REST, 0.0)
    cut = rest.cumsum()
    jobs = jobs.assign(begin=jobs["begin"] - cut, end=jobs["end"] - cut)
    return jobs, jobs.loc[rest > 0, "begin"].tolist()


def lanes_of(jobs: pd.DataFrame) -> np.ndarray:
    """(n,) lane of each job, the first that is free when it begins."""
    lanes, free_from = {}, []
    for index, job in jobs.sort_values("begin").iterrows():
        free = [lane for lane, end in enumerate(free_from) if end <= job["begin"]]
        lane = free[0] if free else len(free_from)
        free_from[lane : lane + 1] = [job["end"]]
        lanes[index] = lane
    return np.array([lanes[index] for index in jobs.index])
