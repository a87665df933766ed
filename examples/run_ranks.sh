#!/usr/bin/env bash
# Starts one program as N ranks of this host, with torchrun's variables: run_ranks.sh N program args...
# Exit code 0 if all ranks succeed; ends the rest when one fails.
set -euo pipefail

ranks=$1
shift
export WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1
MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM % 10000))}
TUTTI_SECRET=${TUTTI_SECRET:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
export MASTER_PORT TUTTI_SECRET
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
for ((rank = 0; rank < ranks; ++rank)); do
  RANK=$rank LOCAL_RANK=$rank LOCAL_WORLD_SIZE=$ranks "$@" &
done
for ((rank = 0; rank < ranks; ++rank)); do
  wait -n || exit 1
done
