import shutil
from pathlib import Path

import pytest

from lmcore import digest
from lmcore.digest import source_digest

ROOT = Path(digest.__file__).parents[1]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules of a small package in the place of lmcore."""
    monkeypatch.setattr(digest, "PACKAGE", tmp_path / "lmcore")

    def write(**modules: str) -> Path:
        digest._read.cache_clear()  # within one run of Snakemake no source changes
        for name, text in modules.items():
            path = tmp_path / "lmcore" / Path(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    write(
        a='"""A."""\nfrom lmcore.part import b\n\ndef f(x):\n    """F."""\n    return b.g(x) + 1\n',
        part__b='"""B."""\nimport lmcore.part.c as c\n\n\ndef g(x):\n    return c.h(x)\n',
        part__c="from lmcore.part.d import K\n\n\ndef h(x):\n    return K * x\n",
        part__d="K = 2\n",
        unrelated="U = 1\n",
    )
    yield write
    digest._read.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "# a comment\nfrom lmcore.part import b\ndef f(x):\n    return b.g(x) + 1  # one\n",
        '"""Other words."""\nfrom lmcore.part import b\n\n\ndef f(x):\n    """G."""\n'
        "    return (\n        b.g(x)\n        + 1\n    )\n",
    ],
    ids=["comments", "docstrings and layout"],
)
def test_words_and_layout_do_not_count(package, text):
    before = source_digest("lmcore.a")
    package(a=text)
    assert source_digest("lmcore.a") == before


@pytest.mark.parametrize(
    "change",
    [
        {"a": "from lmcore.part import b\ndef f(x):\n    return b.g(x) + 2\n"},
        {"part__b": "import lmcore.part.c as c\ndef g(x):\n    return -c.h(x)\n"},
        {"part__c": "from lmcore.part.d import K\ndef h(x):\n    return K * x * x\n"},
        {"part__d": "K = 3\n"},
        {"part__d": "K = '2'\n"},
    ],
    ids=["itself", "from package import module", "import as", "from module import name", "type"],
)
def test_code_counts_however_it_is_imported(package, change):
    before = source_digest("lmcore.a")
    package(**change)
    assert source_digest("lmcore.a") != before


def test_other_code_does_not_count(package):
    before, own = source_digest("lmcore.a"), source_digest("lmcore.part.d")
    package(unrelated="U = 2\n")
    assert source_digest("lmcore.a") == before
    package(part__c="def h(x):\n    return 0\n")
    assert source_digest("lmcore.part.d") == own


def test_imports_inside_a_function_count(package):
    package(a="def f():\n    from lmcore.part import d\n    return d\n")
    before = source_digest("lmcore.a")
    package(part__d="K = 4\n")
    assert source_digest("lmcore.a") != before


def test_modules_that_import_each_other(package):
    package(part__d="import lmcore.a\nK = 2\n")
    assert source_digest("lmcore.a") == source_digest("lmcore.part.d")


def test_a_script_and_modules_beside_it(package):
    script = package() / "plot_a.py"
    script.write_text("from lmcore.part.c import h\n\nh(3)\n", encoding="utf-8")
    alone, with_more = source_digest(script), source_digest(script, "lmcore.unrelated")
    assert alone != with_more
    package(unrelated="U = 2\n")
    assert source_digest(str(script)) == alone
    assert source_digest(script, "lmcore.unrelated") != with_more
    package(part__d="K = 3\n")
    assert source_digest(script) != alone


def test_how_a_job_runs_does_not_count(package):
    package(a="from lmcore.job import job\nfrom lmcore import errors\n", job="A = 1\n", errors="")
    before = source_digest("lmcore.a")
    package(job="A = 2\n", errors="B = 3\n")
    assert source_digest("lmcore.a") == before


def test_what_cannot_be_followed_raises(package):
    with pytest.raises(FileNotFoundError, match=r"no module lmcore\.nothing"):
        source_digest("lmcore.nothing")
    with pytest.raises(FileNotFoundError, match=r"nothing\.py"):
        source_digest("nothing.py")
    package(a="from lmcore.part.gone import x\n")
    with pytest.raises(FileNotFoundError, match=r"no module lmcore\.part\.gone"):
        source_digest("lmcore.a")
    package(a="import os\nfrom . import part\n")
    with pytest.raises(ValueError, match="relative import in line 2"):
        source_digest("lmcore.a")


@pytest.mark.parametrize(
    ("edited", "rerun", "kept"),
    [
        ("registration/spline.py", ["train_encoder", "rank_landmarks"], ["plot_training"]),
        ("discovery/redundancy.py", ["rank_landmarks"], ["train_encoder", "discover_landmarks"]),
        ("figures/charts.py", ["plot_training"], ["train_encoder", "rank_landmarks"]),
        ("discovery/encoder.py", ["train_encoder", "discover_landmarks"], ["plot_training"]),
    ],
)
def test_which_stages_an_edit_of_this_package_reruns(tmp_path, monkeypatch, edited, rerun, kept):
    copy = tmp_path / "lmcore"
    shutil.copytree(ROOT / "lmcore", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(digest, "PACKAGE", copy)

    def digests():
        digest._read.cache_clear()
        scripts = ROOT / "workflow_scripts"
        return {name: source_digest(scripts / f"{name}.py") for name in [*rerun, *kept]}

    before = digests()
    text = (copy / edited).read_text(encoding="utf-8")
    (copy / edited).write_text(text + "\n# a comment\n", encoding="utf-8")
    assert digests() == before
    (copy / edited).write_text(text + "\nEDITED = True\n", encoding="utf-8")
    after = digests()
    assert {name for name in before if after[name] != before[name]} == set(rerun)
    digest._read.cache_clear()
