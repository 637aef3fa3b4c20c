"""What is in a dataset, what is wrong with it, and some of it drawn."""
