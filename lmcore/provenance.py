"""What it takes to get the same results again: versions, configuration, seeds, machine."""

import os
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pandas as pd

import lmcore
from lmcore.files import write_csv

PACKAGES = (
    *("biocpd", "h5py", "matplotlib", "nibabel", "numpy", "pandas", "pillow", "pyvista"),
    *("scikit-learn", "scipy", "seaborn", "simpleitk", "snakemake", "torch", "vtk"),
)
PROC = Path("/proc")


def record_provenance(
    output: str | os.PathLike,
    configuration: str,
    sources: str,
    seed: int,
    seeds: Mapping[str, Mapping[str, int]],
) -> None:
    """Write a table of name and value.

    Arguments:
        output: CSV. On one machine, with one set of packages, its bytes are always the same.
        configuration: digest of the whole configuration, defaults included.
        sources: digest of lmcore and the scripts.
        seed: the configuration's.
        seeds: run -> stage -> the seed that the stage derives from it.
    """
    rows = [
        ("lmcore", lmcore.__version__),
        ("digest of the code", sources),
        ("digest of the configuration", configuration),
        ("seed", seed),
        *_versions(),
        *_machine(),
        *(
            (f"seed of {run}, {stage}", value)
            for run, stages in seeds.items()
            for stage, value in stages.items()
        ),
    ]
    write_csv(output, pd.DataFrame(rows, columns=["name", "value"], dtype=str))


def _versions() -> Iterator[tuple[str, str]]:
    """Of Python and of the packages that are installed where this runs."""
    yield "Python", platform.python_version()
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def _machine() -> Iterator[tuple[str, str]]:
    """Its system and its processors, but not its name."""
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    yield "processor", _first("model name", PROC / "cpuinfo") or platform.processor()
    yield "cores", str(os.cpu_count())
    if memory := _first("MemTotal", PROC / "meminfo"):
        yield "memory", memory
    for card in sorted(PROC.glob("driver/nvidia/gpus/*/information")):
        yield "GPU", _first("Model", card)


def _first(name: str, path: Path) -> str:
    """The value of the first line `name: value`, or nothing."""
    if not path.is_file():
        return ""
    lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return next((value.strip() for key, value in lines if key.strip() == name), "")
