"""Bad images and volumes

One subject of six has the file. The population is built from the table by the rule's own script,
and `python -m lmcore discover` is given the file: both end with one line `error:` that names the
subject or the file, with neither a traceback nor a file outside `results`, in seconds, for less
than 150 MB.
"""

import os
import re
import subprocess
import sys

import bad_images
import bad_volumes
import pytest
from projects import ROOT
from users import assert_refused

FAULTS = [(2, fault) for fault in bad_images.FAULTS] + [(3, f) for f in bad_volumes.FAULTS]
EVERY = 10  # of them is in the sample


@pytest.mark.parametrize(
    ("sandbox", "fault"),
    [
        pytest.param(*case, id=case[1].what, marks=pytest.mark.sample if k % EVERY == 0 else ())
        for k, case in enumerate(FAULTS)
    ],
    indirect=["sandbox"],
)
def test_it_is_refused_in_one_line(sandbox, fault, models, survived):
    path = sandbox.spoil(fault)
    sandbox.write_table()
    before = sandbox.contents()
    by_table = assert_refused(sandbox.preprocess(), "s03")
    spacing = ("--spacing", fault.columns["spacing"]) if fault.columns else ()
    image = f"{sandbox.data}/{fault.name}"
    if not os.path.islink(path):  # whoever names a link on the command line means its target
        by_command = sandbox.discover(models[sandbox.dimension], image, more=spacing)
        assert_refused(by_command, path.name)
    assert sandbox.contents() == before
    survived(fault.what, re.sub(r"^error: 1 of 6 .*?: s03 \((.*)\); mend.*", r"\1", by_table))


REAL = ["named pipe", "png that claims 60,000 x 60,000 pixels", "png truncated at 60 %"]


@pytest.mark.sample
@pytest.mark.parametrize("sandbox", [2], indirect=True)
@pytest.mark.parametrize("what", REAL)
def test_in_a_shell(sandbox, models, what, survived):
    """The same as a process of its own, with nothing imported before."""
    (fault,) = [fault for fault in bad_images.FAULTS if fault.what == what]
    path = sandbox.spoil(fault)
    before = sandbox.contents()
    command = [sys.executable, "-m", "lmcore", "discover", models[2], path]
    ended = subprocess.run(
        [*command, "--output", sandbox.results / "landmarks.csv"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert path.name in ended.stderr
    assert sandbox.contents() == before
    survived(f"{what}, `python -m lmcore` in a shell", ended.stderr.strip()[7:])
