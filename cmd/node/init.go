package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/cmd/node/file"
)

// checkerTemplate is a new checker's assay.yaml.
const checkerTemplate = `# An Assay checker. assay config check shows what is in force.
# Each value can be overridden by the environment: ASSAY_CHECKER_API=..., lists with commas.
kind: checker
name: %q

# The network's file: the same for all of its nodes. Relative to this folder.
network: %q

# Where it is reached by other nodes.
listen:
  - /ip4/0.0.0.0/udp/4100/quic-v1
  - /ip4/0.0.0.0/tcp/4100

# Where it serves what it knows, read-only: reports, evidence, metrics, health.
api: 127.0.0.1:8420

# A second address for metrics and health alone, for example where api is public.
# metrics: 127.0.0.1:9420

# A folder of reference manifests and OCSP responses, by which what cards sign is
# graded beyond their identity. Read again on SIGHUP.
# evidence: evidence

# debug, info, warn or error; text or json.
log: info
log_format: text
`

// providerTemplate is a new provider's assay.yaml.
const providerTemplate = `# An Assay provider's agent. assay config check shows what is in force.
# Each value can be overridden by the environment: ASSAY_PROVIDER_LISTEN=..., lists with commas.
kind: provider
name: %q

# What the offer says of it, unproven.
operator: ""
region: ""

# The network's file: the same for all of its nodes. Relative to this folder.
network: %q

# Where checkers reach it.
listen:
  - /ip4/0.0.0.0/udp/4101/quic-v1
  - /ip4/0.0.0.0/tcp/4101

# Metrics and health. Empty: none.
metrics: 127.0.0.1:9421

# What it offers. Simulated models: sim-100, sim-200, sim-400, in simulated networks only.
devices:
  - id: gpu0
    model: sim-100

# A card: assay-gpu cards lists models and UUIDs, and assay provider selftest prints what
# to claim: ops/s of each flavour, 1.2e15 or in full; one that is not given is not offered.
# memory is in bytes, without it the model's.
#  - id: gpu0
#    model: h100-sxm
#    card: GPU-5c1b2d3e-1111-2222-3333-444455556666
#    memory: 85899345920
#    int8: 1.2e15
#    bf16: 6e14
#    fp64: 2.5e13

# With cards: the program that runs them, without it the one beside assay or in PATH; and
# NVIDIA's libraries, without them the system's. cublaslt: none does without cuBLASLt.
# worker: /usr/local/bin/assay-gpu
# driver: /usr/lib/x86_64-linux-gnu/libcuda.so.1
# nvml: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1
# cublaslt: none

# How a card's tenant is noticed; then challenges are refused as tenant, which is neutral,
# and the card is given up at once. assay provider tenant counts always.
# tenancy:
#   processes: true         # compute processes of others; of cards
#   ignore: [nvtop, dcgm*]  # programs that are no tenants
#   command: [/etc/assay/tenant]  # asked with id and UUID: exit code 0 free, 1 a tenant
#   file: /run/tenants/{device}   # a tenant while it is there

# What challenges may use of a device's time in any 24 h, all of them and one checker's;
# 0s: no bound. These are in force in networks that are not simulated.
# budget:
#   gpu_per_day: 72m
#   checker_per_day: 24m

# debug, info, warn or error; text or json.
log: info
log_format: text
`

// Init makes a new node's folder: a key, mode 0600, and a commented
// configuration. It changes nothing in a folder that has either.
func Init(dir, kind, name, network string) (challenges.NodeID, error) {
	template := checkerTemplate
	if kind == KindProvider {
		template = providerTemplate
	}
	if network != "" {
		abs, err := filepath.Abs(network)
		if err != nil {
			return challenges.NodeID{}, err
		}
		network = abs
	} else {
		network = "network.yaml"
	}
	for _, name := range []string{"key", ConfigName, "db"} {
		if path := filepath.Join(dir, name); file.Exists(path) {
			return challenges.NodeID{}, fmt.Errorf("%s: %w: there is a node in this folder already", path, os.ErrExist)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return challenges.NodeID{}, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return challenges.NodeID{}, err
	}
	path := filepath.Join(dir, "key")
	if err := file.WriteKey(path, key); err != nil {
		return challenges.NodeID{}, err
	}
	if err := file.Write(filepath.Join(dir, ConfigName), fmt.Appendf(nil, template, name, network)); err != nil {
		return challenges.NodeID{}, errors.Join(err, os.Remove(path))
	}
	return challenges.IDOf(key), nil
}
