"""`python -m fedsynth`: the same as the `fedsynth` command."""

from fedsynth.cli import main

if __name__ == "__main__":
    main()
