"""What this machine is, and which variant it can run."""
