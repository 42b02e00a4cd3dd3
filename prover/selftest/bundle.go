package selftest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/assaynet/assay/gpu/telemetry"
)

// Bundle is what a provider gives to whoever helps it: all that was found, and
// nothing that is secret.
type Bundle struct {
	Report  Report
	Config  []byte // assay.yaml as it lies in the folder
	Network []byte // network.yaml
	Never   []byte // bytes that are in no file, in no form: the key's seed; empty: none
}

// WriteBundle writes a zip: report.json, versions.json, inventory.json,
// telemetry.csv, assay.yaml and network.yaml. What looks like a key is taken out of
// assay.yaml, and Never out of everything.
func WriteBundle(w io.Writer, b Bundle) error {
	report, err := indented(b.Report)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	versions, err := indented(b.Report.Versions)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	cards := map[string]*Inventory{}
	for _, f := range b.Report.Figures {
		cards[f.Device] = f.Inventory
	}
	inventory, err := indented(cards)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	samples, err := samplesCSV(b.Report.Samples)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	z := zip.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"report.json", report},
		{"versions.json", versions},
		{"inventory.json", inventory},
		{"telemetry.csv", samples},
		{"assay.yaml", redact(b.Config)},
		{"network.yaml", b.Network},
	} {
		out, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: b.Report.Started.Truncate(time.Second)})
		if err == nil {
			_, err = out.Write(without(f.data, b.Never))
		}
		if err != nil {
			return fmt.Errorf("bundle: %s: %w", f.name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

func indented(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

// redacted stands for what was taken out.
const redacted = "REDACTED"

// A value of a field that is named like a secret, and what has the length of a seed
// or a private key in hex or base64. Ids of nodes have that length too: a
// configuration has none.
var (
	named  = regexp.MustCompile(`(?im)^([ \t-]*[\w.-]*(?:key|secret|token|password|passwd|seed|credential)[\w.-]*[ \t]*:[ \t]*)\S.*$`)
	shaped = regexp.MustCompile(`[0-9a-fA-F]{64,}|[A-Za-z0-9+/_-]{86,88}={0,2}|[A-Za-z0-9+/_-]{43}=`)
	pem    = regexp.MustCompile(`(?s)-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|$)`)
)

// redact takes out of a configuration what looks like a key. It needs none, but
// people paste.
func redact(b []byte) []byte {
	b = pem.ReplaceAll(b, []byte(redacted))
	b = named.ReplaceAll(b, []byte("${1}"+redacted))
	return shaped.ReplaceAll(b, []byte(redacted))
}

// without takes a secret out in each form that it is likely to have.
func without(b, secret []byte) []byte {
	if len(secret) == 0 {
		return b
	}
	forms := [][]byte{
		secret, []byte(hex.EncodeToString(secret)), bytes.ToUpper([]byte(hex.EncodeToString(secret))),
		[]byte(base64.RawStdEncoding.EncodeToString(secret)), []byte(base64.RawURLEncoding.EncodeToString(secret)),
	}
	for _, f := range forms {
		b = bytes.ReplaceAll(b, f, []byte(redacted))
	}
	return b
}

// samplesCSV writes samples as a table: a column for each kind, empty where a card
// gave none.
func samplesCSV(samples []Snapshot) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	head := []string{"device", "time"}
	for _, k := range telemetry.Kinds() {
		head = append(head, k.String())
	}
	err := w.Write(head)
	for i := range samples {
		s := &samples[i]
		row := []string{s.Device, s.At.Format(time.RFC3339Nano)}
		for _, k := range telemetry.Kinds() {
			cell := ""
			if v, ok := s.Of.Get(k); ok {
				cell = strconv.FormatInt(v, 10)
			}
			row = append(row, cell)
		}
		err = errors.Join(err, w.Write(row))
	}
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}

// CheckBundle says before a long test whether a bundle can be written to a path.
func CheckBundle(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bundle %s: %w", path, errors.Join(err, fs.ErrExist))
	}
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = errors.New("its folder is none")
	}
	if err != nil {
		return fmt.Errorf("bundle %s: %w", path, err)
	}
	return nil
}

// WriteBundleFile writes a whole bundle to a new file, mode 0600, or none.
func WriteBundleFile(path string, b Bundle) (err error) {
	if err := CheckBundle(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	defer os.Remove(f.Name())
	err = WriteBundle(f, b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("bundle %s: %w", path, err)
	}
	return nil
}
