"""Figures: panels, and compositions of them. No torch here."""
