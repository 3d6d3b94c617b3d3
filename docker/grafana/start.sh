#!/bin/sh
# Starts Grafana without a password that everybody knows. Looking at the board needs no login; changing things as
# `admin` does, and only works if you chose GRAFANA_PASSWORD: otherwise it is random and nobody sees it.
set -eu

if [ -z "${GF_SECURITY_ADMIN_PASSWORD:-}" ]; then
    GF_SECURITY_ADMIN_PASSWORD="$(head -c 24 /dev/urandom | base64)"
    export GF_SECURITY_ADMIN_PASSWORD
fi

exec /run.sh "$@"
