"""From downloads and files of any format to datasets.

A package of its own, as it takes pandas: every module of `bench.datasets` is loaded to know the
names of the datasets, and nothing in here is.
"""
