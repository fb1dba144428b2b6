"""The generative processes: tasks, the streams of draws they come from, and the text they become."""
