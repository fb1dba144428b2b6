"""The stages' order, their folders, and the record of what made what."""
