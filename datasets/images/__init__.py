"""Image files and mask files read and checked, and sheets of them drawn."""
