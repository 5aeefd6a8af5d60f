"""A page on which people label steps, without seeing what the judge said of them."""
