package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/assaynet/assay/cmd/node/file"
)

// drainName is the file that says that a provider is drained, so that a restart does
// not end it.
const drainName = "drain.json"

// drainFile is drain.json.
type drainFile struct {
	Until *time.Time `json:"until"` // null: until resume
}

// readDrain reads whether a provider is drained, and until when; zero: until resume.
// A drain whose time is over is none.
func readDrain(dir string, now time.Time) (until time.Time, drained bool, err error) {
	path := filepath.Join(dir, drainName)
	b, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, false, nil
	}
	var f drainFile
	if err == nil {
		err = strictJSON(b, &f)
	}
	switch {
	case err != nil:
		return time.Time{}, false, fmt.Errorf("%s: %w: remove it, and say again whether to drain", path, err)
	case f.Until == nil:
		return time.Time{}, true, nil
	}
	return *f.Until, f.Until.After(now), nil
}

// writeDrain notes a drain; zero: until resume.
func writeDrain(dir string, until time.Time) error {
	var f drainFile
	if !until.IsZero() {
		f.Until = &until
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return file.Write(filepath.Join(dir, drainName), append(b, '\n'))
}

// removeDrain notes that a drain has ended.
func removeDrain(dir string) error {
	err := os.Remove(filepath.Join(dir, drainName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.SyncDir(dir)
}

// strictJSON decodes one value and refuses fields that it does not know.
func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}
