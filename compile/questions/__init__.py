"""Models that answer questions, through the same compiler: a function for each window length, proved by its answers."""
