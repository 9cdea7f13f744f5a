"""Which subjects a figure shows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

# best evidence first: what the encoder never saw
SPLITS = ("test", "held_out", "validation", "train")


def spread_over_classes(subjects: pd.DataFrame, class_column: str | None, count: int) -> list[str]:
    """Up to `count` subjects, in turn from each class and evenly spaced within it.

    Arguments:
        subjects: the columns `subject` and, where there is one, `class_column`.
    Returns:
        Subjects ordered by class, then as in the table.
    """
    names = subjects["subject"].tolist()
    labels = subjects[class_column].tolist() if class_column else [""] * len(names)
    members = {label: [] for label in sorted(set(labels))}
    for name, label in zip(names, labels, strict=True):
        members[label].append(name)
    quota = dict.fromkeys(members, 0)
    while sum(quota.values()) < min(count, len(names)):
        for label in members:
            if quota[label] < len(members[label]) and sum(quota.values()) < count:
                quota[label] += 1
    return [name for label in members for name in evenly(members[label], quota[label])]


def shown_split(subjects: pd.DataFrame, split: str | None = None) -> tuple[pd.DataFrame, str]:
    """The subjects of the split that proves most and has any, and its name."""
    present = set(subjects["split"])
    name = split or next(name for name in SPLITS if name in present)
    return subjects[subjects["split"] == name], name


def evenly(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names, at most all, at even distances and off both ends."""
    positions = np.floor((np.arange(count) + 0.5) * len(names) / max(count, 1)).astype(int)
    return [names[position] for position in positions]
