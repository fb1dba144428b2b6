"""What made what: the names of folders and files, and the only code that reads or writes where data is from."""
