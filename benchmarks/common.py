"""What the benchmarks share: command line, clock, memory, machine and images."""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lmcore.discovery.settings import TrainingSettings
from lmcore.registration.spline import spread_points
from lmcore.simulation import toy

# The reference code's widths, with the strides of the paper's appendix B; and that of
# config.yaml's experiments, sized for two CPU cores.
NETWORKS = {
    "paper": {"widths": (32, 64, 128, 256), "hidden": 512, "stride": 1},
    "small": {"widths": (16, 32, 32, 64), "hidden": 128, "stride": 2},
}


def parser(description: str, size: int = 256, landmarks: int = 26) -> argparse.ArgumentParser:
    """Options that every benchmark has; sizes in pixels or voxels a side."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    result.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    result.add_argument("--threads", type=int, default=2, help="CPU threads of torch")
    result.add_argument("--network", choices=tuple(NETWORKS), default="paper", help="encoder")
    result.add_argument("--size", type=int, default=size, help="of the images, a side")
    result.add_argument("--landmarks", type=int, default=landmarks, help="learned, without corners")
    result.add_argument("--seed", type=int, default=1)
    return result


def compared_parser(description: str, **defaults) -> argparse.ArgumentParser:
    """Options of the benchmarks that let our training and the literal one run against each other.

    Arguments: as of `parser`.
    """
    result = parser(description, **defaults)
    result.add_argument("--literal-pairs", type=int, default=20, help="pairs a literal step")
    result.add_argument("--grid-stride", type=int, default=4, help="of ours; the literal has 1")
    return result


def start(options: argparse.Namespace) -> torch.device:
    """Fix threads and seed; the device, or one line on why there is none."""
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: --device cuda, but no CUDA device is visible here")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    return torch.device(options.device)


def settings_of(options: argparse.Namespace, **values) -> TrainingSettings:
    """Training settings with the network, landmarks and device of the command line."""
    given = {
        "landmarks": options.landmarks,
        "regularization": 1e-6,
        "gpus": int(options.device == "cuda"),
        **NETWORKS[options.network],
    }
    return TrainingSettings(**given | values)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, with the device's queue empty before and after."""
    synchronise(device)
    begin = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - begin


def alternating_seconds(
    works: Mapping[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Median wall time of each, called in turn after one call each to warm up.

    Taking turns spreads whatever else the machine does over all of them.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            seconds = seconds_of(work, device)
            say(f"{name}: {seconds:.3g} s{'' if repeat else ' (warm-up)'}")
            if repeat:
                taken[name].append(seconds)
    return {name: statistics.median(values) for name, values in taken.items()}


def median_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Median wall time of one call after one call to warm up."""
    work()
    return statistics.median(seconds_of(work, device) for _ in range(repeats))


def peak_megabytes(work: Callable[[], object], device: torch.device) -> float:
    """Largest memory during one call: allocated on the GPU, or resident of this process.

    Resident memory counts Python and torch (about 300 MB). Where the system cannot forget its
    high-water mark (only Linux can), it is that of the whole process so far.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() / 1e6
    forget, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if forget.exists() and os.access(forget, os.W_OK):
        forget.write_text("5")
        work()
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def synchronise(device: torch.device) -> None:
    """Wait until the GPU has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def machine(device: torch.device) -> str:
    """The processor's model as the system names it, cores, memory; the GPU's name before it."""
    model, flags, path = platform.processor() or platform.machine(), "", Path("/proc/cpuinfo")
    if path.exists():
        rows = [row.split(":", 1) for row in path.read_text().splitlines() if ":" in row]
        found = {name.strip(): value.strip() for name, value in reversed(rows)}
        model = found.get("model name", model)
        flags = " with AVX-512" if "avx512f" in found.get("flags", "") else ""
        if "cpu family" in found:  # virtual machines often hide the rest of the name
            flags = f" (family {found['cpu family']} model {found.get('model', '?')}){flags}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = f"{os.cpu_count()} cores of {model}{flags}, {memory:.0f} GiB"
    return f"{torch.cuda.get_device_name()}; {text}" if device.type == "cuda" else text


def chosen(options: argparse.Namespace, *names: str) -> dict:
    """Options of the command line by name, for the report."""
    return {name: getattr(options, name) for name in names}


def report(device: torch.device, **values) -> None:
    """Print one line of JSON: the values, rounded to four digits, and where they were measured."""
    where = {
        "threads": torch.get_num_threads(),
        "device": device.type,
        "machine": machine(device),
        "torch": torch.__version__,
    }
    print(json.dumps(rounded(values | where)), flush=True)


def rounded(value):
    """Numbers with four significant digits, all through dictionaries and lists."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def say(text: str) -> None:
    """A line of progress, kept apart from the result."""
    print(text, file=sys.stderr, flush=True)


def smooth_images(count: int, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """(count, 1, *shape) random smooth images in [0, 1]: noise on 8 points a side, interpolated."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, *[8] * len(shape), generator=generator)
    mode = "bicubic" if len(shape) == 2 else "trilinear"
    return F.interpolate(coarse, size=shape, mode=mode, align_corners=True).clamp(0, 1)


def toy_images(count: int, size: int, seed: int) -> torch.Tensor:
    """(count, 1, size, size) warped phantoms in [0, 1], the paper's timing set."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        toy.simulate(root / "toy", root / "truth.csv", seed, count=count, size=[size, size])
        paths = sorted((root / "toy" / "images").iterdir())
        images = np.stack([np.asarray(Image.open(path), dtype=np.float32) for path in paths])
    return torch.from_numpy(images / 255)[:, None]


def spread_landmarks(count: int, landmarks: int, dimension: int, seed: int) -> torch.Tensor:
    """(count, landmarks, dimension) float64: well-spread points, moved a little in each image."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, landmarks, dimension)
    moved = 0.05 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return (spread_points(landmarks, dimension) + moved).clamp(-0.99, 0.99)
