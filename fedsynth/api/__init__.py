"""What the commands do, for Python: nothing is printed, errors are `FedsynthError`s, signal handlers stay as they are.

Each function returns what was done. The public names are those of `fedsynth` itself.
"""
