"""Turn what is stored of a user into the files that are handed over to the user. Pure."""
