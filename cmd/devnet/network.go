package devnet

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
	"github.com/assaynet/assay/checker/committee"
	"github.com/assaynet/assay/checker/evidence"
	"github.com/assaynet/assay/cmd/node"
	"github.com/assaynet/assay/cmd/node/file"
	"github.com/assaynet/assay/cmd/node/trust"
	"github.com/assaynet/assay/gpu"
)

// settle is how long the nodes have to come up before epoch 0.
const settle = 1500 * time.Millisecond

// network is a running devnet.
type network struct {
	cfg       Config
	registry  committee.Registry
	vendor    vendor
	trust     evidence.Trust
	checkers  []*node.Checker
	providers []*node.Provider
	planted   []planted
	judge     *judge
}

// manifest is devnet.json: what is in the folder, for people and tools.
type manifest struct {
	Network   string          `json:"network"`
	NetworkID challenges.Hash `json:"network_id"`
	Seed      uint64          `json:"seed"`
	Genesis   time.Time       `json:"genesis"`
	Nodes     []manifestNode  `json:"nodes"`
}

type manifestNode struct {
	Name      string            `json:"name"` // also its folder
	ID        challenges.NodeID `json:"id"`
	Behaviour string            `json:"behaviour"`
	API       string            `json:"api,omitempty"`
}

// key derives a node's key from the seed: the same seed gives the same network.
func key(seed uint64, name string) ed25519.PrivateKey {
	material := append(binary.BigEndian.AppendUint64(nil, seed), name...)
	var out [ed25519.SeedSize]byte
	blake3.DeriveKey(out[:], "assay/devnet-key/v1", material)
	return ed25519.NewKeyFromSeed(out[:])
}

// listen is where node number i listens: on Linux each has its own address.
func listen(i int) []string {
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.0.1", i)
	}
	return []string{"/ip4/" + host + "/udp/0/quic-v1", "/ip4/" + host + "/tcp/0"}
}

// start makes the folder, the registry and the nodes.
func start(cfg Config) (_ *network, err error) {
	made, err := prepare(&cfg)
	if err != nil {
		return nil, err
	}
	n := &network{cfg: cfg}
	defer func() {
		if err != nil {
			// A network that did not start leaves nothing that bars the next one.
			_ = n.close()
			for _, path := range made {
				_ = os.RemoveAll(path)
			}
		}
	}()
	genesis := time.Now().Add(settle).Truncate(time.Millisecond)
	n.registry = committee.Registry{
		Name: fmt.Sprintf("devnet-%d", cfg.Seed), Genesis: uint64(genesis.UnixNano()), Simulated: true, Params: committee.Devnet(),
	}
	for i := range cfg.Checkers {
		name := fmt.Sprintf("checker-%d", i+1)
		n.registry.Checkers = append(n.registry.Checkers, committee.Member{
			ID: challenges.IDOf(key(cfg.Seed, name)), Name: name, Operator: name,
		})
	}
	slices.SortFunc(n.registry.Checkers, func(a, b committee.Member) int { return a.ID.Compare(b.ID) })
	if err := n.registry.Check(); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := file.Write(filepath.Join(cfg.Dir, "registry.cbor"), challenges.Marshal(&n.registry)); err != nil {
		return nil, err
	}
	n.vendor = newVendor(cfg.Seed)
	folder := filepath.Join(cfg.Dir, evidenceDir)
	if err := n.vendor.publish(folder, n.vendor.card(0, gpu.SimDriver, gpu.SimVBIOS)); err != nil {
		return nil, err
	}
	if n.trust, err = trust.Load(folder); err != nil {
		return nil, err
	}
	if err := n.startNodes(genesis); err != nil {
		return nil, err
	}
	if err := n.writeManifest(genesis); err != nil {
		return nil, err
	}
	apis := make([]string, len(n.checkers))
	for i, c := range n.checkers {
		apis[i] = c.API()
	}
	n.judge, err = newJudge(&n.registry, apis, n.planted, n.trust)
	return n, err
}

