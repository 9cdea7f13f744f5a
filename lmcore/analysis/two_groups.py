"""The two groups of subjects that are compared: controls, and one class beside them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from lmcore.analysis.descriptors import Descriptors
from lmcore.errors import InputError

FEWEST_CONTROLS, FEWEST_CASES = 4, 2  # a control left out of three; a mean of two


@dataclass(frozen=True)
class Groups:
    """N subjects with a label.

    Attributes:
        subjects: (N) ids; splits: (N).
        cases: (N,) bool, who is no control.
        shapes: (N, M, 3) mm, landmarks or other corresponding points.
        control, case: names of the two groups.
        persons: (N,) whose each is: both sides of one are no two independent subjects.
    """

    subjects: list[str]
    splits: list[str]
    cases: np.ndarray
    shapes: np.ndarray
    control: str
    case: str
    persons: np.ndarray

    @classmethod
    def of(cls, data: Descriptors, shapes: np.ndarray, control: str) -> Self:
        """Check that there are two groups, neither of them too small.

        Arguments:
            data: the subjects; those whose class is not `control` are cases.
            shapes: (N, M, 3) mm, in their order.
        Raises:
            InputError: otherwise.
        """
        cases = data.classes != control
        others = sorted(set(data.classes[cases]))
        if len(others) != 1 or cases.all():
            raise InputError(
                f"analyses.mean_shapes compares two groups, {control} and one other, but there are "
                f"{', '.join(data.class_names)}: leave the label of all others empty"
            )
        for members, least, name in (
            (~cases, FEWEST_CONTROLS, control),
            (cases, FEWEST_CASES, others[0]),
        ):
            count = len(set(data.persons[members]))
            if count < least:
                raise InputError(
                    f"analyses.mean_shapes needs {least} subjects of {name}, there are {count}: "
                    "give more or set it to null"
                )
        shapes = np.asarray(shapes, np.float64)
        subjects, splits = data.subjects.tolist(), data.splits.tolist()
        return cls(subjects, splits, cases, shapes, control, others[0], data.persons)
