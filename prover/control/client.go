package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/prover"
)

const (
	maxAnswer  = 16 << 20 // bytes
	answerTime = writeTime + 5*time.Second
)

// Client speaks with the agent of a folder.
type Client struct {
	path string
	http *http.Client
}

// Dial finds the socket of an agent's folder. The error is ErrNoAgent when nobody
// listens; every call can find out later that the agent has ended, with the same.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c := &Client{path: filepath.Join(dir, SocketName)}
	if err := fits(c.path); err != nil {
		return nil, err
	}
	c.http = &http.Client{Timeout: answerTime, Transport: &http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: readTime}).DialContext(ctx, "unix", c.path)
		},
	}}
	conn, err := (&net.Dialer{Timeout: readTime}).DialContext(ctx, "unix", c.path)
	if err != nil {
		return nil, c.missing(err)
	}
	return c, conn.Close()
}

// missing says what it means that there is no connection.
func (c *Client) missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w", c.path, ErrNoAgent)
	}
	return err
}

// Status is what the agent does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.get(ctx, "/v1/status", nil, &s)
	return s, err
}

// Drain has it refuse new work until a time; zero: until Resume.
func (c *Client) Drain(ctx context.Context, until time.Time) error {
	return c.post(ctx, "/v1/drain", drainRequest{orNil(until)}, nil)
}

// Resume has it take work again.
func (c *Client) Resume(ctx context.Context) error {
	return c.post(ctx, "/v1/resume", struct{}{}, nil)
}

// Tenant says that a tenant has come to a device, until about a time, zero: not
// known; or that he has left. It returns when the device is free, and how long that
// took. The error is ErrUnknown if there is no such device.
func (c *Client) Tenant(ctx context.Context, device string, present bool, until time.Time) (time.Duration, error) {
	var a tenantAnswer
	err := c.post(ctx, "/v1/tenant", tenantRequest{device, present, orNil(until)}, &a)
	return time.Duration(a.Freed * float64(time.Millisecond)), err
}

// Why explains how challenges ended, newest first.
func (c *Client) Why(ctx context.Context, q WhyQuery) ([]prover.Explanation, error) {
	form := url.Values{}
	if q.Challenge != "" {
		form.Set("challenge", q.Challenge)
	}
	if q.Limit != 0 {
		form.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.All {
		form.Set("all", "true")
	}
	var a whyAnswer
	err := c.get(ctx, "/v1/why", form, &a)
	return a.Explanations, err
}

// Transcript is the agent's copy of a challenge.
func (c *Client) Transcript(ctx context.Context, challenge challenges.Hash) ([]byte, error) {
	return c.do(ctx, http.MethodGet, "/v1/transcript", url.Values{"challenge": {challenge.String()}}, nil)
}

func (c *Client) get(ctx context.Context, path string, form url.Values, v any) error {
	b, err := c.do(ctx, http.MethodGet, path, form, nil)
	if err != nil {
		return err
	}
	return c.parse(b, v)
}

func (c *Client) post(ctx context.Context, path string, q, v any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	b, err := c.do(ctx, http.MethodPost, path, nil, body)
	if err != nil || v == nil {
		return err
	}
	return c.parse(b, v)
}

func (c *Client) parse(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return nil
}

// do makes a request and reads its answer; an error's text is the agent's.
func (c *Client) do(ctx context.Context, method, path string, form url.Values, body []byte) ([]byte, error) {
	to := url.URL{Scheme: "http", Host: "agent", Path: path, RawQuery: form.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		// Its own words name a URL that is none.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, c.missing(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", c.path, err)
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("%s: an answer over %d bytes", c.path, maxAnswer)
	case resp.StatusCode == http.StatusOK:
		return b, nil
	}
	var t trouble
	if json.Unmarshal(b, &t) != nil || t.Error == "" {
		t.Error = resp.Status
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, &answerError{t.Error, ErrUnknown}
	}
	return nil, &answerError{t.Error, nil}
}

// answerError is an agent's error in its own words.
type answerError struct {
	text  string
	cause error
}

func (e *answerError) Error() string { return e.text }

func (e *answerError) Unwrap() error { return e.cause }

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
