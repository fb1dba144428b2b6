"""The stages of preprocessing: each turns users and counts into a plan, and touches no sample."""
