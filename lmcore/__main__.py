"""Command line: apply a trained encoder to images, look at a population; no workflow needed."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from lmcore.errors import InputError, lack_of_memory

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Landmarks of images by a trained encoder (model/encoder.pt of a run), and montages.",
)

Model = Annotated[Path, typer.Argument(help="encoder.pt of a run")]
Spacing = Annotated[
    str | None,
    typer.Option(
        metavar="MM", help="voxel size of volumes that carry none (HDF5): one number or 'X Y Z'"
    ),
]
REFLECT = "of the side that was reflected in training"
SEGMENTATION = "of a volume, where training aligned by segmentations (default: align by intensity)"


@app.command()
def discover(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="images or volumes as the encoder was trained on; file.h5:/dataset for HDF5, "
            "a folder for a DICOM series"
        ),
    ],
    output: Annotated[Path, typer.Option(help="CSV of landmarks to write")],
    spacing: Spacing = None,
    reflect: Annotated[bool, typer.Option("--reflect", help=REFLECT)] = False,
    segmentation: Annotated[
        list[Path] | None,
        typer.Option(help=f"{SEGMENTATION}; once for every volume, in their order"),
    ] = None,
) -> None:
    """Write the landmarks of images: normalised, and in pixels of the image or RAS mm of the scan.

    Volumes: NIfTI, NRRD, MetaImage, MGH, HDF5, DICOM.
    """
    from lmcore.discovery.apply import discover_images

    discover_images(model, images, output, millimetres(spacing), segmentation or [], reflect)


@app.command()
def register(
    model: Model,
    source: Annotated[Path, typer.Argument(help="the image or volume that is moved")],
    target: Annotated[Path, typer.Argument(help="the one it is moved to")],
    output: Annotated[
        Path,
        typer.Option(help=".png to write, or of volumes .nii or .nii.gz; on the target's grid"),
    ],
    source_spacing: Spacing = None,
    target_spacing: Spacing = None,
    reflect_source: Annotated[bool, typer.Option("--reflect-source", help=REFLECT)] = False,
    reflect_target: Annotated[bool, typer.Option("--reflect-target", help=REFLECT)] = False,
    source_segmentation: Annotated[Path | None, typer.Option(help=SEGMENTATION)] = None,
    target_segmentation: Annotated[Path | None, typer.Option(help=SEGMENTATION)] = None,
) -> None:
    """Warp the source to the target by the landmarks of both.

    A volume keeps the source's intensities and gets the target's full resolution and its place in
    the scanner; where the source was not scanned it has the source's lowest intensity.
    """
    from lmcore.discovery.apply_registration import register_images

    register_images(
        model,
        source,
        target,
        output,
        millimetres(source_spacing),
        millimetres(target_spacing),
        reflect_source,
        reflect_target,
        source_segmentation,
        target_segmentation,
    )


@app.command()
def inspect(
    population: Annotated[Path, typer.Argument(help="population.h5 of an experiment")],
    output: Annotated[Path, typer.Option(help="montage to write, .png or .pdf")],
) -> None:
    """Draw up to 12 subjects with their segmentation and mask: images, or volumes in slices."""
    from lmcore.figures.montages import inspect_population

    inspect_population(population, output)


def millimetres(spacing: str | None) -> tuple[float, float, float] | None:
    """The spacing along x, y and z that an option gives."""
    if spacing is None:
        return None
    try:
        numbers = [float(part) for part in spacing.split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise InputError(f"spacing '{spacing}': give mm, one number or three for x y z in quotes")
    return tuple(numbers * (3 // len(numbers)))


def main() -> None:
    """Run a command; an error of the user's making is one line and exit code 1."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("lmcore").setLevel(logging.INFO)
    try:
        app()
    except Exception as error:
        # an OSError names the file that cannot be written
        known = str(error) if isinstance(error, (InputError, OSError)) else lack_of_memory(error)
        if known is None:
            raise
        typer.echo(f"error: {known}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
