package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const checkerYAML = `kind: checker
name: one
listen: [/ip4/127.0.0.1/udp/4100/quic-v1]
api: 127.0.0.1:8420
`

const providerYAML = `kind: provider
name: two
listen:
  - /ip4/127.0.0.1/udp/4101/quic-v1
  - /ip4/127.0.0.1/tcp/4101
devices:
  - {id: gpu0, model: sim-100}
  - {id: gpu1, model: sim-400}
`

func noEnv(string) string { return "" }

// configDir is a folder with an assay.yaml.
func configDir(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, ConfigName), []byte(text), 0o644))
	return dir
}

func TestReadConfig(t *testing.T) {
	dir := configDir(t, checkerYAML)
	c, err := ReadConfig(dir, noEnv)
	check(t, err)
	want := Config{
		Kind: KindChecker, Name: "one", Network: filepath.Join(dir, "network.yaml"),
		Listen: []string{"/ip4/127.0.0.1/udp/4100/quic-v1"}, API: "127.0.0.1:8420", Log: "info", LogFormat: "text",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("checker:\n%+v, want\n%+v", c, want)
	}
	dir = configDir(t, providerYAML+"network: /etc/assay/network.yaml\noperator: me\nregion: eu\nmetrics: 127.0.0.1:9\nlog: warn\nlog_format: json\n")
	c, err = ReadConfig(dir, noEnv)
	check(t, err)
	want = Config{
		Kind: KindProvider, Name: "two", Operator: "me", Region: "eu", Network: "/etc/assay/network.yaml",
		Listen:  []string{"/ip4/127.0.0.1/udp/4101/quic-v1", "/ip4/127.0.0.1/tcp/4101"},
		Metrics: "127.0.0.1:9", Devices: []Device{{ID: "gpu0", Model: "sim-100"}, {ID: "gpu1", Model: "sim-400"}}, Log: "warn", LogFormat: "json",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("provider:\n%+v, want\n%+v", c, want)
	}
	device, err := c.Devices[1].simulate()
	check(t, err)
	if i := device.Info(); i.ID != "gpu1" || !i.Simulated {
		t.Errorf("device %+v", i)
	}
}

func TestReadConfigRefuses(t *testing.T) {
	replace := func(text, old, by string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(text, old, by, 1)
	}
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", `kind: ""`},
		{"no YAML", "{", "yaml: line 1"},
		{"a list", "- kind: checker\n", "cannot unmarshal"},
		{"unknown kind", replace(checkerYAML, "kind: checker", "kind: Checker"), `kind: "Checker", want checker or provider`},
		{"unknown key", checkerYAML + "apis: x\n", "line 5: field apis not found"},
		{"key twice", checkerYAML + "name: two\n", "already defined"},
		{"two documents", checkerYAML + "---\nkind: checker\n", "more than one YAML document"},
		{"no name", replace(checkerYAML, "name: one", "name: ''"), "name: empty"},
		{"no address", replace(checkerYAML, "[/ip4/127.0.0.1/udp/4100/quic-v1]", "[]"), "listen: empty"},
		{"no multiaddr", replace(providerYAML, "/ip4/127.0.0.1/tcp/4101", "127.0.0.1:4101"), "listen[1]: "},
		{"unknown level", checkerYAML + "log: loud\n", `log: "loud"`},
		{"unknown format", checkerYAML + "log_format: xml\n", `log_format: "xml"`},
		{"checker without API", replace(checkerYAML, "api: 127.0.0.1:8420", ""), "api: empty"},
		{"checker with devices", checkerYAML + "devices: [{id: a, model: sim-100}]\n", "devices: a checker has none"},
		{"provider with evidence", providerYAML + "evidence: rims\n", "evidence: only a checker"},
		{"provider with API", providerYAML + "api: 127.0.0.1:8420\n", "api: a provider has none"},
		{"provider without devices", providerYAML[:strings.Index(providerYAML, "devices:")], "devices: empty"},
		{"unknown model", replace(providerYAML, "sim-400", "h100"), "devices[1].model: "},
		{"device without id", replace(providerYAML, "id: gpu0", "id: ''"), `devices[0].id: ""`},
		{"device twice", replace(providerYAML, "gpu1", "gpu0"), `devices[1].id: "gpu0"`},
		{"unknown key of a device", replace(providerYAML, "{id: gpu0,", "{id: gpu0, uuid: 1,"), "field uuid not found"},
		{"too large", checkerYAML + "#" + strings.Repeat(" ", maxConfig), "over 16777216 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := configDir(t, c.text)
			got, err := ReadConfig(dir, noEnv)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), filepath.Join(dir, ConfigName)+": ") {
				t.Errorf("error %v, want one of the file that says %q", err, c.says)
			}
			if !reflect.DeepEqual(got, Config{}) {
				t.Errorf("a refused file gave %+v", got)
			}
		})
	}
	if _, err := ReadConfig(t.TempDir(), noEnv); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), ConfigName) {
		t.Errorf("no file: %v", err)
	}
}

