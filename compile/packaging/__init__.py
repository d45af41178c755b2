"""What is shipped: the manifest, the wheel for boards, the bundle."""
