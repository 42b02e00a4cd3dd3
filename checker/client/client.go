package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/report"
)

// ErrOther says that a checker served another object than it was asked for.
var ErrOther = errors.New("the checker served another object")

// maxBody bounds what a client reads of an answer, in bytes.
const maxBody = 64 << 20

// Client reads one checker's API.
type Client struct {
	base string
	http *http.Client
}

// New makes a client for an address such as http://127.0.0.1:8420.
func New(api string) (*Client, error) {
	u, err := url.Parse(api)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("API address %q: want http://HOST:PORT", api)
	}
	return &Client{strings.TrimRight(api, "/"), &http.Client{Timeout: 30 * time.Second}}, nil
}

// Status reads the checker's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.json(ctx, "/v1/status", &s)
	return s, err
}

// Registry reads the network's registry. Whether it is the right one is for the
// caller to know: its hash is the network's id.
func (c *Client) Registry(ctx context.Context) (committee.Registry, error) {
	b, err := c.get(ctx, "/v1/registry")
	if err != nil {
		return committee.Registry{}, err
	}
	return committee.DecodeRegistry(b)
}

// Providers reads the checker's own fold of all providers.
func (c *Client) Providers(ctx context.Context) ([]Provider, error) {
	var p Providers
	err := c.json(ctx, "/v1/providers", &p)
	return p.Providers, err
}

// Provider reads the checker's own fold of one provider, by its id or a unique
// beginning of it.
func (c *Client) Provider(ctx context.Context, id string) (Provider, error) {
	var p Provider
	err := c.json(ctx, "/v1/providers/"+url.PathEscape(id), &p)
	return p, err
}

// Observations reads the checker's signed observations of one sealed epoch.
func (c *Client) Observations(ctx context.Context, epoch uint64) ([]challenges.Envelope, error) {
	var o Observations
	if err := c.json(ctx, "/v1/epochs/"+strconv.FormatUint(epoch, 10)+"/observations", &o); err != nil {
		return nil, err
	}
	out := make([]challenges.Envelope, len(o.Observations))
	for i, b := range o.Observations {
		e, err := challenges.DecodeEnvelope(b)
		if err != nil {
			return nil, fmt.Errorf("observation %d of epoch %d: %w", i, epoch, err)
		}
		out[i] = e
	}
	return out, nil
}

// Transcripts lists stored transcripts, newest first.
func (c *Client) Transcripts(ctx context.Context, q report.Query) ([]Transcript, error) {
	v := url.Values{}
	if q.Kind != "" {
		v.Set("kind", string(q.Kind))
	}
	if q.Outcome != 0 {
		v.Set("outcome", q.Outcome.String())
	}
	if q.Provider != (challenges.NodeID{}) {
		v.Set("provider", q.Provider.String())
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	var t Transcripts
	err := c.json(ctx, "/v1/transcripts?"+v.Encode(), &t)
	return t.Transcripts, err
}

// Transcript reads one sealed transcript and checks that it is the one asked
// for; report.ErrNotFound if the checker does not have it.
func (c *Client) Transcript(ctx context.Context, h challenges.Hash) ([]byte, error) {
	b, err := c.get(ctx, "/v1/transcripts/"+h.String())
	if err != nil {
		return nil, err
	}
	e, err := challenges.DecodeEnvelope(b)
	if err != nil {
		return nil, err
	}
	if e.ID() != h {
		return nil, fmt.Errorf("transcript %v: %w: %v", h, ErrOther, e.ID())
	}
	return b, nil
}

func (c *Client) json(ctx context.Context, path string, v any) error {
	b, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("GET %s: answer over %d bytes", path, maxBody)
	}
	if resp.StatusCode != http.StatusOK {
		what := resp.Status
		var p Problem
		if json.Unmarshal(b, &p) == nil && p.Error != "" {
			what = p.Error
		}
		if resp.StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("GET %s: %s: %w", path, what, report.ErrNotFound)
		}
		return nil, fmt.Errorf("GET %s: %s", path, what)
	}
	return b, nil
}
