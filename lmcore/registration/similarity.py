"""How alike two images are. Every loss is low for images that match and is given per pair."""

import torch


def squared_difference(target: torch.Tensor, registered: torch.Tensor) -> torch.Tensor:
    """L2 (Eq. 3) as the mean squared difference, >= 0, in squared units of intensity.

    Arguments:
        target: (B, C, *spatial)
        registered: (B, S, C, *spatial), every source registered to every target.
    Returns:
        (B, S)
    """
    if target.shape[1:] != registered.shape[2:] or len(target) != len(registered):
        raise ValueError(
            f"target {tuple(target.shape)} and registered {tuple(registered.shape)} do not match"
        )
    return (registered - target[:, None]).square().flatten(2).mean(dim=-1)


SIMILARITIES = {"l2": squared_difference}
