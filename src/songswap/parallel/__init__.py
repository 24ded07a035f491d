"""Concurrent work: tasks of an event loop, processes, a Spark cluster from wheels."""
