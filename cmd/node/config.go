// Package node wires nodes together: keys and files on disk, host, store,
// daemon, API. It is the only place that knows all of them.
package node

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/multiformats/go-multiaddr"
)

// ConfigName is a node's configuration file in its folder.
const ConfigName = "assay.yaml"

// Config is a node's configuration: assay.yaml, with overrides from the
// environment. Paths in it are relative to the node's folder.
type Config struct {
	Kind     string   `yaml:"kind"` // checker or provider
	Name     string   `yaml:"name"`
	Operator string   `yaml:"operator"`
	Region   string   `yaml:"region"`
	Network  string   `yaml:"network"`  // path of network.yaml
	Listen   []string `yaml:"listen"`   // multiaddrs
	API      string   `yaml:"api"`      // checker: host:port
	Metrics  string   `yaml:"metrics"`  // host:port of metrics and health; empty: none of its own
	Evidence string   `yaml:"evidence"` // checker: folder of reference manifests and OCSP responses; empty: none
	Devices  []Device `yaml:"devices"`  // provider

	// Of a provider with cards: assay-gpu, and NVIDIA's libraries; empty: where they
	// usually are.
	Worker   string `yaml:"worker"`
	Driver   string `yaml:"driver"`
	NVML     string `yaml:"nvml"`
	CUBLASLt string `yaml:"cublaslt"`

	Tenancy Tenancy `yaml:"tenancy"` // provider
	Budget  Budget  `yaml:"budget"`  // provider

	Log       string `yaml:"log"`        // debug, info, warn, error
	LogFormat string `yaml:"log_format"` // text or json
}

// Kinds of nodes.
const (
	KindChecker  = "checker"
	KindProvider = "provider"
)

// ReadConfig reads a node folder's configuration and applies the overrides that
// getenv has: ASSAY_CHECKER_API for the checker's api, and so on; lists are
// separated by commas. Every error names the place.
func ReadConfig(dir string, getenv func(string) string) (Config, error) {
	path := filepath.Join(dir, ConfigName)
	b, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	c := Config{Log: "info", LogFormat: "text", Network: "network.yaml"}
	if err := strictYAML(b, &c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if c.Kind != KindChecker && c.Kind != KindProvider {
		return Config{}, fmt.Errorf("%s: kind: %q, want checker or provider", path, c.Kind)
	}
	c.override(getenv)
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	if !filepath.IsAbs(c.Network) {
		c.Network = filepath.Join(dir, c.Network)
	}
	if c.Evidence != "" && !filepath.IsAbs(c.Evidence) {
		c.Evidence = filepath.Join(dir, c.Evidence)
	}
	for _, path := range []*string{&c.Worker, &c.Driver, &c.NVML, &c.CUBLASLt} {
		*path = inFolder(dir, *path)
	}
	if f := c.Tenancy.File; f != "" && !filepath.IsAbs(f) {
		c.Tenancy.File = filepath.Join(dir, f)
	}
	if len(c.Tenancy.Command) > 0 {
		c.Tenancy.Command[0] = inFolder(dir, c.Tenancy.Command[0])
	}
	return c, nil
}

// inFolder is a path from a node's folder on. A bare name is none: the system looks
// for it where it has its programs and libraries.
func inFolder(dir, path string) string {
	if filepath.IsAbs(path) || !strings.ContainsRune(path, filepath.Separator) {
		return path
	}
	return filepath.Join(dir, path)
}

func (c *Config) override(getenv func(string) string) {
	prefix := "ASSAY_" + strings.ToUpper(c.Kind) + "_"
	for key, field := range map[string]*string{
		"NAME": &c.Name, "OPERATOR": &c.Operator, "REGION": &c.Region, "NETWORK": &c.Network, "API": &c.API,
		"METRICS": &c.Metrics, "EVIDENCE": &c.Evidence, "WORKER": &c.Worker, "DRIVER": &c.Driver, "NVML": &c.NVML, "CUBLASLT": &c.CUBLASLt,
		"LOG": &c.Log, "LOG_FORMAT": &c.LogFormat,
	} {
		if v := getenv(prefix + key); v != "" {
			*field = v
		}
	}
	if v := getenv(prefix + "LISTEN"); v != "" {
		c.Listen = strings.Split(v, ",")
	}
}

func (c *Config) check() error {
	if c.Name == "" {
		return errors.New("name: empty")
	}
	if len(c.Listen) == 0 {
		return errors.New("listen: empty; want multiaddrs such as /ip4/0.0.0.0/udp/4100/quic-v1")
	}
	for i, a := range c.Listen {
		if _, err := multiaddr.NewMultiaddr(a); err != nil {
			return fmt.Errorf("listen[%d]: %w", i, err)
		}
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("log_format: %q, want text or json", c.LogFormat)
	}
	switch {
	case c.Kind == KindProvider && c.Evidence != "":
		return errors.New("evidence: only a checker judges any")
	case c.Kind == KindChecker && c.API == "":
		return errors.New("api: empty; want host:port")
	case c.Kind == KindChecker && len(c.Devices) > 0:
		return errors.New("devices: a checker has none")
	case c.Kind == KindChecker:
		return c.cardless("a checker has no cards")
	case c.Kind == KindProvider && c.API != "":
		return errors.New("api: a provider has none; metrics is its only page")
	case c.Kind == KindProvider && len(c.Devices) == 0:
		return errors.New("devices: empty; want at least one, such as {id: gpu0, model: sim-100}")
	}
	return c.checkDevices()
}

func (c *Config) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Log)); err != nil {
		return l, fmt.Errorf("log: %q, want debug, info, warn or error", c.Log)
	}
	return l, nil
}
