"""Few points for many: a subset that covers what all of them cover."""

import numpy as np


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Positions of `count` points, each the farthest from those before it (Gonzalez 1985).

    Any other point is then at most twice as far from its nearest chosen one as the best choice
    of so many could have it. The first is the one farthest from the mean of all, so that the
    choice depends on nothing but the points; of equally far ones the first is taken.

    Arguments:
        points: (M, d).
        count: 1 to M.
    Returns:
        (count) positions in `points`, in the order of choice: its beginnings are choices, too.
    Raises:
        ValueError: if there are fewer points than that.
    """
    points = np.asarray(points, dtype=np.float64)
    if not 1 <= count <= len(points):
        raise ValueError(f"{count} of {len(points)} points cannot be chosen")
    chosen = np.empty(count, dtype=np.int64)
    nearest = np.full(len(points), np.inf)  # squared distance to the chosen ones
    chosen[0] = np.square(points - points.mean(axis=0)).sum(axis=1).argmax()
    for place in range(1, count):
        squared = np.square(points - points[chosen[place - 1]]).sum(axis=1)
        np.minimum(nearest, squared, out=nearest)
        chosen[place] = nearest.argmax()
    return chosen
