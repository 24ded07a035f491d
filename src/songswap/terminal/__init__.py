"""Output for people: tables, progress, log lines."""
