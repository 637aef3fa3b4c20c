"""Images with masks: one module for each source, and what they share."""
