"""The version, for the package's metadata and for what is written of who made what."""

__version__ = "0.2.0"
