"""Landmark shape descriptors by unsupervised image registration."""

import os

# Before torch is imported: its idle threads sleep instead of spinning. Where other programs, or
# other jobs of the same workflow, share the processor, spinning costs a training most of its speed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
