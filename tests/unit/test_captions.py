"""Captions of the report: templates that render, and text that docutils reads without a word."""

import re
from pathlib import Path

import docutils.core
import jinja2
import pytest
from snakemake.iocontainers import Params, Wildcards

ROOT = Path(__file__).parents[2]
CAPTIONS = sorted((ROOT / "report").glob("*.rst"))


class Job:
    """What Snakemake hands to a caption, as far as captions use it."""

    def __init__(self, **params: str):
        self.params = Params(fromdict=params)
        self.wildcards = Wildcards(fromdict={"run": "diatoms/variants/one", "experiment": "fish"})


def rendered(path: Path, **params: str) -> str:
    """HTML, from the template as Snakemake reads it; an unknown name is an error here."""
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(path.read_text(encoding="utf-8"))
    text = template.render(snakemake=Job(**params))
    settings = {"halt_level": 1, "report_level": 5}
    return docutils.core.publish_parts(text, writer="html", settings_overrides=settings)["body"]


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_renders_and_is_finished(path):
    html = rendered(path, origin="table my_images/subjects.csv")
    assert "TODO" not in html
    assert "{{" not in html
    assert "{%" not in html


@pytest.mark.parametrize("name", ["clustering", "classification"])
def test_a_caption_shared_by_a_table_names_the_population_where_it_is_known(name):
    path = ROOT / "report" / f"{name}.rst"
    known, unknown = rendered(path, origin="simulated population (fish)"), rendered(path)
    assert "Population: simulated population (fish)." in known
    assert "Population" not in unknown
    assert known.count("<p>") == unknown.count("<p>")


def test_a_caption_names_its_run():
    assert "<strong>diatoms/variants/one</strong>" in rendered(ROOT / "report/training.rst")


def test_every_caption_is_used_and_every_one_that_is_used_is_there():
    rules = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in rules)
    used = set(re.findall(r'report/(\w+)\.rst"', text))
    assert used == {path.stem for path in CAPTIONS}
