#!/usr/bin/env bash
# Ray on one node of the job: the head on the first, a worker on each other. Started by ray.sbatch.
# Usage: node.sh GROUP SUFFIX; SUFFIX of this component's variables, empty in a plain job.
set -euo pipefail
group=$1 suffix=$2
stopped='' ray_pid='' scratch=''
trap 'stopped=1; [ -z "$ray_pid" ] || kill -TERM "$ray_pid" 2>/dev/null || true' TERM INT
trap '[ -z "$scratch" ] || rm -rf -- "$scratch"' EXIT
# shellcheck source=infra/slurm/address.sh
. infra/slurm/address.sh
address=$(node_address)

value() { local name=$1$suffix; echo "${!name:-}"; }
cpus=$(value SLURM_CPUS_PER_TASK)
cpus=${cpus:-${SLURM_CPUS_ON_NODE:-1}}
# SLURM lists the cards or MIG instances that it granted (0,3 or MIG-...,MIG-...), and says NoDevFiles
# where it granted none of a node that has some. Ray refuses to start with more than are listed.
case ${CUDA_VISIBLE_DEVICES-unset} in
  unset) gpus=${SLURM_GPUS_ON_NODE:-0} ;;
  '' | -1 | NoDevFiles | none | void) gpus=0 ;;
  *) gpus=$(awk -F, '{print NF}' <<<"$CUDA_VISIBLE_DEVICES") ;;
esac

# Ray would count the whole machine's memory; ours is what SLURM granted (MiB).
memory_mib=$(value SLURM_MEM_PER_NODE)
per_cpu_mib=$(value SLURM_MEM_PER_CPU)
if [ -z "$memory_mib" ] && [ -n "$per_cpu_mib" ]; then memory_mib=$((per_cpu_mib * cpus)); fi

# Sockets lie in here and their paths may have 107 characters: a short folder, and ours alone.
scratch=$(mktemp -d "${HISTO_RAY_TMP:-/tmp}/hr-$SLURM_JOB_ID.XXXXXX")

# Ports are the system's choice, so that two jobs on a node never meet.
options=(--block --disable-usage-stats --node-ip-address="$address" --temp-dir="$scratch/ray")
options+=(--num-cpus="$cpus" --num-gpus="$gpus")
options+=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
options+=(--node-manager-port=0 --object-manager-port=0 --metrics-export-port=0)
options+=(--runtime-env-agent-port=0 --dashboard-agent-grpc-port=0)
if [ -n "$memory_mib" ] && [ "$memory_mib" -gt 0 ]; then
  shared_mib=$(df -Pm /dev/shm | awk 'NR == 2 {print int($4 * 0.9)}')
  store_mib=$((memory_mib * 3 / 10))
  if [ "$store_mib" -gt "$shared_mib" ]; then store_mib=$shared_mib; fi
  options+=(--object-store-memory=$((store_mib * 1024 * 1024)))
  options+=(--memory=$(((memory_mib * 9 / 10 - store_mib) * 1024 * 1024)))
fi
if [ "$group" -eq 0 ] && [ "${SLURM_PROCID:-0}" -eq 0 ]; then
  options+=(--head --port="${RAY_ADDRESS##*:}" --include-dashboard=true)
  options+=(--dashboard-host=127.0.0.1 --dashboard-port="$HISTO_RAY_DASHBOARD_PORT")
  options+=(--ray-client-server-port="$HISTO_RAY_CLIENT_PORT")
else
  options+=(--address="$RAY_ADDRESS")
fi

export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # told to end, nothing is left to be drained
unset RAY_ADDRESS # `ray start` takes its own from the options

# A busy node may take longer than Ray waits, and a worker may be here before its head: again, then.
code=0
while [ -z "$stopped" ]; do
  code=0
  "$(dirname "$HISTO_RAY_PYTHON")/ray" start "${options[@]}" >"$scratch/start.log" 2>&1 &
  ray_pid=$!
  if [ -n "$stopped" ]; then kill -TERM "$ray_pid"; fi
  wait "$ray_pid" || code=$?
  while kill -0 "$ray_pid" 2>/dev/null; do wait "$ray_pid" || code=$?; done
  if [ -n "$stopped" ]; then exit 0; fi
  if [ "$SECONDS" -ge "${HISTO_RAY_START_S:-300}" ]; then break; fi
  sleep 1
done
if [ -z "$stopped" ]; then
  echo "node $(hostname -s): Ray ended by itself (exit code $code); its last lines:" >&2
  tail -n 20 "$scratch/start.log" >&2
fi
exit "$code"
