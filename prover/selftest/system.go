package selftest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"
)

// StatKey is a key's file without what is in it.
func StatKey(path string) Key {
	k := Key{Path: path, Owner: -1, User: os.Getuid()}
	if info, err := os.Stat(path); err == nil {
		k.Mode, k.Owner = info.Mode().Perm(), ownerOf(info)
	}
	return k
}

// Secret is what must not leave a key's file: its seed, or whatever was meant as one;
// nil: there is none.
func Secret(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1<<16))
	b = bytes.TrimSpace(b)
	if seed, err := hex.DecodeString(string(b)); err == nil {
		b = seed
	}
	if len(b) < 16 {
		return nil // it would be found everywhere
	}
	return b
}

// VersionsHere are those of this system.
func VersionsHere(assay string) Versions {
	v := Versions{Assay: assay, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		v.Kernel = strings.TrimSpace(string(b))
	}
	return v
}

// CheckerClock asks the API of a checker, http://HOST:PORT, for the time. It says how
// far this clock is ahead.
func CheckerClock(api string) (func(ctx context.Context) (time.Duration, error), error) {
	u, err := url.Parse(api)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("checker %q: want http://HOST:PORT", api)
	}
	return func(ctx context.Context) (time.Duration, error) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
		return ahead(ctx, client, u.JoinPath("healthz").String())
	}, nil
}
