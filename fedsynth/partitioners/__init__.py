"""Schemes that give the samples of somebody's own data to users: labels in, indices out, with NumPy alone.

A scheme sees how many samples each class has, and nothing else: it gives a user to each position in the list of all
samples in the order of their classes. Which sample stands at which position, within its class, is drawn apart.
"""
