"""PySpark's daemon, which forks the Python of an executor's tasks: from the installed package.

Spark puts zips before it, whose modules Python compiles each time that it imports them: 0.6 s of
processor in each executor, while its first task waits.
"""

import sys

sys.path.sort(key=lambda place: place.endswith(".zip"))

from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
