"""A finished run whose every job can be run again, in a process of one's own and elsewhere.

In a copy of the project each script first keeps what Snakemake told it.
"""

import os
import pickle
import runpy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from projects import ROOT, Project, write_points

KEEP = """import pathlib, pickle
pathlib.Path("jobs").mkdir(exist_ok=True)
kept = "{script}-" + "-".join(map(str, snakemake.wildcards)).replace("/", "-")
pathlib.Path("jobs", kept).write_bytes(pickle.dumps(snakemake))
"""


@dataclass(frozen=True)
class Job:
    """One job of a finished run.

    Attributes:
        script: its script's name.
        project: the folder that it ran in.
        kept: what Snakemake told it, pickled.
    """

    script: str
    project: Path
    kept: bytes

    @property
    def outputs(self) -> list[Path]:
        """Files and folders that it made, relative to the project."""
        return [Path(str(path)) for path in pickle.loads(self.kept).output]

    def files(self, folder: Path) -> dict[str, bytes]:
        """Content of all files of its outputs below a folder, in which they are as in a project."""
        found = {}
        for output in self.outputs:
            path = folder / output
            # in a folder that is an output Snakemake keeps a time of its own
            paths = path.rglob("[!.]*") if path.is_dir() else [path]
            found |= {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.is_file()}
        return found

    def log(self, folder: Path) -> Path:
        """Where its log is below a folder."""
        return folder / str(pickle.loads(self.kept).log[0])

    def again(self, folder: Path) -> Callable[[], None]:
        """What runs it again, all it writes below a folder, all it reads in the finished run."""

        def work() -> None:
            snakemake = pickle.loads(self.kept)
            for files in (snakemake.output, snakemake.log):
                elsewhere = {name: str(folder / path) for name, path in files.items()}
                for place, path in enumerate(list(files)):
                    files[place] = str(folder / path)
                for name, path in elsewhere.items():
                    setattr(files, name, path)
            for output in snakemake.output:  # as Snakemake does before a job
                Path(output).parent.mkdir(parents=True, exist_ok=True)
            os.chdir(self.project)
            path = ROOT / "workflow_scripts" / f"{self.script}.py"
            runpy.run_path(str(path), init_globals={"snakemake": snakemake})

        return work


def finish(folder: Path, config: str, *options: str, cores: int = 2) -> Path:
    """Run a configuration of this folder to its end in a copy of the project; the copy."""
    folder.mkdir(exist_ok=True)
    if not (folder / "my_points").exists():
        write_points(folder / "my_points")
    project = Project(folder)
    shutil.copy(Path(__file__).with_name(config), folder / config)
    for path in (folder / "workflow_scripts").glob("*.py"):
        path.write_text(KEEP.format(script=path.stem) + path.read_text(encoding="utf-8"))
    result = project.run(*options, config=config, cores=cores)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return folder


def jobs_of(project: Path) -> list[Job]:
    """All jobs of a finished run, in the order of their names."""
    return [
        Job(path.name.split("-")[0], project, path.read_bytes())
        for path in sorted((project / "jobs").iterdir())
    ]
