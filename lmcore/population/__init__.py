"""A population of images: its table, its files, its preprocessing, its splits, its store."""
