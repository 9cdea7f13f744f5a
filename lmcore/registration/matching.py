"""Losses of registered pairs and their gradient, a few pairs at a time.

The full-resolution coordinates, images and features of all pairs of a batch are large, and of
no use once a pair's loss and its gradient by the coarse transform are known.
"""

import math
from collections.abc import Callable, Iterator

import torch

# Pixels or voxels of all registered images of a block. On a CPU the fewer stay in its cache, and
# their memory is used again; a GPU wants enough of them to be busy.
BLOCK_PIXELS = {"cpu": 2**20, "cuda": 2**24}
# Sources that are sampled together at least: torch's CPU threads share the sources among them.
LEAST_SOURCES = 4

Block = tuple[slice, slice]
Losses = Callable[[Block, torch.Tensor], torch.Tensor]


def blocks(targets: int, sources: int, pixels: int, device: torch.device | str) -> Iterator[Block]:
    """All pairs in blocks (targets, sources) of about BLOCK_PIXELS.

    Arguments:
        pixels: of one image.
    """
    budget = BLOCK_PIXELS[torch.device(device).type] // pixels
    width = min(sources, max(LEAST_SOURCES, budget))
    width = math.ceil(sources / math.ceil(sources / width))  # equal parts
    height = max(1, budget // width)
    for target in range(0, targets, height):
        for source in range(0, sources, width):
            yield (
                slice(target, min(target + height, targets)),
                slice(source, min(source + width, sources)),
            )


def weighted_losses(
    transform: torch.Tensor, losses: Losses, weights: torch.Tensor, pixels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of weighted losses of all pairs; only its gradient by `transform` is kept.

    Arguments:
        transform: (B, S, d, P) coarse source coordinates of all pairs.
        losses: takes a block of pairs and its part of `transform`, gives (K, targets, sources)
            losses of K kinds, differentiable by the latter alone.
        weights: (K, B, S); where one is 0 the loss, NaN perhaps, does not count.
        pixels: of one registered image.
    Returns:
        the sum over everything, 0-d; and (K,) the sums of each kind, without gradient.
    """
    return _WeightedLosses.apply(transform, losses, weights, pixels)


class _WeightedLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx, transform, losses, weights, pixels):
        learns = ctx.needs_input_grad[0]
        sums = weights.new_zeros(len(weights))
        gradient = torch.empty_like(transform) if learns else None
        for block in blocks(*transform.shape[:2], pixels, transform.device):
            with torch.set_grad_enabled(learns):
                part = transform[block].detach().requires_grad_(learns)
                share = weights[:, *block]
                kinds = torch.where(share != 0, share * losses(block, part), 0.0).sum(dim=(1, 2))
                if learns:
                    (gradient[block],) = torch.autograd.grad(kinds.sum(), part)
            sums += kinds.detach()
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(sums)
        return sums.sum(), sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, total, _):
        (gradient,) = ctx.saved_tensors
        return total * gradient, None, None, None
