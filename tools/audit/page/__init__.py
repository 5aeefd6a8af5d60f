"""A page to look at labels by eye: served to this machine's browser, or written as one file."""
