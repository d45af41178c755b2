"""Random texts and files for everything that reads them, drawn from a seed."""
