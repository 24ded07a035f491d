"""The installed extras, and the project's files that are not modules."""