// prepare makes the folder, and says what a start that fails must remove. The
// folder may hold other things, but no devnet and nothing of its names.
func prepare(cfg *Config) (made []string, err error) {
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "assay-devnet-"); err != nil {
			return nil, err
		}
		return []string{cfg.Dir}, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	names := []string{"devnet.json", "registry.cbor", evidenceDir}
	for i := range cfg.Checkers {
		names = append(names, fmt.Sprintf("checker-%d", i+1))
	}
	for i := range cfg.Providers {
		names = append(names, fmt.Sprintf("provider-%d", i+1))
	}
	for _, name := range names {
		path := filepath.Join(cfg.Dir, name)
		if file.Exists(path) {
			return nil, fmt.Errorf("%s: %w: there is a devnet in it already (%s); choose another --dir or remove it", cfg.Dir, fs.ErrExist, name)
		}
		made = append(made, path)
	}
	return made, nil
}

func (n *network) startNodes(genesis time.Time) error {
	number := 0
	folder := func(name string) (string, ed25519.PrivateKey, error) {
		number++
		dir := filepath.Join(n.cfg.Dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", nil, err
		}
		k := key(n.cfg.Seed, name)
		return dir, k, file.WriteKey(filepath.Join(dir, "key"), k)
	}
	for i := range n.cfg.Checkers {
		name := fmt.Sprintf("checker-%d", i+1)
		dir, k, err := folder(name)
		if err != nil {
			return err
		}
		api := "127.0.0.1:0"
		if i == 0 {
			api = n.cfg.Listen
		}
		c, err := node.CreateChecker(node.CheckerConfig{
			Dir: dir, Name: name, Key: k, Registry: &n.registry, Listen: listen(number), API: api, Trust: n.trust, Log: n.cfg.Log.With("node", name),
		})
		if err != nil {
			return hint(fmt.Errorf("%s: %w", name, err), api)
		}
		n.checkers = append(n.checkers, c)
	}
	behaviours := stage{seed: n.cfg.Seed, genesis: genesis, vendor: n.vendor}
	for i, kind := range n.cfg.Providers {
		name := fmt.Sprintf("provider-%d", i+1)
		dir, k, err := folder(name)
		if err != nil {
			return err
		}
		pc := node.ProviderConfig{
			Dir: dir, Key: k, Registry: &n.registry, Listen: listen(number), Operator: name, Log: n.cfg.Log.With("node", name),
		}
		if err := behaviours.behave(i, kind, &pc); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p, err := node.CreateProvider(pc)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		n.providers = append(n.providers, p)
		n.planted = append(n.planted, planted{name, p.Peer().ID, kind})
	}
	return nil
}

// hint says what to do about a taken port.
func hint(err error, api string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w (is another devnet running? --listen 127.0.0.1:0 takes any free port instead of %s)", err, api)
	}
	return err
}

func (n *network) writeManifest(genesis time.Time) error {
	m := manifest{Network: n.registry.Name, NetworkID: n.registry.Hash(), Seed: n.cfg.Seed, Genesis: genesis.UTC()}
	for i, c := range n.checkers {
		m.Nodes = append(m.Nodes, manifestNode{fmt.Sprintf("checker-%d", i+1), c.ID(), n.cfg.Checkers[i], c.API()})
	}
	for _, p := range n.planted {
		m.Nodes = append(m.Nodes, manifestNode{Name: p.Name, ID: p.ID, Behaviour: p.Behaviour})
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return file.Write(filepath.Join(n.cfg.Dir, "devnet.json"), append(b, '\n'))
}

// check runs every checker until ctx ends and their last epochs are sealed.
func (n *network) check(ctx context.Context) error {
	peers := make([]node.Peer, len(n.providers))
	for i, p := range n.providers {
		peers[i] = p.Peer()
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range n.checkers {
		g.Go(func() error {
			if err := c.Run(ctx, peers); err != nil {
				return fmt.Errorf("checker-%d: %w", i+1, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// close ends all nodes: checkers first, so that no provider's end is seen.
func (n *network) close() error {
	var g errgroup.Group
	for _, c := range n.checkers {
		g.Go(c.Close)
	}
	err := g.Wait()
	for _, p := range n.providers {
		g.Go(p.Close)
	}
	return errors.Join(err, g.Wait())
}
