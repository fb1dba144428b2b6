"""LEAF's command: `python main.py -num-tasks 1000`. Edit PROB_CLUSTERS to draw the tasks from more clusters."""

import sys

from fedsynth.cli import main

PROB_CLUSTERS = [1.0]
"""The probability of each cluster of task models; positive, sum 1. `-prob-clusters 0.5,0.5` overrides it."""

if __name__ == "__main__":
    main(["generate", *sys.argv[1:]], defaults={"generate": {"prob_clusters": PROB_CLUSTERS}})
