#!/usr/bin/env bash
# The main job in one go: start the daemon with its embedded hub, apply an Application, follow it until it
# runs, say how to go on, serve until Ctrl-C. With ONCE=1 it ends after `running`, with exit code 0.
#
# usage: run.sh PROGRAM APPLICATION
# DATA_DIR, KUBE_LISTEN and HTTP_LISTEN override the daemon's defaults.
set -euo pipefail

program=$1
application=$2
data_dir=${DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/caravel}
options=(--data-dir "$data_dir")
[ -z "${KUBE_LISTEN:-}" ] || options+=(--kube-listen "$KUBE_LISTEN")
[ -z "${HTTP_LISTEN:-}" ] || options+=(--http-listen "$HTTP_LISTEN")

mkdir -p "$data_dir" 2>/dev/null || {
  echo "caravel: the data folder $data_dir cannot be made: choose another with DATA_DIR=..." >&2
  exit 1
}
# `endpoints.json` is written when the daemon is ready: an older one must not be taken for it. A folder that
# another daemon uses is left alone; the daemon itself says so.
ready=$data_dir/endpoints.json
before=$(stat -c %Y.%i "$ready" 2>/dev/null || true)

"$program" serve "${options[@]}" &
daemon=$!
stop() {
  kill -TERM "$daemon" 2>/dev/null || true
  wait "$daemon" 2>/dev/null || true
}
trap 'stop; exit 130' INT TERM
trap stop EXIT

while [ "$(stat -c %Y.%i "$ready" 2>/dev/null || true)" = "$before" ]; do
  if ! kill -0 "$daemon" 2>/dev/null; then
    trap - EXIT
    wait "$daemon" || exit $?
    exit 1
  fi
  sleep 0.1
done

export KUBECONFIG=$data_dir/kubeconfig
"$program" up -f "$application"

kubernetes=$(sed -n 's/.*"kubernetes": *"\([^"]*\)".*/\1/p' "$ready")
http=$(sed -n 's/.*"http": *"\([^"]*\)".*/\1/p' "$ready")
cat <<EOT

Caravel serves. In another terminal:

  export KUBECONFIG=$KUBECONFIG
  kubectl get applications
  kubectl get app website -o yaml
  kubectl get all
  $program status website

Kubernetes API  $kubernetes
REST API        $http/api/v1   (bearer token: $data_dir/http-token)
                curl -H "Authorization: Bearer \$(cat $data_dir/http-token)" $http/api/v1/applications
EOT

if [ -n "${ONCE:-}" ]; then
  exit 0
fi
echo
echo "Ctrl-C ends it; the data stays in $data_dir."
wait "$daemon"
