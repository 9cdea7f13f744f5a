"""One module per family of volume files; each gives the stored array and where it lies.

Readers return a `Stored`; `lmcore.population.volumes` checks the values and makes a `Volume`.
"""
