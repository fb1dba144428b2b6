"""Numbers and pictures that describe a folder of users."""
