package challenges

// FirstKey is the generator key of round 0.
func FirstKey(id Hash, device string) Hash {
	// SPEC: M2. key_0 = derive_key("assay/matmul/key0/v1", challenge id || device).
	return derive("assay/matmul/key0/v1", id[:], []byte(device))
}

// NextKey is the generator key of round r+1, from the key and root of round r
// and the packed positions that [Profile.Feeds] names (none while there are
// none): a chain that neither side can run ahead of the other's word by more than
// W rounds.
func NextKey(key, root Hash, positions []byte) Hash {
	// SPEC: M2. key_{r+1} = derive_key("assay/matmul/key/v1", key_r || root_r || pos).
	return derive("assay/matmul/key/v1", key[:], root[:], positions)
}

// Feeds is the round whose positions enter the key of the given round; negative
// if none do.
func (p Profile) Feeds(round, window int) int {
	// SPEC: M2. The first round after the warm-up takes the positions of the round
	// before it, so that no measured work can begin before the checker's clock.
	if p.Warm > 0 && round == p.Warm {
		return round - 1
	}
	// SPEC: M2. Any other takes those of W rounds before the round before it.
	return round - 1 - window
}
