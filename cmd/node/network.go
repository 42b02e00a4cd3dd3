package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/cmd/node/file"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 16 << 20

// Network is a network file: the registry, whose hash is the network's id, and
// where providers are reached, which is no part of it.
type Network struct {
	Registry  committee.Registry
	Providers []Peer
}

// networkFile is network.yaml.
type networkFile struct {
	Name      string         `yaml:"name"`
	Genesis   time.Time      `yaml:"genesis"`
	Simulated bool           `yaml:"simulated"`
	Params    string         `yaml:"params"`
	Checkers  []memberFile   `yaml:"checkers"`
	Providers []providerFile `yaml:"providers"`
}

type memberFile struct {
	ID       string `yaml:"id"`
	Name     string `yaml:"name"`
	Operator string `yaml:"operator"`
}

type providerFile struct {
	ID    string   `yaml:"id"`
	Addrs []string `yaml:"addrs"`
}

// ReadNetwork reads a network file. Every error names the file and the place.
func ReadNetwork(path string) (Network, error) {
	b, err := readConfig(path)
	if err != nil {
		return Network{}, err
	}
	var f networkFile
	if err := strictYAML(b, &f); err != nil {
		return Network{}, fmt.Errorf("%s: %w", path, err)
	}
	n, err := f.network()
	if err != nil {
		return Network{}, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

func (f *networkFile) network() (Network, error) {
	n := Network{Registry: committee.Registry{Name: f.Name, Simulated: f.Simulated}}
	switch f.Params {
	case "standard", "":
		n.Registry.Params = committee.Standard()
	case "devnet":
		n.Registry.Params = committee.Devnet()
	default:
		return n, fmt.Errorf("params: %q, want standard or devnet", f.Params)
	}
	if f.Genesis.IsZero() {
		return n, errors.New("genesis: missing; want a time such as 2026-01-02T15:04:05Z")
	}
	n.Registry.Genesis = uint64(f.Genesis.UnixNano())
	for i, m := range f.Checkers {
		id, err := parseID(m.ID)
		if err != nil {
			return n, fmt.Errorf("checkers[%d].id: %w", i, err)
		}
		n.Registry.Checkers = append(n.Registry.Checkers, committee.Member{ID: id, Name: m.Name, Operator: m.Operator})
	}
	slices.SortFunc(n.Registry.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	if err := n.Registry.Check(); err != nil {
		return n, err
	}
	seen := make(map[challenges.NodeID]bool)
	for i, p := range f.Providers {
		id, err := parseID(p.ID)
		if err != nil {
			return n, fmt.Errorf("providers[%d].id: %w", i, err)
		}
		if seen[id] {
			return n, fmt.Errorf("providers[%d].id: %s stands there twice", i, id.Short())
		}
		seen[id] = true
		if len(p.Addrs) == 0 {
			return n, fmt.Errorf("providers[%d].addrs: empty; want multiaddrs such as /ip4/192.0.2.1/udp/4101/quic-v1", i)
		}
		n.Providers = append(n.Providers, Peer{ID: id, Addrs: p.Addrs})
	}
	return n, nil
}

func parseID(text string) (challenges.NodeID, error) {
	var id challenges.NodeID
	if err := id.UnmarshalText([]byte(text)); err != nil {
		return id, err
	}
	return id, id.Check()
}

// WriteNetwork writes a network file for people to edit. It must not exist.
func WriteNetwork(path string, n Network, params string) error {
	if file.Exists(path) {
		return fmt.Errorf("%s: %w", path, os.ErrExist)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# An Assay network. Name, genesis, simulated, params and checkers make the network's\n"+
		"# id: every node must have the same, and changing one makes another network.\n"+
		"name: %q\n\n# Start of epoch 0.\ngenesis: %s\n\n"+
		"# Whether devices may be simulated. Such a network says nothing about real cards.\nsimulated: %v\n\n"+
		"# standard (epochs of 10 min) or devnet (epochs of 5 s).\nparams: %s\n\n"+
		"# Who may check.\ncheckers:\n",
		n.Registry.Name, time.Unix(0, int64(n.Registry.Genesis)).UTC().Format(time.RFC3339Nano), n.Registry.Simulated, params)
	for _, m := range n.Registry.Checkers {
		fmt.Fprintf(&b, "  - id: %q\n    name: %q\n    operator: %q\n", m.ID, m.Name, m.Operator)
	}
	fmt.Fprint(&b, "\n# Whom to check, and where they are reached. No part of the network's id: edit it, and\n"+
		"# send the checkers SIGHUP.\nproviders:")
	if len(n.Providers) == 0 {
		fmt.Fprint(&b, " []\n#  - id: 64 hex digits, printed by assay provider init\n#    addrs: [/ip4/192.0.2.1/udp/4101/quic-v1, /ip4/192.0.2.1/tcp/4101]\n")
	}
	for i, p := range n.Providers {
		if i == 0 {
			fmt.Fprintln(&b)
		}
		fmt.Fprintf(&b, "  - id: %q\n    addrs:\n", p.ID)
		for _, a := range p.Addrs {
			fmt.Fprintf(&b, "      - %q\n", a)
		}
	}
	return file.Write(path, []byte(b.String()))
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxConfig {
		return nil, fmt.Errorf("%s: over %d bytes", path, maxConfig)
	}
	return b, nil
}

// strictYAML decodes one document and refuses keys that it does not know.
func strictYAML(b []byte, v any) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document")
	}
	return nil
}
