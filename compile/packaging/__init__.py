"""Packaging: the package and its manifest, the wheel for boards, the bundle."""
