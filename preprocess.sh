#!/bin/sh
exec python3 -m fedsynth preprocess "$@"
