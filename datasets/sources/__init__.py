"""Files of a source: fetched, unpacked, listed."""
