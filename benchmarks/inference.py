"""Images per second from image to landmarks, by batch size."""

import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.discovery.encoder import LandmarkEncoder


def main(arguments: list[str] | None = None) -> None:
    """Print images per second and milliseconds per image."""
    parser = common.parser(__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, choices=(2, 3), default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    device = common.start(options)
    shape = (options.size,) * options.dimension
    images = common.smooth_images(max(options.batches), shape, options.seed).to(device)
    network = common.NETWORKS[options.network]
    encoder = LandmarkEncoder(shape, options.landmarks, **network).to(device).eval()

    rows = []
    with torch.no_grad():
        for batch in options.batches:
            encode = partial(encoder, images[:batch])
            seconds = common.median_seconds(encode, options.repeats, device)
            rows.append(
                {
                    "batch": batch,
                    "images_per_second": batch / seconds,
                    "ms_per_image": 1000 * seconds / batch,
                    "peak_mb": common.peak_megabytes(encode, device),
                }
            )
            common.say(f"{batch} images: {1000 * seconds:.4g} ms")
    best = max(rows, key=lambda row: row["images_per_second"])
    common.report(
        device,
        images_per_second=best["images_per_second"],
        ms_per_image=best["ms_per_image"],
        best_batch=best["batch"],
        batches=rows,
        **common.chosen(options, "size", "dimension", "network"),
    )


if __name__ == "__main__":
    main()
