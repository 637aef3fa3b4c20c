"""Bounds that flags and readers share; imports nothing."""

# Pixels of an image: above the first Pillow warns of a decompression bomb,
# above the second it does not open the file.
MAX_PIXELS, MOST_PIXELS = 89_478_485, 178_956_970

MOST_IDS = 256  # classes that the bytes of a mask tell apart
