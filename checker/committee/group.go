package committee

import (
	"cmp"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"lukechampine.com/blake3"

	"github.com/assaynet/assay/challenges"
)

// Group is devices that are claimed to be apart and could be one: of one
// provider, one operator, one network. Operators and addresses are the
// providers' own words: whoever joins a group adds to it, and takes nothing out.
type Group struct {
	Label   string   // "provider <id>", "operator <name>", "net 10.1.2.0/24" or "net 2001:db8::/48"
	Targets []Target // ascending, at least two
}

// Groups finds the groups in the offers: providers first, then operators, then
// networks, each kind ascending by label. The same devices under two labels are
// one group, with the first of them.
func Groups(offers map[challenges.NodeID]challenges.Offer) []Group {
	// SPEC: G1. Devices of one provider, operator or network, at least two.
	var found [3]map[string][]Target // of a provider, an operator, a network
	for k := range found {
		found[k] = make(map[string][]Target)
	}
	for id, o := range offers {
		var own []Target
		for _, d := range o.Devices {
			own = append(own, Target{Provider: id, Device: d.ID})
		}
		add := func(kind int, label string) { found[kind][label] = append(found[kind][label], own...) }
		add(0, "provider "+id.String())
		if o.Operator != "" {
			add(1, "operator "+o.Operator)
		}
		for _, addr := range o.Addrs {
			if prefix, ok := network(addr); ok {
				add(2, "net "+prefix)
			}
		}
	}
	var out []Group
	seen := make(map[challenges.Hash]bool)
	for _, labels := range found {
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			targets := labels[label]
			slices.SortFunc(targets, Target.Compare)
			targets = slices.Compact(targets)
			if len(targets) < 2 {
				continue
			}
			var all []byte
			for _, t := range targets {
				all = t.append(all)
			}
			if set := blake3.Sum256(all); !seen[set] {
				seen[set] = true
				out = append(out, Group{label, targets})
			}
		}
	}
	return out
}

// Fleet is a fleet challenge of an epoch: all devices of a group at one time.
type Fleet struct {
	Epoch  uint64
	Group  Group
	Memory bool // a proof of memory, else of compute
}

// Fleets is a checker's fleet challenges of one epoch. A group has one every
// FleetEvery epochs, of one checker, by turns a proof of compute and one of
// memory. All checkers that see the same offers compute the same.
func Fleets(r *Registry, beacon challenges.Hash, checker challenges.NodeID, epoch uint64, groups []Group) []Fleet {
	var out []Fleet
	for _, f := range fleets(r, epoch, groups) {
		if r.first("fleet", beacon[:], number(epoch), []byte(f.Group.Label)) == checker {
			out = append(out, f)
		}
	}
	return out
}

// InFleet is the devices that are in any checker's fleet challenge of the epoch.
func InFleet(r *Registry, epoch uint64, groups []Group) map[Target]bool {
	in := make(map[Target]bool)
	for _, f := range fleets(r, epoch, groups) {
		for _, t := range f.Group.Targets {
			in[t] = true
		}
	}
	return in
}

// fleets is all fleet challenges of an epoch, no device in two of them. Of groups
// that share a device the larger goes first, as it mostly holds the smaller one's
// devices. Each fourth time the order is drawn: else who joins a large group with
// one of its devices could keep a smaller group from ever having its turn.
func fleets(r *Registry, epoch uint64, groups []Group) []Fleet {
	type due struct {
		Fleet
		turn challenges.Hash
	}
	// SPEC: G3. A group is due where (epoch + spread) mod fleet-every is 0.
	every := uint64(max(1, r.Params.FleetEvery))
	var dues []due
	for _, g := range groups {
		offset := drawn("offset", []byte(g.Label))
		spread := binary.LittleEndian.Uint64(offset[:]) % every
		if (epoch+spread)%every != 0 {
			continue
		}
		run := (epoch + spread) / every // the same for all groups that are due
		d := due{Fleet: Fleet{Epoch: epoch, Group: g, Memory: run%2 == 1}}
		if run/2%4 == 3 {
			d.turn = drawn("turn", []byte(g.Label), number(run))
		}
		dues = append(dues, d)
	}
	slices.SortFunc(dues, func(a, b due) int {
		return cmp.Or(a.turn.Compare(b.turn), len(b.Group.Targets)-len(a.Group.Targets), strings.Compare(a.Group.Label, b.Group.Label))
	})
	taken := make(map[Target]bool)
	var out []Fleet
	for _, d := range dues {
		if slices.ContainsFunc(d.Group.Targets, func(t Target) bool { return taken[t] }) {
			continue
		}
		for _, t := range d.Group.Targets {
			taken[t] = true
		}
		out = append(out, d.Fleet)
	}
	return out
}

// Compare orders targets by provider, then device.
func (t Target) Compare(u Target) int {
	return cmp.Or(t.Provider.Compare(u.Provider), strings.Compare(t.Device, u.Device))
}

// append adds a target to what is hashed.
func (t Target) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, t.Provider[:]...), uint64(len(t.Device)))
	return append(b, t.Device...)
}

// first is the checker whom a draw falls on: that with the least hash
// (rendezvous), so that a change of the registry moves no draw between those that
// stay.
func (r *Registry) first(use string, fields ...[]byte) challenges.NodeID {
	var who challenges.NodeID
	var least challenges.Hash
	material := framed(use, fields)
	for i, m := range r.Checkers {
		if h := challenges.Hash(blake3.Sum256(append(material, m.ID[:]...))); i == 0 || h.Compare(least) < 0 {
			who, least = m.ID, h
		}
	}
	return who
}

// drawn is a hash of a use and fields.
func drawn(use string, fields ...[]byte) challenges.Hash { return blake3.Sum256(framed(use, fields)) }

// framed writes fields with their lengths, so that no two lists look the same.
func framed(use string, fields [][]byte) []byte {
	// SPEC: G2. "assay/draw/v1/" || use || le64(len(f_1)) || f_1 || ...
	b := append([]byte("assay/draw/v1/"), use...)
	for _, f := range fields {
		b = append(binary.LittleEndian.AppendUint64(b, uint64(len(f))), f...)
	}
	return b
}

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// network is the /24 or /48 that a multiaddr begins with. A relay's address says
// nothing of who is behind it, a name nothing of where it is.
func network(addr string) (string, bool) {
	part := strings.Split(addr, "/")
	if len(part) < 3 || part[0] != "" || slices.Contains(part, "p2p-circuit") {
		return "", false
	}
	ip, err := netip.ParseAddr(part[2])
	if err != nil || ip.Zone() != "" || part[1] != "ip4" && part[1] != "ip6" || ip.Is4() != (part[1] == "ip4") {
		return "", false
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() {
		return "", false
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, _ := ip.Prefix(bits) // shorter than the address
	return prefix.String(), true
}
