"""Simulated populations with known truth, one module each."""
