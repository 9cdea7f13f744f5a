"""What a training has to know of a population beside its images."""

import torch

from lmcore.discovery.known_maps import CENTRED_SHIFT, LARGEST_SHIFT
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.shapes import Shapes
from lmcore.errors import InputError
from lmcore.population.store import Population


def guidance(
    population: Population,
    train: list[int],
    validation: list[int],
    settings: TrainingSettings,
    seed: int,
) -> dict[str, object]:
    """The arguments of `Training` that depend on the population.

    Arguments:
        train, validation: the subjects whose shapes will be asked for.
    Returns:
        mask (Eq. 9) and shapes (Eq. 8) that it compares, or None; largest_shift of known maps.

    Raises:
        InputError: if the settings ask for what the population does not hold.
    """
    mask = shapes = None
    if settings.mask:
        if population.mask is None:
            raise InputError("training.mask: the population has no mask, set preprocess.region")
        mask = torch.from_numpy(population.mask)[None, None]
    if settings.supervision:
        if not population.segmented[train].any():
            raise InputError(
                "training.supervision: no subject of the training split has a segmentation"
            )
        # where everybody trains, validation is by some of the same subjects
        splits = [train, sorted(set(validation) - set(train))]
        shapes = Shapes(population, splits, settings.shape, settings.share, seed)
    # a scan without a segmentation is centred by its intensities, which is not as sure
    centred = population.preprocessing.get("align") == "segmentation"
    centred = centred and bool(population.segmented[train].all())
    shift = CENTRED_SHIFT if centred else LARGEST_SHIFT
    return {"mask": mask, "shapes": shapes, "largest_shift": shift}
