"""What all converters share: plans, and how they are written."""
