"""What slots stand for: names that are known at run time only."""
