"""Work side by side: tasks of an event loop, processes, a Spark cluster from wheels."""
