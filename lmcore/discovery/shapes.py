"""The shapes that weak supervision compares (Eq. 8); the encoder never sees them."""

from collections.abc import Sequence

import torch

from lmcore.discovery.pairs import cached_at_most
from lmcore.population.store import Population
from lmcore.seeds import derive_seed

KINDS = ("distance_transform", "segmentation")
# Voxels. Distances farther from the surface say nothing of where it is, but would make up most of
# the term; to MIND, blind to magnitudes, untruncated ones look alike wherever the object is.
TRUNCATION = 2.0


class Shapes:
    """Segmentations or distance transforms of some of the subjects, by their index.

    Distances are truncated at TRUNCATION voxels and in units of that, from -1 inside to 1
    outside, so that beta means the same for a mouse and a man.

    Arguments:
        population: open population.
        splits: the subjects that will be asked for, split by split.
        kind: one of KINDS.
        share: of those of each split that have a segmentation, how many show it. Which ones is
            drawn by the seed, and a larger share holds every smaller one.
        seed: of that draw.
    """

    def __init__(
        self,
        population: Population,
        splits: Sequence[list[int]],
        kind: str,
        share: float,
        seed: int,
    ):
        self.population, self.kind = population, kind
        self.shown = sorted(
            index for split in splits for index in _drawn(population, split, share, seed)
        )
        size = torch.Size(population.shape).numel()
        self.cache: dict[int, torch.Tensor] = {}
        if len(self.shown) <= cached_at_most(4 * size):
            self.cache = dict(zip(self.shown, self._read(self.shown), strict=True))

    def __call__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 1, *spatial) float32 shapes, zero where there is none; (B,) bool who has one."""
        shown = set(self.shown)
        present = [index in shown for index in indices]
        shapes = torch.zeros(len(indices), 1, *self.population.shape)
        for row, index in enumerate(indices):
            if present[row]:
                shapes[row] = self.cache[index] if self.cache else self._read([index])[0]
        return shapes, torch.tensor(present)

    def _read(self, indices: list[int]) -> torch.Tensor:
        """(n, 1, *spatial) float32."""
        if self.kind == "segmentation":
            return torch.from_numpy(self.population.segmentations(indices)).float()[:, None]
        distances = torch.from_numpy(self.population.distance_transforms(indices))[:, None]
        return (distances / (TRUNCATION * self.population.spacing)).clamp(-1.0, 1.0)


def _drawn(population: Population, split: list[int], share: float, seed: int) -> list[int]:
    """Those of a split that show their segmentation."""
    segmented = [index for index in split if population.segmented[index]]
    generator = torch.Generator().manual_seed(derive_seed(seed, "shapes"))
    order = torch.randperm(len(segmented), generator=generator).tolist()
    least = 1 if share > 0 else 0
    return [segmented[place] for place in order[: max(least, round(share * len(segmented)))]]
