"""Redundancy removal: rank-one updates against solving every spline anew.

Both score every landmark that is left, drop the least important, and repeat until none is left,
for the same pairs at the same pixels. Refitting is literal: for each candidate and each pair
the system without it is built and solved and the kernel evaluated at every pixel, all pairs of
a target at once. `ratio` is end to end, sampling included; `spline_ratio` replays the same
removals without sampling. Where the orders differ, it is a tie if refitting itself scores the
two candidates equal to 1e-5 of the loss; refitting then goes on from the same landmarks.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, literal
from lmcore.discovery.redundancy import RANKING_POINTS, Target, removal_order
from lmcore.registration import spline

TIE = 1e-5


class Refit:
    """One target whose splines are solved anew for every set of landmarks.

    Arguments:
        image: (C, h, w); landmarks: (M, 2) of the target.
        sources: (S, C, h, w); source_landmarks: (S, M, 2).
        grid: (P, 2) where images are compared.
    """

    def __init__(self, image, landmarks, sources, source_landmarks, grid):
        self.landmarks = landmarks.expand(len(sources), -1, -1)
        self.sources, self.source_landmarks, self.grid = sources, source_landmarks, grid.float()
        self.values = sample(image[None], self.grid[None])

    def points(self, kept: list[int]) -> torch.Tensor:
        """(S, P, 2): T of every source with these landmarks and the corners."""
        targets = spline.with_corners(self.landmarks[:, kept])
        sources = spline.with_corners(self.source_landmarks[:, kept])
        return literal.transform(literal.block_system(targets), sources, targets, self.grid)

    def loss(self, kept: list[int]) -> float:
        """Mean squared difference with these landmarks."""
        return float((sample(self.sources, self.points(kept)) - self.values).square().mean())


def sample(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(S, C, P) intensities of images (S, C, h, w) at points (S, P, 2)."""
    return F.grid_sample(
        images, points[:, None], padding_mode="border", align_corners=True
    ).flatten(2)


@torch.no_grad()
def refit_order(targets: list[Refit], count: int, ours: list[int]) -> tuple[list[int], dict]:
    """The greedy order by refitting, and where it differs from `ours` (landmarks from 0)."""
    remaining, order = list(range(count)), []
    compared = {"ties": 0, "same_order": True}
    for step in range(count):
        losses = []
        for candidate in remaining:
            kept = [landmark for landmark in remaining if landmark != candidate]
            losses.append(sum(target.loss(kept) for target in targets) / len(targets))
        chosen = remaining[losses.index(min(losses))]
        if compared["same_order"] and chosen != ours[step]:
            tied = losses[remaining.index(ours[step])] <= min(losses) * (1 + TIE)
            compared["same_order"] = tied
            if tied:
                compared["ties"] += 1
                chosen = ours[step]
        order.append(chosen)
        remaining.remove(chosen)
        common.say(f"refitting: {step + 1} of {count} removed")
    return order, compared


@torch.no_grad()
def replay_rank_one(targets: list[Target], order: list[int]) -> None:
    """Only the spline part of `removal_order`: every T that it samples at, and the updates."""
    remaining = list(range(len(order)))
    for chosen in order:
        for target in targets:
            for candidate in remaining:
                target.splines.without(candidate)
            target.splines.remove(chosen)
        remaining.remove(chosen)


@torch.no_grad()
def replay_refit(targets: list[Refit], order: list[int]) -> None:
    """Only the spline part of `refit_order`."""
    remaining = list(range(len(order)))
    for chosen in order:
        for candidate in remaining:
            kept = [landmark for landmark in remaining if landmark != candidate]
            for target in targets:
                target.points(kept)
        remaining.remove(chosen)


def main(arguments: list[str] | None = None) -> None:
    """Print how much faster the rank-one update is, and whether both orders are the same."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=12, help="all their ordered pairs rank")
    parser.add_argument("--points", type=int, default=RANKING_POINTS, help="pixels; 0 is all")
    options = parser.parse_args(arguments)
    device = common.start(options)
    images = common.toy_images(options.images, options.size, options.seed).to(device)
    points = common.spread_landmarks(options.images, options.landmarks, 2, options.seed).to(device)
    grid = spline.regular_grid(images.shape[2:])
    if options.points:
        generator = torch.Generator().manual_seed(options.seed)
        grid = grid[torch.randperm(len(grid), generator=generator)[: options.points].sort().values]
    grid = grid.to(device)
    found = {}

    def parts(make):
        every = range(options.images)
        for index in every:
            others = [other for other in every if other != index]
            yield make(images[index], points[index], images[others], points[others], grid)

    def with_kernel(*given):
        return Target(*given, "paper")

    def rank_one():
        found["ours"] = removal_order(list(parts(with_kernel)), options.landmarks)

    def refit():
        found["refit"] = refit_order(list(parts(Refit)), options.landmarks, order)

    common.seconds_of(lambda: list(parts(with_kernel)), device)  # warm-up
    seconds = common.seconds_of(rank_one, device)
    order = (found["ours"]["landmark"] - 1).tolist()
    naive_seconds = common.seconds_of(refit, device)
    spline_seconds = common.seconds_of(
        lambda: replay_rank_one(list(parts(with_kernel)), order), device
    )
    naive_spline_seconds = common.seconds_of(
        lambda: replay_refit(list(parts(Refit)), order), device
    )
    common.report(
        device,
        ratio=naive_seconds / seconds,
        spline_ratio=naive_spline_seconds / spline_seconds,
        same_order=found["refit"][1]["same_order"],
        ties=found["refit"][1]["ties"],
        seconds=seconds,
        naive_seconds=naive_seconds,
        spline_seconds=spline_seconds,
        naive_spline_seconds=naive_spline_seconds,
        landmarks=options.landmarks,
        size=options.size,
        pairs=options.images * (options.images - 1),
        points=len(grid),
    )


if __name__ == "__main__":
    main()
