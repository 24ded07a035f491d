# The image of every part of Airflow (target `airflow`), of the demo's stand-ins (`demo`) and of Spark
# (`spark`). They contain no secret: all come with the environment of a container.

# A tag can be moved. To pin it: --build-arg AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11@sha256:…
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11

FROM ${AIRFLOW_IMAGE} AS build
# A separate environment with exactly what the tests ran on: the base image has seventy more
# providers, at other versions.
ENV VIRTUAL_ENV=/home/airflow/songswap \
    UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
RUN uv venv --python 3.11 "$VIRTUAL_ENV"
WORKDIR /home/airflow/build
# Only what the extras need: the lock also has developers' tools. A package that is missing in it, or
# has another hash, is refused. The project's own code comes later, because it changes most.
COPY requirements.lock pyproject.toml ./
RUN uv pip install --require-hashes --constraint requirements.lock -r pyproject.toml \
      --extra airflow --extra deployment
COPY README.md LICENSE hatch_build.py ./
COPY src src
RUN uv pip install --no-deps --build-constraint requirements.lock .

FROM build AS build-demo
RUN uv pip install --require-hashes --constraint requirements.lock -r pyproject.toml \
      --extra airflow --extra local

FROM build AS build-spark
RUN uv pip install --require-hashes --constraint requirements.lock \
      --build-constraint requirements.lock -r pyproject.toml --extra airflow --extra spark

FROM ${AIRFLOW_IMAGE} AS base
LABEL org.opencontainers.image.title="SongSwap Airflow" \
      org.opencontainers.image.description="Every user's Spotify listening history, every hour" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV VIRTUAL_ENV=/home/airflow/songswap \
    PATH=/home/airflow/songswap/bin:$PATH
USER 0
# A new volume takes its owner from the folder that it covers. The empty configuration keeps Airflow
# from writing one with generated keys, which fails on a read-only disk.
RUN install -d -m 0700 -o airflow -g root /var/spool/songswap /var/lib/demo-s3 \
    && install -m 0644 /dev/null /opt/airflow/airflow.cfg
USER 50000:0

FROM base AS demo
COPY --from=build-demo --chown=root:root /home/airflow/songswap /home/airflow/songswap
COPY deploy/demo.py /opt/airflow/demo.py

FROM base AS spark
COPY --from=build-spark --chown=root:root /home/airflow/songswap /home/airflow/songswap

FROM base AS airflow
COPY --from=build --chown=root:root /home/airflow/songswap /home/airflow/songswap
COPY dags /opt/airflow/dags
