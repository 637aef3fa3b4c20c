"""TFRecords: their bytes, their examples, and what dataset.json says."""
