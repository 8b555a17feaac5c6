"""Datasets: readers, real sources, synthetic twins, splits."""
