"""Common parts of all stages: processes, progress, evidence of failures, errors."""
