"""One module for each source of data, and the registry of them."""
