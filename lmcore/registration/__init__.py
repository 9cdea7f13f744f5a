"""Spline registration: tensors in, tensors out, no files."""
