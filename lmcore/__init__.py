"""Landmark discovery by unsupervised image registration (Bhalodia et al., MedIA 2021)."""

__version__ = "0.1.0"
