"""Somebody's own data, read in batches: Parquet, Arrow, CSV, npz, Hugging Face's folders, LEAF's.

With formats/ the only rooms that import pyarrow, the extra `arrow`, and only where a source needs it.
"""
