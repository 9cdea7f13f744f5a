"""Which images meet in a training step: batches of images, whose pairs are registered."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from lmcore.memory import spare_memory
from lmcore.population.store import Population

# So many bytes of a population are kept in memory at most; the rest is read batch by batch.
CACHE_BYTES = 1_000_000_000
# Of the memory that there is; a step needs many times its batch.
CACHE_SHARE = 0.25
# What is compared to find neighbours: the first components of images of about so many pixels.
THUMBNAIL_PIXELS = 256
COMPONENTS = 16
READ_AT_A_TIME = 64


def cached_at_most(bytes_of_one: int) -> int:
    """How many images, or other arrays, of this size are kept in memory."""
    return int(min(CACHE_BYTES, CACHE_SHARE * spare_memory()) // bytes_of_one)


class Images:
    """Images of some subjects of a population by their index, from memory or from the file.

    Arguments:
        population: open population.
        indices: the subjects that will be asked for; as many of them as may be are kept.
    """

    def __init__(self, population: Population, indices: list[int]):
        self.population = population
        self.shape = (population.channels, *population.shape)
        kept = indices[: cached_at_most(4 * math.prod(self.shape))]
        images = torch.from_numpy(population.images(kept))
        self.cache: dict[int, torch.Tensor] = dict(zip(kept, images, strict=True))

    def __call__(self, indices: list[int]) -> torch.Tensor:
        """(len(indices), C, *spatial) float32, in the order asked for."""
        images = torch.empty(len(indices), *self.shape)
        for row, index in enumerate(indices):
            if index in self.cache:
                images[row] = self.cache[index]
            else:
                images[row] = torch.from_numpy(self.population.images([index])[0])
        return images


class Batches:
    """An endless, reproducible sequence of batches: the subjects reshuffled again and again.

    Over the epochs every ordered pair of subjects meets in some batch. The state can be taken
    and put back, so that an interrupted training goes on with the same batches.

    With descriptors a batch is a subject drawn at random and those nearest to it that the round
    has left, so that in a large population images are registered to similar ones. Every subject
    still comes once a round, and neighbourhoods differ from round to round; but pairs of images
    far apart may never meet.

    Arguments:
        indices: subjects to draw from.
        size: images per batch; fewer where there are fewer subjects.
        seed: of the shuffling.
        descriptors: (len(indices), k) of the subjects, near for images that are alike; or None.
    """

    def __init__(
        self,
        indices: list[int],
        size: int,
        seed: int,
        descriptors: torch.Tensor | None = None,
    ):
        self.indices, self.descriptors = list(indices), descriptors
        self.size = min(size, len(self.indices))
        if self.size < 2:
            raise ValueError(f"pairs need two subjects, there are {len(self.indices)}")
        self.generator = torch.Generator().manual_seed(seed)
        self.queue: list[int] = []

    def __next__(self) -> list[int]:
        if len(self.queue) < self.size:
            order = torch.randperm(len(self.indices), generator=self.generator)
            # the few that wait from the last round go first, and once more at this round's end
            waiting = set(self.queue)
            order = sorted(order.tolist(), key=lambda place: self.indices[place] in waiting)
            if self.descriptors is not None:
                order = self._by_neighbourhood(order)
            self.queue += [self.indices[place] for place in order]
        batch, self.queue = self.queue[: self.size], self.queue[self.size :]
        return batch

    def _by_neighbourhood(self, order: list[int]) -> list[int]:
        """The places of a round in batches of neighbours; `order` has those that wait last."""
        waiting = len(self.queue)
        left, arranged = torch.tensor(order), []
        if waiting:
            # the first batch is theirs, and is filled up with neighbours of the first of them
            fresh = left[: len(left) - waiting]
            near = self._nearest(self.indices.index(self.queue[0]), fresh)[: self.size - waiting]
            arranged += fresh[near].tolist()
            left = left[~torch.isin(left, fresh[near])]
        while len(left) >= self.size:
            near = self._nearest(left[0], left)[: self.size]
            arranged += left[near].tolist()
            left = left[~torch.isin(left, left[near])]
        return arranged + left.tolist()

    def _nearest(self, place: int, others: torch.Tensor) -> torch.Tensor:
        """The order of `others` by their distance to the subject at `place`."""
        difference = self.descriptors[others] - self.descriptors[place]
        return difference.square().sum(dim=1).argsort(stable=True)

    def state(self) -> dict:
        """Everything the sequence depends on from here."""
        return {"generator": self.generator.get_state(), "queue": list(self.queue)}

    def restore(self, state: dict) -> None:
        """Go on from a state taken earlier."""
        self.generator.set_state(state["generator"])
        self.queue = list(state["queue"])


def describe(images: Callable[[list[int]], torch.Tensor], indices: list[int]) -> torch.Tensor:
    """(len(indices), k) float64 cheap descriptors: principal components of small copies.

    Arguments:
        images: gives (B, C, *spatial) for a list of subject indices; read a few at a time.
    """
    small = []
    for begin in range(0, len(indices), READ_AT_A_TIME):
        batch = images(indices[begin : begin + READ_AT_A_TIME])
        side = round(THUMBNAIL_PIXELS ** (1 / (batch.dim() - 2)))
        size = [min(side, length) for length in batch.shape[2:]]
        small.append(F.interpolate(batch, size=size, mode="area").flatten(1).double())
    small = torch.cat(small)
    centred = small - small.mean(dim=0)
    _, axes = torch.linalg.eigh(centred.T @ centred)  # in ascending order of variance
    return centred @ axes[:, -COMPONENTS:]


def fixed_subset(indices: list[int], count: int, seed: int) -> list[int]:
    """The same `count` of the subjects on every call, or all of them; in ascending order."""
    if len(indices) <= count:
        return sorted(indices)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(indices), generator=generator)[:count]
    return sorted(indices[i] for i in chosen.tolist())
