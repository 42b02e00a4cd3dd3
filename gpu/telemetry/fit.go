package telemetry

// Trim keeps at most n snapshots of a longer list: the first, the last, and between
// them ones as evenly spaced as the list is. One alone is the last.
func Trim(all []Snapshot, n int) []Snapshot {
	switch {
	case n <= 0 || len(all) == 0:
		return nil
	case len(all) <= n:
		return all
	case n == 1:
		return all[len(all)-1:]
	}
	out := make([]Snapshot, n)
	for i := range out {
		// Rounded to the nearest: all stay different, since there are more than n.
		out[i] = all[(i*(len(all)-1)+(n-1)/2)/(n-1)]
	}
	return out
}

// Fit trims a record until it has at most so many snapshots as a record may, and is
// at most so many bytes long, as size tells of it. False if it is too long without
// any snapshot.
func (r *Record) Fit(bytes int, size func(*Record) int) bool {
	all := r.Snapshots
	for n := min(len(all), MaxSnapshots); n >= 0; n-- {
		r.Snapshots = Trim(all, n)
		if size(r) <= bytes {
			return true
		}
	}
	return false
}
