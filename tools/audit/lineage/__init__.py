"""From an id, a row or a revision to the rows, files and stages behind it."""
