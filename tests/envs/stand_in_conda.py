"""Stands in for conda where none can be had: what Snakemake asks of it, with venvs of pip.

Of an environment file it installs the pip section alone, with the Python that runs it. Solving,
channels and conda's own packages are not tried by that.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

HOME = Path(__file__).resolve().parent
ACTIVATE = 'export PATH="$1/bin:$PATH"\n'


def main(*arguments: str) -> None:
    """The calls that Snakemake makes."""
    match arguments:
        case ("--version",):
            print("conda 24.7.1")
        case ("info", "--json"):
            (HOME / "bin").mkdir(exist_ok=True)
            (HOME / "bin/activate").write_text(ACTIVATE, encoding="utf-8")
            print(json.dumps({"conda_prefix": str(HOME), "platform": "linux-64"}))
        case ("config", "--get", "channel_priority", "--json"):
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ("env", "create", *options):
            create(*(options[options.index(name) + 1] for name in ("--file", "--prefix")))
        case ("clean", *_):
            pass
        case _:
            sys.exit(f"not known here: conda {' '.join(arguments)}")


def create(file: str, prefix: str) -> None:
    """A venv with the pip section of an environment file and nothing else."""
    parts = yaml.safe_load(Path(file).read_text(encoding="utf-8"))["dependencies"]
    (packages,) = [part["pip"] for part in parts if isinstance(part, dict)]
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    # torch by itself: asked for together with others, pip may prefer another build of it
    first = [package for package in packages if package.startswith("torch==")]
    for wanted in filter(None, (first, packages)):
        command = [f"{prefix}/bin/python", "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
