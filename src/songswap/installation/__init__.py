"""What of the package is installed, and where its files are."""
