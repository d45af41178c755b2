"""What all stages use: processes, progress, evidence of failures, errors."""
