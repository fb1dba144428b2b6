"""`-model shifts`: four kinds of heterogeneity, each with a knob of its own that leaves the others alone."""
