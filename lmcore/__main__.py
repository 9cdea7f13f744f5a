"""Command line: apply a trained encoder to images, outside the workflow."""

from pathlib import Path
from typing import Annotated

import typer

from lmcore.errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Landmarks of images by a trained encoder (model/encoder.pt of a run).",
)

Model = Annotated[Path, typer.Argument(help="encoder.pt of a run")]


@app.command()
def discover(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="images as the encoder was trained on")],
    output: Annotated[Path, typer.Option(help="CSV of landmarks to write")],
) -> None:
    """Write the landmarks of images, in normalised coordinates and in the images' own pixels."""
    from lmcore.discovery.apply import discover_images

    discover_images(model, images, output)


@app.command()
def register(
    model: Model,
    source: Annotated[Path, typer.Argument(help="the image that is moved")],
    target: Annotated[Path, typer.Argument(help="the image it is moved to")],
    output: Annotated[Path, typer.Option(help="PNG to write, of the target's size")],
) -> None:
    """Warp the source image to the target by the landmarks of both."""
    from lmcore.discovery.apply import register_images

    register_images(model, source, target, output)


def main() -> None:
    """Run a command; an error of the user's making is one line and exit code 1."""
    try:
        app()
    except (InputError, OSError) as error:  # an OSError names the file that cannot be written
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
