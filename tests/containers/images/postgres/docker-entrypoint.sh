#!/usr/bin/env bash
# Makes the cluster, the user and the database of the environment where there are none, then runs
# the command. The server that makes them listens on its socket alone.
set -euo pipefail

[[ ${1:-} != -* ]] || set -- postgres "$@"
if [[ ${1:-} != postgres ]]; then
  exec "$@"
fi
if [[ $(id -u) == 0 ]]; then
  chown postgres "$PGDATA" /var/run/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
chmod 0700 "$PGDATA"

if [[ ! -s $PGDATA/PG_VERSION ]]; then
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  : "${POSTGRES_PASSWORD:?is the password of the new server\'s superuser}"
  initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD")
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  shift
  pg_ctl --wait --options="-c listen_addresses='' ${*@Q}" start
  if [[ $database != postgres ]]; then
    createdb --username="$user" --maintenance-db=postgres "$database"
  fi
  pg_ctl --wait --mode=fast stop
  set -- postgres "$@"
fi
exec "$@"
