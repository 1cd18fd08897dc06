#!/usr/bin/env bash
# Record a history with a binary of the version to be recorded:  record.sh path/to/rutter out.jsonl.zst
# Real processes on loopback with simulated containers; needs neither root nor a registry. Takes half a minute.
set -euo pipefail
binary=$(realpath "$1") out=$(realpath -m "$2") dir=$(mktemp -d) pids=()
cleanup() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$dir"; }
trap cleanup EXIT
port=14222 door=127.0.0.1:17480
run() { "$binary" "$@" >>"$dir/log" 2>&1 & pids+=($!); }
rutter() { RUTTER_CONFIG=$dir/keys/client.json "$binary" "$@" --client-config "$dir/keys/client.json"; }
until_true() { for _ in $(seq 300); do if eval "$1" >/dev/null 2>&1; then return; fi; sleep 0.1; done; echo "record: waited in vain for: $1" >&2; tail -20 "$dir/log" >&2; exit 1; }

"$binary" init --dir "$dir/keys" --gateway "http://$door" >/dev/null
run nats --name s1 --data-dir "$dir/nats" --keys "$dir/keys" --port $port
for service in reconciler scheduler; do run $service --keys "$dir/keys" --nats-url nats://127.0.0.1:$port; done
run node-health --keys "$dir/keys" --nats-url nats://127.0.0.1:$port
run gateway --keys "$dir/keys" --nats-url nats://127.0.0.1:$port --listen $door
for node in a b c; do
  run agentd --node $node --runtime sim --data-dir "$dir/$node" --nats-url nats://127.0.0.1:$port --join-token-file "$dir/keys/join.token" --node-label "zone=$node"
done
victim=${pids[-1]}
until_true 'test "$(rutter nodes | grep -c Ready)" = 3'

document() { # name replicas policy env
  cat <<YAML
apiVersion: rutter.run/v1
kind: Workload
metadata: {name: $1, labels: {app: $1}}
spec:
  replicas: $2
  restartPolicy: $3
  gracePeriod: 1s
  containers:
    - name: main
      image: registry.example.com/$1@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      env: [$4]
      resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
YAML
}
apply() { document "$@" >"$dir/$1.yaml"; rutter apply -f "$dir/$1.yaml" --reason "to be remembered" --wait=false; }
ready() { until_true "rutter get workloads $1 | grep -q '$2/$2'"; }
apply web 3 always ''; ready web 3
apply web 3 always '{name: GREETING, value: hello}'; ready web 3
rutter scale workload/web --replicas 5 --wait=false; ready web 5
rutter scale workload/web --replicas 2 --wait=false; ready web 2
apply crash 1 always '{name: SIM_EXIT_AFTER, value: 200ms}, {name: SIM_EXIT_CODE, value: "3"}'
apply hungry 1 never '{name: SIM_EXIT_AFTER, value: 200ms}, {name: SIM_OOM, value: "1"}'
apply huge 1 always '' && sed -i 's/cpu: 100m/cpu: "500"/' "$dir/huge.yaml" && rutter apply -f "$dir/huge.yaml" --wait=false
apply keep 4 always ''; ready keep 4
until_true 'rutter events --from 1 | grep -q "out of memory"'
until_true 'test "$(rutter events --from 1 | grep -c "restarting main")" -ge 2'
until_true 'rutter events --from 1 | grep -q "unplaced/default/huge"'
kill -9 "$victim"
until_true 'rutter nodes | grep -q Lost'
ready keep 4
rutter delete workload/hungry --wait=false
until_true '! rutter get workloads hungry'
rutter scale workload/nosuch --replicas 2 || true # a refusal is remembered as well
rutter events --from 1 -o json | zstd -q -19 -f -o "$out"
zstd -dc "$out" | wc -l
