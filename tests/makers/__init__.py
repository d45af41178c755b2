"""What tests make to test with."""
