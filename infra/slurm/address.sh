# shellcheck shell=bash
# node_address: the IPv4 address by which SLURM itself reaches this node; 127.* only if the job has no other node.
node_address() {
  local node name address
  node=${SLURMD_NODENAME:-$(hostname -s)}
  name=$(scontrol show node "$node" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p' | head -n 1)
  address=$(getent ahostsv4 "${name:-$node}" | { read -r first _ && echo "$first"; }) || {
    echo "node $node: its address ${name:-$node} does not resolve; set NodeAddr in slurm.conf or mend DNS" >&2
    return 1
  }
  echo "$address"
}
