"""LEAF's generative process: tasks, the stream of draws they come from, and the text they become."""
