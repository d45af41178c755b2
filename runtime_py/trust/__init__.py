"""Who made a package: keys, signatures, and what a signature covers."""
