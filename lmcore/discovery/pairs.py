"""Which images meet in a training step: batches of images, all of whose pairs are registered."""

import torch

from lmcore.population.store import Population

# Populations up to this size are kept in memory; larger ones are read batch by batch.
CACHE_BYTES = 1_000_000_000


class Images:
    """Images of some subjects of a population by their index, from memory or from the file.

    Arguments:
        population: open population.
        indices: the subjects that will be asked for.
    """

    def __init__(self, population: Population, indices: list[int]):
        self.population = population
        self.cache: dict[int, torch.Tensor] = {}
        first = torch.from_numpy(population.images(indices[:1]))
        if first.numel() * 4 * len(indices) <= CACHE_BYTES:
            images = torch.from_numpy(population.images(indices))
            self.cache = dict(zip(indices, images, strict=True))

    def __call__(self, indices: list[int]) -> torch.Tensor:
        """(len(indices), C, *spatial) float32, in the order asked for."""
        if self.cache:
            return torch.stack([self.cache[index] for index in indices])
        return torch.from_numpy(self.population.images(indices))


class Batches:
    """An endless, reproducible sequence of batches: the subjects reshuffled again and again.

    Over the epochs every ordered pair of subjects meets in some batch. The state can be taken
    and put back, so that an interrupted training goes on with the same batches.

    Arguments:
        indices: subjects to draw from.
        size: images per batch; fewer where there are fewer subjects.
        seed: of the shuffling.
    """

    def __init__(self, indices: list[int], size: int, seed: int):
        self.indices = list(indices)
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
            fresh = [self.indices[i] for i in order.tolist()]
            self.queue += sorted(fresh, key=lambda index: index in waiting)
        batch, self.queue = self.queue[: self.size], self.queue[self.size :]
        return batch

    def state(self) -> dict:
        """Everything the sequence depends on from here."""
        return {"generator": self.generator.get_state(), "queue": list(self.queue)}

    def restore(self, state: dict) -> None:
        """Go on from a state taken earlier."""
        self.generator.set_state(state["generator"])
        self.queue = list(state["queue"])


def fixed_subset(indices: list[int], count: int, seed: int) -> list[int]:
    """The same `count` of the subjects on every call, or all of them; in ascending order."""
    if len(indices) <= count:
        return sorted(indices)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(indices), generator=generator)[:count]
    return sorted(indices[i] for i in chosen.tolist())
