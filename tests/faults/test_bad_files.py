"""Bad images and volumes

One subject of six has the file. The population is built from the table by the rule's own script,
and `python -m lmcore discover` is given the file: both end with one line `error:` that names the
subject or the file, with neither a traceback nor a file outside `results`, in seconds, for less
than 150 MB.
"""

import os
import re

import bad_images
import bad_volumes
import pytest
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
