"""The network: layers, heads, losses, and the same in 8 bits."""
