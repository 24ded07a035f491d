"""A Spark cluster from wheels, and work that is spread over one."""
