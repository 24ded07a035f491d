"""What exports bring into the warehouse."""
