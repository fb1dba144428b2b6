"""Schemes that assign the samples of somebody's own data to users: labels in, indices out, with NumPy alone.

A scheme sees how many samples each class has, and nothing else: it gives a user to each position in the list of all
samples sorted by class (`UserOf`). Which sample of a class has which of its positions is drawn separately.
"""