func TestConfigOverride(t *testing.T) {
	field := func(name string) func(Config) any {
		return func(c Config) any { return reflect.ValueOf(c).FieldByName(name).Interface() }
	}
	for _, c := range []struct {
		key, value string
		of         func(Config) any
		want       any
		checker    bool // a checker has the setting
		provider   bool
	}{
		{"NAME", "other", field("Name"), "other", true, true},
		{"OPERATOR", "me", field("Operator"), "me", true, true},
		{"REGION", "eu", field("Region"), "eu", true, true},
		{"NETWORK", "/n.yaml", field("Network"), "/n.yaml", true, true},
		{"API", "127.0.0.1:1", field("API"), "127.0.0.1:1", true, false},
		{"METRICS", "127.0.0.1:2", field("Metrics"), "127.0.0.1:2", true, true},
		{"LOG", "error", field("Log"), "error", true, true},
		{"LOG_FORMAT", "json", field("LogFormat"), "json", true, true},
		{
			"LISTEN", "/ip4/127.0.0.1/udp/1/quic-v1,/ip4/127.0.0.1/tcp/1", field("Listen"),
			[]string{"/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"},
			true, true,
		},
	} {
		for prefix, text := range map[string]string{"ASSAY_CHECKER_": checkerYAML, "ASSAY_PROVIDER_": providerYAML} {
			dir := configDir(t, text)
			before, err := ReadConfig(dir, noEnv)
			check(t, err)
			for _, set := range []string{"ASSAY_CHECKER_", "ASSAY_PROVIDER_", "ASSAY_", ""} {
				got, err := ReadConfig(dir, func(key string) string {
					if key == set+c.key {
						return c.value
					}
					return ""
				})
				want := c.of(before)
				if set == prefix {
					if has := prefix == "ASSAY_CHECKER_" && c.checker || prefix == "ASSAY_PROVIDER_" && c.provider; !has {
						if err == nil {
							t.Errorf("%s%s was taken", set, c.key)
						}
						continue
					}
					want = c.want
				}
				if err != nil || !reflect.DeepEqual(c.of(got), want) {
					t.Errorf("%s%s over %s: %v, %v; want %v", set, c.key, prefix, c.of(got), err, want)
				}
			}
		}
	}
	// What the environment says is held to the same rules.
	for key, value := range map[string]string{"LISTEN": "/ip4/127.0.0.1/udp", "LOG": "loud", "LOG_FORMAT": "xml"} {
		_, err := ReadConfig(configDir(t, checkerYAML), func(k string) string {
			if k == "ASSAY_CHECKER_"+key {
				return value
			}
			return ""
		})
		if err == nil {
			t.Errorf("%s=%s was taken", key, value)
		}
	}
}

func TestStrictYAML(t *testing.T) {
	type target struct {
		A string `yaml:"a"`
		B []struct {
			C int `yaml:"c"`
		} `yaml:"b"`
	}
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"empty", "", true},
		{"comments", "# nothing\n", true},
		{"all", "a: x\nb: [{c: 1}]\n", true},
		{"one document with its marks", "---\na: x\n...\n", true},
		{"unknown key", "a: x\nd: 1\n", false},
		{"unknown key inside", "b: [{c: 1, d: 2}]\n", false},
		{"another case", "A: x\n", false},
		{"key twice", "a: x\na: y\n", false},
		{"another type", "b: 1\n", false},
		{"text for a number", "b: [{c: x}]\n", false},
		{"second document", "a: x\n---\na: y\n", false},
		{"broken second document", "a: x\n---\n{", false},
		{"unknown alias", "a: *x\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v target
			if err := strictYAML([]byte(c.text), &v); (err == nil) != c.ok {
				t.Errorf("error %v, value %+v", err, v)
			}
		})
	}
}
