"""Child processes, started and stopped together, and the signals that stop the program."""
