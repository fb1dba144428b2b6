"""LEAF's data written for others: Parquet, Hugging Face's layout, Arrow's streams, PFLlib's files.

With sources/ the only rooms that import pyarrow, the extra `arrow`; PFLlib's files need NumPy alone.
"""
